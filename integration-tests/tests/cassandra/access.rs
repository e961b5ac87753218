//! Passwords, rights, TLS, and what doctor says.

use integration_tests::stack::{self, Certificates, Server};
use millstream_config::{Finding, Health};
use millstream_engine::{SinkError, Target};
use millstream_sinks::cassandra::{Cassandra, CassandraTable};

use crate::world::{PIPELINE, Place, connect, held, put, schema, server};

const PASSWORD: &str = "correct horse 'x'";

async fn with_passwords() -> Server {
    let wanted = stack::wanted_cassandra("cassandra-passwords")
        .env("CASSANDRA_AUTHENTICATOR", "PasswordAuthenticator")
        .env("CASSANDRA_AUTHORIZER", "CassandraAuthorizer");
    let server = wanted.start().await;
    // The first superuser is made a moment after the port listens.
    let asked = std::time::Instant::now();
    while server.try_exec(&admin("LIST ROLES")).await.code != 0 {
        assert!(asked.elapsed() < std::time::Duration::from_secs(90), "{}", server.logs(40).await);
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    server
}

fn admin(cql: &str) -> [&str; 7] {
    ["cqlsh", "-u", "cassandra", "-p", "cassandra", "-e", cql]
}

async fn connects(server: &Cassandra, keyspace: &str) -> Result<(), SinkError> {
    let table = CassandraTable::upsert(server.clone(), keyspace, "rows", &["id"]);
    table.connect(PIPELINE, &schema(&["id", "n"])).await.map(|_| ())
}

fn worst(findings: &[Finding]) -> Health {
    findings.iter().map(|finding| finding.state).max().unwrap()
}

fn text(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        format!("{:?} {} ({:?})\n", finding.state, finding.told, finding.remedy)
    };
    findings.iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_and_rights_are_explained() {
    let container = with_passwords().await;
    let quoted = PASSWORD.replace('\'', "''");
    let role = format!("CREATE ROLE app WITH LOGIN = true AND PASSWORD = '{quoted}'");
    container.exec(&admin(&role)).await;
    let (address, keyspace) = (container.address(), stack::unique("test"));
    let as_app = |password: &str| {
        server(&format!("cassandra://app@{address}?replication=1"), password).unwrap()
    };

    let nobody = server(&format!("cassandra://{address}"), "").unwrap();
    let error = connects(&nobody, &keyspace).await.unwrap_err();
    let said = error.to_string();
    assert!(!error.is_retryable() && said.contains("stores.tables_password"), "{said}");
    let wrong = as_app("hunter2");
    let error = connects(&wrong, &keyspace).await.unwrap_err();
    let said = error.to_string();
    assert!(!error.is_retryable() && said.contains("stores.tables_password"), "{said}");
    assert!(!said.contains("hunter2"));
    let findings = wrong.examine().await;
    assert_eq!(worst(&findings), Health::Bad, "{}", text(&findings));

    let app = as_app(PASSWORD);
    let findings = app.examine().await;
    assert!(
        text(&findings).contains("may not SELECT, MODIFY, CREATE, ALTER"),
        "{}",
        text(&findings)
    );
    let mut granted = Vec::new();
    // Follows what each message says, until there is nothing left to say.
    loop {
        let Err(error) = connects(&app, &keyspace).await else { break };
        let said = error.to_string();
        assert!(!error.is_retryable(), "{said}");
        let at = said.find("GRANT ").unwrap_or_else(|| panic!("{said}"));
        assert!(
            granted.len() < 6 && !granted.contains(&said[at..].to_owned()),
            "{granted:?} {said}"
        );
        granted.push(said[at..].to_owned());
        container.exec(&admin(&said[at..])).await;
    }
    println!("{granted:#?}");
    assert!(granted.len() >= 2, "{granted:?}");
    let table = CassandraTable::upsert(app.clone(), &keyspace, "rows", &["id"]);
    let mut sink = connect(&table).await;
    put(&mut sink, &[("a", Some(1), 1)]).await;
    assert_eq!(held(&table).await.len(), 1);
    let findings = app.examine().await;
    assert!(worst(&findings) < Health::Bad, "{}", text(&findings));

    let superuser = server(&format!("cassandra://cassandra@{address}"), "cassandra").unwrap();
    let findings = text(&superuser.examine().await);
    assert!(findings.contains("is a superuser"), "{findings}");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_checked() {
    let authority = Certificates::new();
    let node = authority.of(&["127.0.0.1", "localhost"]);
    let options = "client_encryption_options:\n  enabled: true\n  optional: false\n  keystore: /tmp/node.pem\n  \
                   ssl_context_factory:\n    class_name: org.apache.cassandra.security.PEMBasedSslContextFactory\n";
    let run = "grep -v client_encryption /opt/cassandra/conf/cassandra.yaml > /tmp/c && cat /tmp/tls.yaml >> /tmp/c \
               && cp /tmp/c /opt/cassandra/conf/cassandra.yaml && exec run";
    let wanted = stack::wanted_cassandra("cassandra-tls")
        .file("/tmp/node.pem", format!("{}{}", node.key, node.certificate))
        .file("/tmp/tls.yaml", options)
        .command(&["bash", "-c", run]);
    let container = wanted.start().await;
    let directory = tempfile::tempdir().unwrap();
    let (ours, others) = (directory.path().join("ca.pem"), directory.path().join("others.pem"));
    std::fs::write(&ours, authority.ca()).unwrap();
    std::fs::write(&others, Certificates::new().ca()).unwrap();
    let (address, keyspace) = (container.address(), stack::unique("test"));
    let url =
        |options: String| server(&format!("cassandra://{address}?replication=1{options}"), "");

    let checked = url(format!("&ca={}", ours.display())).unwrap();
    let table = CassandraTable::upsert(checked.clone(), &keyspace, "rows", &["id"]);
    let mut sink = connect(&table).await;
    put(&mut sink, &[("a", Some(1), 1)]).await;
    assert!(text(&checked.examine().await).contains(", encrypted"));
    for options in [format!("&ca={}", others.display()), "&tls=on".to_owned()] {
        let error = connects(&url(options.clone()).unwrap(), &keyspace).await.unwrap_err();
        assert!(
            !error.is_retryable() && error.to_string().contains("option ca"),
            "{options}: {error}"
        );
    }
    let error = connects(&url(String::new()).unwrap(), &keyspace).await.unwrap_err();
    assert!(error.is_retryable(), "a server that speaks TLS only: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_says_how_the_cluster_is() {
    let place = Place::new().await;
    connect(&place.table("rows")).await;
    let findings = place.server.examine().await;
    let said = text(&findings);
    println!("{said}");
    assert_eq!(worst(&findings), Health::Warning, "{said}");
    for expected in [
        "reachable at cassandra://127.0.0.1",
        "Cassandra 5.",
        "1 of 1 nodes reachable",
        "clocks agree",
        "anybody who reaches the cluster",
        &format!("keyspace {} keeps copies: 1 on 1 nodes", place.keyspace),
    ] {
        assert!(said.contains(expected), "{said}\nlacks {expected:?}");
    }
    let address = stack::cassandra().await.address();
    let elsewhere = server(&format!("cassandra://{address}?dc=nowhere"), "").unwrap();
    let findings = elsewhere.examine().await;
    assert!(text(&findings).contains("set option dc to one of datacenter1"), "{}", text(&findings));
    let nobody = server(&format!("cassandra://127.0.0.1:{}", stack::free_port()), "").unwrap();
    let findings = nobody.examine().await;
    assert!(
        worst(&findings) == Health::Bad && text(&findings).contains("nodetool"),
        "{}",
        text(&findings)
    );
}
