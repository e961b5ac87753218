use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use millstream_engine::ledger::{Assignment, Entry};
use millstream_engine::{About, Outcome, Range, Sink, SinkError, Standing, Target};
use millstream_topic::TopicPartition;
use rusqlite::Connection;
use tokio::sync::mpsc;

use super::database::Database;
use super::faults::{Fault, cut_short};
use super::layout::{Kept, Layout};
use super::merge::merge;
use super::owner::{Owned, check_code};
use super::{commit, positions, scan};

/// How many batches a scan may be ahead of its reader.
pub(super) const AHEAD: usize = 2;

/// A table of a SQLite database. Rows carry whole values: null overwrites.
///
/// Upserts: a write counts if its version is higher than what the key has, be that a row or a deletion; of equal
/// versions the first that came stays.
#[derive(Clone, Debug)]
pub struct SqlTable {
    pub(super) database: Database,
    pub(super) table: String,
    kept: Kept,
}

impl SqlTable {
    /// Keeps, per key, the row with the highest version.
    pub fn upsert(database: Database, table: &str, key: &[&str]) -> Self {
        Self { database, table: table.to_owned(), kept: Kept::Upsert { key: owned(key) } }
    }

    /// Adds the column `count` (Int64) up per key. The rows have no other columns.
    pub fn count(database: Database, table: &str, key: &[&str], count: &str) -> Self {
        let kept = Kept::Count { key: owned(key), count: count.to_owned() };
        Self { database, table: table.to_owned(), kept }
    }
}

#[async_trait]
impl Target for SqlTable {
    fn about(&self) -> About {
        About {
            table: self.table.clone(),
            place: format!("sqlite://{}", self.database.path().display()),
            keeping: self.kept.clone().into(),
            required: self.kept.required(),
        }
    }

    async fn connect(
        &self,
        pipeline: &str,
        schema: &SchemaRef,
    ) -> Result<Box<dyn Sink>, SinkError> {
        let wanted = Layout::new(&self.table, &self.kept, schema)?;
        let (database, pipeline) = (self.database.clone(), pipeline.to_owned());
        let doing = format!("connect to table {}", self.table);
        let sink = blocking(doing.clone(), move || {
            let mut connection = database.writer()?;
            let owned = positions::own(&mut connection, &pipeline, &wanted)
                .map_err(|fault| fault.told(&doing, database.path()))?;
            let ours = owned.layout.clone();
            let open = Arc::new(Mutex::new(Open { connection, owned }));
            Ok(SqlSink { database, table: wanted.table, pipeline, ours: Arc::new(ours), open })
        });
        Ok(Box::new(sink.await?))
    }

    async fn scan(
        &self,
        pipeline: &str,
        visit: &mut (dyn FnMut(RecordBatch) -> Result<(), SinkError> + Send),
    ) -> Result<(), SinkError> {
        let (sender, mut batches) = mpsc::channel(AHEAD);
        let (target, pipeline) = (self.clone(), pipeline.to_owned());
        let doing = format!("read table {}", self.table);
        let reading = tokio::task::spawn_blocking(move || {
            let mut send = |batch| sender.blocking_send(batch).is_ok();
            scan::read(&target.database, &target.table, Some(&pipeline), &mut send)
        });
        while let Some(batch) = batches.recv().await {
            visit(batch)?;
        }
        reading.await.map_err(|error| cut_short(&doing, error))?.map(|_| ())
    }
}

/// One worker's connection to a table. Work goes on blocking threads, one piece after the other, and is finished
/// even if the worker doesn't wait for it: a transaction is never left half done.
#[derive(Debug)]
struct SqlSink {
    database: Database,
    table: String,
    pipeline: String,
    /// What the pipeline's rows look like.
    ours: Arc<Layout>,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug)]
struct Open {
    connection: Connection,
    owned: Owned,
}

impl SqlSink {
    async fn work<T: Send + 'static>(
        &self,
        doing: String,
        work: impl FnOnce(&mut Open) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, SinkError> {
        let (open, database) = (self.open.clone(), self.database.clone());
        blocking(doing.clone(), move || {
            // A piece of work that panicked was rolled back when its transaction was dropped.
            let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut open).map_err(|fault| fault.told(&doing, database.path()))
        })
        .await
    }
}

#[async_trait]
impl Sink for SqlSink {
    async fn open(&mut self, assignment: &Assignment) -> Result<Standing, SinkError> {
        let (ours, table) = (assignment.clone(), self.table.clone());
        let doing = format!("open {} of table {table}", ours.at);
        self.work(doing, move |Open { connection, owned }| {
            let last = positions::open(connection, &table, &ours, now_ms())?;
            check_code(&owned.layout, &last, &ours)?;
            Ok(Standing::At(last))
        })
        .await
    }

    async fn commit(
        &mut self,
        assignment: &Assignment,
        range: &Range,
    ) -> Result<Outcome, SinkError> {
        let (assignment, range, layout) = (assignment.clone(), range.clone(), self.ours.clone());
        let doing = format!("commit range {} of {}", range.entry.seq, assignment.at);
        self.work(doing, move |Open { connection, owned }| {
            let merged = merge(&layout, &range)?;
            commit::commit(connection, owned, &assignment, &range, &merged)
        })
        .await
    }

    async fn ledger(
        &mut self,
        at: &TopicPartition,
        from: u64,
        max: usize,
    ) -> Result<Vec<Entry>, SinkError> {
        let (at, table, pipeline) = (at.clone(), self.table.clone(), self.pipeline.clone());
        let doing = format!("read the ledger of {at}");
        self.work(doing, move |open| {
            positions::ledger(&open.connection, &table, &pipeline, &at, (from, max))
        })
        .await
    }
}

pub(super) async fn blocking<T: Send + 'static>(
    doing: String,
    work: impl FnOnce() -> Result<T, SinkError> + Send + 'static,
) -> Result<T, SinkError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| cut_short(&doing, error))?
}

/// Only tells people when a genesis was written.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}
