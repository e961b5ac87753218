use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::metadata::MetadataTopic;

use super::errors::{code, told};
use super::member::Member;
use super::orders::Told;

/// A refusal that repeats itself is told once in this time.
const REPEAT: Duration = Duration::from_secs(5);
/// How long a topic may be unknown: a new one takes a moment to be known to every broker.
const MISSING: Duration = Duration::from_secs(30);

/// What stays wrong until somebody acts, told to the consumer, but not over and over.
#[derive(Default)]
pub(super) struct Complaints {
    last: Option<(Option<Code>, Instant)>,
    /// When librdkafka said that a topic is unknown. It says so once only, and not which.
    missing: Option<Instant>,
}

impl Complaints {
    pub(super) fn tell(&mut self, member: &Member, error: KafkaError) {
        let code = code(&error);
        let again = self.last.is_some_and(|(last, at)| last == code && at.elapsed() < REPEAT);
        if !again {
            self.last = Some((code, Instant::now()));
            let doing = format!("read as a member of group {}", member.group());
            member.tell(Told::Failed(told(doing, error)));
        }
    }

    pub(super) fn missing(&mut self) {
        self.missing.get_or_insert_with(Instant::now);
    }

    /// When a topic was unknown a while ago: tells it if it still is.
    pub(super) fn look_for_missing(&mut self, consumer: &BaseConsumer<Member>, member: &Member) {
        if self.missing.is_none_or(|since| since.elapsed() < MISSING) {
            return;
        }
        self.missing = None;
        let Ok(topics) = consumer.subscription() else { return };
        for topic in topics.elements() {
            let metadata = consumer.fetch_metadata(Some(topic.topic()), Duration::from_secs(1));
            let found = metadata.as_ref().ok().and_then(|metadata| metadata.topics().first());
            match found.and_then(MetadataTopic::error).map(Code::from) {
                Some(code @ (Code::UnknownTopic | Code::UnknownTopicOrPartition)) => {
                    self.tell(member, KafkaError::MessageConsumption(code));
                }
                // The next look is worth as much.
                None if metadata.is_err() => self.missing(),
                _ => {}
            }
        }
    }
}
