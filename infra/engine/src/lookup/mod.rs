//! Lookup tables: small tables that live elsewhere and are read whole, again and again, so that a pipeline's SQL may
//! `LEFT JOIN` them on their key. What is looked up decides nothing about a record: not its key, its path, or whether
//! it is kept; so a replay that sees a later snapshot delivers the same records to the same places.
//!
//! # Layout
//! - [`Lookup`]: what is declared of a table, and the latest that was read of it.
//! - [`LookupSource`]: where it is read from.
//! - [`Snapshot`]: its rows by key, as of a moment.
//! - `keep`: reads it again and again.
//! - [`LookupStatus`]: fresh, stale or missing, and whether partitions wait for it.

mod error;
mod keep;
mod snapshot;
mod status;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use async_trait::async_trait;
use tokio::time::{Instant, timeout};

pub use error::LookupError;
pub use snapshot::Snapshot;
pub use status::{Freshness, LookupStatus};

pub(crate) use keep::keep;

/// Reading the table takes at most so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a lookup table lives.
#[async_trait]
pub trait LookupSource: Send + Sync + Debug {
    /// In words, without secrets: "patients in mysql://app@db:3306/hospital".
    fn place(&self) -> String;

    /// These columns of all rows, as they were at one moment. Stops and refuses as soon as it has read more than
    /// `limits` allow.
    async fn read(
        &self,
        columns: &SchemaRef,
        limits: Limits,
    ) -> Result<Vec<RecordBatch>, LookupError>;
}

/// How much of a table is held in memory. While it is read anew there are two of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub rows: usize,
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rows: 1_000_000, bytes: 64 << 20 }
    }
}

/// What becomes of records while the snapshot is older than twice the time after which it should have been read anew.
/// While there is none they always wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenStale {
    /// Reading pauses until a fresh one was read.
    #[default]
    Wait,
    /// Rows go on being looked up in it until it is this old; then reading pauses.
    Use { max_age: Duration },
}

/// A table to look rows up in. Clones of a pipeline share it, and with it what was read last.
pub struct Lookup {
    name: String,
    key: String,
    columns: SchemaRef,
    source: Arc<dyn LookupSource>,
    every: Duration,
    when_stale: WhenStale,
    limits: Limits,
    latest: RwLock<Latest>,
}

#[derive(Debug, Default)]
struct Latest {
    /// With when reading it began.
    snapshot: Option<(Arc<Snapshot>, Instant)>,
    /// Why the last try to read failed.
    failed: Option<Failed>,
}

#[derive(Clone, Debug)]
struct Failed {
    why: String,
    retryable: bool,
}

impl Lookup {
    /// `name`: what SQL calls it. `key`: the column that SQL joins it on, and in which no value stands twice.
    /// Read every 5 minutes, and waited for when stale, until said otherwise.
    pub fn new(name: &str, key: &str, columns: SchemaRef, source: Arc<dyn LookupSource>) -> Self {
        Self {
            name: name.to_owned(),
            key: key.to_owned(),
            columns,
            source,
            every: Duration::from_secs(300),
            when_stale: WhenStale::Wait,
            limits: Limits::default(),
            latest: RwLock::default(),
        }
    }

    /// Reads it anew after so long.
    pub fn every(mut self, every: Duration) -> Self {
        self.every = every.max(Duration::from_millis(10));
        self
    }

    pub fn when_stale(mut self, when_stale: WhenStale) -> Self {
        self.when_stale = when_stale;
        self
    }

    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    pub fn columns(&self) -> &SchemaRef {
        &self.columns
    }

    /// Where it is read from, without secrets.
    pub fn place(&self) -> String {
        self.source.place()
    }

    /// The column that tells of each row which snapshot it was looked up in: when that was read.
    pub fn version_column(&self) -> String {
        format!("{}_version", self.name)
    }

    /// Microseconds in UTC.
    pub(crate) fn version_type() -> DataType {
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
    }

    /// What makes other rows of the same records: part of the code's fingerprint. Neither the place nor what was read.
    pub(crate) fn id(&self) -> String {
        let columns = self.columns.fields().iter();
        let columns: Vec<_> =
            columns.map(|field| format!("{} {}", field.name(), field.data_type())).collect();
        format!("lookup {} by {} ({})", self.name, self.key, columns.join(", "))
    }

    /// Declared well.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self.columns.field_with_name(&self.key) {
            Ok(_) => Ok(()),
            Err(_) => {
                Err(format!("lookup {}: its key {:?} is none of its columns", self.name, self.key))
            }
        }
    }

    /// The latest snapshot, if any was read.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.read_lock().snapshot.as_ref().map(|(snapshot, _)| snapshot.clone())
    }

    /// Whether rows may be looked up now.
    pub fn is_usable(&self) -> bool {
        self.age().is_some_and(|age| self.is_usable_at(age))
    }

    /// Takes these rows for the table, read at `as_of_us` (microseconds since the Unix epoch). Refused, and the
    /// snapshot before stays, where a key stands twice or the limits are exceeded.
    pub fn take(&self, rows: &[RecordBatch], as_of_us: i64) -> Result<(), LookupError> {
        self.take_since(rows, as_of_us, Instant::now())
    }

    fn take_since(
        &self,
        rows: &[RecordBatch],
        as_of_us: i64,
        since: Instant,
    ) -> Result<(), LookupError> {
        let snapshot = Snapshot::new(self, rows, as_of_us)?;
        *self.write_lock() = Latest { snapshot: Some((Arc::new(snapshot), since)), failed: None };
        Ok(())
    }

    /// A worker begins: what failed before it is not its news.
    pub(crate) fn begin(&self) {
        self.write_lock().failed = None;
    }

    /// Reads the table. What was read before stays where that fails.
    pub async fn refresh(&self, now_ms: i64) -> Result<(), LookupError> {
        let since = Instant::now();
        let read = async {
            let read = timeout(PATIENCE, self.source.read(&self.columns, self.limits)).await;
            let rows = read.map_err(|_| {
                let why = format!("no answer within {} s", PATIENCE.as_secs());
                LookupError::unavailable(format!("read {}", self.place()), why)
            })??;
            self.take_since(&rows, now_ms.saturating_mul(1000), since)
        };
        let ended = read.await;
        if let Err(error) = &ended {
            let failed = Failed { why: crate::chain(error), retryable: error.is_retryable() };
            self.write_lock().failed = Some(failed);
        }
        ended
    }

    fn age(&self) -> Option<Duration> {
        self.read_lock().snapshot.as_ref().map(|(_, since)| since.elapsed())
    }

    fn is_stale_at(&self, age: Duration) -> bool {
        age > self.every * 2
    }

    fn is_usable_at(&self, age: Duration) -> bool {
        match self.when_stale {
            _ if !self.is_stale_at(age) => true,
            WhenStale::Wait => false,
            WhenStale::Use { max_age } => age <= max_age,
        }
    }

    fn read_lock(&self) -> RwLockReadGuard<'_, Latest> {
        self.latest.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_lock(&self) -> RwLockWriteGuard<'_, Latest> {
        self.latest.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without its rows: they may be of patients.
impl Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lookup({} from {})", self.name, self.place())
    }
}
