//! Topics on three brokers, some of which are away: nothing is lost, nothing comes twice, and it is told what is wrong.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

#[path = "../kafka/following.rs"]
#[allow(dead_code, reason = "shared with the tests on one broker")]
mod following;
mod load;
mod workers;

use std::time::{Duration, Instant};

use integration_tests::stack::{Brokers, Server};
use millstream_config::Health;
use millstream_topic::{Outgoing, Topic, Wanted};
use tokio::sync::Mutex;

use following::{INSIDE, open};
use load::Load;

/// One cluster at a time: three brokers are half of this machine.
static ALONE: Mutex<()> = Mutex::const_new(());

/// How long the load goes on between two events, so that all of them fall into it.
const STEADY: Duration = Duration::from_secs(3);

fn url(brokers: &Brokers, options: &str) -> String {
    format!("kafka://{}?replication=3&{options}", brokers.addresses())
}

/// Waits until all replicas of a topic are in sync again, as an operator does between two restarts.
async fn until_in_sync(server: &Server, topic: &str) {
    let command = [
        "kafka-topics.sh",
        "--bootstrap-server",
        INSIDE,
        "--describe",
        "--under-replicated-partitions",
        "--topic",
        topic,
    ];
    let started = Instant::now();
    loop {
        let told = server.try_exec(&command).await;
        if told.code == 0 && told.stdout.trim().is_empty() {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(120), "not in sync: {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_are_restarted_and_killed_under_load() {
    let _alone = ALONE.lock().await;
    let brokers = Brokers::start(3).await;
    for protocol in following::PROTOCOLS {
        let topic = format!("load-{}", &protocol["protocol=".len()..]);
        let url = url(&brokers, protocol);
        let load = Load::start(&url, &topic).await;
        tokio::time::sleep(STEADY).await;
        for server in &brokers.servers {
            server.stop().await;
            tokio::time::sleep(STEADY).await;
            server.start().await;
            until_in_sync(server, &topic).await;
            eprintln!("{protocol}: {} was restarted; {}", server.name, load.progress());
        }
        let killed = &brokers.servers[1];
        killed.kill().await;
        tokio::time::sleep(STEADY * 3).await;
        killed.start().await;
        until_in_sync(killed, &topic).await;
        eprintln!("{protocol}: {} was killed; {}", killed.name, load.progress());
        load.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_few_replicas_are_told_and_waited_for() {
    let _alone = ALONE.lock().await;
    let brokers = Brokers::start(3).await;
    let kafka = open(&url(&brokers, ""), &["delivery.timeout.ms=8000"]).expect("open topics");
    let topic = Topic::named("strict").partitions(1);
    kafka.ensure(&topic).await.expect("make a topic of three replicas");
    let described = following::tool(
        &brokers.servers[0],
        "kafka-topics.sh",
        &["--describe", "--topic", "strict"],
    )
    .await;
    assert!(described.contains("ReplicationFactor: 3"), "{described}");
    assert!(described.contains("min.insync.replicas=2"), "{described}");
    let one = || vec![Outgoing::keyed("k", "v")];
    kafka.append("strict", one()).await.expect("append to all three");

    let all = "min.insync.replicas=3";
    let change = ["--alter", "--topic", "strict", "--add-config", all];
    following::tool(&brokers.servers[0], "kafka-configs.sh", &change).await;
    let away = &brokers.servers[2];
    away.stop().await;
    let error = kafka.append("strict", one()).await.expect_err("append with a replica away");
    let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(error.is_retryable(), "{error}: {source}");
    assert!(source.contains("2 of 3 replicas in sync"), "{error}: {source}");

    let topics = [topic];
    let findings = kafka.examine(&Wanted { topics: &topics, ..Wanted::default() }).await;
    for told in ["2 brokers", "lack replicas in sync", "nothing can be written while one broker"] {
        assert!(findings.iter().any(|finding| finding.told.contains(told)), "{told}: {findings:?}");
    }
    let cluster =
        findings.iter().find(|finding| finding.what == "topics.url").expect("the cluster");
    assert_eq!(cluster.state, Health::Good, "{cluster:?}");

    away.start().await;
    let started = Instant::now();
    while let Err(error) = kafka.append("strict", one()).await {
        assert!(error.is_retryable() && started.elapsed() < Duration::from_secs(90), "{error}");
    }
    let at = millstream_topic::TopicPartition::new("strict", 0);
    let slice = kafka.read(&at, 0, 100).await.expect("read");
    assert!(slice.records.len() >= 2, "{}", slice.records.len());
}
