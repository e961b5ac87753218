//! What happens between two events, and the order of it.

use std::time::Duration;

use millstream_topic::{Order, TopicPartition};
use tokio::time::Instant;

use super::slot::{Phase, Slot};
use super::{EngineError, Worker, chain};
use crate::status::What;

/// How long to wait for an event at most, so that the clock's duties aren't late.
const LONGEST_WAIT: Duration = Duration::from_millis(250);
/// A range is closed with others when this part of its time is left: a tenth.
const SOON: u32 = 10;
/// How often the topics' ends are asked for, apart from what reading tells, and while nobody answers.
const LOOK_EVERY: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_secs(3);
/// How often the sink is asked whether it has begun anew, and for how long at most.
const ASK_EVERY: Duration = Duration::from_secs(5);
const ASK_WITHIN: Duration = Duration::from_secs(2);

impl Worker {
    pub(super) async fn turns(&mut self) -> Result<(), EngineError> {
        loop {
            if self.stop.is_cancelled() {
                self.drain().await;
                return Ok(());
            }
            self.turn().await;
            if self.options.until_caught_up {
                let stop = self.stop.clone();
                if stop.run_until_cancelled(self.has_ended()).await.transpose()?.unwrap_or(false) {
                    return Ok(());
                }
            }
            self.publish(false);
            let wait = self.wait();
            let polled = tokio::select! {
                biased;
                () = self.stop.cancelled() => continue,
                polled = self.consumer.poll(wait) => polled,
            };
            match polled {
                Ok(event) => {
                    self.heard();
                    self.take(event).await;
                }
                Err(source) if source.is_retryable() => self.sit_out(chain(&source)).await,
                Err(source) => {
                    return Err(EngineError::Topic { pipeline: self.id.clone(), source });
                }
            }
        }
    }

    async fn turn(&mut self) {
        let now = Instant::now();
        self.look_at_lookups();
        for at in self.all() {
            let Some(slot) = self.slots.get(&at) else { continue };
            match &slot.phase {
                Phase::Opening { due, .. } | Phase::Stopped { due, .. } if *due <= now => {
                    self.open(&at).await;
                }
                _ => {}
            }
        }
        let again = self.slots.iter().filter(|(_, slot)| slot.is_to_be_committed_again(now));
        let again: Vec<_> = again.map(|(at, _)| at.clone()).collect();
        self.commit(&again).await;
        self.close(&self.due(now)).await;
        self.relieve().await;
        let every = if self.outage.is_some() { LOOK_AGAIN } else { LOOK_EVERY };
        if now.duration_since(self.looked_at) >= every {
            self.looked_at = now;
            self.look().await;
        }
        if now.duration_since(self.asked_at) >= ASK_EVERY {
            self.ask_sink().await;
            self.asked_at = Instant::now();
        }
        self.watch(now);
    }

    /// Partitions whose range is to be closed. Once one is, so are those that would be soon: they share the questions to
    /// the topics, and a sink's time.
    fn due(&self, now: Instant) -> Vec<TopicPartition> {
        let roll = &self.pipeline.roll;
        let due_by = |by: Instant| {
            let due = move |slot: &Slot| match &slot.phase {
                Phase::Filling(open) => {
                    let at_end = self.options.until_caught_up && open.next() >= slot.end;
                    open.is_due(roll, by) || (at_end && open.may_close())
                }
                _ => false,
            };
            let slots = self.slots.iter().filter(move |(_, slot)| due(slot));
            slots.map(|(at, _)| at.clone()).collect::<Vec<_>>()
        };
        match due_by(now) {
            none if none.is_empty() => none,
            _ => due_by(now + roll.every / SOON),
        }
    }

    /// Closes the largest ranges until memory is within its bound, then pauses or resumes reading.
    async fn relieve(&mut self) {
        let waits = self.lookups.wait();
        while self.held() > self.options.memory && !waits {
            let largest = self
                .slots
                .iter_mut()
                .filter(|(_, slot)| slot.may_close())
                .max_by_key(|(_, slot)| slot.held())
                .map(|(at, _)| at.clone());
            let Some(at) = largest else { break };
            self.close(&[at]).await;
        }
        let over = self.held() > self.options.memory;
        for (at, slot) in &mut self.slots {
            // A range whose plan fixes its end can't be closed early, so it has to be let in.
            let full = over && !slot.is_bound();
            let wanted = full || waits || matches!(slot.phase, Phase::Closing { .. });
            if wanted != slot.paused {
                slot.paused = wanted;
                slot.progress = Instant::now();
                let order = if wanted { Order::Pause } else { Order::Resume }(at.clone());
                if let Err(error) = self.consumer.steer(order) {
                    tracing::warn!(pipeline = self.id, "{}", chain(&error));
                }
            }
        }
    }

