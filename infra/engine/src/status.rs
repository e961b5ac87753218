use serde::{Deserialize, Serialize};

use crate::lookup::LookupStatus;

/// How a pipeline stands, for progress bars, the console and scripts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    pub pipeline: String,
    /// What it is doing, or what it waits for, in words.
    pub state: State,
    pub partitions: Vec<PartitionStatus>,
    /// Since this worker started.
    pub totals: Totals,
    /// How long batches take.
    pub batches: Batches,
    /// Bytes of records and rows that may be held in memory; above it reading pauses.
    pub memory: usize,
    /// The tables that rows are looked up in.
    pub lookups: Vec<LookupStatus>,
    /// What happened lately, oldest first.
    pub happenings: Vec<Happening>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is", content = "why")]
pub enum State {
    #[default]
    Starting,
    Running,
    /// Another worker does the work; this says who.
    Standby(String),
    /// A store or the topics can't be reached: tried again until they can.
    Retrying(String),
    /// Some partitions wait for a person.
    Stopped(String),
    Done,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PartitionStatus {
    pub topic: String,
    pub partition: u32,
    /// The next offset to be committed.
    pub position: i64,
    /// The next offset to be read.
    pub next: i64,
    pub end: i64,
    /// Bytes held in memory.
    pub held: usize,
    pub state: State,
    /// When the clock rolls what is open, in milliseconds since the Unix epoch; `None`: nothing is open.
    pub roll_at_ms: Option<i64>,
    /// Whether reading pauses until the sink has taken what is held, or a lookup table was read.
    pub paused: bool,
    /// Since it was assigned to this worker.
    pub counts: Counts,
}

/// What a partition came to since it was assigned to this worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Offsets worked off, but for absent ones.
    pub events: u64,
    pub dead_lettered: u64,
    pub retries: u64,
    pub batches: Batches,
}

/// How long batches take: from closing a range until the sink has it, tries that failed included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Batches {
    /// Committed so far.
    pub count: u64,
    /// The last one, in milliseconds.
    pub last_ms: u64,
    /// All together, in milliseconds.
    pub sum_ms: u64,
}

/// Something that happened to a pipeline in this worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happening {
    /// Milliseconds since the Unix epoch.
    pub at_ms: i64,
    pub what: What,
    /// As `topic-partition`; empty: the pipeline as a whole.
    pub partitions: Vec<String>,
    /// In words.
    pub why: String,
}

/// The kinds of happenings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Partitions came to this worker.
    Assigned,
    /// Partitions were asked back, and what was open is finished first.
    Revoked,
    /// Partitions went to another worker already.
    Lost,
    /// Another worker does all the work.
    Standby,
    /// Something failed and is tried again.
    Retrying,
    /// What was tried again works.
    Recovered,
    /// A partition waits for a person.
    Stopped,
    /// A silent partition was started again.
    Restarted,
}

impl PartitionStatus {
    pub fn lag(&self) -> i64 {
        (self.end - self.position).max(0)
    }
}

impl Batches {
    /// On average, in milliseconds; `None` before the first.
    pub fn mean_ms(&self) -> Option<u64> {
        self.sum_ms.checked_div(self.count)
    }

    pub(crate) fn add(&mut self, took: std::time::Duration) {
        self.last_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.sum_ms = self.sum_ms.saturating_add(self.last_ms);
        self.count += 1;
    }
}

/// Offsets by bucket, and rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    pub delivered: u64,
    pub filtered: u64,
    pub dead_lettered: u64,
    pub tombstones: u64,
    pub absent: u64,
    pub rows: u64,
    /// Ranges committed.
    pub ranges: u64,
    /// Tries that failed and were repeated.
    pub retries: u64,
    /// Partitions that had to be started again because nothing came.
    pub restarts: u64,
}

impl Totals {
    /// Offsets worked off.
    pub fn events(&self) -> u64 {
        self.delivered + self.filtered + self.dead_lettered + self.tombstones
    }
}

impl Status {
    pub fn lag(&self) -> i64 {
        self.partitions.iter().map(PartitionStatus::lag).sum()
    }
}
