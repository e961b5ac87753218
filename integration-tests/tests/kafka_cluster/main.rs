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

use std::sync::Arc;
use std::time::{Duration, Instant};

use integration_tests::stack::{self, Brokers, Server, Shared};
use integration_tests::wait;
use millstream_config::Health;
use millstream_topic::{Outgoing, Topic, Wanted};
use tokio::sync::Mutex;

use following::{INSIDE, open};

/// What stops brokers is done one after the other.
static ALONE: Mutex<()> = Mutex::const_new(());

/// The cluster that the tests share while any of them runs: three brokers are half of this machine.
fn cluster() -> Arc<Brokers> {
    static SHARED: Shared<Brokers> = Shared::new();
    SHARED.get(|| Arc::new(stack::block_on(Brokers::start(3))))
}

fn url(brokers: &Brokers, options: &str) -> String {
    format!("kafka://{}?replication=3&{options}", brokers.addresses())
}

/// Waits until all replicas are in sync again, as an operator does between two restarts.
fn until_in_sync(server: &Server) {
    let command = ["kafka-topics.sh", "--bootstrap-server", INSIDE, "--describe"];
    let command = [&command[..], &["--under-replicated-partitions"]].concat();
    wait::until("all replicas are in sync", wait::LONG, || {
        let told = stack::block_on(server.try_exec(&command));
        if told.code == 0 && told.stdout.trim().is_empty() {
            return Ok(());
        }
        Err(format!("{told:?}"))
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_few_replicas_are_told_and_waited_for() {
    let brokers = tokio::task::spawn_blocking(cluster).await.expect("start brokers");
    let _alone = ALONE.lock().await;
    let kafka = open(&url(&brokers, ""), &[]).expect("open topics");
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
    let short = open(&url(&brokers, ""), &["delivery.timeout.ms=8000"]).expect("open topics");
    let started = Instant::now();
    loop {
        let error = short.append("strict", one()).await.expect_err("append with a replica away");
        let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        assert!(error.is_retryable(), "{error}: {source}");
        if source.contains("2 of 3 replicas in sync") {
            break;
        }
        // While leaders move, nobody may say how many there are.
        assert!(started.elapsed() < Duration::from_secs(90), "{error}: {source}");
    }

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
