use std::sync::atomic::{AtomicU32, Ordering};

use rdkafka::Statistics;

/// So many statistics in a row without a broker, and none will come.
const IN_A_ROW: u32 = 2;

/// Whether a client has brokers still.
///
/// librdkafka 2.10 to 2.15 forget each broker that an answer about topics doesn't name, those of `bootstrap.servers`, too.
/// A broker that has just started names none, not even itself. When it is the only one, the client may find nobody any
/// more: it wants to begin anew from `bootstrap.servers`, but takes the one that it is about to forget for known
/// (`rd_kafka_find_or_add_broker`). Then it asks nobody and tells nothing, but for its statistics.
#[derive(Debug, Default)]
pub(super) struct Brokers {
    /// How many statistics in a row named none.
    without: AtomicU32,
}

impl Brokers {
    /// Takes in the statistics; tells whether they are the first ones by which all brokers are lost.
    pub(super) fn look(&self, statistics: &Statistics) -> bool {
        // The others are a group's coordinator, and the queue of what has no broker.
        let any = statistics
            .brokers
            .values()
            .any(|broker| matches!(broker.source.as_str(), "configured" | "learned"));
        if any {
            self.without.store(0, Ordering::Relaxed);
            return false;
        }
        self.without.fetch_add(1, Ordering::Relaxed) + 1 == IN_A_ROW
    }

    /// Whether there are none left, and the client is of no use.
    pub(super) fn are_lost(&self) -> bool {
        self.without.load(Ordering::Relaxed) >= IN_A_ROW
    }
}
