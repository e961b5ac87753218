//! Values as they are bound and as they are read: what a column can't hold goes beside it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use arrow::array::Array;
use arrow::error::ArrowError;
use mysql_async::Value;

use super::columns::{Columns, Kind};
use crate::sql::values::{Gathered, Stored};

/// The year 0 is none in MySQL.
const YEAR_0: &str = "0000";
/// Stands in a key for a day or moment that can't; the hash in `_long` tells such keys apart.
const NO_DATE: &str = "9999-12-31";

/// One row, ready to be bound.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Cells {
    /// In the table's order.
    pub values: Vec<Value>,
    /// Empty, or the key's hash.
    pub long: Vec<u8>,
    /// JSON of what the columns can't hold.
    pub beyond: Option<String>,
}

impl Cells {
    /// `stored`: the values of each of the table's columns; `None`: the range knows nothing of it.
    pub fn of(columns: &Columns, stored: &[Option<&Stored>], row: usize) -> Self {
        let mut beyond = BTreeMap::new();
        let mut long = Vec::new();
        let mut values = Vec::with_capacity(columns.all.len());
        for (index, ((name, kind), stored_here)) in columns.all.iter().zip(stored).enumerate() {
            let (mut value, more) =
                stored_here.map_or((Value::NULL, None), |s| cell(*kind, s, row));
            if let Some(more) = more {
                if columns.key.contains(&index) {
                    long = hash(columns, stored, row).to_vec();
                    if value == Value::NULL {
                        value = Value::from(NO_DATE);
                    }
                }
                beyond.insert(name.clone(), more);
            }
            values.push(value);
        }
        let beyond = (!beyond.is_empty()).then(|| {
            let json = serde_json::Map::from_iter(beyond.into_iter().map(|(k, v)| (k, v.into())));
            serde_json::Value::Object(json).to_string()
        });
        Self { values, long, beyond }
    }

    /// The values of the key, then `_long`.
    pub fn key(&self, columns: &Columns) -> Vec<Value> {
        let key = columns.key.iter().map(|&index| self.values[index].clone());
        key.chain([Value::Bytes(self.long.clone())]).collect()
    }

    pub fn beyond(&self) -> Value {
        self.beyond.as_deref().map_or(Value::NULL, Value::from)
    }
}

/// Tells whole keys apart: SHA-256 of each column's length and bytes. Kept in tables: it must stay as it is.
pub(super) fn hash(columns: &Columns, stored: &[Option<&Stored>], row: usize) -> [u8; 32] {
    let mut bytes = Vec::new();
    let mut add = |part: &[u8]| {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    };
    for &index in &columns.key {
        match stored[index] {
            Some(Stored::Text(texts)) => add(texts.value(row).as_bytes()),
            Some(Stored::Integer(integers)) => add(integers.value(row).to_string().as_bytes()),
            Some(Stored::Blob(blobs)) => add(blobs.value(row)),
            // Fractions are no keys, and a range has all of them.
            Some(Stored::Real(_)) | None => add(&[]),
        }
    }
    openssl::sha::sha256(&bytes)
}

/// The value to bind, and what the column can't hold.
fn cell(kind: Kind, stored: &Stored, row: usize) -> (Value, Option<String>) {
    match stored {
        Stored::Text(texts) if texts.is_valid(row) => text_cell(kind, texts.value(row)),
        Stored::Integer(integers) if integers.is_valid(row) => (integers.value(row).into(), None),
        Stored::Real(reals) if reals.is_valid(row) => match reals.value(row) {
            // MariaDB knows one zero only.
            real if real == 0.0 && real.is_sign_negative() => (0.0.into(), Some("-0".to_owned())),
            real if real.is_finite() => (real.into(), None),
            real if real.is_nan() => (Value::NULL, Some("NaN".to_owned())),
            real => {
                (Value::NULL, Some(if real > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()))
            }
        },
        Stored::Blob(blobs) if blobs.is_valid(row) => match (kind, blobs.value(row)) {
            (Kind::Binary(most), bytes) if bytes.len() > most => {
                (Value::Bytes(bytes[..most].to_vec()), Some(hex(bytes)))
            }
            (_, bytes) => (Value::Bytes(bytes.to_vec()), None),
        },
        _ => (Value::NULL, None),
    }
}

