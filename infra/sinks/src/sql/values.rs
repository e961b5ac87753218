//! Arrow values as SQL values and back.
//!
//! | Arrow | SQL |
//! |---|---|
//! | text, decimals | TEXT |
//! | dates, timestamps | TEXT, ISO 8601 in UTC (`moments`) |
//! | structs, lists, maps | TEXT, JSON |
//! | integers up to 64 bits, booleans | INTEGER |
//! | floats | REAL; not-a-number as the text `NaN`, since SQLite would make it null |
//! | bytes | BLOB |

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, Date32Array, Float64Array,
    Float64Builder, Int64Array, Int64Builder, StringArray, StringBuilder,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Date32Type, Field, Int64Type, TimeUnit};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use arrow::json::writer::{EncoderOptions, make_encoder};
use rusqlite::types::{ToSqlOutput, Value, ValueRef};

use super::layout::plain;
use super::moments::{date_days, date_text, timestamp_text, timestamp_value};

const NAN: &str = "NaN";

/// The four kinds of SQL columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    Text,
    Integer,
    Real,
    Blob,
}

impl Storage {
    /// Where values of this type go; `None`: nowhere. Unsigned 64-bit integers don't fit SQL's integers.
    pub fn of(kind: &DataType) -> Option<Self> {
        use DataType as T;
        match plain(kind) {
            T::Utf8 | T::Date32 | T::Timestamp(..) => Some(Self::Text),
            T::Decimal128(..) | T::Decimal256(..) => Some(Self::Text),
            T::Struct(_) | T::List(_) | T::LargeList(_) | T::FixedSizeList(..) | T::Map(..) => {
                Some(Self::Text)
            }
            T::Int8 | T::Int16 | T::Int32 | T::Int64 => Some(Self::Integer),
            T::UInt8 | T::UInt16 | T::UInt32 | T::Boolean => Some(Self::Integer),
            T::Float32 | T::Float64 => Some(Self::Real),
            T::Binary => Some(Self::Blob),
            _ => None,
        }
    }

    pub fn sql(self) -> &'static str {
        match self {
            Self::Text => "TEXT",
            Self::Integer => "INTEGER",
            Self::Real => "REAL",
            Self::Blob => "BLOB",
        }
    }
}

/// A column as SQL sees it.
#[derive(Debug)]
pub(crate) enum Stored {
    Text(StringArray),
    Integer(Int64Array),
    Real(Float64Array),
    Blob(BinaryArray),
}

impl Stored {
    pub fn of(column: &ArrayRef) -> Result<Self, ArrowError> {
        let kind = plain(column.data_type());
        let storage = Storage::of(&kind).ok_or_else(|| no_storage(&kind))?;
        Ok(match storage {
            Storage::Text => Self::Text(texts(column, &kind)?),
            Storage::Integer => {
                Self::Integer(exact(column, &DataType::Int64)?.as_primitive().clone())
            }
            Storage::Real => Self::Real(exact(column, &DataType::Float64)?.as_primitive().clone()),
            Storage::Blob => Self::Blob(exact(column, &DataType::Binary)?.as_binary().clone()),
        })
    }

    /// The value to bind.
    pub fn value(&self, row: usize) -> ToSqlOutput<'_> {
        let value = match self {
            Self::Text(texts) if texts.is_valid(row) => ValueRef::Text(texts.value(row).as_bytes()),
            Self::Integer(integers) if integers.is_valid(row) => {
                ValueRef::Integer(integers.value(row))
            }
            Self::Real(reals) if reals.is_valid(row) && reals.value(row).is_nan() => {
                ValueRef::Text(NAN.as_bytes())
            }
            Self::Real(reals) if reals.is_valid(row) => ValueRef::Real(reals.value(row)),
            Self::Blob(blobs) if blobs.is_valid(row) => ValueRef::Blob(blobs.value(row)),
            _ => return ToSqlOutput::Owned(Value::Null),
        };
        ToSqlOutput::Borrowed(value)
    }
}

/// A cast that fails rather than to put null in the place of a value.
pub(crate) fn exact(column: &ArrayRef, kind: &DataType) -> Result<ArrayRef, ArrowError> {
    cast_with_options(column, kind, &CastOptions { safe: false, ..CastOptions::default() })
}

pub(crate) fn texts(column: &ArrayRef, kind: &DataType) -> Result<StringArray, ArrowError> {
    Ok(match kind {
        DataType::Date32 => {
            let days = exact(column, kind)?;
            days.as_primitive::<Date32Type>().iter().map(|days| days.map(date_text)).collect()
        }
        DataType::Timestamp(unit, zone) => {
            let text = |value| timestamp_text(value, *unit, zone.is_some());
            let values = exact(column, &DataType::Int64)?;
            values.as_primitive::<Int64Type>().iter().map(|value| value.map(text)).collect()
        }
        kind if kind.is_nested() => json_texts(column)?,
        _ => exact(column, &DataType::Utf8)?.as_string::<i32>().clone(),
    })
}

