use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::metadata::MetadataTopic;

use super::errors::{code, is_unknown};
use super::member::Member;
use super::orders::Told;

/// A refusal that repeats itself is told once in this time.
const REPEAT: Duration = Duration::from_secs(5);
/// How long a topic may be unknown: a new one takes a moment to be known to every broker.
const MISSING: Duration = Duration::from_secs(30);
/// How long no broker may let us in.
const LASTING: Duration = Duration::from_secs(10);

/// What stays wrong until somebody acts, told to the consumer, but not over and over.
#[derive(Default)]
pub(super) struct Complaints {
    last: Option<(Option<Code>, Instant)>,
    /// When librdkafka said that a topic is unknown. It says so once only, and not which.
    missing: Option<Instant>,
    /// When it was told that no broker lets us in.
    told: Option<Instant>,
}

impl Complaints {
    pub(super) fn tell(&mut self, member: &Member, error: KafkaError) {
        let code = code(&error);
        let again = self.last.is_some_and(|(last, at)| last == code && at.elapsed() < REPEAT);
        if !again {
            self.last = Some((code, Instant::now()));
            member.tell(Told::Failed(member.reading().failed(error)));
        }
    }

    /// When no broker lets us in, for a reason that stays: tells it. One broker of several may be wrong, or not
    /// ready, for a while.
    pub(super) fn look_for_trouble(&mut self, member: &Member) {
        let lasting = member.asker().trouble(LASTING);
        if !lasting.is_some_and(|trouble| trouble.is_certain()) {
            return;
        }
        let again = self.told.is_some_and(|at| at.elapsed() < REPEAT);
        if !again && let Some(trouble) = member.asker().trouble_looked_into() {
            self.told = Some(Instant::now());
            let error = KafkaError::MessageConsumption(Code::AllBrokersDown);
            member.tell(Told::Failed(member.reading().stopped_by(&trouble, error)));
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
                Some(code) if is_unknown(code) => {
                    self.tell(member, KafkaError::MessageConsumption(code));
                }
                // The next look is worth as much.
                None if metadata.is_err() => self.missing(),
                _ => {}
            }
        }
    }
}
