//! What a worker knows of partitions that are not its own.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_topic::TopicPartition;
use tokio::time::Instant;

use super::Worker;

/// Between two looks at partitions that others work off.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Who was given nothing for so long isn't given anything while the others stay.
const LEFT_OVER: Duration = Duration::from_secs(20);

/// What was seen of the others.
#[derive(Debug)]
pub(super) struct Others {
    /// How far the sink's ledger was read, per partition: last `seq` and the offset after it.
    seen: BTreeMap<TopicPartition, (u64, i64)>,
    looked_at: Option<Instant>,
    /// When we last had a partition of our own, or started.
    had_some: Instant,
    /// Whether it was told that we wait for them.
    told: bool,
}

impl Default for Others {
    fn default() -> Self {
        Self { seen: BTreeMap::new(), looked_at: None, had_some: Instant::now(), told: false }
    }
}

impl Worker {
    /// Whether nothing is ours, and nothing will be as long as the others stay.
    pub(super) fn is_left_over(&mut self) -> bool {
        if !self.slots.is_empty() {
            self.others.had_some = Instant::now();
        }
        self.others.had_some.elapsed() >= LEFT_OVER
    }

    /// Whether the sink has everything of the partitions that are not ours, also of those whose worker was killed and
    /// that nobody has until the group notices. An error here is no news: it is asked again.
    pub(super) async fn others_have_caught_up(&mut self) -> bool {
        if self.others.looked_at.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return false;
        }
        let behind = self.behind().await;
        self.others.looked_at = Some(Instant::now());
        if let Some(at) = &behind
            && !self.others.told
        {
            self.others.told = true;
            tracing::info!(
                pipeline = self.id,
                "caught up; waiting for {at}, which another worker has"
            );
        }
        behind.is_none()
    }

    /// A partition that is not ours and isn't in the sink yet.
    async fn behind(&mut self) -> Option<String> {
        for topic in self.pipeline.topics() {
            let Ok(Some(info)) = self.world.topics.info(&topic.name).await else {
                return Some(topic.name.to_string());
            };
            for (partition, bounds) in info.partitions.iter().enumerate() {
                let at = TopicPartition::new(info.name.clone(), partition as u32);
                if !self.slots.contains_key(&at) && !self.reaches(&at, bounds.low, bounds.end).await
                {
                    return Some(at.to_string());
                }
            }
        }
        None
    }

    async fn reaches(&mut self, at: &TopicPartition, low: i64, end: i64) -> bool {
        let seen = self.others.seen.get(at).copied();
        let from = seen.map_or(0, |(seq, _)| seq + 1);
        let Ok(entries) = self.sink.ledger(at, from, usize::MAX).await else { return false };
        let last = entries.last().map(|entry| (entry.seq, entry.next())).or(seen);
        if let Some(last) = last {
            self.others.seen.insert(at.clone(), last);
        }
        last.map_or(low, |(_, next)| next) >= end
    }
}
