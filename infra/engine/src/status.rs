use serde::Serialize;

/// How a pipeline stands, for progress bars, the console and scripts.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Status {
    pub pipeline: String,
    /// What it is doing, or what it waits for, in words.
    pub state: State,
    pub partitions: Vec<PartitionStatus>,
    /// Since this worker started.
    pub totals: Totals,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
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

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartitionStatus {
    pub topic: String,
    pub partition: u32,
    /// The next offset to be committed.
    pub position: i64,
    pub end: i64,
    /// Bytes held in memory.
    pub held: usize,
    pub state: State,
}

impl PartitionStatus {
    pub fn lag(&self) -> i64 {
        (self.end - self.position).max(0)
    }
}

/// Offsets by bucket, and rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
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
