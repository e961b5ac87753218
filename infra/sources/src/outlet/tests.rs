use std::ops::ControlFlow::{Break, Continue};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use millstream_topic::memory::Memory;
use millstream_topic::{Outgoing, Subscriptions, Topic, TopicPartition};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::{Outlet, Pace};

const TOPIC: Topic = Topic::new("t").partitions(1);

struct Fixture {
    memory: Memory,
    stop: CancellationToken,
    sent: Arc<AtomicU64>,
}

impl Fixture {
    fn new() -> Self {
        Self { memory: Memory::new(), stop: CancellationToken::new(), sent: Arc::default() }
    }

    async fn outlet(&self, pace: Pace) -> Outlet {
        let sent = self.sent.clone();
        let count = move |n| {
            sent.fetch_add(n, Ordering::Relaxed);
        };
        let topics = Arc::new(self.memory.clone());
        Outlet::open(topics, &TOPIC, pace, self.stop.clone(), count).await.unwrap()
    }

    async fn values(&self) -> Vec<Bytes> {
        let slice = self.memory.read(&TopicPartition::new("t", 0), 0, usize::MAX).await.unwrap();
        slice.records.into_iter().filter_map(|record| record.value).collect()
    }
}

fn record(n: usize) -> Outgoing {
    Outgoing { value: Some(n.to_string().into()), ..Outgoing::default() }
}

fn numbers(range: std::ops::Range<usize>) -> Vec<Bytes> {
    range.map(|n| n.to_string().into()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_flush_makes_all_that_was_sent_durable_and_counted() {
    let fixture = Fixture::new();
    let mut outlet = fixture.outlet(Pace::Max).await;
    for n in 0..10_001 {
        assert_eq!(outlet.send(record(n)).await.unwrap(), Continue(()));
    }
    outlet.flush().await.unwrap();
    assert_eq!(fixture.values().await, numbers(0..10_001));
    assert_eq!(fixture.sent.load(Ordering::Relaxed), 10_001);
}

#[tokio::test(start_paused = true)]
async fn a_lone_record_goes_out_by_itself() {
    let fixture = Fixture::new();
    let mut outlet = fixture.outlet(Pace::Max).await;
    let _ = outlet.send(record(0)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(fixture.values().await, numbers(0..1));
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_before_a_drop_still_arrives() {
    let fixture = Fixture::new();
    let mut outlet = fixture.outlet(Pace::Max).await;
    let _ = outlet.send(record(0)).await.unwrap();
    drop(outlet);
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(fixture.values().await, numbers(0..1));
}

#[tokio::test(start_paused = true)]
async fn the_pace_is_kept() {
    let fixture = Fixture::new();
    let mut outlet = fixture.outlet(Pace::PerSecond(100.0)).await;
    let start = Instant::now();
    for n in 0..501 {
        let _ = outlet.send(record(n)).await.unwrap();
    }
    let took = start.elapsed().as_secs_f64();
    assert!((4.9..5.1).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn the_limit_takes_so_many_and_no_more() {
    let fixture = Fixture::new();
    let mut outlet = fixture.outlet(Pace::Max).await.limit(Some(2));
    let answers = [
        outlet.send(record(0)).await.unwrap(),
        outlet.send(record(1)).await.unwrap(),
        outlet.send(record(2)).await.unwrap(),
    ];
    assert_eq!(answers, [Continue(()), Break(()), Break(())]);
    outlet.flush().await.unwrap();
    assert_eq!(fixture.values().await, numbers(0..2));
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_waiting_and_what_is_in_hand_is_sent() {
    let fixture = Fixture::new();
    let mut outlet = fixture.outlet(Pace::PerSecond(0.01)).await;
    assert!(outlet.send(record(0)).await.unwrap().is_continue());
    let stop = fixture.stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.cancel();
    });
    let second = timeout(Duration::from_secs(2), outlet.send(record(1))).await.unwrap();
    assert!(second.unwrap().is_break());
    outlet.flush().await.unwrap();
    assert_eq!(fixture.values().await, numbers(0..1));
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_away_for_a_while_loses_nothing() {
    let fixture = Fixture::new();
    let mut outlet = fixture.outlet(Pace::Max).await;
    fixture.memory.fail_next(7);
    for n in 0..100 {
        let _ = outlet.send(record(n)).await.unwrap();
    }
    outlet.flush().await.unwrap();
    assert_eq!(fixture.values().await, numbers(0..100));
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_away_when_it_opens_is_waited_for() {
    let fixture = Fixture::new();
    fixture.memory.fail_next(3);
    let mut outlet = fixture.outlet(Pace::Max).await;
    let _ = outlet.send(record(0)).await.unwrap();
    outlet.flush().await.unwrap();
    assert_eq!(fixture.values().await, numbers(0..1));
}

#[tokio::test(start_paused = true)]
async fn trying_again_ends_with_the_stop_and_says_what_was_not_sent() {
    let fixture = Fixture::new();
    let mut outlet = fixture.outlet(Pace::Max).await;
    fixture.memory.fail_next(u32::MAX);
    let _ = outlet.send(record(0)).await.unwrap();
    let stop = fixture.stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        stop.cancel();
    });
    let error = outlet.flush().await.unwrap_err().to_string();
    assert!(error.contains("topic t") && error.contains("1 records"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_reaches_the_sender_and_stays() {
    let fixture = Fixture::new();
    let mut outlet = fixture.outlet(Pace::Max).await;
    fixture.memory.delete("t").unwrap();
    let _ = outlet.send(record(0)).await.unwrap();
    let first = outlet.flush().await.unwrap_err().to_string();
    assert!(first.contains('t') && first.contains("; "), "no remedy: {first}");
    assert!(outlet.send(record(1)).await.is_err());
    assert!(outlet.flush().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_sender_waits_while_too_much_is_in_hand() {
    let fixture = Fixture::new();
    let mut outlet = fixture.outlet(Pace::Max).await;
    fixture.memory.fail_next(u32::MAX);
    let big = || Outgoing { value: Some(vec![b'x'; 1 << 20].into()), ..Outgoing::default() };
    let mut taken = 0;
    while timeout(Duration::from_secs(1), outlet.send(big())).await.is_ok() {
        taken += 1;
        assert!(taken < 10, "nothing held the sender back");
    }
    assert_eq!(taken, 3);
}
