use std::time::{Duration, Instant};

use integration_tests::stack::{kafka, unique};
use millstream_topic::{Cleanup, Event, Outgoing, Topic, TopicPartition};

use crate::following::{self, DEADLINE, Following, PROTOCOLS, append, tool};

#[tokio::test]
async fn a_topic_is_made_as_it_was_declared() {
    let server = kafka().await;
    let kafka = following::kafka(server, "");
    let name = unique("made");
    let compacted = Topic::named(format!("{name}.compacted")).partitions(3).compacted();
    let made = kafka.ensure(&compacted).await.expect("make a compacted topic");
    assert_eq!((made.partitions.len(), made.cleanup), (3, Cleanup::Compact));
    let described = tool(server, "kafka-topics.sh", &["--describe", "--topic", &made.name]).await;
    for setting in ["PartitionCount: 3", "cleanup.policy=compact", "max.message.bytes=8388608"] {
        assert!(described.contains(setting), "{setting} isn't in {described}");
    }
    assert!(
        described.contains(&format!("TopicId: {}", made.id)),
        "{} isn't in {described}",
        made.id
    );

    let three = following::kafka(server, "replication=3");
    let error = three.ensure(&Topic::named(format!("{name}.three"))).await.expect_err("one broker");
    let text = error.to_string();
    assert!(!error.is_retryable() && text.contains("replication="), "{text}");
}

#[tokio::test]
async fn records_up_to_eight_megabytes_pass() {
    let server = kafka().await;
    let kafka = following::kafka(server, "");
    let name = unique("large");
    following::topic(&*kafka, &name, 1).await;
    let noise = |length: usize| -> Vec<u8> {
        let words =
            (0..length as u64 / 8).map(|at| at.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29));
        words.flat_map(u64::to_le_bytes).collect()
    };
    let large = noise(8_000_000);
    kafka.append(&name, vec![Outgoing::keyed("k", large.clone())]).await.expect("append 8 MB");
    let slice = kafka.read(&TopicPartition::new(name.clone(), 0), 0, 1).await.expect("read it");
    assert!(slice.records[0].value.as_deref() == Some(&large[..]));
    let error = kafka.append(&name, vec![Outgoing::keyed("k", noise(9_000_000))]).await;
    let error = error.expect_err("append 9 MB");
    assert!(!error.is_retryable() && error.to_string().contains("max.message.bytes"), "{error}");
}

#[tokio::test]
async fn partitions_that_are_added_are_found() {
    let server = kafka().await;
    for protocol in PROTOCOLS {
        let kafka = following::kafka(server, protocol);
        let name = unique("grown");
        following::topic(&*kafka, &name, 1).await;
        let mut member = Following::join(&*kafka, &name, &name).await;
        member.until_ours(1).await;
        tool(server, "kafka-topics.sh", &["--alter", "--topic", &name, "--partitions", "3"]).await;
        let added = Instant::now();
        member.until_ours(3).await;
        let found = added.elapsed();
        assert!(found < DEADLINE, "{protocol}: found after {found:?}");
        eprintln!("{protocol}: partitions found after {found:?}");
        let at = TopicPartition::new(name, 2);
        append(&*kafka, &at, 0..3).await;
        member.until_end(&at, 3).await;
    }
}

/// A topic of the same name is another one, and is known by its id at once: a worker asks for that before it commits
/// what it read, since a broker may go on delivering where the first one ended.
#[tokio::test]
async fn a_topic_that_was_deleted_and_made_anew_has_another_id() {
    let server = kafka().await;
    for protocol in PROTOCOLS {
        let kafka = following::kafka(server, protocol);
        let name = unique("anew");
        let at = TopicPartition::new(name.clone(), 0);
        following::topic(&*kafka, &name, 1).await;
        append(&*kafka, &at, 0..5).await;
        let before = kafka.info(&name).await.expect("look").expect("it is there");
        let mut member = Following::join(&*kafka, &name, &name).await;
        member.until_end(&at, 5).await;

        tool(server, "kafka-topics.sh", &["--delete", "--topic", &name]).await;
        let started = Instant::now();
        while kafka.info(&name).await.expect("look").is_some() {
            assert!(started.elapsed() < DEADLINE, "it is still there");
        }
        following::topic(&*kafka, &name, 1).await;
        let after = kafka.info(&name).await.expect("look").expect("it is there again");
        assert_ne!(before.id, after.id);
        append(&*kafka, &at, 100..110).await;

        // The member stays one, and reads the new one once it is told to.
        let watched = Instant::now();
        while watched.elapsed() < Duration::from_secs(15) {
            let told = member.step().await.expect("poll");
            if !matches!(told, Event::Idle) {
                eprintln!("{protocol}: {told:.150?}");
            }
        }
        member.until_ours(1).await;
        member.came.clear();
        member.ends.clear();
        member.seek(&at, 0);
        member.until_end(&at, 10).await;
        assert_eq!(member.offsets(&at), (0..10).collect::<Vec<_>>(), "{protocol}");
        assert_eq!(member.came[&at][0].value.as_deref(), Some(&b"100"[..]), "{protocol}");
    }
}