fn text_cell(kind: Kind, text: &str) -> (Value, Option<String>) {
    match kind {
        Kind::Name(most) => match text.char_indices().nth(most) {
            Some((end, _)) => (Value::from(&text[..end]), Some(text.to_owned())),
            None => (Value::from(text), None),
        },
        // Moments outside of the years 0 to 9999 are plain numbers here.
        Kind::Date | Kind::Moment(_)
            if text.as_bytes().get(4) != Some(&b'-') || text.starts_with(YEAR_0) =>
        {
            (Value::NULL, Some(text.to_owned()))
        }
        Kind::Moment(_) => (Value::from(text.strip_suffix('Z').unwrap_or(text)), None),
        _ => (Value::from(text), None),
    }
}

/// Takes a value that was read, if it is one that we could have written. `beyond`: what stands beside it.
pub(super) fn take(
    gathered: &mut Gathered,
    kind: Kind,
    value: &Value,
    beyond: Option<&str>,
) -> Result<(), ArrowError> {
    if let Some(text) = beyond {
        return take_beyond(gathered, text);
    }
    match (gathered, value) {
        (Gathered::Text(texts), Value::NULL) => texts.append_null(),
        (Gathered::Integer(integers), Value::NULL) => integers.append_null(),
        (Gathered::Real(reals), Value::NULL) => reals.append_null(),
        (Gathered::Blob(blobs), Value::NULL) => blobs.append_null(),
        (Gathered::Text(texts), Value::Bytes(bytes)) => {
            let text =
                std::str::from_utf8(bytes).map_err(|e| ArrowError::ParseError(e.to_string()))?;
            texts.append_value(text);
        }
        (Gathered::Text(texts), date @ Value::Date(..)) => {
            texts.append_value(date_text(kind, date))
        }
        (Gathered::Integer(integers), Value::Int(integer)) => integers.append_value(*integer),
        (Gathered::Integer(integers), Value::UInt(integer)) => {
            let integer = i64::try_from(*integer);
            integers.append_value(integer.map_err(|e| ArrowError::ParseError(e.to_string()))?);
        }
        (Gathered::Real(reals), Value::Double(real)) => reals.append_value(*real),
        (Gathered::Blob(blobs), Value::Bytes(bytes)) => blobs.append_value(bytes),
        _ => return Err(ArrowError::ParseError("a value of another type stands in it".to_owned())),
    }
    Ok(())
}

fn take_beyond(gathered: &mut Gathered, text: &str) -> Result<(), ArrowError> {
    let wrong = || ArrowError::ParseError("_beyond holds no value of its type".to_owned());
    match gathered {
        Gathered::Text(texts) => texts.append_value(text),
        Gathered::Real(reals) => reals.append_value(text.parse().map_err(|_| wrong())?),
        Gathered::Blob(blobs) => blobs.append_value(unhex(text).ok_or_else(wrong)?),
        Gathered::Integer(_) => return Err(wrong()),
    }
    Ok(())
}

/// As [`crate::sql`] writes it.
fn date_text(kind: Kind, date: &Value) -> String {
    let &Value::Date(year, month, day, hour, minute, second, micros) = date else {
        return String::new();
    };
    let mut text = format!("{year:04}-{month:02}-{day:02}");
    if let Kind::Moment(digits) = kind {
        let _ = write!(text, "T{hour:02}:{minute:02}:{second:02}");
        if digits > 0 {
            let micros = format!("{micros:06}");
            let _ = write!(text, ".{}", &micros[..usize::from(digits.min(6))]);
        }
    }
    text
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pair = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

/// What stands beside a row's columns.
pub(super) fn read_beyond(json: &Value) -> Result<BTreeMap<String, String>, ArrowError> {
    match json {
        Value::Bytes(json) => {
            serde_json::from_slice(json).map_err(|error| ArrowError::ParseError(error.to_string()))
        }
        _ => Ok(BTreeMap::new()),
    }
}
