//! Events are `{"text": "…"}`. A line of text becomes one; a record of JSON becomes one of its string
//! values, a line each (the names of its fields are no text, and neither are numbers).

use std::io;

use bytes::Bytes;
use millstream_sources::{Entry, PIECE_BYTES, TextLines};
use millstream_topic::Outgoing;
use serde_json::{Value, json};

/// The records an entry of a file becomes: one, but for a record of JSON that holds more text than a line
/// may be long.
pub fn records(entry: Entry) -> io::Result<Vec<Outgoing>> {
    match entry {
        Entry::Line(line) => Ok(vec![outgoing(line)]),
        Entry::Record(record) => {
            let text = strings(&record).join("\n");
            if text.len() <= PIECE_BYTES {
                return Ok(vec![outgoing(text.into())]);
            }
            let mut lines = TextLines::new(text.as_bytes())?;
            let mut records = Vec::new();
            while let Some(line) = lines.next_line()? {
                records.push(outgoing(line.into()));
            }
            Ok(records)
        }
    }
}

/// What isn't UTF-8 goes as it is, so that the pipeline finds it and dead-letters it.
fn outgoing(line: Bytes) -> Outgoing {
    let value = match str::from_utf8(&line) {
        Ok(text) => json!({ "text": text }).to_string().into(),
        Err(_) => line,
    };
    Outgoing { value: Some(value), ..Outgoing::default() }
}

/// Every string in it, however deep.
fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(values) => values.iter().flat_map(strings).collect(),
        Value::Object(fields) => fields.values().flat_map(strings).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(entry: Entry) -> Vec<Bytes> {
        records(entry).unwrap().into_iter().map(|record| record.value.unwrap()).collect()
    }

    fn texts(entry: Entry) -> Vec<String> {
        let text = |value: Bytes| {
            let event: Value = serde_json::from_slice(&value).unwrap();
            event["text"].as_str().unwrap().to_owned()
        };
        values(entry).into_iter().map(text).collect()
    }

    #[test]
    fn a_line_is_the_text_whatever_it_looks_like() {
        for line in ["plain", "{\"text\": \"quoted\"}", "tab\tand \\ and \" and \u{1}", "été"] {
            assert_eq!(texts(Entry::Line(line.into())), [line]);
        }
    }

    #[test]
    fn bytes_that_are_no_text_pass_unchanged() {
        let line = Bytes::from_static(b"caf\xe9");
        assert_eq!(values(Entry::Line(line.clone())), [line]);
    }

    #[test]
    fn a_record_is_its_strings_and_nothing_else() {
        let record =
            json!({"title": "A b", "year": 1609, "lines": ["c", {"deep": "d"}], "x": null});
        let mut lines: Vec<_> =
            texts(Entry::Record(record))[0].lines().map(str::to_owned).collect();
        lines.sort_unstable();
        assert_eq!(lines, ["A b", "c", "d"]);
        assert_eq!(texts(Entry::Record(json!(7))), [""]);
    }

    #[test]
    fn a_huge_record_becomes_several_and_no_word_is_cut() {
        let text = "alpha beta ".repeat(50_000);
        let pieces = texts(Entry::Record(json!([text, "end"])));
        assert!(pieces.len() > 5 && pieces.iter().all(|piece| piece.len() <= PIECE_BYTES));
        let words: Vec<_> = pieces.iter().flat_map(|piece| piece.split_whitespace()).collect();
        assert_eq!(words.len(), 100_001);
        assert!(words.iter().all(|word| ["alpha", "beta", "end"].contains(word)));
    }
}
