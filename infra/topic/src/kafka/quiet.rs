use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::DefaultProducerContext;
use tracing::{debug, info, warn};

/// Keeps librdkafka's own log lines at debug level: it logs each lost connection of each broker as an
/// error, and connects again by itself. What matters is told once, and once more when it is over.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    troubled: AtomicBool,
}

/// What an AdminClient needs no more than.
pub(super) type Plain = DefaultProducerContext;

impl Quiet {
    pub(super) fn trouble(&self, client: &str, what: &str) {
        if !self.troubled.swap(true, Ordering::Relaxed) {
            warn!(client, what, "Kafka can't be reached or is in trouble; trying on");
        }
    }

    pub(super) fn fine(&self, client: &str) {
        // Read first: a swap for every record would cost.
        if self.troubled.load(Ordering::Relaxed) && self.troubled.swap(false, Ordering::Relaxed) {
            info!(client, "Kafka is back");
        }
    }
}

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(target: "librdkafka", %error, reason);
        if error.rdkafka_error_code() == Some(Code::AllBrokersDown) {
            self.trouble("producer", reason);
        }
    }
}

pub(super) fn log_line(level: RDKafkaLogLevel, facility: &str, message: &str) {
    debug!(target: "librdkafka", ?level, facility, message);
}
