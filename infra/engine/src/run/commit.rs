//! From an assigned partition to its position, and from a closed range to a committed one.

use millstream_topic::dead_letter::{self, DeadLetter};
use millstream_topic::{Order, Topic, TopicError, TopicPartition};
use tokio::time::{Duration, Instant};

use super::slot::{Phase, Slot};
use super::{Worker, chain};
use crate::ledger::Entry;
use crate::open_range::{Closed, OpenRange};
use crate::opening::{self, Blocked};
use crate::sink::Outcome;
use crate::status::What;

impl Worker {
    /// Finds where the partition stands in the sink and has it delivered from there.
    pub(super) async fn open(&mut self, at: &TopicPartition) {
        let Some(slot) = self.slots.get_mut(at) else { return };
        let before = std::mem::replace(&mut slot.phase, Phase::Moving);
        let opened = opening::open(
            self.world.topics.as_ref(),
            self.sink.as_mut(),
            &self.id,
            &self.fingerprint,
            at,
        )
        .await;
        let (assignment, standing, bounds) = match opened {
            Ok(opened) => opened,
            Err(blocked) if blocked.is_retryable() => return self.open_later(at, &blocked),
            Err(blocked) => {
                // Put back, so that a reason that was told already isn't told again.
                self.restore(at, before);
                return self.stop_partition(at, chain(&blocked));
            }
        };
        let topic_id = assignment.genesis.topic_id.clone();
        let open = OpenRange::new(assignment, standing);
        let seek = self.consumer.steer(Order::Seek(at.clone(), open.next()));
        let Some(slot) = self.slots.get_mut(at) else { return };
        if let Err(error) = seek {
            return self.open_later(at, &Blocked::Topic(error));
        }
        slot.backoff.reset();
        slot.end = bounds.end;
        slot.stood = open.last.next();
        slot.topic_id = topic_id;
        slot.progress = Instant::now();
        slot.phase = Phase::Filling(open);
    }

    fn restore(&mut self, at: &TopicPartition, phase: Phase) {
        if let Some(slot) = self.slots.get_mut(at) {
            slot.phase = phase;
        }
    }

    fn open_later(&mut self, at: &TopicPartition, blocked: &Blocked) {
        let failed = chain(blocked);
        self.failed(at, &failed);
        let Some(slot) = self.slots.get_mut(at) else { return };
        if slot.backoff.tries() == 0 {
            tracing::warn!(pipeline = self.id, "{at}: {failed}; trying until it works");
        }
        slot.phase =
            Phase::Opening { due: Instant::now() + slot.backoff.next(), failed: Some(failed) };
    }

    /// Closes the open range where it is, and commits it. Without a lookup table that may be used nothing is closed:
    /// what is open is read again later, here or by another worker.
    pub(super) async fn close(&mut self, at: &TopicPartition) {
        if self.lookups.wait() {
            return;
        }
        // In an outage it would only take its time.
        if self.outage.is_none() {
            self.look_at(&at.topic).await;
        }
        let now_ms = self.world.clock.now_ms();
        let Some(slot) = self.slots.get_mut(at) else { return };
        match std::mem::replace(&mut slot.phase, Phase::Moving) {
            Phase::Filling(mut open) => {
                let closed = open.close(&self.pipeline, now_ms);
                slot.phase = Phase::Closing { open, closed, due: Instant::now(), failed: None };
                self.commit(at).await;
            }
            other => slot.phase = other,
        }
    }

    /// One try to commit the closed range: dead letters first, then the sink, then the group.
    pub(super) async fn commit(&mut self, at: &TopicPartition) {
        let Some(slot) = self.slots.get_mut(at) else { return };
        let (open, closed) = match std::mem::replace(&mut slot.phase, Phase::Moving) {
            Phase::Closing { open, closed, .. } => (open, closed),
            other => {
                slot.phase = other;
                return;
            }
        };
        match self.try_commit(&open, &closed).await {
            Ok(Outcome::Committed) => self.committed(at, open, closed).await,
            // Somebody else's range, or our own whose reply was lost: the sink knows.
            Ok(Outcome::Superseded) => self.reopen_with_idle(at),
            Err(blocked) if blocked.is_retryable() => {
                self.commit_later(at, open, closed, &blocked);
            }
            Err(blocked) => self.stop_partition(at, chain(&blocked)),
        }
    }

