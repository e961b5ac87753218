//! From an assigned partition to its position, and from a closed range to a committed one.

use std::collections::BTreeSet;

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

    /// Closes the open ranges of these partitions where they are, and commits them.
    /// Without a lookup table that may be used nothing is closed: what is open is read again later, here or by another worker.
    pub(super) async fn close(&mut self, due: &[TopicPartition]) {
        if due.is_empty() || self.lookups.wait() {
            return;
        }
        // In an outage it would only take its time.
        if self.outage.is_none() {
            let topics: BTreeSet<_> = due.iter().map(|at| at.topic.as_str()).collect();
            for topic in topics {
                if !self.look_at(topic).await {
                    break;
                }
            }
        }
        // What is decoded at once is bounded as one range is, and what was committed is safe if time runs out.
        for part in self.in_parts(due) {
            self.close_part(part).await;
            self.commit(part).await;
        }
    }

    /// Stretches of partitions that hold at most what one range may, or one partition.
    fn in_parts<'a>(&self, due: &'a [TopicPartition]) -> Vec<&'a [TopicPartition]> {
        let held = |at| self.slots.get(at).map_or(0, Slot::held);
        let mut parts = Vec::new();
        let (mut begin, mut sum) = (0, 0);
        for (number, at) in due.iter().enumerate() {
            if number > begin && sum + held(at) > self.pipeline.roll.bytes {
                parts.push(&due[begin..number]);
                (begin, sum) = (number, 0);
            }
            sum += held(at);
        }
        parts.push(&due[begin..]);
        parts
    }

    async fn close_part(&mut self, due: &[TopicPartition]) {
        let now_ms = self.world.clock.now_ms();
        for at in due {
            let Some(slot) = self.slots.get_mut(at) else { continue };
            match std::mem::replace(&mut slot.phase, Phase::Moving) {
                Phase::Filling(mut open) => {
                    let closed = open.close(&self.crew, now_ms).await;
                    slot.phase = Phase::Closing { open, closed, due: Instant::now(), failed: None };
                }
                other => slot.phase = other,
            }
        }
    }

    /// One try to commit the closed ranges of these partitions: dead letters first, then the sink, then the group.
    /// Those without dead letters don't wait for the others' to be written.
    pub(super) async fn commit(&mut self, due: &[TopicPartition]) {
        let mut ready = Vec::new();
        let mut with_letters = Vec::new();
        for at in due {
            let Some(slot) = self.slots.get_mut(at) else { continue };
            match std::mem::replace(&mut slot.phase, Phase::Moving) {
                Phase::Closing { open, closed, .. } if closed.letters.is_empty() => {
                    ready.push((at, open, closed));
                }
                Phase::Closing { open, closed, .. } => with_letters.push((at, open, closed)),
                other => slot.phase = other,
            }
        }
        self.commit_ready(ready).await;
        let mut ready = Vec::new();
        for (at, open, closed) in with_letters {
            match self.write_letters(&at.topic, &closed.letters).await {
                Ok(()) => ready.push((at, open, closed)),
                Err(error) => self.not_committed(at, open, closed, &error.into()),
            }
        }
        self.commit_ready(ready).await;
    }

    async fn commit_ready(&mut self, ready: Vec<(&TopicPartition, OpenRange, Closed)>) {
        if ready.is_empty() {
            return;
        }
        let ranges: Vec<_> =
            ready.iter().map(|(_, open, closed)| (&open.assignment, &closed.range)).collect();
        let outcomes = self.sink.commit_all(&ranges).await;
        let mut told = Vec::new();
        let mut superseded = Vec::new();
        for ((at, open, closed), outcome) in ready.into_iter().zip(outcomes) {
            match outcome {
                Ok(Outcome::Committed) => {
                    told.push((at.clone(), closed.range.entry.next()));
                    self.committed(at, open, closed);
                }
                // Somebody else's range, or our own whose reply was lost: the sink knows.
                Ok(Outcome::Superseded) => superseded.push(at),
                Err(error) => self.not_committed(at, open, closed, &error.into()),
            }
        }
        for at in superseded {
            self.reopen_with_idle(at);
        }
        self.tell_group(&told).await;
    }

    fn not_committed(
        &mut self,
        at: &TopicPartition,
        open: OpenRange,
        closed: Closed,
        blocked: &Blocked,
    ) {
        if blocked.is_retryable() {
            self.commit_later(at, open, closed, blocked);
        } else {
            self.stop_partition(at, chain(blocked));
        }
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

    fn committed(&mut self, at: &TopicPartition, mut open: OpenRange, closed: Closed) {
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

    /// Before partitions are given up: commits what can be, in one try.
    pub(super) async fn give_up(&mut self, partitions: &[TopicPartition]) {
        let may_close = |at: &TopicPartition| self.slots.get(at).is_some_and(Slot::may_close);
        let (open, closed): (Vec<_>, Vec<_>) = partitions.iter().cloned().partition(may_close);
        self.close(&open).await;
        self.commit(&closed).await;
    }
}
