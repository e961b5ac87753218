use std::time::{Duration, Instant};

use integration_tests::stack::{Ready, kafka, unique, wanted_kafka};
use millstream_topic::{Event, TopicPartition};

use crate::following::{self, DEADLINE, Following, PROTOCOLS, append, open, positions, until_all};

#[tokio::test]
async fn who_loses_a_partition_commits_before_the_other_gets_it() {
    let server = kafka().await;
    for protocol in PROTOCOLS {
        let name = unique("revoked");
        let kafka = following::kafka(server, protocol);
        following::topic(&*kafka, &name, 2).await;
        let at = |partition| TopicPartition::new(name.clone(), partition);
        for partition in 0..2 {
            append(&*kafka, &at(partition), 0..5).await;
        }
        let mut first = Following::join(&*kafka, &name, &name).await;
        first.until_ours(2).await;
        let other = following::kafka(server, protocol);
        let mut second = Following::join(&*other, &name, &name).await;

        // The second one polls all the while, and mustn't be given what the first one still works on.
        let (mut gone, started) = (Vec::new(), Instant::now());
        while gone.is_empty() {
            assert!(started.elapsed() < DEADLINE, "{protocol}: nothing was revoked");
            if let Event::Revoked(partitions) = first.step().await.expect("poll") {
                gone = partitions;
            }
            second.step().await.expect("poll");
        }
        assert_eq!(gone.len(), 1, "{protocol}: only what goes is interrupted");
        let finishing = Instant::now();
        while finishing.elapsed() < Duration::from_secs(3) {
            second.step().await.expect("poll");
        }
        assert!(second.ours.is_empty(), "{protocol}: {:?} came too early", second.ours);
        first.commit(&gone[0], 5).await;
        until_all(&mut [&mut first, &mut second], protocol, |all| {
            all.iter().all(|member| member.ours.len() == 1)
        })
        .await;
        assert_eq!(second.ours.keys().collect::<Vec<_>>(), gone.iter().collect::<Vec<_>>());
        let stands = positions(server, &name).await;
        assert_eq!(stands.get(&gone[0].partition), Some(&(5, 0)), "{protocol}: {stands:?}");
    }
}

#[tokio::test]
async fn a_named_worker_comes_back_to_its_partitions_and_nobody_notices() {
    let server = kafka().await;
    for protocol in PROTOCOLS {
        let name = unique("named");
        let worker =
            |instance: &str| following::kafka(server, &format!("{protocol}&instance={instance}"));
        let (one, two) = (worker("one"), worker("two"));
        following::topic(&*one, &name, 4).await;
        let mut first = Following::join(&*one, &name, &name).await;
        let mut second = Following::join(&*two, &name, &name).await;
        until_all(&mut [&mut first, &mut second], protocol, |all| {
            all.iter().all(|member| member.ours.len() == 2)
        })
        .await;
        let before: Vec<_> = first.ours.keys().cloned().collect();
        let (changes, away) = (second.changes, Instant::now());
        drop(first);
        while away.elapsed() < Duration::from_secs(8) {
            second.step().await.expect("poll");
        }
        let mut first = Following::join(&*worker("one"), &name, &name).await;
        until_all(&mut [&mut first, &mut second], protocol, |all| all[0].ours.len() == 2).await;
        assert_eq!(first.ours.keys().cloned().collect::<Vec<_>>(), before, "{protocol}");
        assert_eq!(second.changes, changes, "{protocol}: the other one was interrupted");
    }
}

#[tokio::test]
async fn of_two_workers_of_one_name_the_classic_protocol_stops_the_first() {
    let server = kafka().await;
    let name = unique("twice");
    let worker = || following::kafka(server, "protocol=classic&instance=w1");
    let (one, two) = (worker(), worker());
    following::topic(&*one, &name, 2).await;
    let mut first = Following::join(&*one, &name, &name).await;
    first.until_ours(2).await;
    let mut second = Following::join(&*two, &name, &name).await;
    let started = Instant::now();
    let error = loop {
        assert!(started.elapsed() < DEADLINE, "the first one works on");
        second.step().await.expect("poll");
        if let Err(error) = first.step().await {
            break error;
        }
    };
    assert!(!error.is_retryable(), "{error}");
    let text = error.to_string();
    assert!(text.contains("w1") && text.contains("worker.instance"), "{text}");
    second.until_ours(2).await;
}

#[tokio::test]
async fn of_two_workers_of_one_name_the_new_protocol_lets_the_second_wait() {
    let server = kafka().await;
    let name = unique("twice");
    let worker = || following::kafka(server, "protocol=consumer&instance=w1");
    let (one, two) = (worker(), worker());
    following::topic(&*one, &name, 2).await;
    let mut first = Following::join(&*one, &name, &name).await;
    first.until_ours(2).await;
    let mut second = Following::join(&*two, &name, &name).await;
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(6) {
        first.step().await.expect("the first one works on");
        second.step().await.expect("the second one waits");
    }
    assert_eq!((first.ours.len(), second.ours.len()), (2, 0));
    drop(first);
    second.until_ours(2).await;
}

/// As workers are replaced one after the other by such that take the new protocol.
#[tokio::test]
async fn a_group_changes_to_the_new_protocol_while_it_works() {
    let server = kafka().await;
    let name = unique("moving");
    let (old, new) =
        (following::kafka(server, PROTOCOLS[0]), following::kafka(server, PROTOCOLS[1]));
    following::topic(&*old, &name, 4).await;
    let mut first = Following::join(&*old, &name, &name).await;
    first.until_ours(4).await;
    let mut second = Following::join(&*new, &name, &name).await;
    until_all(&mut [&mut first, &mut second], "both work", |all| {
        all.iter().all(|member| member.ours.len() == 2)
    })
    .await;
    assert!(first.ours.keys().all(|at| !second.ours.contains_key(at)));
    drop(first);
    second.until_ours(4).await;
}

/// A broker that knows the classic protocol only; nothing is said of protocols in the URL.
#[tokio::test]
async fn older_brokers_get_the_classic_protocol() {
    let old = wanted_kafka("kafka-old", 1, 1)
        .env("KAFKA_GROUP_COORDINATOR_REBALANCE_PROTOCOLS", "classic")
        .ready(Ready::Healthy);
    let ports = old.choose_ports();
    let outside = ports.values().next().copied().expect("a port");
    let listeners = format!("OUTSIDE://127.0.0.1:{outside},INSIDE://localhost:19092");
    let server = old.env("KAFKA_ADVERTISED_LISTENERS", &listeners).start_at(ports).await;
    let kafka = open(&format!("kafka://{}", server.address()), &[]).expect("open topics");
    following::topic(&*kafka, "t", 2).await;
    append(&*kafka, &TopicPartition::new("t", 0), 0..10).await;
    let mut member = Following::join(&*kafka, "g", "t").await;
    member.until_end(&TopicPartition::new("t", 0), 10).await;
    assert_eq!(member.offsets(&TopicPartition::new("t", 0)), (0..10).collect::<Vec<_>>());
    member.commit(&TopicPartition::new("t", 0), 10).await;
    assert_eq!(positions(&server, "g").await.get(&0), Some(&(10, 0)));

    let strict = open(&format!("kafka://{}?protocol=consumer", server.address()), &[]);
    let mut member = Following::join(&*strict.expect("open topics"), "h", "t").await;
    let started = Instant::now();
    let error = loop {
        assert!(started.elapsed() < DEADLINE, "it goes on asking for what there isn't");
        if let Err(error) = member.step().await {
            break error;
        }
    };
    assert!(!error.is_retryable(), "{error}");
}
