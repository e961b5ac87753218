use std::fmt;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use bytes::Bytes;
use millstream_engine::ledger::Entry;
use millstream_topic::TopicPartition;
use serde::{Deserialize, Serialize};

use super::{csv, hive, parquet};

/// What the data files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Compressed with zstd, with statistics.
    Parquet,
    /// RFC 4180 with a header line and `\n`; null is empty, an empty text is `""`.
    Csv,
}

impl Format {
    /// What the files' names end with.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
        }
    }

    /// Whether values of this type come back from a file as they went in.
    pub(super) fn can_hold(self, column: &DataType) -> bool {
        use DataType::{Date64, Float16, Float32, Float64, Time32, Time64};
        match self {
            Self::Parquet => true,
            Self::Csv => {
                hive::can_partition(column)
                    || matches!(
                        column,
                        Date64 | Float16 | Float32 | Float64 | Time32(_) | Time64(_)
                    )
            }
        }
    }

    /// Rows of a file, with the file's own columns.
    pub(super) fn decode(
        self,
        bytes: Bytes,
        schema: &SchemaRef,
    ) -> Result<Vec<RecordBatch>, ArrowError> {
        match self {
            Self::Parquet => parquet::read(bytes),
            Self::Csv => csv::read(&bytes, schema).map(|batch| vec![batch]),
        }
    }

    /// A file of these columns and no row.
    pub(super) fn empty(self, schema: &SchemaRef) -> Result<Bytes, ArrowError> {
        let batch = RecordBatch::new_empty(schema.clone());
        match self {
            Self::Parquet => parquet::write(&batch, vec![]),
            Self::Csv => csv::write(&batch),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parquet => "Parquet",
            Self::Csv => "CSV",
        })
    }
}

/// How rows become files.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub pipeline: String,
    pub format: Format,
    pub partition_by: Vec<String>,
    pub sorted_by: Vec<String>,
    /// All columns the table has, whichever code made them.
    pub schema: SchemaRef,
    /// The same without those that stand in the path.
    pub in_files: SchemaRef,
}

/// A data file before it is written.
#[derive(Debug)]
pub(super) struct Encoded {
    /// `column=value/…/`, or empty.
    pub hive: String,
    pub rows: u64,
    pub bytes: Bytes,
}

impl Layout {
    /// A range's files. Their bytes depend on nothing but its rows and this layout: not on how the rows were
    /// cut into batches, nor on the time, the worker or the try.
    pub fn encode(
        &self,
        at: &TopicPartition,
        entry: &Entry,
        batches: &[RecordBatch],
    ) -> Result<Vec<Encoded>, ArrowError> {
        let conformed: Vec<_> =
            batches.iter().map(|batch| conform(batch, &self.schema)).collect::<Result<_, _>>()?;
        let rows = match conformed.as_slice() {
            [one] => one.clone(),
            many => concat_batches(&self.schema, many)?,
        };
        let groups = hive::group(&rows, &self.partition_by)?;
        let kept = conform(&rows, &self.in_files)?;
        let files = groups.into_iter().map(|(hive, members)| {
            let rows = match members {
                None => kept.clone(),
                Some(members) => take_record_batch(&kept, &UInt32Array::from(members))?,
            };
            let bytes = self.file(at, entry, &self.sorted(rows.clone())?)?;
            Ok(Encoded { hive, rows: rows.num_rows() as u64, bytes })
        });
        files.collect()
    }

    fn file(
        &self,
        at: &TopicPartition,
        entry: &Entry,
        rows: &RecordBatch,
    ) -> Result<Bytes, ArrowError> {
        let Format::Parquet = self.format else { return csv::write(rows) };
        let labels = [
            ("pipeline", self.pipeline.clone()),
            ("topic", at.topic.clone()),
            ("partition", at.partition.to_string()),
            ("start", entry.start.to_string()),
            ("end", entry.end.to_string()),
            ("seq", entry.seq.to_string()),
        ];
        let labels = labels.map(|(key, value)| (format!("millstream.{key}"), value));
        parquet::write(rows, labels.to_vec())
    }

