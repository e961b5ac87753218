//! Arrow values as CQL values and back.
//!
//! | Arrow | CQL |
//! |---|---|
//! | text | text |
//! | integers of 8, 16, 32, 64 bits | tinyint, smallint, int, bigint; unsigned ones the next larger type |
//! | floats, booleans, bytes | float, double, boolean, blob |
//! | dates | date |
//! | timestamps in seconds or milliseconds | timestamp |
//! | timestamps in micro- or nanoseconds | text, ISO 8601 in UTC: CQL's timestamps have milliseconds |
//! | decimals of 128 bits | decimal |
//! | decimals of 256 bits; structs, lists, maps | text; text with JSON |

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, BooleanArray, BooleanBuilder,
    Decimal128Array, Decimal128Builder, Float32Array, Float64Array, Float64Builder, Int8Array,
    Int16Array, Int32Array, Int64Array, Int64Builder, StringArray, StringBuilder,
};
use arrow::datatypes::{DataType, Date32Type, TimeUnit};
use arrow::error::ArrowError;
use scylla::cluster::metadata::ColumnType;
use scylla::serialize::SerializationError;
use scylla::serialize::value::SerializeValue;
use scylla::serialize::writers::{CellWriter, WrittenCellProof};
use scylla::value::{CqlDate, CqlDecimal, CqlTimestamp, CqlValue};

use crate::sql::layout::plain;
use crate::sql::values::{exact, from_texts, texts};

/// Day 0 in CQL's dates, which have no sign.
const EPOCH: u32 = 1 << 31;

/// The kinds of CQL columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    Text,
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    Float,
    Double,
    Boolean,
    Blob,
    Date,
    Timestamp,
    Decimal,
}

impl Storage {
    /// Where values of this type go; `None`: nowhere.
    pub fn of(kind: &DataType) -> Option<Self> {
        use DataType as T;
        match plain(kind) {
            T::Timestamp(TimeUnit::Second | TimeUnit::Millisecond, _) => Some(Self::Timestamp),
            T::Utf8 | T::Timestamp(..) | T::Decimal256(..) => Some(Self::Text),
            T::Struct(_) | T::List(_) | T::LargeList(_) | T::FixedSizeList(..) | T::Map(..) => {
                Some(Self::Text)
            }
            T::Int8 => Some(Self::TinyInt),
            T::Int16 | T::UInt8 => Some(Self::SmallInt),
            T::Int32 | T::UInt16 => Some(Self::Int),
            T::Int64 | T::UInt32 => Some(Self::BigInt),
            T::Float32 => Some(Self::Float),
            T::Float64 => Some(Self::Double),
            T::Boolean => Some(Self::Boolean),
            T::Binary => Some(Self::Blob),
            T::Date32 => Some(Self::Date),
            T::Decimal128(..) => Some(Self::Decimal),
            _ => None,
        }
    }

    pub fn cql(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::TinyInt => "tinyint",
            Self::SmallInt => "smallint",
            Self::Int => "int",
            Self::BigInt => "bigint",
            Self::Float => "float",
            Self::Double => "double",
            Self::Boolean => "boolean",
            Self::Blob => "blob",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Decimal => "decimal",
        }
    }
}

/// A column as CQL sees it.
#[derive(Debug)]
pub(super) enum Stored {
    Text(StringArray),
    TinyInt(Int8Array),
    SmallInt(Int16Array),
    Int(Int32Array),
    BigInt(Int64Array),
    Float(Float32Array),
    Double(Float64Array),
    Boolean(BooleanArray),
    Blob(BinaryArray),
    Date(Int32Array),
    /// Milliseconds.
    Timestamp(Int64Array),
    Decimal(Decimal128Array),
}

impl Stored {
    pub fn of(column: &ArrayRef) -> Result<Self, ArrowError> {
        let kind = plain(column.data_type());
        let as_type = |kind: &DataType| exact(column, kind);
        Ok(match Storage::of(&kind).ok_or_else(|| no_storage(&kind))? {
            Storage::Text => Self::Text(texts(column, &kind)?),
            Storage::TinyInt => Self::TinyInt(as_type(&DataType::Int8)?.as_primitive().clone()),
            Storage::SmallInt => Self::SmallInt(as_type(&DataType::Int16)?.as_primitive().clone()),
            Storage::Int => Self::Int(as_type(&DataType::Int32)?.as_primitive().clone()),
            Storage::BigInt => Self::BigInt(as_type(&DataType::Int64)?.as_primitive().clone()),
            Storage::Float => Self::Float(as_type(&DataType::Float32)?.as_primitive().clone()),
            Storage::Double => Self::Double(as_type(&DataType::Float64)?.as_primitive().clone()),
            Storage::Boolean => Self::Boolean(column.as_boolean().clone()),
            Storage::Blob => Self::Blob(as_type(&DataType::Binary)?.as_binary().clone()),
            Storage::Date => {
                let days = column.as_primitive::<Date32Type>();
                Self::Date(days.reinterpret_cast())
            }
            Storage::Timestamp => {
                let zone = match &kind {
                    DataType::Timestamp(_, zone) => zone.clone(),
                    _ => None,
                };
                let millis = as_type(&DataType::Timestamp(TimeUnit::Millisecond, zone))?;
                Self::Timestamp(exact(&millis, &DataType::Int64)?.as_primitive().clone())
            }
            Storage::Decimal => Self::Decimal(column.as_primitive().clone()),
        })
    }

