//! Users on Kafka and Cassandra.

use std::collections::BTreeSet;

use integration_tests::deployed::{Deployed, Servers, kills};
use integration_tests::users::{assert_same, user};
use integration_tests::{load, number};

const SELECT: &str = "SELECT JSON name, address, date FROM my_keyspace.user_details_5";
const PIPELINE: &str = "users.details";

/// Every user that was sent is in the table, and nobody else.
fn assert_exact(users: &Deployed, sent: u64) {
    let report = users.verify_one(PIPELINE);
    assert_eq!((number(&report, "produced"), number(&report, "delivered")), (sent, sent));
    let records = users.servers.consumed("registered_user_2");
    assert_eq!(records.len() as u64, sent);
    let topic: BTreeSet<_> =
        records.iter().map(|record| user(record.value.as_deref().unwrap())).collect();
    let columns = ["name", "address", "date"];
    let rows = users.servers.cql(SELECT);
    let table: BTreeSet<_> =
        rows.iter().map(|row| columns.map(|column| row[column].clone())).collect();
    assert_same(&table, &topic);
    println!("{} users, {} rows", records.len(), rows.len());
}

#[test]
fn users_come_from_kafka_into_cassandra_also_when_workers_are_killed() {
    let users = Deployed::new("users", &Servers::shared()).set("ROLL__EVERY_S", "0.2");
    users.run("users", &["produce", "--once", "--rate", "max", "--limit", "3000"]).succeeds();
    users.catch_up("users");
    assert_exact(&users, 3000);
    let described = users.servers.group("spark-streaming-notes");
    let lags = described.lines().filter(|line| line.contains("registered_user_2"));
    let lags: Vec<_> = lags.map(|line| line.split_whitespace().nth(5).unwrap()).collect();
    assert_eq!(lags, ["0"; 4], "{described}");
    users.assert_healthy(&["Kafka", "Cassandra", "topic registered_user_2"]);

    let mut producer = users.start("users", &["produce", "--rate", "60"]);
    kills::kill_workers(&users, &[PIPELINE], || load::goes_on(&mut producer));
    let sent = load::stop(producer);
    users.settle(&[PIPELINE]);
    assert_exact(&users, 3000 + sent);
}