    /// Rows in the declared order; equal ones, and all where none is declared, as they came.
    fn sorted(&self, rows: RecordBatch) -> Result<RecordBatch, ArrowError> {
        if self.sorted_by.is_empty() {
            return Ok(rows);
        }
        let mut by = Vec::with_capacity(self.sorted_by.len() + 1);
        for name in &self.sorted_by {
            let values = rows.column_by_name(name).cloned().ok_or_else(|| missing(name))?;
            by.push(SortColumn { values, options: None });
        }
        // Arrow's sort is not stable: the row's number decides between equal ones.
        let numbers: ArrayRef =
            std::sync::Arc::new(UInt32Array::from_iter_values(0..rows.num_rows() as u32));
        by.push(SortColumn { values: numbers, options: None });
        take_record_batch(&rows, &lexsort_to_indices(&by, None)?)
    }
}

/// The batch with the columns of `schema`, by name; those it lacks are null.
pub(super) fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = schema.fields().iter().map(|field| {
        let Some(column) = batch.column_by_name(field.name()) else {
            return Ok(new_null_array(field.data_type(), batch.num_rows()));
        };
        if column.data_type() == field.data_type() {
            return Ok(column.clone());
        }
        Err(ArrowError::SchemaError(format!(
            "column {} is {} where the table has {}",
            field.name(),
            column.data_type(),
            field.data_type()
        )))
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
}

fn missing(name: &str) -> ArrowError {
    ArrowError::SchemaError(format!("column {name} is missing"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ::parquet::file::reader::{FileReader, SerializedFileReader};
    use ::parquet::file::statistics::Statistics;
    use arrow::array::{AsArray, Int64Array, StringArray};
    use arrow::datatypes::{Field, Int64Type, Schema};
    use millstream_engine::ledger::{Assignment, Genesis};

    use super::*;

    fn layout(format: Format, sorted_by: &[&str]) -> Layout {
        let field = |name, kind| Field::new(name, kind, true);
        let n = field("n", DataType::Int64);
        let text = field("text", DataType::Utf8);
        let day = field("day", DataType::Utf8);
        Layout {
            pipeline: "app.p".into(),
            format,
            partition_by: vec!["day".into()],
            sorted_by: sorted_by.iter().map(|name| (*name).to_owned()).collect(),
            schema: Arc::new(Schema::new(vec![n.clone(), day, text.clone()])),
            in_files: Arc::new(Schema::new(vec![n, text])),
        }
    }

    fn rows(count: i64) -> RecordBatch {
        let numbers = (0..count).map(|n| n * 7919 % count);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(numbers)),
            Arc::new(StringArray::from_iter_values((0..count).map(|n| format!("d{}", n % 3)))),
            Arc::new(StringArray::from_iter_values(
                (0..count).map(|n| format!("text {}", n % 100)),
            )),
        ];
        RecordBatch::try_new(layout(Format::Csv, &[]).schema, columns).unwrap()
    }

    fn encode(layout: &Layout, batches: &[RecordBatch]) -> Vec<Encoded> {
        let at = TopicPartition::new("topic", 4);
        let genesis = Genesis { cluster: "c".into(), topic_id: "t".into(), first_offset: 10 };
        let assignment = Assignment {
            pipeline: "app.p".into(),
            at: at.clone(),
            genesis,
            fingerprint: "f".into(),
        };
        layout.encode(&at, &Entry::genesis(&assignment, 0), batches).unwrap()
    }

    #[test]
    fn bytes_do_not_depend_on_how_rows_were_cut_into_batches() {
        let rows = rows(50_000);
        for format in [Format::Parquet, Format::Csv] {
            for sorted_by in [vec![], vec!["text"]] {
                let layout = layout(format, &sorted_by);
                let whole = encode(&layout, std::slice::from_ref(&rows));
                assert_eq!(
                    whole.iter().map(|file| file.hive.as_str()).collect::<Vec<_>>(),
                    ["day=d0/", "day=d1/", "day=d2/"]
                );
                for size in [1000, 8192, 33_333] {
                    let cut = (0..rows.num_rows()).step_by(size);
                    let cut: Vec<_> =
                        cut.map(|at| rows.slice(at, size.min(rows.num_rows() - at))).collect();
                    for (a, b) in whole.iter().zip(encode(&layout, &cut)) {
                        assert!(
                            a.bytes == b.bytes && a.rows == b.rows,
                            "{format} in batches of {size}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn rows_stay_in_order_or_are_sorted_as_declared() {
        let rows = rows(1000);
        let numbers = |layout: &Layout| {
            let file = encode(layout, std::slice::from_ref(&rows)).swap_remove(0);
            let read = layout.format.decode(file.bytes, &layout.in_files).unwrap().swap_remove(0);
            let texts = read.column(1).as_string::<i32>().iter().flatten().map(str::to_owned);
            let numbers = read.column(0).as_primitive::<Int64Type>().values().to_vec();
            texts.zip(numbers).collect::<Vec<_>>()
        };
        let arrived = numbers(&layout(Format::Parquet, &[]));
        assert!(!arrived.is_sorted() && arrived[1].1 == 3 * 7919 % 1000);
        let mut expected = arrived.clone();
        expected.sort_by_key(|(text, _)| text.clone());
        assert_eq!(numbers(&layout(Format::Parquet, &["text"])), expected, "stable");
    }

    #[test]
    fn parquet_has_statistics_labels_and_no_partition_column() {
        let file = encode(&layout(Format::Parquet, &["n"]), &[rows(1000)]).swap_remove(1);
        let reader = SerializedFileReader::new(file.bytes).unwrap();
        let metadata = reader.metadata();
        let columns = metadata.file_metadata().schema_descr().columns();
        assert_eq!(columns.iter().map(|c| c.name()).collect::<Vec<_>>(), ["n", "text"]);
        let labels: Vec<_> = metadata
            .file_metadata()
            .key_value_metadata()
            .unwrap()
            .iter()
            .filter(|label| label.key.starts_with("millstream."))
            .map(|label| {
                format!("{}={}", &label.key["millstream.".len()..], label.value.as_deref().unwrap())
            })
            .collect();
        assert_eq!(
            labels,
            ["pipeline=app.p", "topic=topic", "partition=4", "start=10", "end=9", "seq=0"]
        );
        let column = metadata.row_group(0).column(0);
        assert!(column.compression().to_string().starts_with("ZSTD"), "{}", column.compression());
        let Some(Statistics::Int64(numbers)) = column.statistics() else { panic!("no statistics") };
        let all: Vec<i64> = (0..1000).filter(|n| n % 3 == 1).map(|n| n * 7919 % 1000).collect();
        assert_eq!((numbers.min_opt(), numbers.max_opt()), (all.iter().min(), all.iter().max()));
    }

    #[test]
    fn a_file_without_rows_can_be_read() {
        let layout = layout(Format::Csv, &[]);
        for format in [Format::Parquet, Format::Csv] {
            let empty = format.empty(&layout.in_files).unwrap();
            let batches = format.decode(empty, &layout.in_files).unwrap();
            assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 0);
        }
        assert!(
            encode(&layout, &[]).is_empty() && encode(&layout, &[rows(3).slice(0, 0)]).is_empty()
        );
    }

    #[test]
    fn other_types_and_unexpected_nulls_are_named() {
        let changed = Schema::new(vec![Field::new("n", DataType::Utf8, true)]);
        let text: ArrayRef = Arc::new(StringArray::from(vec!["1"]));
        let batch = RecordBatch::try_new(Arc::new(changed), vec![text]).unwrap();
        let error = conform(&batch, &layout(Format::Csv, &[]).schema).unwrap_err().to_string();
        assert!(error.contains("column n is Utf8 where the table has Int64"), "{error}");
    }
}
