//! Rows as documents and back.

use std::collections::BTreeSet;

use arrow::array::{Array, ArrayRef, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use serde_json::{Map, Number, Value, json};

use super::mapping::slot;
use crate::search::changes::{Change, Texts};
use crate::search::fields::{
    counts, folded, key_text, lowered, suggested_text, tokens, value_text, words,
};
use crate::search::rows::json_value;
use crate::search::suggestions::plain;
use crate::search::{Field, Index, Kind};
use crate::sql::values::from_texts;

/// Of a text's end that is compared with what was typed.
pub(super) const START_CHARS: usize = 24;
/// So many of its words may be typed first.
const STARTS: usize = 15;

/// A row as its document.
pub(super) fn row(
    index: &Index,
    schema: &SchemaRef,
    change: &Change,
    (texts, row): (&Texts, usize),
) -> Value {
    let mut document = mark(change);
    document.remove("deleted");
    document.insert("live".to_owned(), true.into());
    document.insert("row".to_owned(), Value::Object(whole(schema, texts, row)));
    let mut of: [Map<String, Value>; 4] = Default::default();
    let [text_of, value_of, folded_of, suggested_of] = &mut of;
    let mut all_words = BTreeSet::new();
    for field in index.fields {
        let Some(text) = cell(texts, field.column, row).filter(|text| !text.is_empty()) else {
            continue;
        };
        let slot = slot(field.column);
        let is_text = matches!(field.kind, Kind::Text { .. });
        // Cut here, a server's time is spared: it indexes for many.
        let words = if is_text || counts(field.kind) {
            tokens(&mut words(), &folded(text))
        } else {
            vec![]
        };
        if is_text {
            text_of.insert(slot.clone(), words.join(" ").into());
        } else {
            value_of.insert(slot.clone(), value_text(text).into());
            folded_of.insert(slot.clone(), lowered(value_text(text)).into());
        }
        if counts(field.kind) {
            all_words.extend(words);
        }
        if field.suggest
            && let Some(suggested) = suggested(field, text)
        {
            suggested_of.insert(slot, suggested);
        }
    }
    for (name, part) in ["text", "value", "folded", "suggest"].into_iter().zip(of) {
        document.insert(name.to_owned(), Value::Object(part));
    }
    let all_words = all_words.into_iter().collect::<Vec<_>>().join(" ");
    document.insert("words".to_owned(), all_words.into());
    Value::Object(document)
}

/// What is left of a deleted row, so that an older write that comes late can't revive it.
pub(super) fn mark(change: &Change) -> Map<String, Value> {
    let mark = [
        ("key", Value::from(key_text(&change.key))),
        ("version", change.version.into()),
        ("deleted", true.into()),
    ];
    mark.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn cell<'a>(texts: &'a Texts, column: &str, row: usize) -> Option<&'a str> {
    let column = texts.column(column)?;
    column.is_valid(row).then(|| column.value(row))
}

/// All columns. Integers and truth values as such, all else as text, which comes back exactly.
fn whole(schema: &SchemaRef, texts: &Texts, row: usize) -> Map<String, Value> {
    let value = |(name, column): (&str, &arrow::array::StringArray)| {
        let value = column.is_valid(row).then(|| {
            let kind = schema.field_with_name(name).map(arrow::datatypes::Field::data_type);
            kept(kind.unwrap_or(&DataType::Utf8), column.value(row))
        });
        (name.to_owned(), value.unwrap_or_default())
    };
    texts.columns().map(value).collect()
}

fn kept(kind: &DataType, text: &str) -> Value {
    match kind {
        DataType::Boolean => Value::Bool(text == "true"),
        kind if kind.is_signed_integer() => match text.parse::<i64>() {
            Ok(number) => Value::Number(Number::from(number)),
            Err(_) => text.into(),
        },
        _ => text.into(),
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// A row for people and programs: numbers and truth values as such, all else as text.
pub(super) fn shown(schema: &SchemaRef, row: &Value) -> Map<String, Value> {
    let value = |field: &std::sync::Arc<arrow::datatypes::Field>| {
        let text = text_of(&row[field.name().as_str()]);
        (
            field.name().clone(),
            text.map_or(Value::Null, |text| json_value(field.data_type(), &text)),
        )
    };
    schema.fields().iter().map(value).collect()
}

/// Rows as a batch.
pub(super) fn batch<'a>(
    schema: &SchemaRef,
    rows: impl Iterator<Item = &'a Value>,
) -> Result<RecordBatch, ArrowError> {
    let mut columns: Vec<_> = schema.fields().iter().map(|_| StringBuilder::new()).collect();
    for row in rows {
        for (column, field) in columns.iter_mut().zip(schema.fields()) {
            column.append_option(text_of(&row[field.name().as_str()]));
        }
    }
    let columns: Result<Vec<ArrayRef>, _> = columns
        .iter_mut()
        .zip(schema.fields())
        .map(|(texts, field)| from_texts(&texts.finish(), field.data_type()))
        .collect();
    RecordBatch::try_new(schema.clone(), columns?)
}

/// A text as it is suggested and as it is compared with what was typed: whole, and from each of its words on. `None`:
/// there is nothing in it that could be typed.
fn suggested(field: &Field, text: &str) -> Option<Value> {
    let text = match field.kind {
        Kind::Text { .. } => suggested_text(text),
        _ => value_text(text).to_owned(),
    };
    let plain = plain(&text);
    if plain.is_empty() {
        return None;
    }
    let inside = plain.match_indices(' ').map(|(blank, _)| blank + 1);
    // Ids are typed from their beginning only.
    let most = if field.kind == Kind::Id { 0 } else { STARTS };
    let starts: Vec<_> =
        std::iter::once(0).chain(inside.take(most)).map(|at| start(&plain[at..])).collect();
    Some(json!({"length": text.len(), "starts": starts, "plain": plain, "text": text}))
}

/// What is compared of a text from some word on, or of what was typed.
pub(super) fn start(text: &str) -> &str {
    text.char_indices().nth(START_CHARS).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_exactly() {
        for (kind, text, expected) in [
            (DataType::Utf8, "1", json!("1")),
            (DataType::Int64, "-9223372036854775808", json!(i64::MIN)),
            (DataType::UInt64, "18446744073709551615", json!("18446744073709551615")),
            (DataType::Float64, "1e300", json!("1e300")),
            (DataType::Boolean, "false", json!(false)),
        ] {
            let value = kept(&kind, text);
            assert_eq!((&value, text_of(&value).as_deref()), (&expected, Some(text)));
        }
        assert_eq!(text_of(&Value::Null), None);
    }

    #[test]
    fn texts_are_suggested_from_each_word_on() {
        let text = Field { column: "firm", kind: Kind::Text { boost: 1.0 }, suggest: true };
        let made = suggested(&text, "Überlingen, (Nord) x").unwrap();
        assert_eq!(made["text"], "Überlingen, (Nord) x");
        assert_eq!(made["starts"], json!(["uberlingen nord x", "nord x", "x"]));
        let id = Field { kind: Kind::Id, ..text };
        assert_eq!(suggested(&id, "Z-1").unwrap()["starts"], json!(["z 1"]));
        assert_eq!(suggested(&text, "–"), None);
        assert_eq!(start(&"ü".repeat(50)).chars().count(), START_CHARS);
    }
}
