//! What whoever watches is told, and what is kept for them.

use std::time::Duration;

use millstream_topic::TopicPartition;
use tokio::time::Instant;

use super::Worker;
use super::slot::Slot;
use crate::status::{Happening, State, Status, What};

/// How often whoever watches is told.
const PUBLISH_EVERY: Duration = Duration::from_millis(100);
/// Happenings kept.
const HAPPENINGS: usize = 40;

impl Worker {
    pub(super) fn publish(&mut self, at_once: bool) {
        let now = Instant::now();
        if !at_once && self.published.is_some_and(|last| now - last < PUBLISH_EVERY) {
            return;
        }
        self.published = Some(now);
        let every = self.pipeline.roll.every;
        let now_ms = self.world.clock.now_ms();
        let wall = |at: Instant| {
            let ahead = at.saturating_duration_since(now).as_millis() as i64;
            now_ms + ahead - now.saturating_duration_since(at).as_millis() as i64
        };
        let slots = self.slots.iter();
        let status = Status {
            pipeline: self.id.clone(),
            state: self.state(),
            partitions: slots.map(|(at, slot)| slot.status(at, every, wall)).collect(),
            totals: self.totals,
            batches: self.batches,
            memory: self.options.memory,
            lookups: self.lookups.statuses(),
            happenings: self.happenings.iter().cloned().collect(),
        };
        self.status.send_replace(status);
    }

    fn state(&self) -> State {
        if let Some(who) = &self.standby {
            return State::Standby(who.clone());
        }
        if let Some(outage) = &self.outage {
            return State::Retrying(outage.why.clone());
        }
        let troubled = self.slots.values().map(Slot::state).find(|s| *s != State::Running);
        let troubled = troubled.or_else(|| self.lookups.awaited().map(State::Retrying));
        troubled.unwrap_or(if self.slots.is_empty() { State::Starting } else { State::Running })
    }

    pub(super) fn finish(&mut self, well: bool) {
        self.publish(true);
        if well {
            self.status.send_modify(|status| status.state = State::Done);
        }
    }

    /// Keeps for whoever watches that something happened; the oldest gives way.
    pub(super) fn happened(&mut self, what: What, partitions: &[TopicPartition], why: &str) {
        for at in partitions {
            tracing::debug!(pipeline = self.id, "{at}: {what:?}: {why}");
        }
        if self.happenings.len() >= HAPPENINGS {
            self.happenings.pop_front();
        }
        self.happenings.push_back(Happening {
            at_ms: self.world.clock.now_ms(),
            what,
            partitions: partitions.iter().map(ToString::to_string).collect(),
            why: why.to_owned(),
        });
    }

    /// Counts a try that failed; the first of a row of them is a happening.
    pub(super) fn failed(&mut self, at: &TopicPartition, failed: &str) {
        self.totals.retries += 1;
        let Some(slot) = self.slots.get_mut(at) else { return };
        slot.counts.retries += 1;
        if slot.backoff.tries() == 0 {
            self.happened(What::Retrying, std::slice::from_ref(at), failed);
        }
    }
}
