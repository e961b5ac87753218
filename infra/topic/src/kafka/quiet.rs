use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{ClientContext, Statistics};
use tracing::{debug, info, warn};

use super::asker::Asker;
use super::brokers::Brokers;

/// Keeps librdkafka's own log lines at debug level: it logs each lost connection of each broker as an
/// error, and connects again by itself. What matters is told once, and once more when it is over; what it
/// says of its troubles is kept for the errors they come to.
#[derive(Debug)]
pub(super) struct Quiet {
    asker: Arc<Asker>,
    troubled: AtomicBool,
    pub(super) brokers: Arc<Brokers>,
}

/// What an AdminClient needs no more than.
pub(super) type Plain = DefaultProducerContext;

impl Quiet {
    pub(super) fn new(asker: Arc<Asker>) -> Self {
        Self { asker, troubled: AtomicBool::new(false), brokers: Arc::default() }
    }

    pub(super) fn trouble(&self, client: &str, what: &str) {
        if !self.troubled.swap(true, Ordering::Relaxed) {
            warn!(client, what, "Kafka can't be reached or is in trouble; trying on");
        }
    }

    pub(super) fn fine(&self, client: &str) {
        self.asker.fine();
        // Read first: a swap for every record would cost.
        if self.troubled.load(Ordering::Relaxed) && self.troubled.swap(false, Ordering::Relaxed) {
            info!(client, "Kafka is back");
        }
    }
}

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        heard_line(&self.asker, facility, message);
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        heard_error(&self.asker, &error, reason);
        if error.rdkafka_error_code() == Some(Code::AllBrokersDown) {
            self.trouble("producer", reason);
        }
    }

    fn stats(&self, statistics: Statistics) {
        if self.brokers.look(&statistics) {
            warn!(client = "producer", "Kafka's client has lost all its brokers; making a new one");
        }
    }
}

/// Takes in an error that no call gave back.
pub(super) fn heard_error(asker: &Asker, error: &KafkaError, reason: &str) {
    debug!(target: "librdkafka", %error, reason);
    asker.hear(error.rdkafka_error_code(), reason);
}

/// Some reasons are only logged.
pub(super) fn heard_line(asker: &Asker, facility: &str, message: &str) {
    if facility == "FAIL" {
        asker.hear(None, message);
    }
}

pub(super) fn log_line(level: RDKafkaLogLevel, facility: &str, message: &str) {
    debug!(target: "librdkafka", ?level, facility, message);
}
