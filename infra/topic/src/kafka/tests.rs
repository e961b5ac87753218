use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::consumer::KafkaConsumer;
use super::forgetful::Forgetful;
use super::mock::{Mock, OnMock};
use super::orders::Command;
use crate::{
    Consumer, Event, Order, Outgoing, Record, Subscriptions, Topic, TopicError, TopicPartition,
    Topics,
};

const DEADLINE: Duration = Duration::from_secs(30);

/// The cases run side by side, since a group of the mock cluster takes three seconds to form.
#[test]
fn passes_the_conformance_suite() {
    const SIDE_BY_SIDE: usize = 6;
    // A broker refuses the record; the mock cluster doesn't know of compaction.
    const LEFT_OUT: &str = "a_compacted_topic_takes_tombstones_and_refuses_records_without_key";
    let ran = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for side in 0..SIDE_BY_SIDE {
            let ran = &ran;
            scope.spawn(move || {
                let elsewhere = |(place, case): (usize, crate::conformance::Case)| {
                    let left_out = case.name == LEFT_OUT || place % SIDE_BY_SIDE != side;
                    left_out.then_some((case.name, "it runs beside this, or needs a broker"))
                };
                let cases = crate::conformance::cases().into_iter().enumerate();
                let left_out: Vec<_> = cases.filter_map(elsewhere).collect();
                let runtime = tokio::runtime::Runtime::new().expect("start a runtime");
                let mock = Mock::start();
                let suite =
                    crate::conformance::backend(move || mock.kafka(&[]), "conformance", &left_out);
                ran.fetch_add(runtime.block_on(suite), std::sync::atomic::Ordering::Relaxed);
            });
        }
    });
    assert_eq!(ran.into_inner(), crate::conformance::cases().len() - 1);
}

#[tokio::test]
async fn a_topic_has_an_identity() {
    let mock = Mock::start();
    let kafka = mock.kafka(&[]);
    let one = kafka.ensure(&Topic::named("one").partitions(3)).await.expect("make one");
    let two = kafka.ensure(&Topic::named("two")).await.expect("make two");
    assert_eq!((one.partitions.len(), two.partitions.len()), (3, 2));
    assert_ne!(one.id, crate::UNKNOWN_ID);
    assert_ne!(one.id, two.id);
    assert_eq!(one.cluster, two.cluster);
    assert_eq!(kafka.info("one").await.expect("look again"), Some(one));
    assert_eq!(kafka.info("three").await.expect("look for none"), None);
}

#[tokio::test]
async fn what_the_brokers_refuse_is_told() {
    let quick = [
        ("topic.metadata.propagation.max.ms", "500"),
        ("topic.metadata.refresh.interval.ms", "500"),
    ];
    let (mock, kafka) = topic(1, &quick).await;
    let one = || vec![Outgoing::keyed("k", "v")];
    mock.with(|cluster| {
        let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
        cluster.request_errors(RDKafkaApiKey::Produce, &[refusal]);
    });
    let error = kafka.append("t", one()).await.expect_err("append without the right to");
    assert!(!error.is_retryable() && error.to_string().contains("grant"), "{error}");
    // The right is noticed with the next look at the topic.
    append_when_it_passes(&kafka, |_| true).await;

    mock.with(|cluster| {
        let passing = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS;
        cluster.request_errors(RDKafkaApiKey::Produce, &[passing; 2]);
    });
    kafka.append("t", one()).await.expect("append when the replicas are back");

    let big = vec![Outgoing::keyed("big", vec![0; 9 << 20])];
    let error = kafka.append("t", big).await.expect_err("append nine megabytes");
    assert!(!error.is_retryable() && error.to_string().contains("max.message.bytes"), "{error}");

    let error = kafka.append("nowhere", one()).await.expect_err("append to no topic");
    assert!(!error.is_retryable() && error.to_string().contains("create the topic"), "{error}");
    let error = kafka.join("g", &["nowhere".into()]).await.err().expect("join on no topic");
    assert!(!error.is_retryable() && error.to_string().contains("nowhere"), "{error}");
}

