//! Rows as bytes and back: every column as text, in the order of the build's schema. A column's length comes
//! first, plus one, 0 meaning null; columns that came later are merely not there.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray, StringBuilder};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use serde_json::{Map, Number, Value};

use crate::sql::layout::plain;
use crate::sql::values::{from_texts, texts};

/// Whether values of this type can be kept.
pub(crate) fn can_keep(kind: &DataType) -> bool {
    use DataType as T;
    let kind = plain(kind);
    kind.is_integer()
        || kind.is_floating()
        || kind.is_decimal()
        || kind.is_nested()
        || matches!(kind, T::Utf8 | T::Boolean | T::Date32 | T::Timestamp(..))
}

/// A column's values as text.
pub(crate) fn as_texts(column: &ArrayRef) -> Result<StringArray, ArrowError> {
    texts(column, &plain(column.data_type()))
}

/// One row; `None`: a column that these rows know nothing of.
pub(crate) fn encode(columns: &[Option<StringArray>], row: usize, into: &mut Vec<u8>) {
    into.clear();
    for column in columns {
        let text = column.as_ref().filter(|column| column.is_valid(row)).map(|c| c.value(row));
        // A value is at most a record long, and that is a megabyte.
        let length = text.map_or(0, |text| text.len() as u32 + 1);
        into.extend_from_slice(&length.to_le_bytes());
        into.extend_from_slice(text.unwrap_or_default().as_bytes());
    }
}

/// The columns of a row, one after the other, for as long as there are any.
pub(crate) struct Cells<'a>(pub &'a [u8]);

impl<'a> Iterator for Cells<'a> {
    type Item = Option<&'a str>;

    fn next(&mut self) -> Option<Self::Item> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let Some(length) = (u32::from_le_bytes(*length) as usize).checked_sub(1) else {
            self.0 = rest;
            return Some(None);
        };
        let (text, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(Some(std::str::from_utf8(text).unwrap_or_default()))
    }
}

/// A row for people and programs: numbers and truth values as such, all else as text.
pub(crate) fn to_json(schema: &SchemaRef, row: &[u8]) -> Map<String, Value> {
    let mut cells = Cells(row);
    let value = |field: &Arc<arrow::datatypes::Field>| {
        let text = cells.next().flatten();
        (field.name().clone(), text.map_or(Value::Null, |text| json_value(field.data_type(), text)))
    };
    schema.fields().iter().map(value).collect()
}

pub(crate) fn json_value(kind: &DataType, text: &str) -> Value {
    let number = match kind {
        kind if kind.is_unsigned_integer() => text.parse().ok().map(|n: u64| Number::from(n)),
        kind if kind.is_integer() => text.parse().ok().map(|n: i64| Number::from(n)),
        kind if kind.is_floating() => text.parse().ok().and_then(Number::from_f64),
        DataType::Boolean => return Value::Bool(text == "true"),
        _ => None,
    };
    number.map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

/// Gathers rows into batches.
pub(crate) struct Gathering {
    schema: SchemaRef,
    columns: Vec<StringBuilder>,
    pub rows: usize,
}

impl Gathering {
    pub fn new(schema: &SchemaRef) -> Self {
        let columns = schema.fields().iter().map(|_| StringBuilder::new()).collect();
        Self { schema: schema.clone(), columns, rows: 0 }
    }

    pub fn push(&mut self, row: &[u8]) {
        let mut cells = Cells(row);
        for column in &mut self.columns {
            column.append_option(cells.next().flatten());
        }
        self.rows += 1;
    }

    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        self.rows = 0;
        let fields = self.schema.fields().iter();
        let columns: Result<Vec<ArrayRef>, _> = self
            .columns
            .iter_mut()
            .zip(fields)
            .map(|(texts, field)| from_texts(&texts.finish(), field.data_type()))
            .collect();
        RecordBatch::try_new(self.schema.clone(), columns?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_and_later_columns_are_null() {
        let columns = [
            Some(StringArray::from(vec![Some("a"), Some("")])),
            None,
            Some(StringArray::from(vec![None, Some("zwölf\n")])),
        ];
        let mut row = Vec::new();
        encode(&columns, 0, &mut row);
        assert_eq!(Cells(&row).collect::<Vec<_>>(), [Some("a"), None, None]);
        encode(&columns, 1, &mut row);
        assert_eq!(Cells(&row).collect::<Vec<_>>(), [Some(""), None, Some("zwölf\n")]);
        assert_eq!(Cells(&row[..row.len() - 1]).count(), 2, "a row that was cut has no such cell");
    }

    #[test]
    fn values_are_shown_by_their_types() {
        for (kind, text, expected) in [
            (DataType::Utf8, "1", serde_json::json!("1")),
            (DataType::Int64, "-9223372036854775808", serde_json::json!(i64::MIN)),
            (DataType::UInt64, "18446744073709551615", serde_json::json!(u64::MAX)),
            (DataType::Float64, "0.5", serde_json::json!(0.5)),
            (DataType::Float64, "inf", serde_json::json!("inf")),
            (DataType::Boolean, "true", serde_json::json!(true)),
            (DataType::Date32, "2024-02-29", serde_json::json!("2024-02-29")),
        ] {
            assert_eq!(json_value(&kind, text), expected);
        }
    }
}
