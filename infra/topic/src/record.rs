use bytes::Bytes;

use crate::TopicError;

/// One record as read from a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub offset: i64,
    /// Milliseconds since the Unix epoch (create time).
    pub timestamp_ms: i64,
    pub key: Option<Bytes>,
    /// `None` is a tombstone on a compacted topic and a poison record elsewhere.
    pub value: Option<Bytes>,
    pub headers: Vec<(String, Bytes)>,
}

impl Record {
    /// CRC-32 over timestamp, key and value: tells whether the record at an offset is still the one
    /// that was worked off (a recreated topic has another one there).
    pub fn checksum(&self) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.timestamp_ms.to_le_bytes());
        for part in [&self.key, &self.value] {
            match part {
                Some(bytes) => {
                    crc.update(&(bytes.len() as u64).to_le_bytes());
                    crc.update(bytes);
                }
                None => crc.update(&u64::MAX.to_le_bytes()),
            }
        }
        crc.finalize()
    }

    /// Bytes the record holds in memory, for back-pressure.
    pub fn size(&self) -> usize {
        let part = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let headers: usize =
            self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        size_of::<Self>() + part(&self.key) + part(&self.value) + headers
    }

    /// The value of the first header of that name.
    pub fn header(&self, name: &str) -> Option<&Bytes> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value)
    }
}

/// One record to be appended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// Decides the partition (Kafka's murmur2); without a key the backend spreads records.
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<(String, Bytes)>,
    /// Milliseconds since the Unix epoch; `None`: now.
    pub timestamp_ms: Option<i64>,
    /// `Some` overrides the key's choice.
    pub partition: Option<u32>,
}

impl Outgoing {
    /// A keyed record.
    pub fn keyed(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self { key: Some(key.into()), value: Some(value.into()), ..Self::default() }
    }
}

/// A compacted topic takes no record without key, as in Kafka: it would shadow nothing and stay for ever.
pub(crate) fn refuse_keyless(topic: &str, records: &[Outgoing]) -> Result<(), TopicError> {
    let Some(place) = records.iter().position(|record| record.key.is_none()) else { return Ok(()) };
    Err(TopicError::refused(
        format!("append to topic {topic}"),
        format!(
            "record {} of {} has no key, and the topic is compacted by key",
            place + 1,
            records.len()
        ),
        "give every record a key, or send to a topic that isn't compacted",
    ))
}

/// Where an appended record landed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    pub partition: u32,
    pub offset: i64,
}

/// A stretch of a partition, read without a group.
#[derive(Clone, Debug, Default)]
pub struct Slice {
    /// In offset order.
    pub records: Vec<Record>,
    /// Where to go on. Offsets from the asked one up to this that are not among `records` are absent.
    pub next: i64,
    /// The partition's end when this was read: the offset its next record will get.
    pub end: i64,
}
