use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use millstream_topic::{Backend, Consumer, Event, Order, Outgoing, Topic, TopicPartition};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::following::{DEADLINE, open};

const PARTITIONS: u32 = 3;
const BATCH: u64 = 10;

/// What was taken of each partition: the next offset, and the numbers that came.
#[derive(Default)]
struct Taken {
    next: BTreeMap<TopicPartition, i64>,
    numbers: BTreeMap<u32, Vec<u64>>,
    /// Records that came again after a partition was lost, and were recognised by their offset.
    again: usize,
}

/// A producer and two members of a group at work.
pub struct Load {
    topic: String,
    kafka: Arc<dyn Backend>,
    stop: watch::Sender<bool>,
    producer: JoinHandle<u64>,
    members: Vec<JoinHandle<()>>,
    taken: Arc<Mutex<Taken>>,
}

impl Load {
    pub async fn start(url: &str, topic: &str) -> Self {
        // A partition is without a leader for a third of the client's own 30 s when its broker is killed.
        let kafka = open(url, &["delivery.timeout.ms=120000"]).expect("open topics");
        let made = Topic::named(topic).partitions(PARTITIONS);
        let started = Instant::now();
        while let Err(error) = kafka.ensure(&made).await {
            assert!(error.is_retryable() && started.elapsed() < DEADLINE, "{error}");
        }
        let (stop, stopped) = watch::channel(false);
        let producer = tokio::spawn(produce(kafka.clone(), topic.to_owned(), stopped.clone()));
        let taken = Arc::new(Mutex::new(Taken::default()));
        let mut members = Vec::new();
        for _ in 0..2 {
            let kafka = open(url, &[]).expect("open topics");
            let consumer = kafka.join(topic, &[topic.to_owned()]).await.expect("join");
            members.push(tokio::spawn(consume(consumer, taken.clone(), stopped.clone())));
        }
        Self { topic: topic.to_owned(), kafka, stop, producer, members, taken }
    }

    /// Stops producing, waits until everything has come, and compares.
    pub async fn end(self) {
        self.stop.send(true).expect("stop");
        let sent = self.producer.await.expect("produce");
        let started = Instant::now();
        let info = loop {
            match self.kafka.info(&self.topic).await {
                Ok(info) => break info.expect("it is there"),
                Err(error) => {
                    assert!(error.is_retryable() && started.elapsed() < DEADLINE, "{error}")
                }
            }
        };
        let ends: Vec<_> = info.partitions.iter().map(|bounds| bounds.end).collect();
        let started = Instant::now();
        loop {
            let next = self.taken.lock().unwrap_or_else(PoisonError::into_inner).next.clone();
            let reached = (0..).zip(&ends).all(|(partition, end)| {
                next.get(&TopicPartition::new(self.topic.clone(), partition)) == Some(end)
            });
            if reached {
                break;
            }
            assert!(
                started.elapsed() < DEADLINE * 2,
                "{next:?} of {ends:?} after {:?}",
                started.elapsed()
            );
            assert!(!self.members.iter().any(JoinHandle::is_finished), "a member has ended");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.members.iter().for_each(JoinHandle::abort);
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        for partition in 0..PARTITIONS {
            let numbers = &taken.numbers[&partition];
            // Each partition got every third of the numbers, in order: any loss, double or swap shows.
            let expected =
                (0..sent).filter(|number| number % u64::from(PARTITIONS) == u64::from(partition));
            assert!(
                numbers.iter().copied().eq(expected),
                "partition {partition} of {}",
                self.topic
            );
        }
        let (topic, again) = (&self.topic, taken.again);
        eprintln!("{topic}: {sent} records, each once and in order; {again} came again");
    }
}

/// Appends numbers until stopped; an error would be one that the retries of the producer should have covered.
async fn produce(kafka: Arc<dyn Backend>, topic: String, stopped: watch::Receiver<bool>) -> u64 {
    let mut next = 0;
    while !*stopped.borrow() {
        let one = |number: u64| Outgoing {
            partition: Some((number % u64::from(PARTITIONS)) as u32),
            ..Outgoing::keyed(format!("key {number}"), number.to_string())
        };
        let placed = kafka.append(&topic, (next..next + BATCH).map(one).collect()).await;
        placed.expect("append under load");
        next += BATCH;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    next
}

/// Takes what comes, as a sink with positions of its own does.
async fn consume(
    mut consumer: Box<dyn Consumer>,
    taken: Arc<Mutex<Taken>>,
    _stopped: watch::Receiver<bool>,
) {
    let lock = || taken.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let event = match consumer.poll(Duration::from_millis(200)).await {
            Ok(event) => event,
            Err(error) if error.is_retryable() => continue,
            Err(error) => panic!("a member ends: {error}"),
        };
        match event {
            Event::Assigned(partitions) => {
                for at in partitions {
                    let next = lock().next.get(&at).copied().unwrap_or_default();
                    consumer.steer(Order::Seek(at, next)).expect("seek");
                }
            }
            Event::Records { at, records, .. } => {
                let mut taken = lock();
                for record in records {
                    let next = taken.next.get(&at).copied().unwrap_or_default();
                    assert!(record.offset <= next, "{at}: {} came, {next} didn't", record.offset);
                    if record.offset < next {
                        taken.again += 1;
                        continue;
                    }
                    let text = String::from_utf8(record.value.expect("a value").to_vec());
                    let number = text.expect("digits").parse().expect("a number");
                    taken.next.insert(at.clone(), record.offset + 1);
                    taken.numbers.entry(at.partition).or_default().push(number);
                }
            }
            Event::Revoked(partitions) => {
                let next: Vec<_> = {
                    let taken = lock();
                    let next = |at: &TopicPartition| Some((at.clone(), *taken.next.get(at)?));
                    partitions.iter().filter_map(next).collect()
                };
                // A commit may fail while brokers go; it only serves lag tools.
                let _ = consumer.commit(&next).await;
            }
            Event::OutOfRange { at, asked, bounds } => {
                panic!("{at}: {asked} is not in {bounds:?}: the brokers lost records")
            }
            _ => {}
        }
    }
}
