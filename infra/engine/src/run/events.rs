//! What the consumer tells, and what is done about it.

use millstream_topic::{Event, TopicPartition};
use tokio::time::{Duration, Instant};

use super::Worker;
use super::slot::{Phase, Slot};
use crate::status::What;

/// How often a stopped partition is looked at, for the operator's choice.
const STOPPED_AGAIN: Duration = Duration::from_secs(5);

impl Worker {
    pub(super) async fn take(&mut self, event: Event) {
        let now = Instant::now();
        if !matches!(event, Event::Idle | Event::Standby(_)) {
            self.standby = None;
        }
        match event {
            Event::Idle => {}
            Event::Standby(who) => self.stand_by(who),
            Event::Assigned(partitions) => {
                self.happened(What::Assigned, &partitions, "the group gave them to this worker");
                for at in partitions {
                    self.slots.insert(at, Slot::new(self.world.seed, now));
                }
            }
            Event::Revoked(partitions) => {
                self.happened(What::Revoked, &partitions, "the group gives them to another worker");
                self.give_up(&partitions).await;
                for at in partitions {
                    self.slots.remove(&at);
                }
            }
            Event::Lost(partitions) => {
                let why = "another worker has them: this one was away too long";
                self.happened(What::Lost, &partitions, why);
                for at in partitions {
                    self.slots.remove(&at);
                }
            }
            Event::Records { at, records, end } => {
                let Some(slot) = self.slots.get_mut(&at) else { return };
                slot.end = slot.end.max(end);
                slot.progress = now;
                if let Some(open) = slot.filling() {
                    open.take(records, &self.crew, now).await;
                }
            }
            Event::End { at, end } => {
                let Some(slot) = self.slots.get_mut(&at) else { return };
                slot.end = end;
                slot.progress = now;
                if let Some(open) = slot.filling() {
                    open.reach(end, now);
                }
            }
            // Opening compares position and partition anew, and says what is missing.
            Event::OutOfRange { at, .. } => self.reopen(&at),
        }
    }

    fn stand_by(&mut self, who: String) {
        if self.standby.is_none() {
            tracing::info!(pipeline = self.id, "standing by: {who}");
            self.happened(What::Standby, &[], &who);
        }
        self.standby = Some(who);
    }

    /// Forgets what is open of a partition, and asks the sink anew where it stands.
    pub(super) fn reopen(&mut self, at: &TopicPartition) {
        if let Some(slot) = self.slots.get_mut(at) {
            slot.reopen();
        }
    }

    /// As [`Self::reopen`], and for the partitions with nothing open as well: a sink that has begun anew lacks their
    /// rows, too, and they may have no commit by which they would learn of it.
    pub(super) fn reopen_with_idle(&mut self, at: &TopicPartition) {
        self.reopen(at);
        self.slots.values_mut().filter(|slot| slot.is_idle()).for_each(Slot::reopen);
    }

    /// Leaves a partition to a person. It is looked at again now and then, in case they acted.
    pub(super) fn stop_partition(&mut self, at: &TopicPartition, why: String) {
        let Some(slot) = self.slots.get_mut(at) else { return };
        if slot.stopped() != Some(&why) {
            tracing::error!(pipeline = self.id, "{at} stopped: {why}");
            self.happened(What::Stopped, std::slice::from_ref(at), &why);
        }
        let Some(slot) = self.slots.get_mut(at) else { return };
        slot.phase = Phase::Stopped { why, due: Instant::now() + STOPPED_AGAIN };
    }
}