fn json_texts(column: &ArrayRef) -> Result<StringArray, ArrowError> {
    let field = Arc::new(Field::new("value", column.data_type().clone(), true));
    let options = EncoderOptions::default();
    let mut encoder = make_encoder(&field, column.as_ref(), &options)?;
    let mut texts = StringBuilder::new();
    let mut json = Vec::new();
    for row in 0..column.len() {
        if column.is_null(row) {
            texts.append_null();
            continue;
        }
        json.clear();
        encoder.encode(row, &mut json);
        texts.append_value(String::from_utf8_lossy(&json));
    }
    Ok(texts.finish())
}

/// Gathers the values of one column of a result.
pub(crate) enum Gathered {
    Text(StringBuilder),
    Integer(Int64Builder),
    Real(Float64Builder),
    Blob(BinaryBuilder),
}

impl Gathered {
    pub fn new(kind: &DataType) -> Result<Self, ArrowError> {
        Ok(match Storage::of(kind).ok_or_else(|| no_storage(kind))? {
            Storage::Text => Self::Text(StringBuilder::new()),
            Storage::Integer => Self::Integer(Int64Builder::new()),
            Storage::Real => Self::Real(Float64Builder::new()),
            Storage::Blob => Self::Blob(BinaryBuilder::new()),
        })
    }

    /// Takes a value, if it is one that we could have written.
    pub fn push(&mut self, value: ValueRef<'_>) -> Result<(), ArrowError> {
        match (self, value) {
            (Self::Text(texts), ValueRef::Null) => texts.append_null(),
            (Self::Integer(integers), ValueRef::Null) => integers.append_null(),
            (Self::Real(reals), ValueRef::Null) => reals.append_null(),
            (Self::Blob(blobs), ValueRef::Null) => blobs.append_null(),
            (Self::Text(texts), ValueRef::Text(text)) => {
                let text = std::str::from_utf8(text)
                    .map_err(|error| ArrowError::ParseError(error.to_string()))?;
                texts.append_value(text);
            }
            (Self::Integer(integers), ValueRef::Integer(integer)) => integers.append_value(integer),
            (Self::Real(reals), ValueRef::Real(real)) => reals.append_value(real),
            (Self::Real(reals), ValueRef::Text(text)) if text == NAN.as_bytes() => {
                reals.append_value(f64::NAN);
            }
            (Self::Blob(blobs), ValueRef::Blob(blob)) => blobs.append_value(blob),
            (_, other) => {
                let why = format!("a value of type {} stands in it", other.data_type());
                return Err(ArrowError::ParseError(why));
            }
        }
        Ok(())
    }

    /// What was gathered, as the type it had when it was stored.
    pub fn finish(&mut self, kind: &DataType) -> Result<ArrayRef, ArrowError> {
        let column: ArrayRef = match self {
            Self::Text(texts) => return from_texts(&texts.finish(), kind),
            Self::Integer(integers) => Arc::new(integers.finish()),
            Self::Real(reals) => Arc::new(reals.finish()),
            Self::Blob(blobs) => Arc::new(blobs.finish()),
        };
        exact(&column, kind)
    }
}

/// Texts as values of a type: what was stored as TEXT, or a key that was sent as text.
pub(crate) fn from_texts(texts: &StringArray, kind: &DataType) -> Result<ArrayRef, ArrowError> {
    let wrong = |text: &str| ArrowError::ParseError(format!("{text:?} stands in it, no {kind}"));
    let plain = plain(kind);
    let column: ArrayRef = match &plain {
        DataType::Date32 => {
            let days = |text| date_days(text).ok_or_else(|| wrong(text));
            let days: Result<Date32Array, _> =
                texts.iter().map(|text| text.map(days).transpose()).collect();
            Arc::new(days?)
        }
        DataType::Timestamp(unit, _) => moments(texts, *unit, wrong)?,
        plain if plain.is_nested() => from_json(texts, plain)?,
        _ => Arc::new(texts.clone()),
    };
    exact(&column, &plain).and_then(|column| exact(&column, kind))
}

fn moments(
    texts: &StringArray,
    unit: TimeUnit,
    wrong: impl Fn(&str) -> ArrowError,
) -> Result<ArrayRef, ArrowError> {
    let value = |text| timestamp_value(text, unit).ok_or_else(|| wrong(text));
    let values: Result<Int64Array, _> =
        texts.iter().map(|text| text.map(value).transpose()).collect();
    Ok(Arc::new(values?))
}

