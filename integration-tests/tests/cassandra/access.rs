//! Passwords, rights, TLS, and what doctor says.

use std::time::{Duration, Instant};

use integration_tests::stack::{self, Certificates, Server};
use millstream_config::{Finding, Health};
use millstream_engine::{SinkError, Target};
use millstream_sinks::cassandra::{Cassandra, CassandraTable};

use crate::world::{PIPELINE, Place, assignment, connect, held, last, put, range, schema, server};

const PASSWORD: &str = "correct horse 'x'";

async fn with_passwords() -> Server {
    let wanted = stack::wanted_cassandra("cassandra-passwords")
        .env("CASSANDRA_AUTHENTICATOR", "PasswordAuthenticator")
        .env("CASSANDRA_AUTHORIZER", "CassandraAuthorizer");
    let server = wanted.start().await;
    // The first superuser is made a moment after the port listens.
    let asked = Instant::now();
    while server.try_exec(&admin("LIST ROLES")).await.code != 0 {
        assert!(asked.elapsed() < Duration::from_secs(90), "{}", server.logs(40).await);
        tokio::time::sleep(Duration::from_millis(200)).await;
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

/// Follows what each message says, until there is nothing left to say.
async fn until_granted(
    container: &Server,
    granted: &mut Vec<String>,
    work: impl AsyncFn() -> Result<(), SinkError>,
) {
    let asked = Instant::now();
    while let Err(error) = work().await {
        let said = error.to_string();
        assert!(asked.elapsed() < Duration::from_secs(120), "{said}");
        if error.is_retryable() {
            continue;
        }
        let grant = &said[said.find("GRANT ").unwrap_or_else(|| panic!("{said}"))..];
        if granted.iter().all(|known| known != grant) {
            container.exec(&admin(grant)).await;
            granted.push(grant.to_owned());
        }
        // Servers remember for two seconds what a user may do.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn app(address: &str, password: &str) -> Cassandra {
    server(&format!("cassandra://app@{address}?replication=1"), password).unwrap()
}

/// Without a password, and with a wrong one.
async fn refuses_strangers(address: &str, keyspace: &str) {
    let nobody = server(&format!("cassandra://{address}"), "").unwrap();
    let error = connects(&nobody, keyspace).await.unwrap_err();
    let said = error.to_string();
    assert!(!error.is_retryable() && said.contains("stores.tables_password"), "{said}");
    let wrong = app(address, "hunter2");
    let error = connects(&wrong, keyspace).await.unwrap_err();
    let said = error.to_string();
    assert!(!error.is_retryable() && said.contains("stores.tables_password"), "{said}");
    assert!(!said.contains("hunter2"));
    let findings = wrong.examine().await;
    assert_eq!(worst(&findings), Health::Bad, "{}", text(&findings));
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_and_rights_are_explained() {
    let container = with_passwords().await;
    let quoted = PASSWORD.replace('\'', "''");
    let role = format!("CREATE ROLE app WITH LOGIN = true AND PASSWORD = '{quoted}'");
    container.exec(&admin(&role)).await;
    let (address, keyspace) = (container.address(), stack::unique("test"));
    refuses_strangers(&address, &keyspace).await;
    let app = app(&address, PASSWORD);
    let findings = app.examine().await;
    assert!(
        text(&findings).contains("may not SELECT, MODIFY, CREATE, ALTER"),
        "{}",
        text(&findings)
    );
    let error = connects(&app, &keyspace).await.unwrap_err().to_string();
    assert!(error.contains("GRANT CREATE ON ALL KEYSPACES TO \"app\""), "{error}");
    let replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}";
    let made = format!("CREATE KEYSPACE {keyspace} WITH replication = {replication}");
    container.exec(&admin(&made)).await;
    let table = CassandraTable::upsert(app.clone(), &keyspace, "rows", &["id"]);
    let mut granted = Vec::new();
    let connecting = async || connects(&app, &keyspace).await;
    until_granted(&container, &mut granted, connecting).await;
    assert_eq!(granted, [format!("GRANT CREATE ON KEYSPACE \"{keyspace}\" TO \"app\"")]);
    let mut sink = connect(&table).await;
    put(&mut sink, &[("a", Some(1), 1)]).await;
    assert_eq!(held(&table).await.len(), 1);
    let findings = app.examine().await;
    assert!(
        text(&findings).contains("app may not SELECT, MODIFY"),
        "tables are no keyspaces: {}",
        text(&findings)
    );

    // Who made a table may do everything with it, until that is taken away.
    for right in ["MODIFY", "SELECT"] {
        container.exec(&admin(&format!("REVOKE {right} ON {keyspace}.rows FROM app"))).await;
    }
    let asked = Instant::now();
    let after = last(&mut sink, 0).await;
    let mut tried = 1;
    // Servers remember for two seconds what a user may do.
    let error = loop {
        let next = range(&last(&mut sink, 0).await, &[("b", Some(tried), tried)]);
        match sink.commit(&assignment(0), &next).await {
            Ok(_) => tried += 1,
            Err(error) => break error,
        }
        assert!(asked.elapsed() < Duration::from_secs(30), "it may still write");
    };
    assert!(
        !error.is_retryable()
            && last(&mut sink, 0).await.seq == after.seq + tried.cast_unsigned() - 1
    );
    let grant = format!("GRANT MODIFY ON KEYSPACE \"{keyspace}\" TO \"app\"");
    assert!(error.to_string().contains(&grant), "{error}");
    granted.clear();
    let reading = async || table.scan(PIPELINE, &mut |_| Ok(())).await;
    until_granted(&container, &mut granted, reading).await;
    assert_eq!(granted, [format!("GRANT SELECT ON KEYSPACE \"{keyspace}\" TO \"app\"")]);
    for right in ["MODIFY", "ALTER"] {
        container.exec(&admin(&format!("GRANT {right} ON KEYSPACE {keyspace} TO app"))).await;
    }
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
    let two = server(&format!("cassandra://{address}?replication=2"), "").unwrap();
    let said = text(&two.examine().await);
    assert!(said.contains("new keyspaces have 2 copies on 1 nodes"), "{said}");
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
