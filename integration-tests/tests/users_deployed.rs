//! Users on Kafka and Cassandra: what cqlsh shows is what Kafka's console consumer shows.

#![cfg(test)]

use std::collections::BTreeSet;
use std::time::Duration;

use integration_tests::deployed::{Deployed, On, kills, outage};
use integration_tests::users::user;
use integration_tests::{http, number, wait};

const SELECT: &str = "SELECT JSON name, address, date FROM my_keyspace.user_details_5";
const PIPELINE: &str = "users.details";

fn deployed() -> Deployed {
    Deployed::start("users", &[On::Cassandra]).with("USERS_CONSOLE__LISTEN", "")
}

fn in_topic(users: &Deployed) -> BTreeSet<[String; 3]> {
    let records = users.consumed("registered_user_2");
    records.iter().map(|record| user(record.value.as_deref().unwrap())).collect()
}

fn in_table(users: &Deployed) -> BTreeSet<[String; 3]> {
    let columns = ["name", "address", "date"];
    users.cql(SELECT).iter().map(|row| columns.map(|column| row[column].clone())).collect()
}

/// Every user that was sent is in the table, and nobody else; the topic's own tools agree on how far the group is.
fn assert_exact(users: &Deployed, sent: u64) {
    let report = users.verify_one(PIPELINE);
    assert_eq!((number(&report, "produced"), number(&report, "delivered")), (sent, sent));
    let (topic, table) = (in_topic(users), in_table(users));
    assert!(!topic.is_empty());
    let differing: Vec<_> = topic.symmetric_difference(&table).take(3).collect();
    assert!(differing.is_empty(), "in one of the two only: {differing:?}");
}

#[test]
fn users_come_from_kafka_into_cassandra() {
    let users = deployed();
    users.run("users", &["produce", "--once", "--rate", "max", "--limit", "3000"]).succeeds();
    users.catch_up("users");
    assert_exact(&users, 3000);
    let described = users.group("spark-streaming-notes");
    let lags = described.lines().filter(|line| line.contains("registered_user_2"));
    let lags: Vec<_> = lags.map(|line| line.split_whitespace().nth(5).unwrap()).collect();
    assert_eq!(lags, ["0"; 4], "{described}");
    let doctor = users.run("millstream", &["doctor", "users"]).succeeds();
    for words in ["Kafka", "Cassandra", "topic registered_user_2"] {
        assert!(doctor.stdout.contains(words), "{words}: {doctor:?}");
    }
}

#[test]
fn a_table_in_cassandra_survives_kills_of_three_workers() {
    let users = deployed().with("USERS_ROLL__EVERY_S", "0.2");
    let mut producer = users.start("users", &["produce", "--rate", "500"]);
    kills::kill_workers(&users, "users", 21, &mut producer, || users.position(PIPELINE));
    let sent = kills::stop(producer);
    users.settle("users", PIPELINE);
    assert_exact(&users, sent);
}

#[test]
fn a_minute_without_cassandra_and_one_without_kafka_lose_nothing() {
    let console = http::free_address();
    let users =
        deployed().with("USERS_ROLL__EVERY_S", "0.5").with("USERS_CONSOLE__LISTEN", &console);
    let producer = users.start("users", &["produce", "--rate", "300"]);
    let mut worker = users.start("users", &["process"]);
    worker.says(&console);
    for server in [users.cassandra(), &users.kafka] {
        let seen = outage::stop_for(server, Duration::from_secs(60), &mut worker, &console);
        assert!(seen.peak_mb < 700, "{seen:?}");
        // Producer and worker go on by themselves: twice, so that what is worked off was sent afterwards.
        for _ in 0..2 {
            let before = users.position(PIPELINE);
            wait::until("the worker goes on", wait::LONG, || match users.position(PIPELINE) {
                now if now > before => Ok(()),
                now => Err(format!("at {now}; {worker:?} {producer:?}")),
            });
        }
    }
    let sent = kills::stop(producer);
    worker.signal(nix::sys::signal::Signal::SIGTERM);
    worker.ends_within(Duration::from_secs(30)).succeeds();
    users.settle("users", PIPELINE);
    assert_exact(&users, sent);
}
