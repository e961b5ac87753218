//! The lake: files in Hive partitions, on a [`Store`], with a ledger that says which of them count.
//!
//! A range goes through three objects, each written only if absent (docs/guarantees.md, lake): its **plan** fixes what
//! it covers and which files it makes; the **files**; its **end**, committed or abandoned. Readers see what has an
//! end that says committed, so a range is there as a whole or not at all, and two workers can't both have it.
//!
//! # Layout
//! - [`Lake`]: a table as a pipeline names it. [`tables`], [`committed_files`], [`read_file`]: for those who query.
//! - [`Store`]: where objects are kept: [`DirStore`], [`MemoryStore`], [`S3Store`]; [`store_conformance`] is the suite
//!   that each one passes.
//! - `keys`: the objects' names. `plan`: what the ledger's objects hold. `history`: the ledger, read.
//! - [`Catalog`]: what readers of the directories go by; told of partitions at each commit.
//! - `sink`, `open`, `commit`: the protocol. `table`: owner, format and columns. `scan`: committed rows, read.
//! - `format`, `parquet`, `csv`, `hive`: rows to files and back.

pub mod catalog;
mod commit;
mod csv;
mod dir_store;
mod format;
mod history;
mod hive;
mod keys;
mod memory_store;
mod open;
mod parquet;
mod plan;
mod s3_store;
mod scan;
mod sink;
mod store;
#[allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test suite for whoever writes a store: failing loudly is its work"
)]
pub mod store_conformance;
mod table;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use millstream_engine::{About, Keeping, Sink, SinkError, Target};

use self::catalog::Registrar;
use self::format::Layout;
use self::sink::LakeSink;

pub use self::catalog::{Catalog, CatalogPartition, CatalogTable};
pub use self::dir_store::DirStore;
pub use self::format::Format;
pub use self::memory_store::{Faults, Hook, MemoryStore, Reply};
pub use self::s3_store::S3Store;
pub use self::scan::{CommittedFile, committed_files, read_file};
pub use self::store::{Listed, Put, Store, Stored};
pub use self::table::{TableRecord, tables};

/// Ranges per checkpoint: an assignment lists no more than these.
const CHECKPOINT_EVERY: u64 = 1000;

/// A table of the lake: `<table>/<column>=<value>/…/<topic>-<partition>-<start>-<end>.<seq>.<try>.parquet`.
#[derive(Clone, Debug)]
pub struct Lake {
    store: Arc<dyn Store>,
    table: String,
    format: Format,
    partition_by: Vec<String>,
    sorted_by: Vec<String>,
    checkpoint_every: u64,
    catalog: Option<Arc<dyn Catalog>>,
}

impl Lake {
    /// `partition_by`: columns whose values become directories, in this order.
    pub fn new(store: Arc<dyn Store>, table: &str, format: Format, partition_by: &[&str]) -> Self {
        Self {
            store,
            table: table.to_owned(),
            format,
            partition_by: partition_by.iter().map(|name| (*name).to_owned()).collect(),
            sorted_by: vec![],
            checkpoint_every: CHECKPOINT_EVERY,
            catalog: None,
        }
    }

    /// Tells this catalog of the table's partitions, each before the commit of its first range is answered. The table
    /// itself is looked at when the first of the topic's partitions is opened.
    pub fn registered_in(mut self, catalog: Option<Arc<dyn Catalog>>) -> Self {
        self.catalog = catalog;
        self
    }

    /// Sorts the rows of each file by these columns, so that statistics tell readers which files to skip. Without
    /// it they stay in the order of the records.
    pub fn sorted_by(mut self, columns: &[&str]) -> Self {
        self.sorted_by = columns.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// Writes a checkpoint every `ranges` ranges (at least 1).
    pub fn checkpoint_every(mut self, ranges: u64) -> Self {
        self.checkpoint_every = ranges.max(1);
        self
    }

    fn check_sorting(&self, in_files: &SchemaRef) -> Result<(), SinkError> {
        match self.sorted_by.iter().find(|name| in_files.field_with_name(name).is_err()) {
            Some(name) => Err(SinkError::refused(
                format!("use table {} of the lake", self.table),
                format!("it is sorted by {name}, which is no column of its files"),
                "correct the pipeline",
            )),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Target for Lake {
    fn about(&self) -> About {
        About {
            table: self.table.clone(),
            place: format!("{}/{}", self.store.place(), self.table),
            keeping: Keeping::Append,
            required: self.partition_by.clone(),
        }
    }

    async fn connect(
        &self,
        pipeline: &str,
        schema: &SchemaRef,
    ) -> Result<Box<dyn Sink>, SinkError> {
        let wanted = TableRecord {
            table: self.table.clone(),
            owner: pipeline.to_owned(),
            format: self.format,
            partition_by: self.partition_by.clone(),
            schema: schema.clone(),
        };
        self.check_sorting(&wanted.in_files())?;
        let record = table::register(&*self.store, &wanted).await?;
        let registrar = match &self.catalog {
            Some(catalog) => {
                let table = CatalogTable::of(&record, &self.store.place())?;
                Some(Registrar::new(catalog.clone(), table))
            }
            None => None,
        };
        let layout = Layout {
            pipeline: record.owner.clone(),
            format: record.format,
            in_files: record.in_files(),
            partition_by: record.partition_by,
            sorted_by: self.sorted_by.clone(),
            schema: record.schema,
        };
        Ok(Box::new(LakeSink {
            store: self.store.clone(),
            table: self.table.clone(),
            layout: Arc::new(layout),
            checkpoint_every: self.checkpoint_every,
            registrar,
            standings: HashMap::new(),
        }))
    }

    async fn scan(
        &self,
        pipeline: &str,
        visit: &mut (dyn FnMut(RecordBatch) -> Result<(), SinkError> + Send),
    ) -> Result<(), SinkError> {
        scan::scan(&*self.store, &self.table, pipeline, visit).await
    }
}
