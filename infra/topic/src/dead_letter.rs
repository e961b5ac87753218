use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use crate::{Outgoing, Record, TopicError, TopicPartition};

const PIPELINE: &str = "millstream.pipeline";
const TOPIC: &str = "millstream.topic";
const PARTITION: &str = "millstream.partition";
const OFFSET: &str = "millstream.offset";
const KIND: &str = "millstream.error.kind";
const TEXT: &str = "millstream.error.text";
const TIME: &str = "millstream.time";
const TIMESTAMP: &str = "millstream.timestamp";
/// Tells a dead letter that never had a value from one that lost it on the way.
const NULL: &str = "millstream.null";

/// How many characters of a reason are kept.
pub const REASON_CHARS: usize = 1_000;

/// A record that could not be worked off, with what is needed to find it again and to see why.
/// Identified by pipeline, topic, partition and offset: the same one may be written more than once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// `app.pipeline`, the one that gave the record up.
    pub pipeline: String,
    /// Where the record was read.
    pub at: TopicPartition,
    pub offset: i64,
    pub kind: Kind,
    /// What failed, in words; the first [`REASON_CHARS`] characters are written.
    pub reason: String,
    /// When it was given up, in milliseconds since the Unix epoch.
    pub time_ms: i64,
    /// The record's own timestamp, in milliseconds since the Unix epoch: sent in again with it, the record
    /// doesn't overwrite what came after it.
    pub timestamp_ms: i64,
    /// The record's own key and value, byte by byte.
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
}

/// Where on its way a record failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Its bytes are not what the topic's schema says.
    Decode,
    /// The pipeline's SQL or function failed on it.
    Transform,
    /// It is null where a value belongs.
    Null,
    /// It is bigger than the pipeline takes.
    TooLarge,
    /// The sink will never take it.
    Refused,
}

/// The topic that takes the dead letters of `source_topic`.
pub fn topic_for(source_topic: &str) -> String {
    format!("{source_topic}.dead-letters")
}

/// The topic through which `pipeline` alone gets its dead letters from `topic` again.
pub fn replay_topic_for(topic: &str, pipeline: &str) -> String {
    format!("{topic}.replay.{pipeline}")
}

impl Kind {
    const ALL: [Self; 5] =
        [Self::Decode, Self::Transform, Self::Null, Self::TooLarge, Self::Refused];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Transform => "transform",
            Self::Null => "null",
            Self::TooLarge => "too-large",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        known.ok_or_else(|| unreadable(format!("{text:?} is no kind of dead letter")))
    }
}

impl DeadLetter {
    /// The record to be appended to the dead-letter topic.
    pub fn to_outgoing(&self) -> Outgoing {
        let reason: String = self.reason.chars().take(REASON_CHARS).collect();
        let mut headers = vec![
            text(PIPELINE, self.pipeline.clone()),
            text(TOPIC, self.at.topic.clone()),
            text(PARTITION, self.at.partition.to_string()),
            text(OFFSET, self.offset.to_string()),
            text(KIND, self.kind.to_string()),
            text(TEXT, reason),
            text(TIME, self.time_ms.to_string()),
            text(TIMESTAMP, self.timestamp_ms.to_string()),
        ];
        if self.value.is_none() {
            headers.push(text(NULL, "true".to_owned()));
        }
        Outgoing {
            key: self.key.clone(),
            value: self.value.clone(),
            headers,
            timestamp_ms: Some(self.time_ms),
            partition: None,
        }
    }

    /// Reads a record of a dead-letter topic. Refused when it was not written by [`Self::to_outgoing`].
    pub fn from_record(record: &Record) -> Result<Self, TopicError> {
        let null = record.header(NULL).is_some();
        if null != record.value.is_none() {
            return Err(unreadable(format!(
                "its value and its header {NULL} contradict each other"
            )));
        }
        let topic = field::<String>(record, TOPIC)?;
        Ok(Self {
            pipeline: field(record, PIPELINE)?,
            at: TopicPartition::new(topic, field(record, PARTITION)?),
            offset: field(record, OFFSET)?,
            kind: field(record, KIND)?,
            reason: field(record, TEXT)?,
            time_ms: field(record, TIME)?,
            timestamp_ms: field(record, TIMESTAMP)?,
            key: record.key.clone(),
            value: record.value.clone(),
        })
    }
}

fn text(name: &str, value: String) -> (String, Bytes) {
    (name.to_owned(), value.into())
}

fn field<T: FromStr>(record: &Record, name: &str) -> Result<T, TopicError> {
    let bytes =
        record.header(name).ok_or_else(|| unreadable(format!("header {name} is missing")))?;
    let text = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
    text.ok_or_else(|| {
        unreadable(format!("header {name} holds {:?}", String::from_utf8_lossy(bytes)))
    })
}

fn unreadable(why: String) -> TopicError {
    TopicError::refused("read a dead letter", why, "check who else writes to the dead-letter topic")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes() -> impl Strategy<Value = Option<Bytes>> {
        let some = prop::collection::vec(any::<u8>(), 0..50);
        prop::option::of(some.prop_map(Bytes::from))
    }

    prop_compose! {
        fn letter()(
            pipeline in "[a-z]{1,8}\\.[a-z]{1,8}",
            (topic, partition, offset) in (".{0,20}", any::<u32>(), any::<i64>()),
            kind in prop::sample::select(&Kind::ALL[..]),
            reason in prop::collection::vec(any::<char>(), 0..1_100),
            (time_ms, timestamp_ms) in any::<(i64, i64)>(),
            (key, value) in (bytes(), bytes()),
        ) -> DeadLetter {
            let (at, reason) = (TopicPartition::new(topic, partition), reason.into_iter().collect());
            DeadLetter { pipeline, at, offset, kind, reason, time_ms, timestamp_ms, key, value }
        }
    }

    fn written(letter: &DeadLetter) -> Record {
        let Outgoing { key, value, headers, timestamp_ms, .. } = letter.to_outgoing();
        Record { offset: 0, timestamp_ms: timestamp_ms.unwrap(), key, value, headers }
    }

    proptest! {
        #[test]
        fn comes_back_as_it_went(mut letter in letter()) {
            let read = DeadLetter::from_record(&written(&letter)).unwrap();
            letter.reason = letter.reason.chars().take(REASON_CHARS).collect();
            prop_assert_eq!(read, letter);
        }
    }

    #[test]
    fn names_the_missing_header() {
        let at = TopicPartition::new("weather", 1);
        let (pipeline, reason) = ("app.pipeline".to_owned(), "no such field".to_owned());
        let kind = Kind::Null;
        let letter = DeadLetter {
            pipeline,
            at,
            offset: 7,
            kind,
            reason,
            time_ms: 0,
            timestamp_ms: 0,
            key: None,
            value: None,
        };
        for place in 0..written(&letter).headers.len() {
            let mut record = written(&letter);
            let (name, _) = record.headers.remove(place);
            let error = DeadLetter::from_record(&record).unwrap_err();
            assert!(error.to_string().contains(&name), "{name}: {error}");
        }
    }

    #[test]
    fn topics_are_named_after_their_source() {
        assert_eq!(topic_for("weather"), "weather.dead-letters");
        assert_eq!(replay_topic_for("weather", "weather.table"), "weather.replay.weather.table");
    }
}
