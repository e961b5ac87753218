//! A result's rows as batches. Knows no database.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, SchemaRef};
use arrow::error::ArrowError;
use millstream_engine::SinkError;

use super::values::Gathered;

pub(crate) const BATCH_ROWS: usize = 8192;

/// A batch in the making.
pub(crate) struct Gathering {
    pub schema: SchemaRef,
    pub columns: Vec<Gathered>,
    pub rows: usize,
}

impl Gathering {
    pub fn new(schema: &SchemaRef) -> Result<Self, SinkError> {
        let columns: Result<_, _> =
            schema.fields().iter().map(|field| Gathered::new(field.data_type())).collect();
        let columns = columns.map_err(|error| edited("the table", &error))?;
        Ok(Self { schema: Arc::clone(schema), columns, rows: 0 })
    }

    /// What was gathered; then it is empty again.
    pub fn finish(&mut self) -> Result<RecordBatch, SinkError> {
        self.rows = 0;
        let fields = self.schema.fields().iter();
        let column = |(column, field): (&mut Gathered, &Arc<Field>)| {
            column.finish(field.data_type()).map_err(|error| edited(field.name(), &error))
        };
        let columns: Result<Vec<ArrayRef>, _> =
            self.columns.iter_mut().zip(fields).map(column).collect();
        let batch = RecordBatch::try_new(self.schema.clone(), columns?);
        batch.map_err(|error| edited("the table", &error))
    }
}

pub(crate) fn edited(column: &str, error: &ArrowError) -> SinkError {
    SinkError::refused(
        format!("read column {column}"),
        error.to_string(),
        "undo what was changed by hand, or restore the database from a backup",
    )
}
