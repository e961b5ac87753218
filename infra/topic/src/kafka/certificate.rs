//! What is wrong with a broker's certificate: librdkafka says only that it wouldn't have it.

use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use openssl::x509::{X509Ref, X509StoreContextRef};

/// How long connecting and each answer may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Connects to `server` (`host:port`) as librdkafka does. Why the certificate is refused, and what to do;
/// `None`: it isn't, or there was no connection.
pub(super) fn look(server: &str, ca: Option<&Path>) -> Option<(String, String)> {
    let (host, _) = server.rsplit_once(':')?;
    let host = host.trim_matches(['[', ']']);
    let refusal = Arc::new(OnceLock::new());
    let mut connector = SslConnector::builder(SslMethod::tls_client()).ok()?;
    if let Some(ca) = ca {
        connector.set_ca_file(ca).ok()?;
    }
    let noted = refusal.clone();
    connector.set_verify_callback(SslVerifyMode::PEER, move |accepted, seen| {
        if !accepted {
            noted.get_or_init(|| Refusal::of(seen));
        }
        accepted
    });
    let address = server.to_socket_addrs().ok()?.next()?;
    let stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    let connected = connector.build().connect(host, stream);
    drop(connected);
    Some(refusal.get()?.told(server, host, ca))
}

/// What was wrong with the certificate first.
struct Refusal {
    /// OpenSSL's number.
    code: i32,
    why: &'static str,
    /// The hosts it is for.
    names: String,
    until: String,
}

impl Refusal {
    fn of(seen: &X509StoreContextRef) -> Self {
        let (error, certificate) = (seen.error(), seen.current_cert());
        Self {
            code: error.as_raw(),
            why: error.error_string(),
            names: certificate.map(names).unwrap_or_default(),
            until: certificate.map(|it| it.not_after().to_string()).unwrap_or_default(),
        }
    }

    fn told(&self, server: &str, host: &str, ca: Option<&Path>) -> (String, String) {
        let Self { code, why, names, until } = self;
        match *code {
            // X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH.
            62 | 64 => (
                format!("the certificate of {server} is for {names}, not for {host}"),
                "name the broker in topics.url by one of those names (it advertises names, too), or give it \
                 another certificate"
                    .to_owned(),
            ),
            // X509_V_ERR_CERT_HAS_EXPIRED.
            10 => (
                format!("the certificate of {server} was valid until {until}"),
                "renew it at the broker".to_owned(),
            ),
            _ => (
                format!("the certificate of {server} isn't trusted: {why}"),
                match ca {
                    None => "name the authority that signed it in topics.url: ca=file (PEM)".to_owned(),
                    Some(ca) => format!("put the authority that signed it into {}", ca.display()),
                },
            ),
        }
    }
}

/// The hosts that a certificate is for.
fn names(certificate: &X509Ref) -> String {
    let Some(names) = certificate.subject_alt_names() else { return "no host".to_owned() };
    let one = |name: &openssl::x509::GeneralNameRef| {
        let ip = name.ipaddress().and_then(|ip| match ip.len() {
            4 => <[u8; 4]>::try_from(ip).ok().map(|ip| std::net::IpAddr::from(ip).to_string()),
            _ => <[u8; 16]>::try_from(ip).ok().map(|ip| std::net::IpAddr::from(ip).to_string()),
        });
        name.dnsname().map(str::to_owned).or(ip)
    };
    names.iter().filter_map(one).collect::<Vec<_>>().join(", ")
}
