use std::collections::HashMap;
use std::fmt;
use std::fmt::Debug;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{cast, concat_batches, take};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};

use super::{Lookup, LookupError};

/// The rows of a lookup table as of a moment.
pub struct Snapshot {
    as_of_us: i64,
    rows: RecordBatch,
    key: ArrayRef,
    /// Encoded key → row. Rows without a key are in the table and never found, as SQL has it.
    places: HashMap<Box<[u8]>, u32>,
    bytes: usize,
}

impl Snapshot {
    /// `rows` have the lookup's columns; refused where a key stands twice, or where they are over the limits.
    pub(super) fn new(
        lookup: &Lookup,
        rows: &[RecordBatch],
        as_of_us: i64,
    ) -> Result<Self, LookupError> {
        let doing = || format!("take the rows of {}", lookup.place());
        let failed = |error: ArrowError| {
            LookupError::refused(doing(), error.to_string(), "correct the declared columns")
        };
        let rows = concat_batches(lookup.columns(), rows).map_err(failed)?;
        let key = rows.column_by_name(lookup.key()).cloned().ok_or_else(|| {
            LookupError::refused(doing(), "its key is none of its columns", "correct the lookup")
        })?;
        let encoded = encode(&key).map_err(failed)?;
        let mut places = HashMap::with_capacity(rows.num_rows());
        let mut doubled = 0;
        for (row, bytes) in encoded.into_iter().enumerate() {
            let Some(bytes) = bytes else { continue };
            if places.insert(bytes, row as u32).is_some() {
                doubled += 1;
            }
        }
        if doubled > 0 {
            return Err(LookupError::refused(
                doing(),
                format!("{doubled} rows repeat a key, and {} has to be unique", lookup.key()),
                "remove the repeated rows, or look them up by another column; until then the rows read before stay",
            ));
        }
        let keys: usize = places.keys().map(|key| key.len() + 24).sum();
        let bytes = rows.get_array_memory_size() + keys;
        let snapshot = Self { as_of_us, rows, key, places, bytes };
        snapshot.within_limits(lookup).map(|()| snapshot)
    }

    fn within_limits(&self, lookup: &Lookup) -> Result<(), LookupError> {
        let limits = lookup.limits;
        if self.rows() <= limits.rows && self.bytes <= limits.bytes {
            return Ok(());
        }
        Err(LookupError::refused(
            format!("take the rows of {}", lookup.place()),
            format!(
                "it has {} rows and {} bytes, over the limits of {} rows and {} bytes",
                self.rows(),
                self.bytes,
                limits.rows,
                limits.bytes
            ),
            "raise max_rows or max_mb of the lookup, or declare fewer columns",
        ))
    }

    /// When it was read, in microseconds since the Unix epoch: the version written with each row.
    pub fn as_of_us(&self) -> i64 {
        self.as_of_us
    }

    pub fn rows(&self) -> usize {
        self.rows.num_rows()
    }

    /// Held in memory.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// For each of `keys` the row it is the key of; null where there is none.
    pub(crate) fn find(&self, keys: &ArrayRef) -> Result<UInt32Array, ArrowError> {
        let keys = cast(keys, self.key.data_type())?;
        let found = encode(&keys)?.into_iter().map(|key| self.places.get(&key?).copied());
        Ok(found.collect())
    }

    /// Column `place` of the rows found; null where none was.
    pub(crate) fn column(&self, place: usize, rows: &UInt32Array) -> Result<ArrayRef, ArrowError> {
        take(self.rows.column(place), rows, None)
    }
}

/// Bytes that are equal where the values are; `None`: null.
fn encode(key: &ArrayRef) -> Result<Vec<Option<Box<[u8]>>>, ArrowError> {
    let field = SortField::new(key.data_type().clone());
    let rows = RowConverter::new(vec![field])?.convert_columns(std::slice::from_ref(key))?;
    let encoded = rows.iter().enumerate();
    Ok(encoded.map(|(row, bytes)| key.is_valid(row).then(|| bytes.data().into())).collect())
}

/// Without its rows.
impl Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot({} rows as of {} µs)", self.rows(), self.as_of_us)
    }
}