    /// How many bytes the value takes in a key; at most, for decimals.
    pub fn bytes(&self, row: usize) -> usize {
        match self {
            Self::Text(texts) => texts.value(row).len(),
            Self::Blob(blobs) => blobs.value(row).len(),
            Self::TinyInt(_) | Self::Boolean(_) => 1,
            Self::SmallInt(_) => 2,
            Self::Int(_) | Self::Float(_) | Self::Date(_) => 4,
            Self::BigInt(_) | Self::Double(_) | Self::Timestamp(_) => 8,
            Self::Decimal(_) => 20,
        }
    }

    pub(super) fn write<'b>(
        &self,
        row: usize,
        kind: &ColumnType<'_>,
        cell: CellWriter<'b>,
    ) -> Result<WrittenCellProof<'b>, SerializationError> {
        macro_rules! value {
            ($array:expr) => {
                $array.is_valid(row).then(|| $array.value(row))
            };
        }
        match self {
            Self::Text(texts) => value!(texts).serialize(kind, cell),
            Self::TinyInt(integers) => value!(integers).serialize(kind, cell),
            Self::SmallInt(integers) => value!(integers).serialize(kind, cell),
            Self::Int(integers) => value!(integers).serialize(kind, cell),
            Self::BigInt(integers) => value!(integers).serialize(kind, cell),
            Self::Float(floats) => value!(floats).serialize(kind, cell),
            Self::Double(floats) => value!(floats).serialize(kind, cell),
            Self::Boolean(booleans) => value!(booleans).serialize(kind, cell),
            Self::Blob(blobs) => value!(blobs).serialize(kind, cell),
            Self::Date(days) => value!(days).map(date).serialize(kind, cell),
            Self::Timestamp(millis) => value!(millis).map(CqlTimestamp).serialize(kind, cell),
            Self::Decimal(decimals) => {
                let scale = i32::from(decimals.scale());
                value!(decimals).map(|value| decimal(value, scale)).serialize(kind, cell)
            }
        }
    }
}

fn date(days: i32) -> CqlDate {
    CqlDate(days.cast_unsigned() ^ EPOCH)
}

/// In as few bytes as will do: as part of a key, equal numbers must have equal bytes.
fn decimal(value: i128, scale: i32) -> CqlDecimal {
    let bytes = value.to_be_bytes();
    let sign = if value < 0 { 0xff } else { 0 };
    let needless = |at: &usize| bytes[*at] == sign && (bytes[*at + 1] ^ sign) & 0x80 == 0;
    let from = (0..bytes.len() - 1).take_while(needless).count();
    CqlDecimal::from_signed_be_bytes_slice_and_exponent(&bytes[from..], scale)
}

/// Gathers the values of one column of a result.
pub(super) enum Gathered {
    Text(StringBuilder),
    Integer(Int64Builder),
    Real(Float64Builder),
    Boolean(BooleanBuilder),
    Blob(BinaryBuilder),
    /// With the scale.
    Decimal(Decimal128Builder, i32),
}

impl Gathered {
    pub fn new(kind: &DataType) -> Result<Self, ArrowError> {
        let kind = plain(kind);
        Ok(match Storage::of(&kind).ok_or_else(|| no_storage(&kind))? {
            Storage::Text => Self::Text(StringBuilder::new()),
            Storage::TinyInt | Storage::SmallInt | Storage::Int | Storage::BigInt => {
                Self::Integer(Int64Builder::new())
            }
            Storage::Date | Storage::Timestamp => Self::Integer(Int64Builder::new()),
            Storage::Float | Storage::Double => Self::Real(Float64Builder::new()),
            Storage::Boolean => Self::Boolean(BooleanBuilder::new()),
            Storage::Blob => Self::Blob(BinaryBuilder::new()),
            Storage::Decimal => {
                let scale = match kind {
                    DataType::Decimal128(_, scale) => i32::from(scale),
                    _ => 0,
                };
                Self::Decimal(Decimal128Builder::new().with_data_type(kind), scale)
            }
        })
    }

