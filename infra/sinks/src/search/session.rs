//! An open build: reading it, and one writer's transactions in it. Whoever writes holds the place's lock.

use std::collections::HashMap;
use std::path::Path;

use arrow::array::{Array, StringArray};
use millstream_engine::ledger::Entry;
use millstream_topic::TopicPartition;
use tantivy::directory::MmapDirectory;
use tantivy::indexer::LogMergePolicy;
use tantivy::schema::IndexRecordOption;
use tantivy::{
    DocSet, Index as Store, IndexReader, IndexWriter, ReloadPolicy, Searcher, TERMINATED,
    TantivyDocument,
};

use super::builds::Build;
use super::changes::{Change, Changes, Texts};
use super::faults::Fault;
use super::fields::{Fields, folded, key_text, lowered, schema, suggested_text, value_text};
use super::index::Index;
use super::positions::{self, Positions, Seeded};
use super::rows::encode;

/// Tantivy's own minimum for one thread.
const SMALL_WRITER: usize = 15 << 20;
const LARGE_WRITER: usize = 80 << 20;
const LARGE_THREADS: usize = 2;
/// Changes from which the large writer pays.
const LARGE_FROM: usize = 1_000;
/// Few segments make quick searches.
const SEGMENTS_TO_MERGE: usize = 5;

/// Makes the files of a new, empty build.
pub(super) fn make(directory: &Path, index: &Index) -> Result<(), Fault> {
    Store::builder().schema(schema(index)).create_in_dir(directory)?;
    Ok(())
}

/// Opens the build in a directory, as it was last committed.
pub(super) fn open(directory: &Path) -> Result<(Store, IndexReader), Fault> {
    let mmap = MmapDirectory::open(directory).map_err(tantivy::TantivyError::from)?;
    let store = Store::open(mmap)?;
    let reader = store.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
    Ok((store, reader))
}

/// A transaction, or several one after the other.
pub(super) struct Session<'a> {
    fields: Fields,
    index: &'a Index,
    build: &'a Build,
    reader: IndexReader,
    searcher: Searcher,
    writer: IndexWriter,
    pub positions: Positions,
    /// Versions of what was written since the last commit.
    written: HashMap<String, i64>,
}

impl<'a> Session<'a> {
    /// `changes`: about how many there will be.
    pub fn begin(
        (store, reader): (Store, IndexReader),
        index: &'a Index,
        build: &'a Build,
        changes: usize,
    ) -> Result<Self, Fault> {
        let (threads, memory) = match changes {
            LARGE_FROM.. => (LARGE_THREADS, LARGE_WRITER),
            _ => (1, SMALL_WRITER),
        };
        let writer = store.writer_with_num_threads(threads, memory)?;
        let mut policy = LogMergePolicy::default();
        policy.set_min_num_segments(SEGMENTS_TO_MERGE);
        writer.set_merge_policy(Box::new(policy));
        let fields = Fields::of(index, &store.schema())?;
        let positions = Positions::read(&store)?;
        let searcher = reader.searcher();
        let written = HashMap::new();
        Ok(Self { fields, index, build, reader, searcher, writer, positions, written })
    }

    /// Writes what is newer than what is there; tells how many were.
    pub fn apply(&mut self, changes: &Changes) -> Result<usize, Fault> {
        let there = versions(&self.searcher, &self.fields, &changes.keys)?;
        let columns: Vec<Vec<Option<StringArray>>> =
            changes.batches.iter().map(|batch| self.in_order(batch)).collect();
        let mut bytes = Vec::new();
        let mut count = 0;
        for (change, there) in changes.keys.iter().zip(there) {
            let there = self.written.get(&change.key).copied().or(there);
            if there.is_some_and(|version| version >= change.version) {
                continue;
            }
            if there.is_some() {
                self.writer.delete_term(self.fields.key_term(&change.key));
            }
            let document = match change.row {
                None => self.mark(change),
                Some((batch, row)) => {
                    encode(&columns[batch], row, &mut bytes);
                    self.document(change, &changes.batches[batch], row, &bytes)
                }
            };
            self.writer.add_document(document)?;
            self.written.insert(change.key.clone(), change.version);
            count += 1;
        }
        Ok(count)
    }