fn from_json(texts: &StringArray, kind: &DataType) -> Result<ArrayRef, ArrowError> {
    let field = Arc::new(Field::new("value", kind.clone(), true));
    let mut decoder =
        ReaderBuilder::new_with_field(field).with_batch_size(texts.len().max(1)).build_decoder()?;
    for text in texts {
        let json = text.unwrap_or("null").as_bytes();
        let mut read = 0;
        while read < json.len() {
            read += decoder.decode(&json[read..])?;
        }
        decoder.decode(b"\n")?;
    }
    match decoder.flush()? {
        Some(batch) => Ok(batch.column(0).clone()),
        None => Ok(arrow::array::new_empty_array(kind)),
    }
}

fn no_storage(kind: &DataType) -> ArrowError {
    ArrowError::NotYetImplemented(format!("{kind} in a SQL column"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        BooleanArray, Decimal128Array, DictionaryArray, Float32Array, Int32Array, LargeStringArray,
        ListArray, StringViewArray, StructArray, UInt32Array, new_empty_array,
    };
    use arrow::buffer::NullBuffer;
    use arrow::datatypes::Int32Type;

    fn back(column: &ArrayRef) -> ArrayRef {
        let stored = Stored::of(column).unwrap();
        let mut gathered = Gathered::new(column.data_type()).unwrap();
        for row in 0..column.len() {
            match stored.value(row) {
                ToSqlOutput::Borrowed(value) => gathered.push(value).unwrap(),
                _ => gathered.push(ValueRef::Null).unwrap(),
            }
        }
        gathered.finish(column.data_type()).unwrap()
    }

    #[test]
    fn every_type_comes_back_as_it_went() {
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
            Some(vec![Some(1), None]),
            None,
            Some(vec![]),
        ]);
        let parts: Vec<(Arc<Field>, ArrayRef)> = vec![
            (
                Arc::new(Field::new("a", DataType::Utf8, true)),
                Arc::new(StringArray::from(vec![Some("x\n\"y\""), None, Some("z")])),
            ),
            (Arc::new(Field::new("b", list.data_type().clone(), true)), Arc::new(list.clone())),
        ];
        let (fields, arrays): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let nulls = NullBuffer::from(vec![true, true, false]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringViewArray::from(vec![Some(""), None, Some("東京")])),
            Arc::new(LargeStringArray::from(vec![Some("a"), None])),
            Arc::new(
                vec![Some("a"), None, Some("a")]
                    .into_iter()
                    .collect::<DictionaryArray<Int32Type>>(),
            ),
            Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
            Arc::new(UInt32Array::from(vec![Some(u32::MAX), None])),
            Arc::new(Int32Array::from(vec![Some(i32::MIN), None])),
            Arc::new(Float32Array::from(vec![Some(0.1), None, Some(f32::MAX)])),
            Arc::new(Float64Array::from(vec![Some(f64::INFINITY), None, Some(1e-300)])),
            Arc::new(BinaryArray::from(vec![Some(&b"\0\xff"[..]), None, Some(&b""[..])])),
            Arc::new(
                Decimal128Array::from(vec![Some(-12_345), None, Some(5)])
                    .with_precision_and_scale(20, 3)
                    .unwrap(),
            ),
            Arc::new(list),
            Arc::new(StructArray::new(fields.into(), arrays, Some(nulls))),
        ];
        for column in columns {
            assert_eq!(&back(&column), &column, "{}", column.data_type());
            let empty = new_empty_array(column.data_type());
            assert_eq!(&back(&empty), &empty, "no rows of {}", column.data_type());
        }
    }

    #[test]
    fn not_a_number_is_not_null() {
        let column: ArrayRef = Arc::new(Float64Array::from(vec![Some(f64::NAN), None]));
        let back = back(&column);
        assert!(
            back.is_valid(0)
                && back.as_primitive::<arrow::datatypes::Float64Type>().value(0).is_nan()
        );
        assert!(back.is_null(1));
    }

    #[test]
    fn a_value_of_another_type_is_an_error() {
        let mut integers = Gathered::new(&DataType::Int64).unwrap();
        let error = integers.push(ValueRef::Text(b"ten")).unwrap_err().to_string();
        assert!(error.contains("Text"), "{error}");
        let mut dates = Gathered::new(&DataType::Date32).unwrap();
        dates.push(ValueRef::Text(b"some day")).unwrap();
        let error = dates.finish(&DataType::Date32).unwrap_err().to_string();
        assert!(error.contains("some day"), "{error}");
    }
}
