use millstream_topic::TopicPartition;
use serde::{Deserialize, Serialize};

/// One partition as one pipeline sees it. Everything a sink keeps about it is filed under this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// `app.pipeline`: who owns the position.
    pub pipeline: String,
    pub at: TopicPartition,
    /// What the topic is now; compared with what the ledger's genesis says.
    pub genesis: Genesis,
    /// Of the code and configuration that turn records into rows.
    pub fingerprint: String,
}

/// What a ledger begins with: which log it counts, and from where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Genesis {
    pub cluster: String,
    pub topic_id: String,
    pub first_offset: i64,
}

/// The ledger's line for one range `start..=end` of one partition. Stored atomically with the position,
/// which is `end + 1` of the last entry: the position has no other place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// 0 is the genesis; every entry is one more than the one before.
    pub seq: u64,
    /// First offset of the range.
    pub start: i64,
    /// Last offset of the range, inclusive; `start - 1` where the range is empty (genesis, operator's choices).
    pub end: i64,
    pub buckets: Buckets,
    /// Rows the sink got from this range (lake: rows written; upserts: rows before keys were merged).
    pub rows: u64,
    /// Sum of the deltas a counter got from this range; 0 for other sinks.
    pub units: i64,
    /// Of the code that made the rows.
    pub fingerprint: String,
    pub topic_id: String,
    pub cluster: String,
    /// Version of the last record seen, in microseconds since the epoch (docs/guarantees.md, keyed upserts).
    pub version: i64,
    /// Offset of the last record seen (not absent), with its timestamp and checksum: tells a recreated or
    /// truncated topic from ours. `None` until a record was seen.
    pub last: Option<LastRecord>,
    pub kind: EntryKind,
    /// Milliseconds since the epoch when the range was closed.
    pub closed_ms: i64,
}

impl Entry {
    /// The offset that comes after this entry: where the partition goes on.
    pub fn next(&self) -> i64 {
        self.end + 1
    }

    /// Seq 0 of a partition.
    pub fn genesis(assignment: &Assignment, closed_ms: i64) -> Self {
        let Genesis { cluster, topic_id, first_offset } = assignment.genesis.clone();
        Self {
            seq: 0,
            start: first_offset,
            end: first_offset - 1,
            buckets: Buckets::default(),
            rows: 0,
            units: 0,
            fingerprint: assignment.fingerprint.clone(),
            topic_id,
            cluster,
            version: 0,
            last: None,
            kind: EntryKind::Genesis,
            closed_ms,
        }
    }

    /// The entry after this one that covers no offset: an operator's choice.
    pub fn choice(&self, kind: EntryKind, closed_ms: i64) -> Self {
        Self {
            seq: self.seq + 1,
            start: self.next(),
            end: self.end,
            buckets: Buckets::default(),
            rows: 0,
            units: 0,
            kind,
            closed_ms,
            ..self.clone()
        }
    }
}

/// The last record that was worked off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRecord {
    pub offset: i64,
    pub timestamp_ms: i64,
    pub checksum: u32,
}

/// Where every offset of a range ended: `end - start + 1` = the sum of all five.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buckets {
    pub delivered: u64,
    /// Decoded well, and the transform made no row of it.
    pub filtered: u64,
    /// The offsets that went to the dead-letter topic.
    pub dead: Vec<i64>,
    /// Null values on a compacted topic.
    pub tombstones: u64,
    /// Offsets that held no record for us, as `(first, last)` stretches.
    pub absent: Vec<(i64, i64)>,
}

impl Buckets {
    pub fn absent_count(&self) -> u64 {
        self.absent.iter().map(|(first, last)| (last - first + 1) as u64).sum()
    }

    /// Offsets accounted for.
    pub fn total(&self) -> u64 {
        self.delivered
            + self.filtered
            + self.dead.len() as u64
            + self.tombstones
            + self.absent_count()
    }
}

/// What an entry stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type")]
pub enum EntryKind {
    Genesis,
    /// Records worked off.
    Range,
    /// `position skip`: the operator gave these offsets up; they count as absent.
    Skip {
        reason: String,
    },
    /// `position accept-change`: from here on rows are made by other code.
    AcceptChange,
    /// `position adopt-topic`: the topic was recreated; counting goes on from `end + 1` of this entry.
    AdoptTopic,
}
