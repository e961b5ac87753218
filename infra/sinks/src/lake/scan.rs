//! Reading a table: committed ranges only, whatever else lies in its directory.

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use bytes::Bytes;
use millstream_engine::SinkError;

use super::format::{Format, conform};
use super::history::History;
use super::plan::Plan;
use super::store::Store;
use super::table::{self, TableRecord};
use super::{hive, keys};

/// A file of a committed range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedFile {
    /// In the store.
    pub path: String,
    /// Column and value as text, in the order of the path.
    pub partition_values: Vec<(String, String)>,
    pub rows: u64,
    /// Size.
    pub bytes: u64,
    pub format: Format,
    /// Of the whole file.
    pub crc32: u32,
}

/// The committed files of a table, in the order of partitions and ranges. Empty for an unknown table.
pub async fn committed_files(
    store: &dyn Store,
    table: &str,
) -> Result<Vec<CommittedFile>, SinkError> {
    match table::read(store, table).await? {
        Some(record) => files_by(store, &record, &record.owner).await,
        None => Ok(vec![]),
    }
}

/// The rows of one file with all of the table's columns: partition columns from the path, columns that came
/// later as null. An error names the file if it is missing or is not what was committed.
pub async fn read_file(
    store: &dyn Store,
    table: &TableRecord,
    file: &CommittedFile,
) -> Result<Vec<RecordBatch>, SinkError> {
    let broken = |why: &str| {
        let (path, rows) = (&file.path, file.rows);
        SinkError::refused(
            format!("read {path} of the lake, {rows} committed rows of table {}", table.table),
            why,
            "restore the file from a backup",
        )
    };
    let bytes = store.get(&file.path).await?.ok_or_else(|| broken("it is missing"))?;
    if bytes.len() as u64 != file.bytes {
        let why = format!("it has {} bytes, {} were committed", bytes.len(), file.bytes);
        return Err(broken(&why));
    }
    let (record, committed) = (table.clone(), file.clone());
    let decoded = tokio::task::spawn_blocking(move || decode(bytes, &record, &committed));
    let decoded = decoded.await.map_err(|error| SinkError::unavailable("decode a file", error))?;
    decoded.map_err(|error| broken(&error.to_string()))
}

/// All committed rows that `pipeline` wrote into the table, file by file.
pub(super) async fn scan(
    store: &dyn Store,
    table: &str,
    pipeline: &str,
    visit: &mut (dyn FnMut(RecordBatch) -> Result<(), SinkError> + Send),
) -> Result<(), SinkError> {
    let Some(record) = table::read(store, table).await? else { return Ok(()) };
    for file in files_by(store, &record, pipeline).await? {
        for batch in read_file(store, &record, &file).await? {
            visit(batch)?;
        }
    }
    Ok(())
}

async fn files_by(
    store: &dyn Store,
    record: &TableRecord,
    pipeline: &str,
) -> Result<Vec<CommittedFile>, SinkError> {
    let mut files = vec![];
    for prefix in partitions(store, pipeline).await? {
        for plan in (History { store, prefix: &prefix }).committed(0, usize::MAX).await? {
            if plan.table == record.table {
                files.extend(files_of(plan, record.format));
            }
        }
    }
    Ok(files)
}

fn files_of(plan: Plan, format: Format) -> impl Iterator<Item = CommittedFile> {
    plan.files.into_iter().map(move |file| CommittedFile {
        partition_values: hive::values(&file.path),
        path: file.path,
        rows: file.rows,
        bytes: file.bytes,
        format,
        crc32: file.crc32,
    })
}

/// Prefixes of a pipeline's ledgers. Asks for one key each, so it costs as many LISTs as there are partitions.
async fn partitions(store: &dyn Store, pipeline: &str) -> Result<Vec<String>, SinkError> {
    let prefix = keys::pipeline(pipeline);
    let (mut found, mut after) = (vec![], None::<String>);
    while let Some(listed) = store.list(&prefix, after.as_deref(), 1).await?.pop() {
        after = Some(match keys::partition_of(&prefix, &listed.path) {
            Some(at) => {
                let partition = keys::partition(pipeline, &at);
                // After all that begins with the partition's prefix: keys are ASCII.
                let last = format!("{partition}~");
                found.push(partition);
                last
            }
            None => listed.path,
        });
    }
    Ok(found)
}

fn decode(
    bytes: Bytes,
    record: &TableRecord,
    file: &CommittedFile,
) -> Result<Vec<RecordBatch>, ArrowError> {
    if crc32fast::hash(&bytes) != file.crc32 {
        return Err(ArrowError::ParseError("its checksum is not the committed one".into()));
    }
    let in_files = record.in_files();
    let batches = file.format.decode(bytes, &in_files)?.into_iter();
    let whole = batches.map(|batch| complete(&conform(&batch, &in_files)?, &record.schema, file));
    let whole = whole.collect::<Result<Vec<_>, _>>()?;
    let rows: usize = whole.iter().map(RecordBatch::num_rows).sum();
    if rows as u64 != file.rows {
        return Err(ArrowError::ParseError(format!("it has {rows} rows")));
    }
    Ok(whole)
}

/// Puts the partition columns back.
fn complete(
    batch: &RecordBatch,
    schema: &SchemaRef,
    file: &CommittedFile,
) -> Result<RecordBatch, ArrowError> {
    let rows = batch.num_rows();
    let columns = schema.fields().iter().map(|field| -> Result<ArrayRef, ArrowError> {
        let in_path = file.partition_values.iter().find(|(name, _)| name == field.name());
        match (in_path, batch.column_by_name(field.name())) {
            (Some((_, value)), _) => hive::column(value, field.data_type(), rows),
            (None, Some(column)) => Ok(column.clone()),
            (None, None) => {
                Err(ArrowError::SchemaError(format!("column {} is missing", field.name())))
            }
        }
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
}
