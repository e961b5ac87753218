//! What a new search index is filled with before the topic is read: the newest snapshot while the table is still
//! loading, afterwards the table.
//!
//! A snapshot's rows have the time it was written as their version: records that were sent because of it, or later,
//! have higher ones, and those before it are what it holds, or older. What was sent to another topic of this name, or
//! came from one, is no seed: of what it lacks this one may never speak.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringBuilder};
use arrow::error::ArrowError;
use async_trait::async_trait;
use millstream_engine::{Rows, SinkError, Transform};
use millstream_sinks::search::Seed;
use millstream_sinks::{Stores, Upserted};
use millstream_topic::Backend;
use tokio::sync::mpsc;

use crate::event::{FIELDS, Recall, schema};
use crate::pipeline::{DATABASE, DEVICES, KEY, TABLE};
use crate::snapshot::{self, Snapshot, Snapshots};

const BATCH_ROWS: usize = 2_000;
/// Batches read ahead of the index.
const AHEAD: usize = 2;

/// See [`Seed`].
#[derive(Debug)]
pub struct RecallsSeed {
    topics: Option<Arc<dyn Backend>>,
    table: Arc<dyn Upserted>,
    snapshots: Snapshots,
    /// What the index's pipeline makes of a recall.
    transform: Arc<dyn Transform>,
}

impl RecallsSeed {
    pub fn new(stores: &Stores, transform: Arc<dyn Transform>) -> Self {
        let table = stores.upserted(DATABASE, TABLE, KEY);
        let snapshots = Snapshots::new(stores.lake_store());
        Self { topics: stores.topics(), table, snapshots, transform }
    }

    /// The identity of the topic; `None`: there is none.
    async fn devices_id(&self) -> Result<Option<String>, SinkError> {
        let Some(topics) = &self.topics else { return Ok(None) };
        let info = topics.info(&DEVICES.name).await;
        let info =
            info.map_err(|error| SinkError::unavailable("look at the recalls' topic", error))?;
        Ok(info.map(|info| info.id))
    }
}

#[async_trait]
impl Seed for RecallsSeed {
    async fn read(
        &self,
        visit: &mut (dyn FnMut(Rows) -> Result<(), SinkError> + Send),
    ) -> Result<Option<String>, SinkError> {
        let Some(id) = self.devices_id().await? else { return Ok(None) };
        let newest = self.snapshots.newest(&id).await;
        let newest =
            newest.map_err(|error| SinkError::unavailable("look for a snapshot", error))?;
        let ours =
            self.table.topic_ids(&DEVICES.name).await?.iter().all(|table_id| *table_id == id);
        let in_table = if ours { self.table.count().await?.unwrap_or(0) } else { 0 };
        let mut visit = |rows| visit(as_indexed(self.transform.as_ref(), rows)?);
        match newest {
            Some(snapshot) if (in_table as u64) < snapshot.rows => {
                read_snapshot(snapshot, &mut visit).await.map(Some)
            }
            _ if in_table > 0 => {
                self.table.read(&mut |rows| visit(as_decoded(rows)?)).await?;
                Ok(Some("the table".to_owned()))
            }
            _ => Ok(None),
        }
    }
}

/// Shows its rows, and tells its name.
async fn read_snapshot(
    snapshot: Snapshot,
    visit: &mut (dyn FnMut(Rows) -> Result<(), SinkError> + Send),
) -> Result<String, SinkError> {
    let (sender, mut batches) = mpsc::channel(AHEAD);
    let reading = tokio::task::spawn_blocking(move || {
        from_snapshot(snapshot, &mut |rows| sender.blocking_send(rows).is_ok())
    });
    while let Some(rows) = batches.recv().await {
        visit(rows?)?;
    }
    reading.await.map_err(|error| SinkError::unavailable("read the newest snapshot", error))
}

/// Gives its rows in batches, and its name.
fn from_snapshot(
    Snapshot { at, file, .. }: Snapshot,
    give: &mut dyn FnMut(Result<Rows, SinkError>) -> bool,
) -> String {
    let version = at.timestamp_micros();
    let mut rows = snapshot_rows(file).peekable();
    while rows.peek().is_some() {
        let chunk: Result<Vec<_>, _> = rows.by_ref().take(BATCH_ROWS).collect();
        let ended = chunk.is_err();
        if !give(chunk.and_then(|chunk| batch(&chunk, version))) || ended {
            break;
        }
    }
    format!("the snapshot of {}", at.format("%Y-%m-%d %H:%M UTC"))
}

fn snapshot_rows(file: File) -> impl Iterator<Item = Result<Recall, SinkError>> {
    let told = |error: anyhow::Error| {
        let remedy = "remove it from the lake; the next refresh writes another one";
        SinkError::refused("fill the index from the newest snapshot", format!("{error:#}"), remedy)
    };
    snapshot::read(file).map(move |row| row.map_err(told))
}

fn batch(recalls: &[Recall], version: i64) -> Result<Rows, SinkError> {
    let column = |at: usize| {
        let mut column = StringBuilder::new();
        recalls
            .iter()
            .for_each(|recall| column.append_option(recall.0.get(at).and_then(Option::as_ref)));
        Arc::new(column.finish()) as ArrayRef
    };
    let columns = (0..FIELDS.len()).map(column).collect();
    let batch = RecordBatch::try_new(schema(), columns).map_err(|error| unfit(&error))?;
    Ok(Rows { batch, versions: Arc::new(Int64Array::from(vec![version; recalls.len()])) })
}

/// The table's columns as those of a decoded record; one that `[sql] table` leaves out is null.
fn as_decoded(rows: Rows) -> Result<Rows, SinkError> {
    let column = |name: &&str| {
        let nulls = || {
            arrow::array::new_null_array(&arrow::datatypes::DataType::Utf8, rows.batch.num_rows())
        };
        rows.batch.column_by_name(name).cloned().unwrap_or_else(nulls)
    };
    let columns = FIELDS.iter().map(column).collect();
    let batch = RecordBatch::try_new(schema(), columns).map_err(|error| unfit(&error))?;
    Ok(Rows { batch, versions: rows.versions })
}

/// As the index's pipeline would make them.
fn as_indexed(transform: &dyn Transform, rows: Rows) -> Result<Rows, SinkError> {
    let made = transform.apply(&rows.batch).map_err(|why| {
        SinkError::refused("fill the index", why, "correct what the snapshot or the table holds")
    })?;
    let version = |row: &u32| rows.versions.value(*row as usize);
    let versions = Arc::new(made.origin.iter().map(version).collect::<Int64Array>());
    debug_assert_eq!(versions.len(), made.batch.num_rows());
    Ok(Rows { batch: made.batch, versions })
}

fn unfit(error: &ArrowError) -> SinkError {
    let doing = "fill the index from what is there";
    SinkError::refused(doing, error.to_string(), "give the table its columns back ([sql] table)")
}
