use std::fmt;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Float64Builder, Int32Builder, Int64Builder, ListArray,
    StringBuilder, StructArray, TimestampMillisecondBuilder,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::kernels::cast_utils::{Parser, string_to_datetime};
use arrow::datatypes::{DataType, Date32Type, Field, FieldRef, Fields as ArrowFields, TimeUnit};
use chrono::Utc;
use serde::Deserializer;
use serde::de::{
    DeserializeSeed, Error, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer,
};

use super::json::{Fields, RowSeed};
use super::time::utc_millis;

/// A column being filled from JSON values.
pub(super) enum Column {
    Text(StringBuilder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float(Float64Builder),
    Boolean(BooleanBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMillisecondBuilder),
    Struct { fields: ArrowFields, inner: Fields, valid: Vec<bool> },
    List { item: FieldRef, inner: Box<Column>, lengths: Vec<usize>, valid: Vec<bool> },
}

impl Column {
    pub(super) fn new(field: &Field, rows: usize) -> Result<Self, String> {
        Ok(match field.data_type() {
            DataType::Utf8 => Self::Text(StringBuilder::with_capacity(rows, rows * 16)),
            DataType::Int32 => Self::Int32(Int32Builder::with_capacity(rows)),
            DataType::Int64 => Self::Int64(Int64Builder::with_capacity(rows)),
            DataType::Float64 => Self::Float(Float64Builder::with_capacity(rows)),
            DataType::Boolean => Self::Boolean(BooleanBuilder::with_capacity(rows)),
            DataType::Date32 => Self::Date(Date32Builder::with_capacity(rows)),
            kind @ DataType::Timestamp(TimeUnit::Millisecond, _) => Self::Timestamp(
                TimestampMillisecondBuilder::with_capacity(rows).with_data_type(kind.clone()),
            ),
            DataType::Struct(fields) => Self::Struct {
                fields: fields.clone(),
                inner: Fields::of(fields, rows)?,
                valid: Vec::with_capacity(rows),
            },
            DataType::List(item) => Self::List {
                item: item.clone(),
                inner: Box::new(Self::new(item, rows)?),
                lengths: Vec::with_capacity(rows),
                valid: Vec::with_capacity(rows),
            },
            other => {
                return Err(format!(
                    "column `{}` is declared as {other}, which the JSON decoder doesn't make",
                    field.name()
                ));
            }
        })
    }

    pub(super) fn append_null(&mut self) {
        match self {
            Self::Text(column) => column.append_null(),
            Self::Int32(column) => column.append_null(),
            Self::Int64(column) => column.append_null(),
            Self::Float(column) => column.append_null(),
            Self::Boolean(column) => column.append_null(),
            Self::Date(column) => column.append_null(),
            Self::Timestamp(column) => column.append_null(),
            Self::Struct { inner, valid, .. } => {
                inner.append_null();
                valid.push(false);
            }
            Self::List { lengths, valid, .. } => {
                lengths.push(0);
                valid.push(false);
            }
        }
    }

    pub(super) fn seed(&mut self, nullable: bool) -> ValueSeed<'_> {
        ValueSeed { column: self, nullable }
    }

    pub(super) fn finish(self) -> ArrayRef {
        match self {
            Self::Text(mut column) => Arc::new(column.finish()),
            Self::Int32(mut column) => Arc::new(column.finish()),
            Self::Int64(mut column) => Arc::new(column.finish()),
            Self::Float(mut column) => Arc::new(column.finish()),
            Self::Boolean(mut column) => Arc::new(column.finish()),
            Self::Date(mut column) => Arc::new(column.finish()),
            Self::Timestamp(mut column) => Arc::new(column.finish()),
            Self::Struct { fields, inner, valid } => {
                let columns = inner.into_columns().into_iter().map(Self::finish).collect();
                Arc::new(StructArray::new(fields, columns, Some(NullBuffer::from(valid))))
            }
            Self::List { item, inner, lengths, valid } => {
                let offsets = OffsetBuffer::from_lengths(lengths);
                let values = inner.finish();
                Arc::new(ListArray::new(item, offsets, values, Some(NullBuffer::from(valid))))
            }
        }
    }
}

/// Reads one JSON value into the next row of a column.
pub(super) struct ValueSeed<'a> {
    column: &'a mut Column,
    nullable: bool,
}

impl ValueSeed<'_> {
    fn wrong<E: Error>(&self, found: serde::de::Unexpected<'_>) -> E {
        E::invalid_type(found, self)
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.column {
            Column::Text(_) => "a string",
            Column::Int32(_) | Column::Int64(_) => "a whole number",
            Column::Float(_) => "a number",
            Column::Boolean(_) => "true or false",
            Column::Date(_) => "a date such as \"2026-11-21\"",
            Column::Timestamp(_) => "a date and time in ISO 8601",
            Column::Struct { .. } => "an object",
            Column::List { .. } => "an array",
        })
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        if !self.nullable {
            return Err(E::custom("null isn't allowed"));
        }
        self.column.append_null();
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        match self.column {
            Column::Boolean(column) => column.append_value(value),
            _ => return Err(self.wrong(serde::de::Unexpected::Bool(value))),
        }
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        match self.column {
            Column::Int64(column) => column.append_value(value),
            Column::Float(column) => column.append_value(value as f64),
            Column::Int32(column) => column.append_value(i32::try_from(value).map_err(E::custom)?),
            _ => return Err(self.wrong(serde::de::Unexpected::Signed(value))),
        }
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        match (i64::try_from(value), self.column) {
            (Ok(value), column) => ValueSeed { column, nullable: self.nullable }.visit_i64(value),
            (Err(_), Column::Float(column)) => {
                column.append_value(value as f64);
                Ok(())
            }
            (Err(_), column) => {
                let seed = ValueSeed { column, nullable: self.nullable };
                Err(seed.wrong(serde::de::Unexpected::Unsigned(value)))
            }
        }
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        match self.column {
            Column::Float(column) => column.append_value(value),
            _ => return Err(self.wrong(serde::de::Unexpected::Float(value))),
        }
        Ok(())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        match self.column {
            Column::Text(column) => column.append_value(value),
            Column::Date(column) => {
                let days = Date32Type::parse(value)
                    .ok_or_else(|| E::custom(format!("{value:?} is not a date")))?;
                column.append_value(days);
            }
            Column::Timestamp(column) => {
                let millis = match utc_millis(value) {
                    Some(millis) => millis,
                    None => string_to_datetime(&Utc, value)
                        .map_err(|_| E::custom(format!("{value:?} is not a date and time")))?
                        .timestamp_millis(),
                };
                column.append_value(millis);
            }
            _ => return Err(self.wrong(serde::de::Unexpected::Str(value))),
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        match self.column {
            Column::Struct { inner, valid, .. } => {
                RowSeed(inner).deserialize(MapAccessDeserializer::new(map))?;
                valid.push(true);
                Ok(())
            }
            _ => Err(self.wrong(serde::de::Unexpected::Map)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        match self.column {
            Column::List { item, inner, lengths, valid } => {
                let mut length = 0;
                while seq.next_element_seed(inner.seed(item.is_nullable()))?.is_some() {
                    length += 1;
                }
                lengths.push(length);
                valid.push(true);
                Ok(())
            }
            _ => Err(self.wrong(serde::de::Unexpected::Seq)),
        }
    }
}
