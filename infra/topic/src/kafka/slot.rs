use std::ops::RangeInclusive;

use bytes::{Bytes, BytesMut};

use crate::{Bounds, Event, Record, TopicPartition};

/// How large the pieces of memory are that keys and values are copied into: as much as the event at hand holds already,
/// within these bounds. One allocation a record would cost more than the copying.
const PIECE: RangeInclusive<usize> = 1 << 10..=64 << 10;

/// One partition that is ours: what its delivery has come to.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) at: TopicPartition,
    /// The number of the last seek; 0: there was none, so nothing is delivered. Events carry it, so
    /// that what was fetched before a seek is recognised.
    pub(super) generation: u64,
    /// A seek that is still to be carried out.
    pub(super) seek: Option<i64>,
    /// Paused by order.
    pub(super) paused: bool,
    /// What was asked for isn't there; nothing is delivered before the next seek.
    pub(super) out_of_range: bool,
    /// Whether librdkafka was told to fetch nothing.
    pub(super) asleep: bool,
    /// The offset behind the last one delivered or given to `seek`.
    pub(super) next: i64,
    /// The partition's end as far as known.
    pub(super) end: i64,
    /// The end that was told last.
    end_told: Option<i64>,
    /// Records that make the next event.
    batch: Vec<Record>,
    bytes: usize,
    /// What is left of the piece of memory that keys and values are copied into. Of this partition alone: who holds a
    /// record back holds no other partition's with it.
    piece: BytesMut,
}

/// An event of one partition, on its way to the consumer.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) at: TopicPartition,
    pub(super) generation: u64,
    pub(super) event: Event,
}

impl Slot {
    /// A partition that was just assigned, fetching from wherever.
    pub(super) fn new(at: TopicPartition) -> Self {
        Self {
            at,
            generation: 0,
            seek: None,
            paused: false,
            out_of_range: false,
            asleep: false,
            next: 0,
            end: 0,
            end_told: None,
            batch: Vec::new(),
            bytes: 0,
            piece: BytesMut::new(),
        }
    }

    /// Whether its records are wanted.
    pub(super) fn is_active(&self) -> bool {
        self.generation > 0 && self.seek.is_none() && !self.paused && !self.out_of_range
    }

    pub(super) fn is(&self, topic: &str, partition: i32) -> bool {
        self.at.partition as i32 == partition && self.at.topic == topic
    }

    /// Forgets everything fetched; from now on events carry `generation`.
    pub(super) fn restart(&mut self, offset: i64, generation: u64) {
        self.generation = generation;
        self.seek = Some(offset);
        self.next = offset;
        self.out_of_range = false;
        self.end_told = None;
        self.batch.clear();
        self.bytes = 0;
    }

    /// Takes a record, unless it was delivered already. Gives the bytes it adds.
    pub(super) fn take(&mut self, record: Record) -> usize {
        if record.offset < self.next {
            return 0;
        }
        let size = record.size();
        self.next = record.offset + 1;
        self.end = self.end.max(self.next);
        self.bytes += size;
        self.batch.push(record);
        size
    }

    /// A copy of a key or value.
    pub(super) fn keep(&mut self, part: &[u8]) -> Bytes {
        if part.len() > *PIECE.end() {
            return Bytes::copy_from_slice(part);
        }
        if self.piece.capacity() < part.len() {
            let size = self.bytes.clamp(*PIECE.start(), *PIECE.end()).max(part.len());
            self.piece = BytesMut::with_capacity(size);
        }
        self.piece.extend_from_slice(part);
        self.piece.split().freeze()
    }

    pub(super) fn len(&self) -> usize {
        self.batch.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The records taken since the last flush.
    pub(super) fn flush(&mut self) -> Option<Delivery> {
        if self.batch.is_empty() {
            return None;
        }
        self.bytes = 0;
        let (at, records) = (self.at.clone(), std::mem::take(&mut self.batch));
        Some(self.deliver(Event::Records { at, records, end: self.end }))
    }

    /// Everything before `end` was flushed, and it is the end; `None` when that was told already.
    pub(super) fn reach(&mut self, end: i64) -> Option<Delivery> {
        self.next = end;
        self.end = self.end.max(end);
        if self.end_told.replace(end) == Some(end) {
            return None;
        }
        Some(self.deliver(Event::End { at: self.at.clone(), end }))
    }

    /// What comes next is not in the partition.
    pub(super) fn miss(&mut self, bounds: Bounds) -> Delivery {
        self.out_of_range = true;
        let (at, asked) = (self.at.clone(), self.next);
        self.deliver(Event::OutOfRange { at, asked, bounds })
    }

    fn deliver(&self, event: Event) -> Delivery {
        Delivery { at: self.at.clone(), generation: self.generation, event }
    }
}

#[cfg(test)]
mod tests {
    use super::Slot;
    use crate::{Event, Record, TopicPartition};

    fn record(offset: i64) -> Record {
        Record { offset, timestamp_ms: 0, key: None, value: None, headers: Vec::new() }
    }

    #[test]
    fn a_restart_forgets_what_was_fetched() {
        let mut slot = Slot::new(TopicPartition::new("t", 0));
        slot.restart(5, 1);
        slot.seek = None;
        assert!(slot.is_active());
        assert_eq!(slot.take(record(4)), 0, "before the sought offset");
        assert!(slot.take(record(7)) > 0);
        slot.restart(2, 2);
        assert!(slot.flush().is_none());
        slot.take(record(2));
        let delivery = slot.flush().expect("one record");
        assert_eq!((delivery.generation, slot.next), (2, 3));
    }

    #[test]
    fn what_is_kept_stays_as_it_was_whatever_comes_after() {
        let mut slot = Slot::new(TopicPartition::new("t", 0));
        let parts: Vec<Vec<u8>> =
            [0, 1, 700, 400, 1 << 10, 65 << 10, 3].map(|size| vec![size as u8; size]).into();
        let kept: Vec<_> = parts.iter().map(|part| slot.keep(part)).collect();
        assert!(kept.iter().zip(&parts).all(|(kept, part)| kept == part));
    }

    #[test]
    fn an_end_is_told_once_until_it_moves_or_is_sought() {
        let mut slot = Slot::new(TopicPartition::new("t", 0));
        slot.restart(0, 1);
        assert!(matches!(slot.reach(3).map(|told| told.event), Some(Event::End { end: 3, .. })));
        assert!(slot.reach(3).is_none());
        assert!(slot.reach(4).is_some(), "control records moved it");
        slot.restart(0, 2);
        assert!(slot.reach(4).is_some());
    }
}