    /// Takes a value, if it is one that we could have written.
    pub fn push(&mut self, value: Option<CqlValue>) -> Result<(), ArrowError> {
        match (self, value) {
            (Self::Text(texts), None) => texts.append_null(),
            (Self::Integer(integers), None) => integers.append_null(),
            (Self::Real(reals), None) => reals.append_null(),
            (Self::Boolean(booleans), None) => booleans.append_null(),
            (Self::Blob(blobs), None) => blobs.append_null(),
            (Self::Decimal(decimals, _), None) => decimals.append_null(),
            (Self::Text(texts), Some(CqlValue::Text(text))) => texts.append_value(text),
            (Self::Integer(integers), Some(value)) => integers.append_value(integer(&value)?),
            (Self::Real(reals), Some(CqlValue::Double(real))) => reals.append_value(real),
            (Self::Real(reals), Some(CqlValue::Float(real))) => reals.append_value(real.into()),
            (Self::Boolean(booleans), Some(CqlValue::Boolean(is))) => booleans.append_value(is),
            (Self::Blob(blobs), Some(CqlValue::Blob(blob))) => blobs.append_value(blob),
            (Self::Decimal(decimals, scale), Some(CqlValue::Decimal(value))) => {
                decimals.append_value(number(&value, *scale)?);
            }
            (_, Some(other)) => return Err(foreign(&other)),
        }
        Ok(())
    }

    /// The column, of the type it had when it was stored.
    pub fn finish(&mut self, kind: &DataType) -> Result<ArrayRef, ArrowError> {
        let column: ArrayRef = match self {
            Self::Text(texts) => return from_texts(&texts.finish(), kind),
            Self::Integer(integers) => Arc::new(integers.finish()),
            Self::Real(reals) => Arc::new(reals.finish()),
            Self::Boolean(booleans) => Arc::new(booleans.finish()),
            Self::Blob(blobs) => Arc::new(blobs.finish()),
            Self::Decimal(decimals, _) => Arc::new(decimals.finish()),
        };
        match plain(kind) {
            DataType::Date32 => {
                let days = exact(&column, &DataType::Int32)?;
                exact(&days, &DataType::Date32).and_then(|column| exact(&column, kind))
            }
            DataType::Timestamp(_, zone) => {
                let millis = exact(&column, &DataType::Timestamp(TimeUnit::Millisecond, zone))?;
                exact(&millis, kind)
            }
            _ => exact(&column, kind),
        }
    }
}

fn integer(value: &CqlValue) -> Result<i64, ArrowError> {
    Ok(match value {
        CqlValue::TinyInt(value) => (*value).into(),
        CqlValue::SmallInt(value) => (*value).into(),
        CqlValue::Int(value) => (*value).into(),
        CqlValue::BigInt(value) => *value,
        CqlValue::Timestamp(CqlTimestamp(millis)) => *millis,
        CqlValue::Date(CqlDate(days)) => (days ^ EPOCH).cast_signed().into(),
        other => return Err(foreign(other)),
    })
}

/// A decimal's digits. Ours all have the column's scale.
fn number(value: &CqlDecimal, scale: i32) -> Result<i128, ArrowError> {
    let (bytes, theirs) = value.as_signed_be_bytes_slice_and_exponent();
    let foreign = || foreign(&CqlValue::Decimal(value.clone()));
    if theirs != scale || bytes.is_empty() || bytes.len() > 16 {
        return Err(foreign());
    }
    let sign = if bytes[0] & 0x80 == 0 { 0 } else { 0xff };
    let mut all = [sign; 16];
    all[16 - bytes.len()..].copy_from_slice(bytes);
    Ok(i128::from_be_bytes(all))
}

fn foreign(value: &CqlValue) -> ArrowError {
    ArrowError::ParseError(format!("{value:?} stands in it, which isn't ours"))
}

