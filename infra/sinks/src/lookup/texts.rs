//! Values pass as texts, which is what MySQL sends anyway, and become what the columns declare all at once.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringBuilder};
use arrow::compute::{cast, concat_batches};
use arrow::csv::ReaderBuilder;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use millstream_engine::{Limits, LookupError};

/// Rows on their way into Arrow.
pub(super) struct Texts {
    doing: String,
    columns: Vec<StringBuilder>,
    limits: Limits,
    rows: usize,
    bytes: usize,
}

impl Texts {
    /// `doing`: for messages.
    pub(super) fn new(doing: String, columns: &SchemaRef, limits: Limits) -> Self {
        let columns = columns.fields().iter().map(|_| StringBuilder::new()).collect();
        Self { doing, columns, limits, rows: 0, bytes: 0 }
    }

    /// A row with a text, or null, for each column.
    pub(super) fn push<'a>(
        &mut self,
        row: impl Iterator<Item = Option<&'a str>>,
    ) -> Result<(), LookupError> {
        for (column, value) in self.columns.iter_mut().zip(row) {
            self.bytes += size_of::<u64>() + value.map_or(0, str::len);
            column.append_option(value);
        }
        self.rows += 1;
        if self.rows <= self.limits.rows && self.bytes <= self.limits.bytes {
            return Ok(());
        }
        Err(LookupError::refused(
            self.doing.clone(),
            format!("it has more than {} rows or {} bytes", self.limits.rows, self.limits.bytes),
            "raise max_rows or max_mb of the lookup, or declare fewer columns",
        ))
    }

    /// The columns as declared. A value that isn't of its column's type is told of by the column's name: what it is may
    /// be nobody's business.
    pub(super) fn finish(mut self, schema: &SchemaRef) -> Result<RecordBatch, LookupError> {
        let mut columns = Vec::with_capacity(self.columns.len());
        for (column, field) in self.columns.iter_mut().zip(schema.fields()) {
            let texts: ArrayRef = Arc::new(column.finish());
            let refused = |why: String| {
                let remedy = "correct the table, or the columns that the pipeline declares of it";
                LookupError::refused(self.doing.clone(), why, remedy)
            };
            let kind = field.data_type();
            let typed = cast(&texts, kind).map_err(|error| refused(error.to_string()))?;
            let wrong = typed.null_count() - texts.null_count();
            if wrong > 0 {
                let name = field.name();
                return Err(refused(format!("{wrong} values of column {name:?} are no {kind}")));
            }
            if typed.null_count() > 0 && !field.is_nullable() {
                let (nulls, name) = (typed.null_count(), field.name());
                return Err(refused(format!("{nulls} values of column {name:?} are null")));
            }
            columns.push(typed);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(|error| {
            LookupError::refused(self.doing, error.to_string(), "report this as a bug")
        })
    }
}

/// Each row's values as texts that any SQL column takes.
pub(super) fn to_texts(rows: &RecordBatch) -> Result<Vec<Vec<Option<String>>>, LookupError> {
    let failed = |error: arrow::error::ArrowError| {
        LookupError::refused(
            "write a table's rows as texts",
            error.to_string(),
            "report this as a bug",
        )
    };
    let options = FormatOptions::new();
    let mut all = vec![Vec::with_capacity(rows.num_columns()); rows.num_rows()];
    for column in rows.columns() {
        let numbers = match column.data_type() {
            // Truth is a number in SQL.
            DataType::Boolean => Some(cast(column, &DataType::Int64).map_err(failed)?),
            _ => None,
        };
        let column = numbers.as_ref().unwrap_or(column);
        let texts = ArrayFormatter::try_new(column, &options).map_err(failed)?;
        for (row, values) in all.iter_mut().enumerate() {
            values.push(column.is_valid(row).then(|| texts.value(row).to_string()));
        }
    }
    Ok(all)
}

/// The rows of a CSV text whose header line names these columns in this order; an empty field is null.
pub fn rows_of_csv(text: &str, columns: &SchemaRef) -> Result<RecordBatch, LookupError> {
    let names: Vec<_> = columns.fields().iter().map(|field| field.name().as_str()).collect();
    let refused = || {
        let kinds = columns.fields().iter().map(|f| format!("{} {}", f.name(), f.data_type()));
        LookupError::refused(
            "read the rows a table is filled from",
            "they are no CSV with the columns declared",
            format!(
                "begin with the line {:?}, and give {}",
                names.join(","),
                kinds.collect::<Vec<_>>().join(", ")
            ),
        )
    };
    if text.lines().next().map(str::trim_end) != Some(&names.join(",")) {
        return Err(refused());
    }
    let reader = ReaderBuilder::new(columns.clone()).with_header(true).build(text.as_bytes());
    let batches = reader.and_then(Iterator::collect::<Result<Vec<_>, _>>);
    batches.and_then(|batches| concat_batches(columns, &batches)).map_err(|_| refused())
}
