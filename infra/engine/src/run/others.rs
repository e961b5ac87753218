//! What a worker knows of partitions that are not its own.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_topic::TopicPartition;
use tokio::time::{Instant, timeout};

use super::Worker;
use super::outage::ANSWER_WITHIN;

/// Between two looks at partitions that others work off.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Who was given nothing for so long isn't given anything while the others stay.
const LEFT_OVER: Duration = Duration::from_secs(20);

/// What was seen of the others.
#[derive(Debug)]
pub(super) struct Others {
    /// How far the sink's ledger was read, per partition: last `seq` and the offset after it.
    seen: BTreeMap<TopicPartition, (u64, i64)>,
    /// Where partitions ended when they were first looked at: what comes later isn't waited for, or a stream that never
    /// rests would never let us end.
    goals: BTreeMap<TopicPartition, i64>,
    looked_at: Option<Instant>,
    /// When we last had a partition of our own, or started.
    had_some: Instant,
    /// Whether it was told that we wait for them.
    told: bool,
}

impl Default for Others {
    fn default() -> Self {
        Self {
            seen: BTreeMap::new(),
            goals: BTreeMap::new(),
            looked_at: None,
            had_some: Instant::now(),
            told: false,
        }
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

    /// Whether the last look at the others is long enough ago.
    pub(super) fn is_time_for_others(&self) -> bool {
        self.others.looked_at.is_none_or(|at| at.elapsed() >= LOOK_EVERY)
    }

    /// Whether the sink has everything of the partitions that are not ours, also of those whose worker was killed and
    /// that nobody has until the group notices. An error here is no news: it is asked again.
    pub(super) async fn others_have_caught_up(&mut self) -> bool {
        if !self.is_time_for_others() {
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
            let info = timeout(ANSWER_WITHIN, self.world.topics.info(&topic.name)).await;
            let Ok(Ok(Some(info))) = info else { return Some(topic.name.to_string()) };
            for (partition, bounds) in info.partitions.iter().enumerate() {
                let at = TopicPartition::new(info.name.clone(), partition as u32);
                if self.slots.contains_key(&at) {
                    continue;
                }
                // A topic that was made anew ends earlier.
                let goal = *self.others.goals.entry(at.clone()).or_insert(bounds.end);
                if !self.reaches(&at, bounds.low, goal.min(bounds.end)).await {
                    return Some(at.to_string());
                }
            }
        }
        None
    }

    async fn reaches(&mut self, at: &TopicPartition, low: i64, end: i64) -> bool {
        let seen = self.others.seen.get(at).copied();
        // The last one again: a sink that has begun anew lacks it.
        let from = seen.map_or(0, |(seq, _)| seq);
        let Ok(entries) = self.sink.ledger(at, from, usize::MAX).await else { return false };
        match entries.last().map(|entry| (entry.seq, entry.next())) {
            Some(last) => {
                self.others.seen.insert(at.clone(), last);
                last.1 >= end
            }
            None if seen.is_some() => {
                self.others.seen.remove(at);
                false
            }
            None => low >= end,
        }
    }
}
