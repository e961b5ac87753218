use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

/// Smaller files than the crate's level 1 at hardly more time.
const ZSTD_LEVEL: i32 = 3;
/// Rows per batch when reading.
const READ_ROWS: usize = 8192;

/// A whole file. `labels` go to its footer.
pub(super) fn write(
    rows: &RecordBatch,
    labels: Vec<(String, String)>,
) -> Result<Bytes, ArrowError> {
    let labels: Vec<_> = labels.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect();
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_key_value_metadata(Some(labels))
        .build();
    // One `write` of all rows: where pages end would otherwise depend on how the rows were cut into batches.
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties))?;
    writer.write(rows)?;
    Ok(writer.into_inner()?.into())
}

/// All rows of a file.
pub(super) fn read(bytes: Bytes) -> Result<Vec<RecordBatch>, ArrowError> {
    ParquetRecordBatchReaderBuilder::try_new(bytes)?.with_batch_size(READ_ROWS).build()?.collect()
}
