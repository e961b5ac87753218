//! Speaking to a server: URLs, certificates, passwords.

use std::io::{Read, Write};
use std::net::TcpListener;

use millstream_config::{Endpoint, Secret};
use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};

use super::faults::Fault;
use super::{OpenSearch, dialect::Dialect};

fn open(url: &str) -> Result<OpenSearch, String> {
    let endpoint = Endpoint::parse("stores.search", url, Secret::new("s3cret"), 9200).unwrap();
    OpenSearch::new(endpoint).map_err(|error| error.to_string())
}

#[test]
fn urls_are_checked_without_io() {
    let known = open("https://me@a,b:9201/test-?ca=ca.pem&replicas=2").unwrap();
    assert_eq!(known.0.prefix, "test-");
    assert_eq!(format!("{known:?}"), r#"OpenSearch("https://me@a:9200,b:9201/test-")"#);
    for (url, words) in [
        ("opensearch://a", "https://"),
        ("http://a?ca=x", "https"),
        ("https://a?replicas=two", "replicas"),
        ("https://a?replica=2", "replicas"),
        ("https://a/Test", "lower-case"),
        ("https://a/-x", "after the first"),
        ("https://a/x/y", "lower-case"),
    ] {
        let refused = open(url).unwrap_err();
        assert!(refused.contains(words) && refused.contains("stores.search"), "{url}: {refused}");
    }
}

/// A certificate for this machine, and its authority, which is itself.
fn certificate() -> (PKey<openssl::pkey::Private>, X509) {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "search").unwrap();
    let name = name.build();
    let mut made = X509::builder().unwrap();
    made.set_version(2).unwrap();
    made.set_subject_name(&name).unwrap();
    made.set_issuer_name(&name).unwrap();
    made.set_pubkey(&key).unwrap();
    made.set_not_before(&Asn1Time::from_unix(0).unwrap()).unwrap();
    made.set_not_after(&Asn1Time::from_unix(4_000_000_000).unwrap()).unwrap();
    let names =
        SubjectAlternativeName::new().ip("127.0.0.1").build(&made.x509v3_context(None, None));
    made.append_extension(names.unwrap()).unwrap();
    made.append_extension(BasicConstraints::new().ca().build().unwrap()).unwrap();
    made.sign(&key, MessageDigest::sha256()).unwrap();
    (key, made.build())
}

/// A host that gives everybody the same answer; tells its address.
fn answering(status: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let _ = connection.read(&mut [0; 4096]);
            let length = body.len();
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close");
            let _ = connection.write_all(format!("{head}\r\n\r\n{body}").as_bytes());
        }
    });
    address
}

#[tokio::test]
async fn another_host_is_asked_when_a_proxy_or_a_node_says_that_it_cant() {
    const LONELY: &str =
        r#"{"error":{"type":"cluster_manager_not_discovered_exception"},"status":503}"#;
    let well = answering("200 OK", r#"{"version":{"distribution":"opensearch","number":"3.8.0"}}"#);
    let proxy = answering("502 Bad Gateway", "<html>502 Bad Gateway</html>");
    let lonely = answering("503 Service Unavailable", LONELY);
    let hosts = format!("http://{proxy},{lonely},{well}");
    assert_eq!(dialect(&hosts).await.unwrap(), Dialect::OpenSearch(3, 8));
    // The last one's word, when none can.
    let alone = open(&format!("http://{proxy},{lonely}")).unwrap();
    let told = alone.0.dialect().await.unwrap_err().told("look", &alone.0.origin);
    assert!(told.is_retryable(), "{told}");
    assert!(millstream_engine::chain(&told).contains("cluster_manager_not_discovered"), "{told:?}");
}

/// A server that says what it is to whoever knows the password; tells its address.
fn serve(key: &PKey<openssl::pkey::Private>, certificate: &X509) -> String {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
    acceptor.set_private_key(key).unwrap();
    acceptor.set_certificate(certificate).unwrap();
    let acceptor = acceptor.build();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            // Those who don't trust us go away.
            let Ok(mut tls) = acceptor.accept(connection) else { continue };
            let mut request = vec![0; 4096];
            let length = tls.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..length]).to_lowercase();
            // me:s3cret
            let (status, body) = match request.contains("authorization: basic bwu6cznjcmv0") {
                true => ("200 OK", r#"{"version":{"distribution":"opensearch","number":"3.8.0"}}"#),
                false => ("401 Unauthorized", "Unauthorized"),
            };
            let length = body.len();
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close");
            let _ = tls.write_all(format!("{head}\r\n\r\n{body}").as_bytes());
            let _ = tls.shutdown();
        }
    });
    address
}

async fn dialect(url: &str) -> Result<Dialect, Fault> {
    open(url).unwrap().0.dialect().await
}

#[tokio::test]
async fn certificates_and_passwords_are_checked() {
    let (key, certificate) = certificate();
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, certificate.to_pem().unwrap()).unwrap();
    let (address, ca) = (serve(&key, &certificate), ca.display().to_string());
    let known = dialect(&format!("https://me@{address}?ca={ca}")).await.unwrap();
    assert_eq!(known, Dialect::OpenSearch(3, 8));

    let told = |fault: Fault, at: &OpenSearch| fault.told("look", &at.0.origin);
    let stranger = open(&format!("https://{address}?ca={ca}")).unwrap();
    let refused = told(stranger.0.dialect().await.unwrap_err(), &stranger);
    assert!(
        !refused.is_retryable() && refused.to_string().contains("stores.search_password"),
        "{refused}"
    );
    let trusting = open(&format!("https://me@{address}")).unwrap();
    let untrusted = told(trusting.0.dialect().await.unwrap_err(), &trusting);
    assert!(!untrusted.is_retryable() && untrusted.to_string().contains("?ca="), "{untrusted}");
    assert!(!format!("{refused} {untrusted} {trusting:?}").contains("s3cret"));

    let no_file = dialect("https://a?ca=nowhere.pem").await.unwrap_err().to_string();
    assert!(no_file.contains("nowhere.pem"), "{no_file}");
}
