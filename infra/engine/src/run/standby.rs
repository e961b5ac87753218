//! What a worker knows while another one does the work.

use std::collections::BTreeMap;

use millstream_topic::TopicPartition;

use super::Worker;

/// How far the sink's ledger was read, per partition: last `seq` and the offset after it.
pub(super) type Seen = BTreeMap<TopicPartition, (u64, i64)>;

impl Worker {
    /// Whether the other worker has brought everything into the sink. An error here is no news: it is
    /// asked again.
    pub(super) async fn other_has_caught_up(&mut self) -> bool {
        for topic in self.pipeline.topics() {
            let Ok(Some(info)) = self.world.topics.info(&topic.name).await else { return false };
            for (partition, bounds) in info.partitions.iter().enumerate() {
                let at = TopicPartition::new(info.name.clone(), partition as u32);
                if !self.reaches(at, bounds.low, bounds.end).await {
                    return false;
                }
            }
        }
        true
    }

    async fn reaches(&mut self, at: TopicPartition, low: i64, end: i64) -> bool {
        let seen = self.seen.get(&at).copied();
        let from = seen.map_or(0, |(seq, _)| seq + 1);
        let Ok(entries) = self.sink.ledger(&at, from, usize::MAX).await else { return false };
        let last = entries.last().map(|entry| (entry.seq, entry.next())).or(seen);
        if let Some(last) = last {
            self.seen.insert(at, last);
        }
        last.map_or(low, |(_, next)| next) >= end
    }
}