#[tokio::test]
async fn an_outage_passes() {
    let (mock, kafka) = topic(1, &[("delivery.timeout.ms", "2000")]).await;
    append_when_it_passes(&kafka, TopicError::is_retryable).await;
    mock.with(|cluster| cluster.broker_down(1).expect("take the broker down"));
    let error = kafka.append("t", vec![Outgoing::keyed("k", "2")]).await.expect_err("no broker");
    assert!(error.is_retryable(), "{error}");
    mock.with(|cluster| cluster.broker_up(1).expect("bring the broker back"));
    append_when_it_passes(&kafka, TopicError::is_retryable).await;
}

#[tokio::test]
async fn many_more_records_than_the_queue_holds_are_sent() {
    let (_mock, kafka) = topic(1, &[("queue.buffering.max.messages", "100")]).await;
    let placed = kafka.append("t", numbered(0, 2_000)).await.expect("append two thousand");
    assert!(placed.iter().map(|placed| placed.offset).eq(0..2_000));
}

#[tokio::test]
async fn a_seek_drops_what_was_fetched_before() {
    let (_mock, kafka) = topic(1, &[]).await;
    fill(&kafka, 40_000).await;
    let mut consumer = join(&kafka).await;
    assigned(&mut *consumer, 1).await;
    for start in [0, 39_990, 20_000, 5] {
        consumer.steer(Order::Seek(at(0), start)).expect("seek");
        let records = next_records(&mut *consumer).await;
        assert_eq!(records[0].offset, start, "the first record after seeking {start}");
        // Lets the channel fill with what the next seek makes stale.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_pause_holds_what_was_fetched_before() {
    let (_mock, kafka) = topic(1, &[]).await;
    fill(&kafka, 40_000).await;
    let mut consumer = join(&kafka).await;
    assigned(&mut *consumer, 1).await;
    consumer.steer(Order::Seek(at(0), 0)).expect("seek");
    let mut offsets = Vec::new();
    while offsets.len() < 40_000 {
        offsets.extend(next_records(&mut *consumer).await.iter().map(|record| record.offset));
        consumer.steer(Order::Pause(at(0))).expect("pause");
        let event = consumer.poll(Duration::from_millis(50)).await.expect("poll while paused");
        assert!(matches!(event, Event::Idle), "a paused partition told {event:?}");
        consumer.steer(Order::Resume(at(0))).expect("resume");
    }
    assert!(offsets.into_iter().eq(0..40_000));
}

#[tokio::test]
async fn a_slow_consumer_stays_a_member() {
    let slow = [("max.poll.interval.ms", "6000")];
    let (_mock, kafka) = topic(1, &slow).await;
    fill(&kafka, 60_000).await;
    let mut consumer = join(&kafka).await;
    assigned(&mut *consumer, 1).await;
    consumer.steer(Order::Seek(at(0), 0)).expect("seek");
    tokio::time::sleep(Duration::from_secs(8)).await;
    let mut offsets = Vec::new();
    while offsets.len() < 60_000 {
        offsets.extend(next_records(&mut *consumer).await.iter().map(|record| record.offset));
    }
    assert!(offsets.into_iter().eq(0..60_000));
    consumer.commit(&[(at(0), 60_000)]).await.expect("commit as a member");
}

#[tokio::test]
async fn who_got_stuck_joins_anew() {
    let (_mock, kafka) = topic(1, &[]).await;
    fill(&kafka, 10).await;
    let topics = ["t".to_owned()];
    let mut consumer = KafkaConsumer::join(&kafka.kafka.settings, "g", &topics).expect("join");
    assigned(&mut consumer, 1).await;
    let (nowhere, _unheard) = std::sync::mpsc::channel();
    let heard = std::mem::replace(&mut consumer.commands, nowhere);
    tokio::time::pause();
    let error = consumer.commit(&[(at(0), 3)]).await.expect_err("nobody answers");
    tokio::time::resume();
    assert!(error.is_retryable(), "{error}");
    // As it does in the end.
    heard.send(Command::Leave).expect("tell the first thread");
    let event = poll(&mut consumer).await;
    assert!(matches!(&event, Event::Lost(lost) if *lost == [at(0)]), "{event:?}");
    assigned(&mut consumer, 1).await;
    consumer.steer(Order::Seek(at(0), 0)).expect("seek");
    assert_eq!(next_records(&mut consumer).await[0].offset, 0);
    consumer.commit(&[(at(0), 3)]).await.expect("commit as a member");
}

/// So tells a broker that has just started; librdkafka then forgets all of them, those of `topics.url` too, and may
/// have nobody left to ask.
#[tokio::test]
async fn who_is_told_of_no_brokers_finds_them_again() {
    let mock = Mock::start();
    let broker = Forgetful::before(&mock.servers);
    let quick = [
        ("topic.metadata.refresh.interval.ms", "100"),
        ("statistics.interval.ms", "200"),
        ("delivery.timeout.ms", "2000"),
    ];
    let kafka = mock.kafka_by(&broker.servers, &quick);
    kafka.ensure(&Topic::named("t").partitions(1)).await.expect("make the topic");
    let mut consumer = join(&kafka).await;
    assigned(&mut *consumer, 1).await;
    consumer.steer(Order::Seek(at(0), 0)).expect("seek");
    for round in 0..10 {
        let before = broker.forgot();
        broker.forget(true);
        let started = Instant::now();
        // The producer, the looker and the member ask.
        while broker.forgot() < before + 3 && started.elapsed() < Duration::from_secs(1) {
            // What comes of it doesn't matter; what is asked later does.
            let _ = kafka.info("t").await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        broker.forget(false);
        append_when_it_passes(&kafka, TopicError::is_retryable).await;
        let deadline = Instant::now() + DEADLINE;
        while let Err(error) = kafka.info("t").await {
            assert!(error.is_retryable() && Instant::now() < deadline, "round {round}: {error}");
        }
        loop {
            assert!(Instant::now() < deadline, "round {round}: nothing comes any more");
            match poll(&mut *consumer).await {
                Event::Records { .. } => break,
                Event::Assigned(_) => consumer.steer(Order::Seek(at(0), 0)).expect("seek"),
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn two_members_share() {
    let (mock, kafka) = topic(2, &[]).await;
    let other = mock.kafka(&[]);
    let mut members = [join(&kafka).await, join(&other).await];
    let mut owned = [BTreeSet::new(), BTreeSet::new()];
    let deadline = Instant::now() + DEADLINE;
    while owned.iter().any(|owned| owned.len() != 1) {
        assert!(Instant::now() < deadline, "after {DEADLINE:?} they own {owned:?}");
        for (member, owned) in members.iter_mut().zip(&mut owned) {
            match poll(&mut **member).await {
                Event::Assigned(partitions) => owned.extend(partitions),
                Event::Revoked(gone) | Event::Lost(gone) => owned.retain(|at| !gone.contains(at)),
                _ => {}
            }
        }
        assert!(owned[0].is_disjoint(&owned[1]), "both own one of {owned:?}");
    }
}

#[tokio::test]
async fn a_revocation_waits_for_the_commit() {
    let (mock, mut consumer) = revoking(&[("revocation.wait.ms", "60000")]).await;
    let revoked = next_revoked(&mut *consumer).await;
    assert_eq!(revoked, [at(0)]);
    tokio::time::sleep(Duration::from_millis(500)).await;
    consumer.commit(&[(at(0), 3)]).await.expect("commit in the revocation");
    assert_eq!(committed(&mock, &at(0)), Offset::Offset(3));
    // Polling gives it up, and then the shares are handed out anew.
    assigned(&mut *consumer, 2).await;
}

#[tokio::test]
async fn who_does_not_give_up_in_time_loses() {
    let (mock, mut consumer) = revoking(&[("revocation.wait.ms", "1000")]).await;
    let revoked = next_revoked(&mut *consumer).await;
    // Without a poll: that would give it up.
    tokio::time::sleep(Duration::from_secs(2)).await;
    consumer.commit(&[(at(0), 3)]).await.expect("a commit that is ignored");
    assert_eq!(committed(&mock, &at(0)), Offset::Invalid, "committed what may be another's");
    let event = poll(&mut *consumer).await;
    assert!(matches!(&event, Event::Lost(lost) if *lost == revoked), "{event:?}");
    assigned(&mut *consumer, 2).await;
}

#[tokio::test]
async fn ends_of_several_topics_are_told_apart() {
    let (mock, kafka) = topic(1, &[]).await;
    mock.with(|cluster| cluster.create_topic("u", 1, 1).expect("make u"));
    fill(&kafka, 20_000).await;
    let topics = ["t".to_owned(), "u".to_owned()];
    let mut consumer = kafka.join("g", &topics).await.expect("join");
    for at in assigned(&mut *consumer, 2).await {
        consumer.steer(Order::Seek(at, 0)).expect("seek");
    }
    let (mut ends, mut read) = (Vec::new(), 0);
    while ends.len() < 2 {
        match poll(&mut *consumer).await {
            Event::Records { records, .. } => read += records.len(),
            Event::End { at, end } => {
                assert!(at.topic == "u" || read == 20_000, "end of {at} after {read} records");
                ends.push((at.topic, end));
            }
            _ => {}
        }
    }
    ends.sort();
    assert_eq!(ends, [("t".to_owned(), 20_000), ("u".to_owned(), 0)]);
}

#[tokio::test]
async fn retention_that_overtakes_is_out_of_range() {
    let (_mock, kafka) = topic(1, &[]).await;
    kafka.append("t", vec![Outgoing::keyed("k", "first")]).await.expect("append");
    let mut consumer = join(&kafka).await;
    assigned(&mut *consumer, 1).await;
    consumer.steer(Order::Seek(at(0), 0)).expect("seek");
    assert_eq!(next_records(&mut *consumer).await.len(), 1);
    consumer.steer(Order::Pause(at(0))).expect("pause");
    // The mock cluster keeps five megabytes of a partition.
    for number in 0..12_u64 {
        let noise = (0..125_000_u64).flat_map(|at| {
            (at + number).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29).to_le_bytes()
        });
        let record = Outgoing::keyed("k", noise.collect::<Vec<u8>>());
        kafka.append("t", vec![record]).await.expect("append a megabyte");
    }
    consumer.steer(Order::Resume(at(0))).expect("resume");
    let (asked, bounds) = until(&mut *consumer, |event| match event {
        Event::OutOfRange { asked, bounds, .. } => Some((asked, bounds)),
        _ => None,
    })
    .await;
    assert_eq!((asked, bounds.end), (1, 13));
    assert!(bounds.low > 1, "{bounds:?}");
    consumer.steer(Order::Seek(at(0), bounds.low)).expect("seek what is there");
    assert_eq!(next_records(&mut *consumer).await[0].offset, bounds.low);
}

/// A cluster with a topic `t`.
async fn topic(partitions: u32, settings: &[(&str, &str)]) -> (Mock, Arc<OnMock>) {
    let mock = Mock::start();
    let kafka = mock.kafka(settings);
    kafka.ensure(&Topic::named("t").partitions(partitions)).await.expect("make the topic");
    (mock, kafka)
}

/// A member that is about to have its partition taken away: it comes to know a second topic, and the
/// eager protocol takes everything away before a new share is given. A second member would do it too,
/// but the mock cluster sometimes refuses its SyncGroup as invalid, and then goes on without the one
/// that is still busy giving up.
async fn revoking(settings: &[(&str, &str)]) -> (Mock, Box<dyn Consumer>) {
    let quick =
        [("partition.assignment.strategy", "range"), ("topic.metadata.refresh.interval.ms", "500")];
    let settings: Vec<_> = quick.iter().chain(settings).copied().collect();
    let (mock, kafka) = topic(1, &settings).await;
    let topics = ["t".to_owned(), "u".to_owned()];
    // Not by way of the front, which would refuse the topic that isn't there yet.
    let consumer = KafkaConsumer::join(&kafka.kafka.settings, "g", &topics).expect("join");
    let mut consumer: Box<dyn Consumer> = Box::new(consumer);
    assigned(&mut *consumer, 1).await;
    mock.with(|cluster| cluster.create_topic("u", 1, 1).expect("make u"));
    (mock, consumer)
}

async fn next_revoked(consumer: &mut dyn Consumer) -> Vec<TopicPartition> {
    until(consumer, |event| match event {
        Event::Revoked(partitions) => Some(partitions),
        _ => None,
    })
    .await
}

fn at(partition: u32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

fn numbered(first: usize, count: usize) -> Vec<Outgoing> {
    let one = |number: usize| Outgoing {
        partition: Some(0),
        ..Outgoing::keyed("key", format!("{number:040}"))
    };
    (first..first + count).map(one).collect()
}

async fn fill(kafka: &OnMock, count: usize) {
    for first in (0..count).step_by(10_000) {
        kafka.append("t", numbered(first, 10_000.min(count - first))).await.expect("append");
    }
}

/// Appends again and again while the error is one of those that `pass`.
async fn append_when_it_passes(kafka: &OnMock, pass: impl Fn(&TopicError) -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while let Err(error) = kafka.append("t", vec![Outgoing::keyed("k", "v")]).await {
        assert!(pass(&error) && Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn join(kafka: &OnMock) -> Box<dyn Consumer> {
    kafka.join("g", &["t".to_owned()]).await.expect("join the group")
}

async fn poll(consumer: &mut dyn Consumer) -> Event {
    consumer.poll(Duration::from_millis(100)).await.expect("poll")
}

/// Polls until `wanted` gives something.
async fn until<T>(consumer: &mut dyn Consumer, wanted: impl Fn(Event) -> Option<T>) -> T {
    let (deadline, mut last) = (Instant::now() + DEADLINE, String::new());
    loop {
        assert!(Instant::now() < deadline, "waited {DEADLINE:?}; the last event was {last}");
        let event = poll(consumer).await;
        if !matches!(event, Event::Idle) {
            last = format!("{event:.200?}");
        }
        if let Some(found) = wanted(event) {
            return found;
        }
    }
}

async fn assigned(consumer: &mut dyn Consumer, count: usize) -> Vec<TopicPartition> {
    let partitions = until(consumer, |event| match event {
        Event::Assigned(partitions) => Some(partitions),
        _ => None,
    })
    .await;
    assert_eq!(partitions.len(), count, "{partitions:?}");
    partitions
}

/// The next records; being thrown out of the group instead is a failure.
async fn next_records(consumer: &mut dyn Consumer) -> Vec<Record> {
    until(consumer, |event| match event {
        Event::Records { records, .. } => Some(records),
        Event::Lost(partitions) | Event::Revoked(partitions) => panic!("lost {partitions:?}"),
        _ => None,
    })
    .await
}

/// What the group committed, as another client sees it.
fn committed(mock: &Mock, at: &TopicPartition) -> Offset {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &mock.servers).set("group.id", "g");
    let other: BaseConsumer = config.create().expect("a client to look with");
    let mut list = TopicPartitionList::new();
    list.add_partition(&at.topic, at.partition as i32);
    let list = other.committed_offsets(list, DEADLINE).expect("look up what was committed");
    list.elements()[0].offset()
}
