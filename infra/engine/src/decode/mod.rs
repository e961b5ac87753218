//! Records' values to Arrow rows.

mod column;
mod json;
mod time;

use std::fmt::Debug;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

pub use json::Json;

/// Makes rows of records' values. All or nothing: when one value is bad the whole call fails, and the
/// engine asks again with fewer values to single the bad ones out.
pub trait Decoder: Send + Sync + Debug {
    /// Columns of the rows.
    fn schema(&self) -> SchemaRef;

    /// Names format and version of the decoder: part of the code's fingerprint.
    fn id(&self) -> String;

    /// Rows of the values, with the value each came from. The error says what is wrong with a value, in
    /// words for the person who sent it.
    fn decode(&self, values: &[&[u8]]) -> Result<Decoded, String>;
}

/// Rows, and where they came from.
#[derive(Clone, Debug)]
pub struct Decoded {
    pub batch: RecordBatch,
    /// Per row, ascending: the index of the value (or input row) it came from.
    pub origin: Vec<u32>,
}

impl Decoded {
    /// One row a value, in order.
    pub fn one_to_one(batch: RecordBatch) -> Self {
        let origin = (0..batch.num_rows() as u32).collect();
        Self { batch, origin }
    }
}
