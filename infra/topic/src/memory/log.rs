use std::collections::HashMap;

use bytes::Bytes;

use super::Clock;
use crate::{
    Bounds, Cleanup, Outgoing, Placed, Record, Slice, TopicError, TopicInfo, TopicPartition,
    partition_for_key, record,
};

pub(super) struct TopicLog {
    id: String,
    pub(super) cleanup: Cleanup,
    pub(super) partitions: Vec<Partition>,
    /// Counts the append calls, to spread keyless records.
    calls: u32,
}

#[derive(Clone, Default)]
pub(super) struct Partition {
    pub(super) low: i64,
    pub(super) end: i64,
    /// In offset order, with gaps where offsets are absent.
    pub(super) records: Vec<Record>,
}

impl TopicLog {
    pub(super) fn new(id: String, cleanup: Cleanup, partitions: u32) -> Self {
        let partitions = vec![Partition::default(); partitions as usize];
        Self { id, cleanup, partitions, calls: 0 }
    }

    pub(super) fn info(&self, name: &str) -> TopicInfo {
        TopicInfo {
            name: name.to_owned(),
            id: self.id.clone(),
            cluster: "memory".to_owned(),
            cleanup: self.cleanup,
            partitions: self.partitions.iter().map(Partition::bounds).collect(),
        }
    }

    pub(super) fn partition(
        &mut self,
        at: &TopicPartition,
        doing: &str,
    ) -> Result<&mut Partition, TopicError> {
        let count = self.partitions.len();
        self.partitions.get_mut(at.partition as usize).ok_or_else(|| {
            TopicError::refused(
                format!("{doing} {at}"),
                format!("the topic has {count} partitions, numbered from 0"),
                "correct the partition",
            )
        })
    }

    /// All of the records or none.
    pub(super) fn append(
        &mut self,
        name: &str,
        records: Vec<Outgoing>,
        clock: &Clock,
    ) -> Result<Vec<Placed>, TopicError> {
        if self.cleanup == Cleanup::Compact {
            record::refuse_keyless(name, &records)?;
        }
        let count = self.partitions.len() as u32;
        self.calls = self.calls.wrapping_add(1);
        let keyless = self.calls % count;
        let mut places = Vec::with_capacity(records.len());
        for record in &records {
            let by_key = || record.key.as_ref().map(|key| partition_for_key(key, count));
            let partition = record.partition.or_else(by_key).unwrap_or(keyless);
            self.partition(&TopicPartition::new(name, partition), "append to")?;
            places.push(partition);
        }
        let placed = records.into_iter().zip(places).map(|(record, partition)| Placed {
            partition,
            offset: self.partitions[partition as usize].push(record, clock),
        });
        Ok(placed.collect())
    }
}

impl Partition {
    pub(super) fn bounds(&self) -> Bounds {
        Bounds { low: self.low, end: self.end }
    }

    fn push(&mut self, record: Outgoing, clock: &Clock) -> i64 {
        let offset = self.end;
        self.records.push(Record {
            offset,
            timestamp_ms: record.timestamp_ms.unwrap_or_else(|| clock()),
            key: record.key,
            value: record.value,
            headers: record.headers,
        });
        self.end += 1;
        offset
    }

    pub(super) fn slice(&self, from: i64, max: usize) -> Slice {
        let from = from.max(self.low);
        let first = self.records.partition_point(|record| record.offset < from);
        let rest = &self.records[first..];
        let records = rest[..rest.len().min(max)].to_vec();
        let next = match records.last() {
            Some(last) if rest.len() > max => last.offset + 1,
            None if max == 0 => from,
            _ => self.end.max(from),
        };
        Slice { records, next, end: self.end }
    }

    /// Drops every offset below `low`.
    pub(super) fn truncate(&mut self, low: i64) {
        self.low = low.clamp(self.low, self.end);
        self.records.retain(|record| record.offset >= self.low);
    }

    /// Forgets every offset from `end` on, as if it had never been written.
    pub(super) fn drop_tail(&mut self, end: i64) {
        self.end = end.clamp(self.low, self.end);
        self.records.retain(|record| record.offset < self.end);
    }

    /// Keeps the last record of each key, and every record without one.
    pub(super) fn compact(&mut self) {
        let last: HashMap<Bytes, i64> = self
            .records
            .iter()
            .filter_map(|record| Some((record.key.clone()?, record.offset)))
            .collect();
        self.records.retain(|record| match &record.key {
            Some(key) => last.get(key) == Some(&record.offset),
            None => true,
        });
    }
}
