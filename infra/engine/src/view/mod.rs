//! A compacted topic as a table in memory, kept current and asked with SQL. It is in no group and stores no
//! position: it begins with the topic's first record whenever it is made, so it has no state to lose.
//!
//! # Layout
//! - [`View`]: what is asked.
//! - `table`: the newest live record of each key, as Arrow batches.
//! - `follow`: the task that reads the topic into the table.

mod follow;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::MemTable;
use datafusion::common::TableReference;
use datafusion::error::{DataFusionError, Result as AskResult};
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use millstream_topic::{Backend, Topic};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

use self::follow::Follower;
use self::table::Table;
use crate::decode::Decoder;

/// The newest live record of each key of a topic. Clones are the same view; it ends with the last of them.
#[derive(Clone)]
pub struct View {
    shared: Arc<Shared>,
    _follows: Arc<DropGuard>,
}

/// How a view stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ViewState {
    /// Not yet at the ends that were seen when it began: what it answers is incomplete.
    pub loading: bool,
    /// Keys with a live record.
    pub rows: usize,
    /// Offsets read of those to be read until it isn't loading any more.
    pub read: i64,
    pub of: i64,
    /// Records passed over because they can't be decoded; their keys keep the record before.
    pub bad: u64,
    /// Why the topic can't be read just now, and what is done about it. What was read stays.
    pub trouble: Option<String>,
}

/// A question that can't be answered as it is put.
#[derive(Debug, thiserror::Error)]
#[error("ask view {table} with {sql:?}: {why}; {remedy}")]
pub struct ViewError {
    pub table: String,
    pub sql: String,
    pub why: String,
    pub remedy: String,
}

impl View {
    /// Reads `topic` from its beginning, then follows it in a task until `stop`. A topic that doesn't exist (yet)
    /// is empty; one that was deleted and made anew is read anew. Keeps only `columns` (none: all of them) of
    /// the newest live record per key. Must be called within a tokio runtime.
    pub fn follow(
        topics: Arc<dyn Backend>,
        topic: &Topic,
        decoder: Arc<dyn Decoder>,
        columns: &[&str],
        stop: CancellationToken,
    ) -> View {
        let keep = kept(&topic.name, &decoder.schema(), columns);
        let shared = Arc::new(Shared::new(&topic.name, &decoder.schema(), &keep));
        let stop = stop.child_token();
        let follower = Follower::new(topics, decoder, keep, shared.clone());
        let until = stop.clone();
        tokio::spawn(async move { until.run_until_cancelled(follower.run()).await });
        View { shared, _follows: Arc::new(stop.drop_guard()) }
    }

    pub fn state(&self) -> ViewState {
        self.shared.lock().state.clone()
    }

    /// A revision that grows with every batch that is taken, and whenever the state changes otherwise.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.shared.revision.subscribe()
    }

    /// Columns of the table.
    pub fn schema(&self) -> SchemaRef {
        self.shared.schema.clone()
    }

    /// Answers one SELECT over the table, which is called as the topic is (to be quoted if that has dots). Any SQL
    /// that reads is fine here, aggregates too; what would change something is refused.
    pub async fn sql(&self, text: &str) -> Result<Vec<RecordBatch>, ViewError> {
        self.shared.ask(text).await.map_err(|error| self.shared.explain(text, &error))
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("table", &self.shared.name)
            .field("state", &self.state())
            .finish()
    }
}

/// Places of the columns to be kept.
fn kept(topic: &str, schema: &SchemaRef, columns: &[&str]) -> Vec<usize> {
    if columns.is_empty() {
        return (0..schema.fields().len()).collect();
    }
    let place = |column: &&str| {
        let place = schema.index_of(column).ok();
        if place.is_none() {
            warn!(topic, column, "the view's topic has no such column");
        }
        place
    };
    columns.iter().filter_map(place).collect()
}

/// What the task writes and the questions read.
struct Shared {
    name: String,
    schema: SchemaRef,
    inner: Mutex<Inner>,
    revision: watch::Sender<u64>,
    session: SessionContext,
    /// Which content the session's table has; held while a question is planned, so that the table stays.
    registered: tokio::sync::Mutex<Option<u64>>,
}

struct Inner {
    table: Table,
    state: ViewState,
    /// Grows whenever the table's content changes.
    content: u64,
}

impl Shared {
    fn new(name: &str, schema: &SchemaRef, keep: &[usize]) -> Self {
        let fields: Vec<_> = keep.iter().map(|place| schema.field(*place).clone()).collect();
        let schema = Arc::new(Schema::new(fields));
        let inner = Inner {
            table: Table::new(schema.clone()),
            state: ViewState { loading: true, ..ViewState::default() },
            content: 0,
        };
        // Tables of some ten thousand rows: parallel plans cost more than they save.
        let config = SessionConfig::new().with_target_partitions(1);
        Self {
            name: name.to_owned(),
            schema,
            inner: Mutex::new(inner),
            revision: watch::Sender::new(0),
            session: SessionContext::new_with_config(config),
            registered: tokio::sync::Mutex::new(None),
        }
    }

    /// Whoever panicked held no half-made change: each is made by one call.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes table and state, and tells it.
    fn change(&self, change: impl FnOnce(&mut Table, &mut ViewState) -> Changed) {
        {
            let mut inner = self.lock();
            let Inner { table, state, content } = &mut *inner;
            let before = state.clone();
            let changed = change(table, state);
            state.rows = table.len();
            match changed {
                Changed::Rows => *content += 1,
                Changed::State if *state == before => return,
                Changed::State => {}
            }
        }
        self.revision.send_modify(|revision| *revision += 1);
    }

    async fn ask(&self, text: &str) -> AskResult<Vec<RecordBatch>> {
        let reads = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        let mut registered = self.registered.lock().await;
        self.register(&mut registered)?;
        let planned = self.session.sql_with_options(text, reads).await?;
        drop(registered);
        planned.collect().await
    }

    fn register(&self, registered: &mut Option<u64>) -> AskResult<()> {
        let (content, live) = {
            let inner = self.lock();
            if *registered == Some(inner.content) {
                return Ok(());
            }
            (inner.content, inner.table.live())
        };
        let batches = live.batches()?;
        let table = MemTable::try_new(self.schema.clone(), vec![batches])?;
        // Quoted, because topics may have capitals, dots and dashes in their names.
        self.session.deregister_table(TableReference::bare(self.name.as_str()))?;
        self.session.register_table(TableReference::bare(self.name.as_str()), Arc::new(table))?;
        *registered = Some(content);
        Ok(())
    }

    fn explain(&self, text: &str, error: &DataFusionError) -> ViewError {
        let columns: Vec<_> =
            self.schema.fields().iter().map(|field| field.name().as_str()).collect();
        ViewError {
            table: self.name.clone(),
            sql: text.split_whitespace().collect::<Vec<_>>().join(" "),
            why: error.strip_backtrace(),
            remedy: format!(
                "correct it; table {:?} has the columns {}",
                self.name,
                columns.join(", ")
            ),
        }
    }
}

/// What a change changed.
enum Changed {
    Rows,
    /// Only the state, if anything.
    State,
}