    /// The entry with its position; rows, entry and position are there with the next commit.
    pub fn advance(&mut self, at: &TopicPartition, entry: &Entry) -> Result<(), Fault> {
        self.writer.add_document(positions::document(&self.fields, at, entry)?)?;
        self.positions.advance(at, entry);
        Ok(())
    }

    pub fn seeded(&mut self, from: Option<String>) {
        self.positions.seeded = Some(Seeded { from });
    }

    /// How much was written since the last commit.
    pub fn pending(&self) -> usize {
        self.written.len()
    }

    /// Makes everything durable, all or nothing.
    pub fn commit(&mut self) -> Result<(), Fault> {
        let payload = self.positions.payload()?;
        let mut commit = self.writer.prepare_commit()?;
        commit.set_payload(&payload);
        commit.commit()?;
        self.written.clear();
        self.reader.reload()?;
        self.searcher = self.reader.searcher();
        Ok(())
    }

    /// Lets merges come to their end.
    pub fn end(self) -> Result<(), Fault> {
        Ok(self.writer.wait_merging_threads()?)
    }

    fn in_order(&self, batch: &Texts) -> Vec<Option<StringArray>> {
        let fields = self.build.schema.fields().iter();
        fields.map(|field| batch.column(field.name()).cloned()).collect()
    }

    /// What is left of a deleted row, so that an older write that comes late can't revive it.
    fn mark(&self, change: &Change) -> TantivyDocument {
        let mut document = TantivyDocument::default();
        document.add_text(self.fields.key, key_text(&change.key));
        document.add_i64(self.fields.version, change.version);
        document
    }

    fn document(
        &self,
        change: &Change,
        batch: &Texts,
        row: usize,
        bytes: &[u8],
    ) -> TantivyDocument {
        let mut document = self.mark(change);
        document.add_u64(self.fields.live, 1);
        document.add_bytes(self.fields.row, bytes);
        for declared in &self.fields.declared {
            let column = batch.column(declared.field.column);
            let Some(column) = column.filter(|column| column.is_valid(row)) else { continue };
            let text = column.value(row);
            if text.is_empty() {
                continue;
            }
            if let Some(slot) = declared.text {
                document.add_text(slot, folded(text));
            }
            if let Some(slot) = declared.value {
                document.add_text(slot, value_text(text));
            }
            if let Some(slot) = declared.folded {
                document.add_text(slot, lowered(value_text(text)));
            }
            if let Some(slot) = declared.suggested {
                document.add_text(slot, suggested_text(text));
            }
            if declared.counts {
                document.add_text(self.fields.all, folded(text));
            }
        }
        document
    }
}

impl std::fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("index", &self.index.name).finish_non_exhaustive()
    }
}

/// The version of each key, be it a row's or a deletion's.
fn versions(
    searcher: &Searcher,
    fields: &Fields,
    changes: &[Change],
) -> Result<Vec<Option<i64>>, Fault> {
    let mut found = vec![None; changes.len()];
    for segment in searcher.segment_readers().iter().filter(|segment| segment.num_docs() > 0) {
        let keys = segment.inverted_index(fields.key)?;
        let versions = segment.fast_fields().i64("_version")?;
        for (change, found) in changes.iter().zip(&mut found) {
            let term = fields.key_term(&change.key);
            let Some(mut postings) = keys.read_postings(&term, IndexRecordOption::Basic)? else {
                continue;
            };
            let mut doc = postings.doc();
            while doc != TERMINATED {
                if !segment.is_deleted(doc) {
                    *found = versions.first(doc).max(*found);
                }
                doc = postings.advance();
            }
        }
    }
    Ok(found)
}