#[tokio::test]
async fn what_was_dropped_is_out_of_range() {
    let server = kafka().await;
    for protocol in PROTOCOLS {
        let kafka = following::kafka(server, protocol);
        let name = unique("dropped");
        let at = TopicPartition::new(name.clone(), 0);
        following::topic(&*kafka, &name, 1).await;
        append(&*kafka, &at, 0..10).await;
        let list = format!(
            "{{\"partitions\":[{{\"topic\":\"{name}\",\"partition\":0,\"offset\":6}}],\"version\":1}}"
        );
        let write = format!("echo '{list}' > /tmp/{name}.json");
        server.exec(&["sh", "-c", &write]).await;
        tool(
            server,
            "kafka-delete-records.sh",
            &["--offset-json-file", &format!("/tmp/{name}.json")],
        )
        .await;
        let mut member = Following::join(&*kafka, &name, &name).await;
        let started = Instant::now();
        let (asked, bounds) = loop {
            assert!(started.elapsed() < DEADLINE, "{protocol}: nothing was told");
            if let Event::OutOfRange { asked, bounds, .. } = member.step().await.expect("poll") {
                break (asked, bounds);
            }
        };
        assert_eq!((asked, bounds.low, bounds.end), (0, 6, 10), "{protocol}");
        member.seek(&at, 6);
        member.until_end(&at, 10).await;
        assert_eq!(member.offsets(&at), [6, 7, 8, 9], "{protocol}");
    }
}

/// The broker's own cleaner, not ours.
#[tokio::test]
async fn a_compacted_topic_is_read_with_its_gaps() {
    let server = kafka().await;
    let kafka = following::kafka(server, "");
    let name = unique("compacted");
    let at = TopicPartition::new(name.clone(), 0);
    kafka.ensure(&Topic::named(&name).partitions(1).compacted()).await.expect("make a topic");
    let quick = "segment.ms=500,min.cleanable.dirty.ratio=0.01,max.compaction.lag.ms=1000";
    tool(server, "kafka-configs.sh", &["--alter", "--topic", &name, "--add-config", quick]).await;
    for round in 0..3 {
        let one = |key: i32| Outgoing::keyed(format!("key {key}"), format!("round {round}"));
        kafka.append(&name, (0..100).map(one).collect()).await.expect("append a round");
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    let started = Instant::now();
    let left = loop {
        // A segment closes when something comes after its time.
        kafka.append(&name, vec![Outgoing::keyed("last", "")]).await.expect("append");
        let slice = kafka.read(&at, 0, 1_000).await.expect("read");
        let left =
            slice.records.iter().filter(|record| record.key.as_deref() != Some(b"last")).count();
        if left == 100 {
            break slice;
        }
        assert!(started.elapsed() < DEADLINE, "{left} records are left");
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let newest = left.records.iter().filter(|record| record.value.as_deref() == Some(b"round 2"));
    assert_eq!(newest.count(), 100);
    let mut member = Following::join(&*kafka, &name, &name).await;
    member.until_end(&at, left.end).await;
    let offsets = member.offsets(&at);
    assert!(offsets[0] >= 200 && offsets.len() < left.end as usize, "{offsets:?}");
    // Whatever the cleaner took since, what is there has come.
    assert!(offsets.iter().filter(|offset| **offset < 300).count() == 100, "{offsets:?}");
}
