use std::error::Error;
use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use millstream_topic::TopicPartition;

use crate::ledger::{Assignment, Entry};

/// Where a pipeline's rows go. The smallest implementation is [`crate::memory_sink::MemorySink`].
///
/// How the engine drives it, per partition:
///
/// ```text
/// match sink.open(&assignment).await? {
///     Standing::At(entry)                    => read from entry.next(), close ranges as they roll,
///     Standing::Planned { after, end }       => read exactly after.next()..=end, close that range first,
/// }
/// match sink.commit(&assignment, &range).await? {     // of several partitions at once: sink.commit_all
///     Committed  => go on with range.entry as the last one,
///     Superseded => somebody else was faster: drop the range, open again,
/// }
/// ```
#[async_trait]
pub trait Sink: Send {
    /// Where the partition stands in this sink; writes the genesis entry when it is new. Finishes, or
    /// ends as abandoned, what an earlier worker left half done.
    async fn open(&mut self, assignment: &Assignment) -> Result<Standing, SinkError>;

    /// Makes the range's rows, its ledger entry and the new position durable, all or nothing, and only if the
    /// last entry is still `range.entry.seq - 1`.
    async fn commit(
        &mut self,
        assignment: &Assignment,
        range: &Range,
    ) -> Result<Outcome, SinkError>;

    /// Commits ranges of several partitions, each by itself; the outcomes are in their order. One after the other, unless
    /// the sink can have them under way at once.
    async fn commit_all(
        &mut self,
        ranges: &[(&Assignment, &Range)],
    ) -> Vec<Result<Outcome, SinkError>> {
        let mut outcomes = Vec::with_capacity(ranges.len());
        for (assignment, range) in ranges {
            outcomes.push(self.commit(assignment, range).await);
        }
        outcomes
    }

    /// Ledger entries of a partition with `seq >= from`, at most `max`, in order. Empty: none are there.
    async fn ledger(
        &mut self,
        at: &TopicPartition,
        from: u64,
        max: usize,
    ) -> Result<Vec<Entry>, SinkError>;

    /// Told after a partition of `topic` was opened: how far its partitions reach, one end each. For sinks that
    /// show what they have once it is whole.
    async fn reaches(&mut self, _topic: &str, _ends: &[i64]) -> Result<(), SinkError> {
        Ok(())
    }

    /// Asked every few seconds, also while no records come: whether what was opened still stands. `false`: the sink has
    /// begun anew, and every partition is to be opened again.
    async fn still_stands(&mut self) -> Result<bool, SinkError> {
        Ok(true)
    }
}

/// What a pipeline names as its sink: a table, not yet connected to.
#[async_trait]
pub trait Target: Send + Sync + Debug {
    /// What it is, without I/O.
    fn about(&self) -> About;

    /// Connects for `pipeline` (`app.pipeline`), makes what is missing and records the pipeline as the
    /// table's owner; refused where another pipeline owns it. `schema` is that of the rows to come.
    async fn connect(&self, pipeline: &str, schema: &SchemaRef)
    -> Result<Box<dyn Sink>, SinkError>;

    /// Shows every committed row, batch by batch, for `verify` and `query`. A table that was never
    /// connected to shows none.
    async fn scan(
        &self,
        pipeline: &str,
        visit: &mut (dyn FnMut(RecordBatch) -> Result<(), SinkError> + Send),
    ) -> Result<(), SinkError>;

    /// Rows it can never hold, by number, each with the reason: their records are dead-lettered. Says the same whenever
    /// it is asked; no I/O.
    fn unfit(&self, _rows: &RecordBatch) -> Vec<(usize, String)> {
        Vec::new()
    }

    /// Has what is derived from the topic alone built anew, beside what is served meanwhile; the worker begins
    /// with its next commit, or when it starts. Refused by targets that can't. May block for a moment.
    fn rebuild(&self) -> Result<(), SinkError> {
        let About { table, place, .. } = self.about();
        Err(SinkError::refused(
            format!("build {table} in {place} anew"),
            "it has no builds that could take each other's place",
            "name a new table in its place",
        ))
    }

    /// Whether a range that is written again after a crash, with other values in some columns, may leave rows that
    /// have columns of both tries: so where every column is kept by itself and versions are equal. Such a target
    /// takes no columns that were looked up.
    fn mixes_tries(&self) -> bool {
        false
    }
}

/// A target in words and rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Name of the table.
    pub table: String,
    /// Where it is, without secrets: "sqlite://tables/my_keyspace.db".
    pub place: String,
    pub keeping: Keeping,
    /// Columns in which null can't stand (keys, Hive partitions, counts): such records are dead-lettered.
    pub required: Vec<String>,
}

/// How rows meet those that are there already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// Each row stays by itself (lake).
    Append,
    /// One row per key, the one with the highest version.
    Upsert { key: Vec<String> },
    /// One row per key, whose `count` column grows by each row's.
    Count { key: Vec<String>, count: String },
}

/// Where a partition stands when it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// This is the last entry.
    At(Entry),
    /// A range after this entry was planned and not ended: exactly `after.next()..=end` comes first.
    Planned { after: Entry, end: i64 },
}

impl Standing {
    /// The last entry.
    pub fn entry(&self) -> &Entry {
        match self {
            Self::At(entry) | Self::Planned { after: entry, .. } => entry,
        }
    }
}

/// How a commit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Committed,
    /// Another worker planned or committed this `seq`: drop the range and open again.
    Superseded,
}

/// A closed range: what it did (the entry) and the rows it made.
#[derive(Clone, Debug)]
pub struct Range {
    pub entry: Entry,
    pub rows: Vec<Rows>,
    /// Keys to be deleted, of compacted topics.
    pub deletes: Vec<Delete>,
}

/// Rows with their versions.
#[derive(Clone, Debug)]
pub struct Rows {
    pub batch: RecordBatch,
    /// One per row, microseconds, ascending: of two rows of one key the higher one stays.
    pub versions: Arc<Int64Array>,
}

/// A deletion by key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    pub key: bytes::Bytes,
    pub version: i64,
}

/// What went wrong in a sink, told by what is to be done about it.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The store can't be reached, is busy or asks for patience: the engine tries again.
    #[error("{doing}")]
    Unavailable {
        doing: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Stays as it is until somebody acts: the engine stops the partition and says this.
    #[error("{doing}: {why}; {remedy}")]
    Refused { doing: String, why: String, remedy: String },
}

impl SinkError {
    pub fn unavailable(
        doing: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Unavailable { doing: doing.into(), source: source.into() }
    }

    pub fn refused(
        doing: impl Into<String>,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Refused { doing: doing.into(), why: why.into(), remedy: remedy.into() }
    }

    /// The same trouble in something else that was being done.
    pub fn in_the_way_of(&self, doing: impl Into<String>) -> Self {
        match self {
            Self::Unavailable { .. } => Self::unavailable(doing, crate::chain(self)),
            Self::Refused { doing: first, why, remedy } => {
                Self::refused(doing, format!("{first}: {why}"), remedy)
            }
        }
    }

    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}
