//! TLS, with a server whose certificate an authority of the test signed.

use integration_tests::stack::{APP_PASSWORD, Certificates};
use millstream_engine::{SinkError, Target};
use millstream_sinks::mysql::MysqlTable;

use crate::events::{PIPELINE, connect, put, schema};
use crate::place::{Place, ROOT, client, own, server};
use crate::proxy::Proxy;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql_is_spoken_to_in_secret() {
    encrypted("MYSQL").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_is_spoken_to_in_secret() {
    encrypted("MARIADB").await;
}

async fn encrypted(component: &'static str) {
    let authority = Certificates::new();
    let certificate = authority.of(&["localhost", "127.0.0.1"]);
    let server_side = own(component)
        .file("/certificates/ca.pem", authority.ca())
        .file("/certificates/server.pem", certificate.certificate)
        .file("/certificates/server.key", certificate.key)
        .command(&[
            "--ssl-ca=/certificates/ca.pem",
            "--ssl-cert=/certificates/server.pem",
            "--ssl-key=/certificates/server.key",
            "--require-secure-transport=ON",
        ])
        .start()
        .await;
    let place = Place::on(&server_side, client(component), "secret");
    let files = tempfile::tempdir().unwrap();
    let file = |name: &str, content: String| {
        let path = files.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let ours = file("ca.pem", authority.ca());
    let others = file("other.pem", Certificates::new().ca());
    let port = server_side.port();
    let table = |at: &str, options: &str| {
        let server = server(at, ROOT, APP_PASSWORD, options).unwrap();
        MysqlTable::upsert(server, &place.database, "users", &["id"])
    };
    let (named, local) = (format!("127.0.0.1:{port}"), format!("localhost:{port}"));
    for at in [&named, &local] {
        let mut sink = connect(&table(at, &format!("ca={ours}"))).await;
        put(&mut sink, 0, &[("a", 1, 1)]).await;
    }
    // The same server at an address that its certificate doesn't name.
    let unnamed = Proxy::at("127.0.0.2", &named).await;
    for (at, options, says) in [
        (named.as_str(), format!("ca={others}"), "ca=file"),
        (&named, "tls=on".to_owned(), "ca=file"),
        (unnamed.address(), format!("ca={ours}"), "ca=file"),
        (&named, "tls=off".to_owned(), "tls=on"),
    ] {
        match table(at, &options).connect(PIPELINE, &schema()).await {
            Err(error @ SinkError::Refused { .. }) => {
                assert!(error.to_string().contains(says), "{at} {options}: {error}");
            }
            Err(error) => panic!("{at} {options} is to be refused: {error}"),
            Ok(_) => panic!("{at} {options} is to be refused"),
        }
    }
}