fn no_storage(kind: &DataType) -> ArrowError {
    ArrowError::NotYetImplemented(format!("{kind} in a CQL column"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        Date32Array, DictionaryArray, LargeStringArray, ListArray, StringViewArray,
        TimestampMicrosecondArray, TimestampMillisecondArray, TimestampSecondArray, UInt8Array,
        UInt32Array,
    };
    use arrow::datatypes::Int32Type;

    /// What the server would give back.
    fn sent(stored: &Stored, row: usize) -> Option<CqlValue> {
        macro_rules! value {
            ($array:expr, $kind:expr) => {
                $array.is_valid(row).then(|| $kind($array.value(row).into()))
            };
        }
        match stored {
            Stored::Text(texts) => value!(texts, CqlValue::Text),
            Stored::TinyInt(integers) => value!(integers, CqlValue::TinyInt),
            Stored::SmallInt(integers) => value!(integers, CqlValue::SmallInt),
            Stored::Int(integers) => value!(integers, CqlValue::Int),
            Stored::BigInt(integers) => value!(integers, CqlValue::BigInt),
            Stored::Float(floats) => value!(floats, CqlValue::Float),
            Stored::Double(floats) => value!(floats, CqlValue::Double),
            Stored::Boolean(booleans) => value!(booleans, CqlValue::Boolean),
            Stored::Blob(blobs) => value!(blobs, CqlValue::Blob),
            Stored::Date(days) => days.is_valid(row).then(|| CqlValue::Date(date(days.value(row)))),
            Stored::Timestamp(millis) => {
                millis.is_valid(row).then(|| CqlValue::Timestamp(CqlTimestamp(millis.value(row))))
            }
            Stored::Decimal(decimals) => decimals.is_valid(row).then(|| {
                CqlValue::Decimal(decimal(decimals.value(row), i32::from(decimals.scale())))
            }),
        }
    }

    fn back(column: &ArrayRef) -> ArrayRef {
        let stored = Stored::of(column).unwrap();
        let mut gathered = Gathered::new(column.data_type()).unwrap();
        for row in 0..column.len() {
            gathered.push(sent(&stored, row)).unwrap();
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
        let far = vec![Some(i64::MAX / 1_000), None, Some(-62_135_596_800)];
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringViewArray::from(vec![Some(""), None, Some("東京")])),
            Arc::new(LargeStringArray::from(vec![Some("a"), None])),
            Arc::new(
                vec![Some("a"), None, Some("a")]
                    .into_iter()
                    .collect::<DictionaryArray<Int32Type>>(),
            ),
            Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
            Arc::new(Int8Array::from(vec![Some(i8::MIN), None])),
            Arc::new(UInt8Array::from(vec![Some(u8::MAX), None])),
            Arc::new(UInt32Array::from(vec![Some(u32::MAX), None])),
            Arc::new(Int32Array::from(vec![Some(i32::MIN), None])),
            Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(i64::MAX)])),
            Arc::new(Float32Array::from(vec![Some(0.1), None, Some(f32::MAX)])),
            Arc::new(Float64Array::from(vec![Some(f64::INFINITY), None, Some(1e-300)])),
            Arc::new(BinaryArray::from(vec![Some(&b"\0\xff"[..]), None, Some(&b""[..])])),
            Arc::new(Date32Array::from(vec![Some(i32::MIN), None, Some(0), Some(i32::MAX)])),
            Arc::new(TimestampSecondArray::from(far).with_timezone("Europe/Zurich")),
            Arc::new(TimestampMillisecondArray::from(vec![Some(i64::MIN), None, Some(i64::MAX)])),
            Arc::new(TimestampMicrosecondArray::from(vec![Some(-1), None]).with_timezone("UTC")),
            Arc::new(
                Decimal128Array::from(vec![Some(-12_345), None, Some(128), Some(-128), Some(0)])
                    .with_precision_and_scale(20, 3)
                    .unwrap(),
            ),
            Arc::new(list),
        ];
        for column in columns {
            assert_eq!(&back(&column), &column, "{}", column.data_type());
        }
    }

    #[test]
    fn a_decimal_has_as_few_bytes_as_will_do() {
        for (value, bytes) in [
            (0, &[0][..]),
            (127, &[127]),
            (128, &[0, 128]),
            (-128, &[128]),
            (-129, &[255, 127]),
            (-1, &[255]),
        ] {
            let made = decimal(value, 2);
            assert_eq!(made.as_signed_be_bytes_slice_and_exponent(), (bytes, 2), "{value}");
            assert_eq!(number(&made, 2).unwrap(), value);
        }
        for extreme in [i128::MAX, i128::MIN] {
            assert_eq!(number(&decimal(extreme, 0), 0).unwrap(), extreme);
        }
    }

    #[test]
    fn a_value_of_another_type_is_an_error() {
        let mut integers = Gathered::new(&DataType::Int64).unwrap();
        let error = integers.push(Some(CqlValue::Text("ten".to_owned()))).unwrap_err().to_string();
        assert!(error.contains("ten"), "{error}");
        let mut decimals = Gathered::new(&DataType::Decimal128(20, 3)).unwrap();
        assert!(decimals.push(Some(CqlValue::Decimal(decimal(5, 2)))).is_err(), "another scale");
    }
}
