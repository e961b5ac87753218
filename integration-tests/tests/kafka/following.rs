use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use integration_tests::stack::Server;
use millstream_config::Secret;
use millstream_topic::{
    Backend, Consumer, Event, Order, Outgoing, Record, Topic, TopicError, TopicPartition,
};

/// Rebalances take seconds, and machines that run tests are slow at times.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Where commands inside the container ask, as somebody who may do everything.
pub const INSIDE: &str = "localhost:19092";

/// Both protocols of groups, as options of the URL.
pub const PROTOCOLS: [&str; 2] = ["protocol=classic", "protocol=consumer"];

/// Topics by a URL, as an app opens them.
pub fn open(url: &str, settings: &[&str]) -> Result<Arc<dyn Backend>, TopicError> {
    let settings: Vec<_> = settings.iter().map(|setting| (*setting).to_owned()).collect();
    millstream_topic::open(url, Secret::default(), &settings, Path::new("."))
}

/// Topics on the shared broker.
pub fn kafka(server: &Server, options: &str) -> Arc<dyn Backend> {
    open(&format!("kafka://{}?{options}", server.address()), &[]).expect("open topics")
}

pub async fn topic(kafka: &dyn Backend, name: &str, partitions: u32) {
    kafka.ensure(&Topic::named(name).partitions(partitions)).await.expect("make a topic");
}

/// Appends numbered values to one partition.
pub async fn append(kafka: &dyn Backend, at: &TopicPartition, numbers: std::ops::Range<i64>) {
    let one = |number: i64| Outgoing {
        partition: Some(at.partition),
        ..Outgoing::keyed(format!("key {number}"), number.to_string())
    };
    kafka.append(&at.topic, numbers.map(one).collect()).await.expect("append");
}

/// A member of a group that reads all it is given from where it stood.
pub struct Following {
    consumer: Box<dyn Consumer>,
    /// Ours, and the next offset of each.
    pub ours: BTreeMap<TopicPartition, i64>,
    /// All that came, in order.
    pub came: BTreeMap<TopicPartition, Vec<Record>>,
    /// The end that was told last.
    pub ends: BTreeMap<TopicPartition, i64>,
    /// How often partitions came or went.
    pub changes: usize,
}

impl Following {
    pub async fn join(kafka: &dyn Backend, group: &str, topic: &str) -> Self {
        let consumer = kafka.join(group, &[topic.to_owned()]).await.expect("join a group");
        Self {
            consumer,
            ours: BTreeMap::new(),
            came: BTreeMap::new(),
            ends: BTreeMap::new(),
            changes: 0,
        }
    }

    /// Takes one event; partitions that come are read from where this member stopped before.
    pub async fn step(&mut self) -> Result<Event, TopicError> {
        let event = self.consumer.poll(Duration::from_millis(100)).await?;
        match &event {
            Event::Assigned(partitions) => {
                self.changes += 1;
                for at in partitions {
                    let came = self.came.get(at).and_then(|came| came.last());
                    let next = came.map_or(0, |record| record.offset + 1);
                    assert!(self.ours.insert(at.clone(), next).is_none(), "{at} came twice");
                    self.consumer.steer(Order::Seek(at.clone(), next))?;
                }
            }
            Event::Revoked(partitions) | Event::Lost(partitions) => {
                self.changes += 1;
                self.ours.retain(|at, _| !partitions.contains(at));
            }
            Event::Records { at, records, .. } => {
                let next = self.ours.get_mut(at).unwrap_or_else(|| panic!("{at} isn't ours"));
                assert!(records[0].offset >= *next, "{} after {next} of {at}", records[0].offset);
                *next = records[records.len() - 1].offset + 1;
                self.came.entry(at.clone()).or_default().extend(records.iter().cloned());
            }
            Event::End { at, end } => drop(self.ends.insert(at.clone(), *end)),
            _ => {}
        }
        Ok(event)
    }

    /// Takes events until `wanted`.
    pub async fn until(&mut self, what: &str, wanted: impl Fn(&Self) -> bool) {
        let started = Instant::now();
        while !wanted(self) {
            assert!(
                started.elapsed() < DEADLINE,
                "{what}: not within {DEADLINE:?}; ours are {:?}, ends {:?}",
                self.ours,
                self.ends
            );
            self.step().await.expect("poll");
        }
    }

    pub async fn until_ours(&mut self, count: usize) {
        self.until(&format!("{count} partitions"), |it| it.ours.len() == count).await;
    }

    /// Until the end of a partition was told to be `end`.
    pub async fn until_end(&mut self, at: &TopicPartition, end: i64) {
        self.until(&format!("the end {end} of {at}"), |it| it.ends.get(at) == Some(&end)).await;
    }

    pub fn offsets(&self, at: &TopicPartition) -> Vec<i64> {
        self.came.get(at).into_iter().flatten().map(|record| record.offset).collect()
    }

    pub async fn commit(&mut self, at: &TopicPartition, next: i64) {
        self.consumer.commit(&[(at.clone(), next)]).await.expect("commit");
    }

    pub fn seek(&mut self, at: &TopicPartition, next: i64) {
        self.ours.insert(at.clone(), next);
        self.consumer.steer(Order::Seek(at.clone(), next)).expect("seek");
    }
}

/// Waits for several members at once, so that each answers rebalances.
pub async fn until_all(
    members: &mut [&mut Following],
    what: &str,
    wanted: impl Fn(&[&mut Following]) -> bool,
) {
    let started = Instant::now();
    while !wanted(members) {
        let shares: Vec<_> = members.iter().map(|member| member.ours.len()).collect();
        assert!(
            started.elapsed() < DEADLINE,
            "{what}: not within {DEADLINE:?}; they have {shares:?}"
        );
        for member in members.iter_mut() {
            member.step().await.expect("poll");
        }
    }
}

/// Where a group stands, by Kafka's own tool: committed offset and lag of each partition.
pub async fn positions(server: &Server, group: &str) -> BTreeMap<u32, (i64, i64)> {
    let command =
        ["kafka-consumer-groups.sh", "--bootstrap-server", INSIDE, "--describe", "--group", group];
    let told = server.exec(&command).await;
    let row = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let number = |place: usize| words.get(place)?.parse().ok();
        Some((number(2)? as u32, (number(3)?, number(5)?)))
    };
    told.lines().filter_map(row).collect()
}

/// Kafka's own tools; their output.
pub async fn tool(server: &Server, name: &str, arguments: &[&str]) -> String {
    let mut command = vec![name, "--bootstrap-server", INSIDE];
    command.extend(arguments);
    server.exec(&command).await
}
