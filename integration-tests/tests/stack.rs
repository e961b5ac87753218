//! The tests' own servers: each starts, answers its own client, and is as it was after it was stopped and started.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use integration_tests::stack::{self, APP_PASSWORD, Wanted};

const PASSWORD: &str = "MYSQL_PWD=for-tests-only";

#[tokio::test(flavor = "multi_thread")]
async fn kafka_answers_its_console_tools() {
    let kafka = stack::kafka().await;
    let topic = stack::unique("hello");
    let tool = "/opt/kafka/bin/kafka-topics.sh";
    let at = ["--bootstrap-server", "localhost:19092"];
    let created = kafka.exec(&[tool, at[0], at[1], "--create", "--topic", &topic]).await;
    assert!(created.contains(&topic), "{created}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cassandra_answers_cqlsh() {
    let cassandra = stack::cassandra().await;
    let said = cassandra.exec(&["cqlsh", "-e", "SELECT release_version FROM system.local"]).await;
    assert!(said.contains(stack::images::table()["CASSANDRA_VERSION"].as_str()), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mysql_and_mariadb_answer_their_clients() {
    assert!(PASSWORD.ends_with(APP_PASSWORD));
    for (server, client) in [(stack::mysql().await, "mysql"), (stack::mariadb().await, "mariadb")] {
        let said = server.exec(&["env", PASSWORD, client, "-uroot", "-e", "SELECT 6 * 7"]).await;
        assert!(said.contains("42"), "{server:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn opensearch_answers_curl() {
    let opensearch = stack::opensearch().await;
    let said = opensearch.exec(&["curl", "-sS", "localhost:9200"]).await;
    assert!(said.contains(stack::images::table()["OPENSEARCH_VERSION"].as_str()), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_is_empty_and_pyarrow_says_so() {
    let s3 = stack::s3().await;
    let bucket = stack::bucket(s3).await;
    let rows = stack::parquet::rows(&format!("s3://{bucket}"), &stack::s3_environment(s3));
    assert_eq!(rows.len(), 0, "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_a_tests_own_keeps_its_port_and_data_and_goes_with_the_test() {
    let own =
        Wanted::new("own", "S3", &[7070]).env("ROOT_ACCESS_KEY", "a").env("ROOT_SECRET_KEY", "b");
    let server = own.start().await;
    let (port, id) = (server.port(), server.id());
    server.exec(&["mkdir", "/data/kept"]).await;
    server.kill().await;
    server.start().await;
    assert_eq!(server.port(), port);
    server.exec(&["ls", "-d", "/data/kept"]).await;
    drop(server);
    let mut docker = std::process::Command::new("docker");
    let listed = docker.args(["ps", "--all", "--quiet", "--no-trunc"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&listed.stdout).contains(&id), "{id} is still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_brokers_make_one_cluster() {
    let brokers = stack::Brokers::start(3).await;
    let tool = "/opt/kafka/bin/kafka-topics.sh";
    let at = ["--bootstrap-server", "localhost:19092"];
    let first = &brokers.servers[0];
    first.exec(&[tool, at[0], at[1], "--create", "--topic", "x", "--partitions", "3"]).await;
    let said = first.exec(&[tool, at[0], at[1], "--describe", "--topic", "x"]).await;
    assert!(said.contains("ReplicationFactor: 3"), "{said}");
}
