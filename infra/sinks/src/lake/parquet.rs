use std::collections::HashSet;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

/// Level 3 makes files 4 % smaller, at a price: docs/decisions/0021-fewer-instructions-a-record.md.
const ZSTD_LEVEL: i32 = 1;
/// Rows by which it is told whether a column's values repeat; in files with fewer it doesn't matter.
const SAMPLE: usize = 1000;
/// Rows per batch when reading.
const READ_ROWS: usize = 8192;

/// A whole file. `labels` go to its footer.
pub(super) fn write(
    rows: &RecordBatch,
    labels: Vec<(String, String)>,
) -> Result<Bytes, ArrowError> {
    let labels: Vec<_> = labels.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect();
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_key_value_metadata(Some(labels));
    for name in hardly_repeating(rows)? {
        properties = properties.set_column_dictionary_enabled(ColumnPath::new(vec![name]), false);
    }
    // One `write` of all rows: where pages end would otherwise depend on how the rows were cut into batches.
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties.build()))?;
    writer.write(rows)?;
    Ok(writer.into_inner()?.into())
}

/// Columns with about as many values as rows. A dictionary of them takes more time than the rest of the file, and more
/// room than the values alone (docs/decisions/0013-dictionaries-for-what-repeats.md).
fn hardly_repeating(rows: &RecordBatch) -> Result<Vec<String>, ArrowError> {
    let count = rows.num_rows();
    if count < 4 * SAMPLE {
        return Ok(vec![]);
    }
    // From all over the file, as rows may be sorted.
    let sample = UInt32Array::from_iter_values((0..SAMPLE).map(|n| (n * count / SAMPLE) as u32));
    let mut names = vec![];
    for (field, column) in rows.schema_ref().fields().iter().zip(rows.columns()) {
        if !field.data_type().is_nested() && repeats(column, &sample)? < 2 * SAMPLE * SAMPLE / count
        {
            names.push(field.name().clone());
        }
    }
    Ok(names)
}

/// How many rows of the sample have a value that another one has. Of m rows drawn from N values it is about m²/2N: what
/// the caller compares with stands for a quarter as many values as rows.
fn repeats(column: &ArrayRef, sample: &UInt32Array) -> Result<usize, ArrowError> {
    let drawn = take(column, sample, None)?;
    let converter = RowConverter::new(vec![SortField::new(column.data_type().clone())])?;
    let rows = converter.convert_columns(&[drawn])?;
    Ok(sample.len() - rows.iter().collect::<HashSet<_>>().len())
}

/// All rows of a file.
pub(super) fn read(bytes: Bytes) -> Result<Vec<RecordBatch>, ArrowError> {
    ParquetRecordBatchReaderBuilder::try_new(bytes)?.with_batch_size(READ_ROWS).build()?.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int64Array, StringArray};
    use parquet::basic::Encoding;
    use parquet::file::reader::{FileReader, SerializedFileReader};

    use super::*;

    /// Names of the columns that have a dictionary.
    fn with_dictionary(rows: i64) -> Vec<String> {
        let unique = |n: i64| n as f64 * 1.7;
        let columns: [(&str, ArrayRef); 4] = [
            ("unique", Arc::new(Float64Array::from_iter_values((0..rows).map(unique)))),
            ("few", Arc::new(Int64Array::from_iter_values((0..rows).map(|n| n * 7919 % 100)))),
            ("runs", Arc::new(Int64Array::from_iter_values((0..rows).map(|n| n / 50)))),
            (
                "names",
                Arc::new(StringArray::from_iter_values((0..rows).map(|n| format!("patient {n}")))),
            ),
        ];
        let rows = RecordBatch::try_from_iter(columns).unwrap();
        let file = write(&rows, vec![]).unwrap();
        assert_eq!(
            read(file.clone()).unwrap().iter().map(RecordBatch::num_rows).sum::<usize>(),
            rows.num_rows()
        );
        let reader = SerializedFileReader::new(file).unwrap();
        let columns = reader.metadata().row_group(0).columns();
        let has = |encodings: Vec<Encoding>| encodings.contains(&Encoding::RLE_DICTIONARY);
        let named = columns.iter().filter(|column| has(column.encodings().collect()));
        named.map(|column| column.column_path().string()).collect()
    }

    #[test]
    fn what_hardly_repeats_has_no_dictionary() {
        assert_eq!(with_dictionary(20_000), ["few", "runs"]);
        assert_eq!(with_dictionary(100), ["unique", "few", "runs", "names"], "too few to tell");
    }
}
