use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{DEADLINE, Place};
use crate::{Backend, Bounds, Consumer, Event, Order, Record, TopicPartition};

/// A member of a group that remembers what it was told.
pub(super) struct Member {
    consumer: Box<dyn Consumer>,
    /// Where to start a partition when it is assigned; `None`: leave it unstarted.
    start: Option<i64>,
    pub(super) owned: BTreeSet<TopicPartition>,
    pub(super) records: BTreeMap<TopicPartition, Vec<Record>>,
    /// Every end that was told, in order.
    pub(super) ends: BTreeMap<TopicPartition, Vec<i64>>,
    pub(super) out_of_range: Vec<(TopicPartition, i64, Bounds)>,
    pub(super) standby: Option<String>,
}

impl Member {
    pub(super) async fn join(
        place: &Place<'_>,
        backend: &dyn Backend,
        group: &str,
        start: Option<i64>,
    ) -> Self {
        let consumer = backend.join(group, &[place.topic_name()]).await.expect("join the group");
        Self {
            consumer,
            start,
            owned: BTreeSet::new(),
            records: BTreeMap::new(),
            ends: BTreeMap::new(),
            out_of_range: Vec::new(),
            standby: None,
        }
    }

    /// Polls until `done`, and panics, saying what was waited for and what came, after the deadline.
    pub(super) async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = Deadline::after(DEADLINE);
        while !done(self) {
            assert!(!deadline.is_past(), "waited {DEADLINE:?} for {what}; {}", self.account());
            self.poll(Duration::from_millis(100)).await;
        }
    }

    /// Polls for that long.
    pub(super) async fn during(&mut self, span: Duration) {
        let deadline = Deadline::after(span);
        while !deadline.is_past() {
            self.poll(Duration::from_millis(50)).await;
        }
    }

    pub(super) async fn until_assigned(&mut self, partitions: usize) {
        self.until("all partitions", |member| member.owned.len() == partitions).await;
    }

    pub(super) async fn until_records(&mut self, at: &TopicPartition, count: usize) {
        let what = format!("{count} records of {at}");
        self.until(&what, |member| member.of(at).len() >= count).await;
    }

    pub(super) async fn until_end(&mut self, at: &TopicPartition, end: i64) {
        let what = format!("end {end} of {at}");
        self.until(&what, |member| member.ends_of(at).contains(&end)).await;
    }

    pub(super) fn steer(&mut self, order: Order) {
        self.consumer.steer(order).expect("steer the consumer");
    }

    pub(super) async fn commit(&mut self, next: &[(TopicPartition, i64)]) {
        self.consumer.commit(next).await.expect("commit offsets");
    }

    pub(super) fn of(&self, at: &TopicPartition) -> &[Record] {
        self.records.get(at).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn ends_of(&self, at: &TopicPartition) -> &[i64] {
        self.ends.get(at).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn offsets(&self, at: &TopicPartition) -> Vec<i64> {
        self.of(at).iter().map(|record| record.offset).collect()
    }

    /// One poll, and the books kept.
    pub(super) async fn poll(&mut self, wait: Duration) {
        match self.consumer.poll(wait).await.expect("poll the consumer") {
            Event::Idle => {}
            Event::Standby(who) => self.standby = Some(who),
            Event::Assigned(partitions) => self.assigned(partitions),
            Event::Revoked(partitions) | Event::Lost(partitions) => {
                self.owned.retain(|at| !partitions.contains(at));
            }
            Event::Records { at, records, end } => self.delivered(at, records, end),
            Event::End { at, end } => {
                assert!(self.owned.contains(&at), "told the end of {at}, which is not ours");
                self.ends.entry(at).or_default().push(end);
            }
            Event::OutOfRange { at, asked, bounds } => self.out_of_range.push((at, asked, bounds)),
        }
    }

    fn assigned(&mut self, partitions: Vec<TopicPartition>) {
        for at in partitions {
            if let Some(start) = self.start {
                self.steer(Order::Seek(at.clone(), start));
            }
            assert!(self.owned.insert(at.clone()), "{at} was assigned, but is ours already");
        }
    }

    fn delivered(&mut self, at: TopicPartition, records: Vec<Record>, end: i64) {
        assert!(self.owned.contains(&at), "got records of {at}, which is not ours");
        assert!(!records.is_empty(), "Records of {at} without a record");
        assert!(records.is_sorted_by(|a, b| a.offset < b.offset), "{at} is out of order");
        assert!(
            records.iter().all(|record| record.offset < end),
            "{at} has records beyond its end {end}"
        );
        self.records.entry(at).or_default().extend(records);
    }

    fn account(&self) -> String {
        let counts: Vec<_> = self.records.iter().map(|(at, records)| (at, records.len())).collect();
        format!(
            "owned {:?}, records {counts:?}, ends {:?}, out of range {:?}, standby {:?}",
            self.owned, self.ends, self.out_of_range, self.standby
        )
    }
}

/// A moment on both clocks: on tokio's paused one, time stands still for a member that is kept busy.
pub(super) struct Deadline(tokio::time::Instant, std::time::Instant);

impl Deadline {
    pub(super) fn after(span: Duration) -> Self {
        Self(tokio::time::Instant::now() + span, std::time::Instant::now() + span)
    }

    pub(super) fn is_past(&self) -> bool {
        self.0 <= tokio::time::Instant::now() || self.1 <= std::time::Instant::now()
    }
}
