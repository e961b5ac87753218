use std::time::{Duration, Instant};

use rdkafka::Statistics;

/// How long a member may send its group nothing while a broker can be reached: twice the brokers' patience of 45 s.
const SILENCE: Duration = Duration::from_secs(90);
/// What tells a group that a member is there, as librdkafka names requests.
const SIGNS: [&str; 4] = ["ConsumerGroupHeartbeat", "Heartbeat", "JoinGroup", "SyncGroup"];

/// Whether the group still hears of a member. One was seen, once, that the brokers threw out after a minute without
/// Kafka and that never came back: librdkafka neither told an error nor joined again.
#[derive(Debug)]
pub(super) struct Pulse {
    /// So many requests went to the group.
    sent: i64,
    /// When the last of them was seen.
    since: Instant,
}

impl Pulse {
    pub(super) fn new(now: Instant) -> Self {
        Self { sent: 0, since: now }
    }

    /// Takes in what librdkafka tells of itself; whether the member has to join anew.
    pub(super) fn is_lost(&mut self, told: &Statistics, now: Instant) -> bool {
        let requests = |sign| told.brokers.values().filter_map(move |broker| broker.req.get(sign));
        let sent = SIGNS.into_iter().flat_map(requests).sum();
        if sent != self.sent || !is_due(told) {
            *self = Self { sent, since: now };
        }
        now.duration_since(self.since) >= SILENCE
    }
}

/// Whether a sign can be expected: a broker is there, and the member isn't in a rebalance, in which the classic protocol
/// is silent as long as it waits for others.
fn is_due(told: &Statistics) -> bool {
    let reached = told.brokers.values().any(|broker| broker.state == "UP");
    reached && told.cgrp.as_ref().is_some_and(|group| !group.join_state.starts_with("wait"))
}

#[cfg(test)]
mod tests {
    use rdkafka::statistics::{Broker, ConsumerGroup};

    use super::*;

    fn told(sent: i64, broker: &str, join_state: &str) -> Statistics {
        let req = [("ConsumerGroupHeartbeat".to_owned(), sent), ("Fetch".to_owned(), 9)].into();
        let broker = Broker { state: broker.to_owned(), req, ..Broker::default() };
        let cgrp = ConsumerGroup { join_state: join_state.to_owned(), ..ConsumerGroup::default() };
        let brokers = [("one".to_owned(), broker)].into();
        Statistics { brokers, cgrp: Some(cgrp), ..Statistics::default() }
    }

    fn after(told: impl Fn(i64) -> Statistics) -> bool {
        let begun = Instant::now();
        let mut pulse = Pulse::new(begun);
        (1..60).any(|n| pulse.is_lost(&told(n), begun + Duration::from_secs(5) * n as u32))
    }

    #[test]
    fn who_sends_nothing_while_a_broker_is_there_is_lost() {
        assert!(after(|_| told(7, "UP", "steady")));
        assert!(after(|n| told(n.min(9), "UP", "init")));
    }

    #[test]
    fn who_sends_or_can_not_or_waits_for_others_is_not() {
        assert!(!after(|n| told(n / 10, "UP", "steady")));
        assert!(!after(|_| told(7, "DOWN", "steady")));
        assert!(!after(|_| told(7, "UP", "wait-sync")));
        assert!(!after(|_| Statistics { cgrp: None, ..told(7, "UP", "steady") }));
    }
}
