//! Topics that can't be reached. A consumer tells of some faults; of others it tells nothing and just brings no
//! records: these are found by asking.

use std::time::Duration;

use millstream_topic::TopicPartition;
use tokio::time::timeout;

use super::{Worker, chain};
use crate::status::What;

/// How long an answer about topics may take.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Why the topics can't be read at the moment.
#[derive(Debug)]
pub(super) struct Outage {
    pub(super) why: String,
    /// Whether the consumer told it: then its next event says that it is over.
    told: bool,
}

impl Worker {
    /// Waits out a fault that the consumer told of.
    pub(super) async fn sit_out(&mut self, failed: String) {
        self.trouble(failed, true);
        self.totals.retries += 1;
        tokio::select! {
            () = tokio::time::sleep(self.backoff.next()) => {}
            () = self.stop.cancelled() => {}
        }
    }

    fn trouble(&mut self, why: String, told: bool) {
        if self.outage.is_none() {
            tracing::warn!(pipeline = self.id, "{why}; trying until it works");
            self.happened(What::Retrying, &[], &why);
        }
        self.outage = Some(Outage { why, told });
        self.publish(true);
    }

    fn recover(&mut self) {
        if self.outage.take().is_some() {
            tracing::info!(pipeline = self.id, "reading again");
            self.happened(What::Recovered, &[], "the topics can be read again");
            self.backoff.reset();
        }
    }

    /// An event of the consumer: what it told of is over. What asking found ends by asking, as some partitions may go on.
    pub(super) fn heard(&mut self) {
        if self.outage.as_ref().is_some_and(|outage| outage.told) {
            self.recover();
        }
    }

    /// Asks how far the topics reach: a consumer that has gone silent doesn't tell.
    pub(super) async fn look(&mut self) {
        for topic in self.pipeline.topics() {
            if !self.look_at(&topic.name).await {
                return;
            }
        }
        if self.outage.as_ref().is_some_and(|outage| !outage.told) {
            self.recover();
        }
    }

    /// Learns a topic's ends, and whether it still is the one that was opened: one that was deleted and
    /// recreated may go on delivering as if nothing had happened. `false`: nobody answers.
    pub(super) async fn look_at(&mut self, topic: &str) -> bool {
        let info = match timeout(ANSWER_WITHIN, self.world.topics.info(topic)).await {
            Ok(Ok(info)) => info,
            Ok(Err(error)) => {
                // What is wrong besides, reading tells.
                let away = error.is_retryable();
                if away {
                    self.trouble(chain(&error), false);
                }
                return !away;
            }
            Err(_) => {
                self.trouble(silent(&format!("look at topic {topic}")), false);
                return false;
            }
        };
        let Some(info) = info else { return true };
        for (at, slot) in self.slots.iter_mut().filter(|(at, _)| at.topic == topic) {
            if let Some(bounds) = info.partitions.get(at.partition as usize) {
                slot.end = bounds.end;
            }
            if slot.is_at_work() && slot.topic_id != info.id {
                slot.reopen();
            }
        }
        true
    }

    /// Tells the group how far the sink is. For ordinary lag tools only: the position in the sink is the truth.
    pub(super) async fn tell_group(&mut self, next: &[(TopicPartition, i64)]) {
        // The next commit tells it, too.
        if next.is_empty() || self.outage.is_some() {
            return;
        }
        match timeout(ANSWER_WITHIN, self.consumer.commit(next)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(pipeline = self.id, "{}", chain(&error)),
            Err(_) => self.trouble(silent("commit the group's offsets"), false),
        }
    }
}

fn silent(doing: &str) -> String {
    format!("{doing}: no answer within {} s", ANSWER_WITHIN.as_secs())
}
