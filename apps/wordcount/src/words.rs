//! A word is a maximal run of Unicode letters, marks and digits (general categories L, M and Nd),
//! lower-cased by Unicode's full rules, each word by itself.

use std::sync::Arc;

use arrow::array::{AsArray, Int64Builder, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use millstream_engine::{Decoded, Function};
use regex::Regex;

const WORD: &str = r"[\p{L}\p{M}\p{Nd}]+";

/// Rows `(word, count)`: one for each different word of a text, in the words' order.
pub fn function() -> Result<Function, regex::Error> {
    let word = Regex::new(WORD)?;
    Ok(Function::new("words 1", schema(), move |texts| count(&word, texts)))
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("word", DataType::Utf8, false),
        Field::new("count", DataType::Int64, false),
    ]))
}

fn count(word: &Regex, rows: &RecordBatch) -> Result<Decoded, String> {
    let texts = rows.column_by_name("text").and_then(|column| column.as_string_opt::<i32>());
    let texts = texts.ok_or("there is no column `text` of strings")?;
    let (mut words, mut counts, mut origin) =
        (StringBuilder::new(), Int64Builder::new(), Vec::new());
    let mut lower = String::new();
    for (row, text) in texts.iter().enumerate() {
        let mut found = split(word, text.unwrap_or_default(), &mut lower);
        // Equal words side by side: for a line of text that is quicker than a map.
        found.sort_unstable();
        for equal in found.chunk_by(|a, b| a == b) {
            words.append_value(equal[0]);
            counts.append_value(equal.len() as i64);
            origin.push(row as u32);
        }
    }
    let columns: [arrow::array::ArrayRef; 2] =
        [Arc::new(words.finish()), Arc::new(counts.finish())];
    let batch =
        RecordBatch::try_new(schema(), columns.to_vec()).map_err(|error| error.to_string())?;
    Ok(Decoded { batch, origin })
}

/// The words of a text, in its order, lower-cased; `lower` is where they are kept.
fn split<'a>(word: &Regex, text: &str, lower: &'a mut String) -> Vec<&'a str> {
    lower.clear();
    if text.is_ascii() {
        lower.push_str(text);
        lower.make_ascii_lowercase();
        let words = lower.split(|c: char| !c.is_ascii_alphanumeric());
        return words.filter(|word| !word.is_empty()).collect();
    }
    for word in word.find_iter(text) {
        lower.push_str(&word.as_str().to_lowercase());
        lower.push(' ');
    }
    lower.split_terminator(' ').collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrow::array::{Int64Array, StringArray};
    use millstream_engine::Transform;
    use proptest::prelude::*;

    use super::*;

    type Rows = Vec<(u32, String, i64)>;

    fn rows(texts: &[&str]) -> Rows {
        let column = Arc::new(StringArray::from(texts.to_vec()));
        let schema = Schema::new(vec![Field::new("text", DataType::Utf8, false)]);
        let batch = RecordBatch::try_new(Arc::new(schema), vec![column]).unwrap();
        let made = function().unwrap().apply(&batch).unwrap();
        let words = made.batch.column(0).as_string::<i32>();
        let counts: &Int64Array = made.batch.column(1).as_primitive();
        let row = |at: usize| (made.origin[at], words.value(at).to_owned(), counts.value(at));
        (0..made.batch.num_rows()).map(row).collect()
    }

    /// Character by character, knowing nothing of runs, fast paths or sorting.
    fn slowly(texts: &[&str]) -> Rows {
        let in_word = Regex::new(r"^[\p{L}\p{M}\p{Nd}]$").unwrap();
        let mut all = Vec::new();
        for (row, text) in texts.iter().enumerate() {
            let mut counts = BTreeMap::<String, i64>::new();
            let mut word = String::new();
            for c in text.chars().chain(['\n']) {
                if in_word.is_match(&c.to_string()) {
                    word.push(c);
                } else if !word.is_empty() {
                    *counts.entry(word.to_lowercase()).or_default() += 1;
                    word.clear();
                }
            }
            all.extend(counts.into_iter().map(|(word, count)| (row as u32, word, count)));
        }
        all
    }

    #[test]
    fn words_are_counted_by_text() {
        let made = rows(&["To be, or not to be!", "", "--", "be"]);
        let expected = [(0, "be", 2), (0, "not", 1), (0, "or", 1), (0, "to", 2), (3, "be", 1)];
        assert_eq!(made, expected.map(|(row, word, count)| (row, word.to_owned(), count)));
    }

    #[test]
    fn case_marks_and_digits_go_by_unicode() {
        let words = |text: &str| rows(&[text]).into_iter().map(|row| row.1).collect::<Vec<_>>();
        assert_eq!(words("ΟΔΥΣΣΕΥΣ ΣΑΣ"), ["οδυσσευς", "σας"]);
        assert_eq!(
            words("e\u{301}te\u{301} STRASSE Straße"),
            ["e\u{301}te\u{301}", "strasse", "straße"]
        );
        assert_eq!(words("१२३ ١٢٣ x² ½ snake_case"), ["case", "snake", "x", "١٢٣", "१२३"]);
        assert_eq!(words("İ"), ["i\u{307}"]);
    }

    proptest! {
        #[test]
        fn any_texts_give_what_the_slow_way_gives(
            texts in prop::collection::vec(
                prop_oneof![".{0,40}", "[a-cA-C ,]{0,40}", r"[\p{L}\p{M}\p{N}\p{P} ]{0,30}"], 0..6),
        ) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            prop_assert_eq!(rows(&texts), slowly(&texts));
        }
    }
}
