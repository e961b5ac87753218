use std::fmt;
use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::decode::Decoded;
use crate::lookup::Lookup;

/// Turns decoded rows into the target's rows, row by row: what becomes of a row depends on that row alone,
/// so that a replay that cuts batches differently makes the same rows.
pub trait Transform: Send + Sync + Debug {
    /// Columns of the rows made.
    fn schema(&self) -> SchemaRef;

    /// SQL text, or name and version of the function: part of the code's fingerprint.
    fn id(&self) -> String;

    /// Rows made; `origin` is the index of the input row each came from, ascending. All or nothing, as with
    /// [`crate::decode::Decoder::decode`].
    fn apply(&self, rows: &RecordBatch) -> Result<Decoded, String>;

    /// The tables it looks rows up in.
    fn lookups(&self) -> &[Arc<Lookup>] {
        &[]
    }

    /// Columns of the rows made that hold what was looked up: at a replay they may be others. Where a table was
    /// never read they are null; the engine delivers no such rows.
    fn looked_up(&self) -> &[String] {
        &[]
    }
}

/// A pipeline that can't be planned.
#[derive(Clone, Debug, thiserror::Error)]
#[error("plan SQL {sql:?}: {why}; {remedy}")]
pub struct PlanError {
    pub sql: String,
    pub why: String,
    pub remedy: String,
}

/// Rows as they are.
#[derive(Clone, Debug)]
pub struct Identity {
    schema: SchemaRef,
}

impl Identity {
    pub fn new(schema: SchemaRef) -> Self {
        Self { schema }
    }
}

impl Transform for Identity {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn id(&self) -> String {
        "identity".to_owned()
    }

    fn apply(&self, rows: &RecordBatch) -> Result<Decoded, String> {
        Ok(Decoded { batch: rows.clone(), origin: (0..rows.num_rows() as u32).collect() })
    }
}

type RowsFn = dyn Fn(&RecordBatch) -> Result<Decoded, String> + Send + Sync;

/// A Rust function over the batch. It must be row-wise; change `id` whenever it makes other rows.
#[derive(Clone)]
pub struct Function {
    id: &'static str,
    schema: SchemaRef,
    rows: Arc<RowsFn>,
}

impl Function {
    /// `id`: name and version, as in "words 1".
    pub fn new(
        id: &'static str,
        schema: SchemaRef,
        rows: impl Fn(&RecordBatch) -> Result<Decoded, String> + Send + Sync + 'static,
    ) -> Self {
        Self { id, schema, rows: Arc::new(rows) }
    }
}

impl Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Function({})", self.id)
    }
}

impl Transform for Function {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn id(&self) -> String {
        format!("function {}", self.id)
    }

    fn apply(&self, rows: &RecordBatch) -> Result<Decoded, String> {
        (self.rows)(rows)
    }
}
