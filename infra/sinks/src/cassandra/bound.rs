//! A row's values as the driver's statements take them.

use scylla::serialize::SerializationError;
use scylla::serialize::row::{RowSerializationContext, SerializeRow};
use scylla::serialize::value::SerializeValue;
use scylla::serialize::writers::RowWriter;

use super::values::Stored;

/// A row's values for a statement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound<'a> {
    /// Before the columns.
    pub first: Option<i64>,
    /// `None`: null.
    pub columns: &'a [Option<&'a Stored>],
    pub row: usize,
    /// After the columns, twice.
    pub last: Option<i64>,
}

impl SerializeRow for Bound<'_> {
    fn serialize(
        &self,
        context: &RowSerializationContext<'_>,
        writer: &mut RowWriter<'_>,
    ) -> Result<(), SerializationError> {
        let columns = context.columns();
        let mut taken = 0;
        let mut next = || {
            let column = columns.get(taken).ok_or_else(|| SerializationError::new(OtherNumber))?;
            taken += 1;
            Ok::<_, SerializationError>(column.typ())
        };
        if let Some(first) = self.first {
            first.serialize(next()?, writer.make_cell_writer())?;
        }
        for column in self.columns {
            let (kind, cell) = (next()?, writer.make_cell_writer());
            match column {
                Some(column) => column.write(self.row, kind, cell)?,
                None => cell.set_null(),
            };
        }
        for last in self.last.iter().chain(&self.last) {
            last.serialize(next()?, writer.make_cell_writer())?;
        }
        match taken == columns.len() {
            true => Ok(()),
            false => Err(SerializationError::new(OtherNumber)),
        }
    }

    fn is_empty(&self) -> bool {
        false
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the statement has another number of values than the row")]
struct OtherNumber;