    /// A sink that begins anew lacks what every partition brought, also those that get no records and so have no commit
    /// by which they would learn of it.
    async fn ask_sink(&mut self) {
        if !self.slots.values().any(Slot::is_at_work) {
            return;
        }
        match tokio::time::timeout(ASK_WITHIN, self.sink.still_stands()).await {
            Ok(Ok(false)) => {
                self.slots.values_mut().filter(|slot| slot.is_at_work()).for_each(Slot::reopen);
            }
            Ok(Ok(true)) => {}
            // If that matters the next commit tells.
            Ok(Err(error)) => tracing::debug!(pipeline = self.id, "{}", chain(&error)),
            Err(_) => tracing::debug!(pipeline = self.id, "the sink didn't answer in time"),
        }
    }

    /// docs/guarantees.md, case 8: records are there, the sink takes them, and none come.
    fn watch(&mut self, now: Instant) {
        let mut restarted = Vec::new();
        for (at, slot) in &mut self.slots {
            let (paused, end) = (slot.paused, slot.end);
            let Some(open) = slot.filling() else { continue };
            let next = open.next();
            if paused || next >= end {
                slot.progress = now;
                continue;
            }
            if now.duration_since(slot.progress) < self.options.watchdog {
                continue;
            }
            let (watchdog, lag) = (self.options.watchdog.as_secs(), end - next);
            tracing::warn!(
                pipeline = self.id,
                "{at}: {lag} records wait and none came for {watchdog} s; starting the partition again"
            );
            slot.progress = now;
            self.totals.restarts += 1;
            restarted.push((at.clone(), lag));
            if let Err(error) = self.consumer.steer(Order::Seek(at.clone(), next)) {
                tracing::warn!(pipeline = self.id, "{}", chain(&error));
            }
        }
        for (at, lag) in restarted {
            let why = format!("{lag} records waited and none came for too long");
            self.happened(What::Restarted, &[at], &why);
        }
    }

    /// With `until_caught_up`: whether everything is in the sink; an error if it never will be.
    async fn has_ended(&mut self) -> Result<bool, EngineError> {
        if self.standby.is_some() {
            return Ok(self.others_have_caught_up().await);
        }
        let stopped: Vec<_> = self.slots.values().filter_map(Slot::stopped).collect();
        let others_done =
            self.slots.values().all(|slot| slot.stopped().is_some() || slot.is_caught_up());
        if !stopped.is_empty() && others_done {
            let why = stopped.join("; ");
            return Err(EngineError::Stopped { pipeline: self.id.clone(), why });
        }
        if self.is_left_over() {
            return Ok(self.others_have_caught_up().await);
        }
        if self.slots.is_empty() || !others_done {
            if let Some(why) = self.lookups.hopeless() {
                return Err(EngineError::Stopped { pipeline: self.id.clone(), why });
            }
            return Ok(false);
        }
        if !self.is_time_for_others() {
            return Ok(false);
        }
        // Caught up as far as reading told; what came since is for another turn.
        self.look().await;
        Ok(self.slots.values().all(Slot::is_caught_up) && self.others_have_caught_up().await)
    }

    /// Commits what is open, as far as that goes within the drain's time.
    async fn drain(&mut self) {
        let limit = self.options.drain;
        let drained = async {
            self.give_up(&self.all()).await;
        };
        if tokio::time::timeout(limit, drained).await.is_err() {
            tracing::warn!(
                pipeline = self.id,
                "the sink didn't take what was open within {} s; it is read again at the next start",
                limit.as_secs()
            );
        }
    }

    fn wait(&self) -> Duration {
        let now = Instant::now();
        let waits = self.lookups.wait();
        let slots = self.slots.values().filter(|slot| !(waits && slot.is_filling()));
        let due = slots.filter_map(|slot| slot.due(self.pipeline.roll.every)).min();
        due.map_or(LONGEST_WAIT, |due| due.saturating_duration_since(now).min(LONGEST_WAIT))
    }

    pub(super) fn all(&self) -> Vec<TopicPartition> {
        self.slots.keys().cloned().collect()
    }

    fn held(&self) -> usize {
        self.slots.values().map(Slot::held).sum()
    }
}