    async fn try_commit(&mut self, open: &OpenRange, closed: &Closed) -> Result<Outcome, Blocked> {
        self.write_letters(&open.assignment.at.topic, &closed.letters).await?;
        Ok(self.sink.commit(&open.assignment, &closed.range).await?)
    }

    async fn write_letters(
        &mut self,
        topic: &str,
        letters: &[DeadLetter],
    ) -> Result<(), TopicError> {
        if letters.is_empty() {
            return Ok(());
        }
        let name = dead_letter::topic_for(topic);
        self.world.topics.ensure(&Topic::named(&name).partitions(1)).await?;
        let records = letters.iter().map(DeadLetter::to_outgoing).collect();
        self.world.topics.append(&name, records).await.map(|_| ())
    }

    async fn committed(&mut self, at: &TopicPartition, mut open: OpenRange, closed: Closed) {
        let entry = closed.range.entry;
        self.count(at, &entry, closed.since.elapsed());
        tracing::debug!(pipeline = self.id, "{at}: committed {}..={}", entry.start, entry.end);
        if let Some(first) = closed.letters.first() {
            tracing::warn!(
                pipeline = self.id,
                "{at}: {} dead-lettered in {}..={}; the first, at {}: {}",
                closed.letters.len(),
                entry.start,
                entry.end,
                first.offset,
                first.reason
            );
        }
        let next = entry.next();
        open.advance(entry);
        self.tell_group(at, next).await;
        // Records beyond a planned end, and those that came while the commit was retried, were passed over.
        let waited = self.slots.get(at).is_some_and(|slot| slot.backoff.tries() > 0);
        let seek =
            (closed.planned || waited).then(|| self.consumer.steer(Order::Seek(at.clone(), next)));
        if let Some(Err(error)) = seek {
            return self.open_later(at, &Blocked::Topic(error));
        }
        if waited {
            tracing::info!(pipeline = self.id, "{at}: the sink takes rows again");
            self.happened(What::Recovered, std::slice::from_ref(at), "the sink takes rows again");
        }
        if let Some(slot) = self.slots.get_mut(at) {
            slot.backoff.reset();
            slot.progress = Instant::now();
            slot.phase = Phase::Filling(open);
        }
    }

    fn count(&mut self, at: &TopicPartition, entry: &Entry, took: Duration) {
        let buckets = &entry.buckets;
        self.totals.delivered += buckets.delivered;
        self.totals.filtered += buckets.filtered;
        self.totals.dead_lettered += buckets.dead.len() as u64;
        self.totals.tombstones += buckets.tombstones;
        self.totals.absent += buckets.absent_count();
        self.totals.rows += entry.rows;
        self.totals.ranges += 1;
        self.batches.add(took);
        let Some(slot) = self.slots.get_mut(at) else { return };
        slot.stood = entry.next();
        slot.counts.events += entry.buckets.delivered + entry.buckets.filtered;
        slot.counts.events += entry.buckets.tombstones + entry.buckets.dead.len() as u64;
        slot.counts.dead_lettered += entry.buckets.dead.len() as u64;
        slot.counts.batches.add(took);
    }

    fn commit_later(
        &mut self,
        at: &TopicPartition,
        open: OpenRange,
        closed: Closed,
        blocked: &Blocked,
    ) {
        let failed = chain(blocked);
        self.failed(at, &failed);
        let Some(slot) = self.slots.get_mut(at) else { return };
        if slot.backoff.tries() == 0 {
            tracing::warn!(pipeline = self.id, "{at}: {failed}; reading pauses until it works");
        }
        let due = Instant::now() + slot.backoff.next();
        slot.phase = Phase::Closing { open, closed, due, failed: Some(failed) };
    }

    /// Before a partition is given up: commits what can be, in one try.
    pub(super) async fn finish_range(&mut self, at: &TopicPartition) {
        let may_close = self.slots.get(at).is_some_and(Slot::may_close);
        if may_close {
            self.close(at).await;
        } else {
            self.commit(at).await;
        }
    }
}
