use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use rdkafka::message::{BorrowedMessage, Message};

use super::slice::record;
use super::slot::{Delivery, Slot};
use crate::TopicPartition;

/// An event is sent off when its partition has this many records…
const RECORDS: usize = 5_000;
/// …or these bytes…
const BYTES: usize = 2 << 20;
/// …or all partitions together have these…
const ALL_BYTES: usize = 4 << 20;
/// …or its first record has waited this long, though more keep coming.
const LINGER: Duration = Duration::from_millis(20);

/// The partitions that are ours, and what was fetched of them.
#[derive(Debug, Default)]
pub(super) struct Share {
    pub(super) slots: Vec<Slot>,
    /// What the consumer hasn't taken yet, in order.
    pub(super) outbox: VecDeque<Delivery>,
    /// The consumer takes nothing for so long that fetching was stopped.
    pub(super) held_back: bool,
    /// Partition numbers whose end was told by librdkafka, but not of which topic.
    pub(super) unclear_ends: BTreeSet<i32>,
    /// Some partition was asked for an offset it doesn't have; which one isn't known yet.
    pub(super) unclear_ranges: bool,
    /// Where the last record belonged; most often the next one does too.
    current: usize,
    bytes: usize,
    /// When the first of the records not yet flushed came.
    since: Option<Instant>,
}

impl Share {
    pub(super) fn add(&mut self, partitions: &[TopicPartition]) {
        self.remove(partitions);
        self.slots.extend(partitions.iter().cloned().map(Slot::new));
    }

    pub(super) fn remove(&mut self, partitions: &[TopicPartition]) {
        self.slots.retain(|slot| !partitions.contains(&slot.at));
        self.outbox.retain(|delivery| !partitions.contains(&delivery.at));
    }

    pub(super) fn find(&mut self, at: &TopicPartition) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.at == *at)
    }

    /// Keeps a fetched record, if it is wanted. Tells whether something was sent off.
    pub(super) fn take(&mut self, message: &BorrowedMessage<'_>) -> bool {
        let (topic, partition) = (message.topic(), message.partition());
        if !self.slots.get(self.current).is_some_and(|slot| slot.is(topic, partition)) {
            let place = self.slots.iter().position(|slot| slot.is(topic, partition));
            let Some(place) = place else { return false };
            self.current = place;
        }
        let slot = &mut self.slots[self.current];
        if !slot.is_active() {
            return false;
        }
        let record = record(message, |part| slot.keep(part));
        self.bytes += slot.take(record);
        self.since.get_or_insert_with(Instant::now);
        if slot.len() >= RECORDS || slot.bytes() >= BYTES {
            self.flush(self.current);
        }
        if self.bytes >= ALL_BYTES {
            self.flush_all();
        }
        !self.outbox.is_empty()
    }

    /// Sends off what has waited for long enough.
    pub(super) fn flush_late(&mut self) {
        if self.since.is_some_and(|since| since.elapsed() >= LINGER) {
            self.flush_all();
        }
    }

    /// Sends off what was taken of one partition.
    pub(super) fn flush(&mut self, place: usize) {
        let slot = &mut self.slots[place];
        self.bytes = self.bytes.saturating_sub(slot.bytes());
        self.outbox.extend(slot.flush());
    }

    /// Sends off all that was taken.
    pub(super) fn flush_all(&mut self) {
        self.outbox.extend(self.slots.iter_mut().filter_map(Slot::flush));
        self.bytes = 0;
        self.since = None;
    }
}
