//! TLS, with a server whose certificate an authority of the test signed.

use integration_tests::stack::{APP_PASSWORD, Certificates};
use millstream_engine::{SinkError, Target};
use millstream_sinks::mysql::MysqlTable;
use tokio::net::{TcpListener, TcpStream};

use crate::events::{PIPELINE, connect, put, schema};
use crate::place::{Place, ROOT, client, own, server};

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
    also_at(&format!("127.0.0.2:{port}"), server_side.address()).await;
    let table = |host: &str, options: &str| {
        let server = server(&format!("{host}:{port}"), ROOT, APP_PASSWORD, options).unwrap();
        MysqlTable::upsert(server, &place.database, "users", &["id"])
    };
    for host in ["127.0.0.1", "localhost"] {
        let mut sink = connect(&table(host, &format!("ca={ours}"))).await;
        put(&mut sink, 0, &[("a", 1, 1)]).await;
    }
    for (host, options, says) in [
        ("127.0.0.1", format!("ca={others}"), "ca=file"),
        ("127.0.0.1", "tls=on".to_owned(), "ca=file"),
        ("127.0.0.2", format!("ca={ours}"), "ca=file"),
        ("127.0.0.1", "tls=off".to_owned(), "tls=on"),
    ] {
        match table(host, &options).connect(PIPELINE, &schema()).await {
            Err(error @ SinkError::Refused { .. }) => {
                assert!(error.to_string().contains(says), "{host} {options}: {error}");
            }
            Err(error) => panic!("{host} {options} is to be refused: {error}"),
            Ok(_) => panic!("{host} {options} is to be refused"),
        }
    }
}

/// The same server at an address that its certificate doesn't name.
async fn also_at(address: &str, server: String) {
    let listener = TcpListener::bind(address).await.expect("listen at another address");
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let mut to = TcpStream::connect(&server).await.expect("connect to the server");
            // A connection that is refused ends as it likes.
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut from, &mut to).await });
        }
    });
}
