//! From what was asked to what the server runs.
//!
//! A word matches by its stem in any text, by its own self in an id, as the beginning of a word if it is the last
//! one, and, if hardly any row has it, with a typo. What is nearer counts more. How many rows have a word is asked
//! first.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::faults::Fault;
use super::mapping::slot;
use super::snapshot::{Snapshot, locked};
use crate::search::asked::{Chunk, Part, Word};
use crate::search::fields::{key_text, value_text};
use crate::search::{Index, Kind};

/// A word of fewer rows than this may be a typo.
const RARE: u64 = 5;
/// From how many letters on one typo is forgiven, and two.
const ONE_TYPO: usize = 4;
const TWO_TYPOS: usize = 8;
/// A word of one letter begins too many others.
const BEGINNING: usize = 2;
/// So many words that are near are looked for.
const NEAR_WORDS: u32 = 200;
const SCORE_OF_ID: f32 = 50.0;
const SCORE_OF_ID_BEGINNING: f32 = 5.0;
const SCORE_OF_WORD_IN_ID: f32 = 1.0;
const SCORE_OF_BEGINNING: f32 = 0.5;
const SCORE_OF_TYPO: f32 = 0.2;

/// How a word occurs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Frequency {
    /// Rows, in the column that has most.
    rows: u64,
    /// Whether other words begin with it.
    begins: bool,
}

/// Makes queries for one moment of an index.
pub(super) struct Matching<'a> {
    pub index: &'a Index,
    pub frequencies: HashMap<String, Frequency>,
}

impl<'a> Matching<'a> {
    /// Finds out what has to be known of the words.
    pub async fn of(snapshot: &'a Snapshot, parts: &[Part]) -> Result<Self, Fault> {
        let index = &snapshot.place.index;
        let mut frequencies = HashMap::new();
        let mut unknown = Vec::new();
        for word in words(parts) {
            match locked(&snapshot.frequencies).get(word) {
                Some(known) => drop(frequencies.insert(word.to_owned(), *known)),
                None => unknown.push(word),
            }
        }
        if !unknown.is_empty() {
            let asked = counts(index, &unknown);
            let answer = snapshot.ask(asked).await?;
            for (n, word) in unknown.into_iter().enumerate() {
                let frequency = frequency(&answer, n);
                Snapshot::remember(&snapshot.frequencies, word.to_owned(), frequency);
                frequencies.insert(word.to_owned(), frequency);
            }
        }
        Ok(Self { index, frequencies })
    }

    /// One query per part; rows in which all parts are found are hits.
    pub fn parts(&self, parts: &[Part]) -> Vec<Value> {
        let part = |part: &Part| match part {
            Part::Chunk(chunk) => self.chunk(chunk),
            Part::Phrase(words) => self.phrase(words),
        };
        parts.iter().map(part).collect()
    }

    fn chunk(&self, chunk: &Chunk) -> Value {
        let words = chunk
            .words
            .iter()
            .enumerate()
            .map(|(n, word)| self.word(word, chunk.is_last && n + 1 == chunk.words.len()));
        let mut ways = vec![all(words.collect())];
        for field in self.index.fields.iter().filter(|field| field.kind == Kind::Id) {
            let name = format!("folded.{}", slot(field.column));
            ways.push(constant(json!({"term": {&name: chunk.folded}}), SCORE_OF_ID));
            if chunk.is_last && chunk.folded.chars().count() >= BEGINNING {
                let begins = json!({"prefix": {&name: chunk.folded}});
                ways.push(constant(begins, SCORE_OF_ID_BEGINNING));
            }
        }
        any(ways)
    }

    fn word(&self, word: &Word, is_last: bool) -> Value {
        let mut ways: Vec<_> =
            self.texts().map(|(name, boost)| matching(&name, word, boost)).collect();
        ways.push(constant(json!({"term": {"words": word.plain}}), SCORE_OF_WORD_IN_ID));
        let known = self.frequencies.get(&word.plain).copied().unwrap_or_default();
        if is_last && known.begins {
            ways.push(constant(json!({"prefix": {"words": word.plain}}), SCORE_OF_BEGINNING));
        } else if known.rows < RARE {
            ways.extend(typos(word, is_last));
        }
        any(ways)
    }

    fn phrase(&self, words: &[Word]) -> Value {
        if let [word] = words {
            return self.word(word, false);
        }
        let text = words.iter().map(|word| word.plain.as_str()).collect::<Vec<_>>().join(" ");
        let way = |(name, boost): (String, f32)| json!({"match_phrase": {name: {"query": text, "boost": boost}}});
        any(self.texts().map(way).collect())
    }

    fn texts(&self) -> impl Iterator<Item = (String, f32)> {
        texts(self.index)
    }
}

/// Rows with one of these values.
pub(super) fn values(index: &Index, column: &str, values: &[String]) -> Value {
    let is_declared = index
        .fields
        .iter()
        .any(|field| field.column == column && !matches!(field.kind, Kind::Text { .. }));
    if is_declared {
        let values: Vec<_> = values.iter().map(|value| value_text(value)).collect();
        return json!({"terms": {format!("value.{}", slot(column)): values}});
    }
    json!({"terms": {"key": values.iter().map(|key| key_text(key)).collect::<Vec<_>>()}})
}

fn texts(index: &Index) -> impl Iterator<Item = (String, f32)> {
    index.fields.iter().filter_map(|field| match field.kind {
        Kind::Text { boost } => Some((format!("text.{}", slot(field.column)), boost)),
        _ => None,
    })
}

fn words(parts: &[Part]) -> impl Iterator<Item = &str> {
    let words = parts.iter().flat_map(|part| match part {
        Part::Chunk(chunk) => chunk.words.iter(),
        Part::Phrase(words) => words.iter(),
    });
    words.map(|word| word.plain.as_str())
}

/// Counts rows by word: in each text, as itself, and whether there are words that go on from it.
fn counts(index: &Index, words: &[&str]) -> Value {
    let mut filters = Map::new();
    for (n, word) in words.iter().enumerate() {
        for (column, (name, _)) in texts(index).enumerate() {
            filters.insert(format!("{n} {column}"), json!({"match": {name: {"query": word}}}));
        }
        filters.insert(format!("{n} self"), json!({"term": {"words": word}}));
        if word.chars().count() >= BEGINNING {
            // A word is of letters and digits, which mean themselves here.
            let longer = json!({"wildcard": {"words": {"value": format!("{word}?*")}}});
            filters.insert(format!("{n} longer"), longer);
        }
    }
    let aggs = json!({"words": {"filters": {"filters": filters}}});
    json!({"size": 0, "track_total_hits": false, "aggs": aggs})
}

fn frequency(answer: &Value, word: usize) -> Frequency {
    let mut frequency = Frequency::default();
    let buckets = answer["aggregations"]["words"]["buckets"].as_object();
    for (name, bucket) in buckets.into_iter().flatten() {
        let rows = bucket["doc_count"].as_u64().unwrap_or_default();
        match name.split_once(' ') {
            Some((n, "longer")) if n.parse() == Ok(word) => frequency.begins = rows > 0,
            Some((n, _)) if n.parse() == Ok(word) => frequency.rows = frequency.rows.max(rows),
            _ => {}
        }
    }
    frequency
}

fn matching(name: &str, word: &Word, boost: f32) -> Value {
    json!({"match": {name: {"query": word.plain, "boost": boost}}})
}

fn typos(word: &Word, is_last: bool) -> Vec<Value> {
    let letters = word.plain.chars().count();
    // Another number is another thing, not a typo.
    if letters < ONE_TYPO || word.plain.contains(|char: char| char.is_ascii_digit()) {
        return Vec::new();
    }
    let near = |name: &str, typos: u32| {
        json!({"fuzzy": {name: {
            "value": word.plain, "fuzziness": typos, "max_expansions": NEAR_WORDS, "transpositions": true,
        }}})
    };
    let typos = if letters < TWO_TYPOS { 1 } else { 2 };
    let mut ways = vec![constant(near("words", typos), SCORE_OF_TYPO)];
    if is_last {
        ways.push(constant(near("words.beginnings", 1), SCORE_OF_TYPO / 2.0));
    }
    ways
}

/// Rows that all of these match.
fn all(mut queries: Vec<Value>) -> Value {
    match queries.len() {
        1 => queries.remove(0),
        _ => json!({"bool": {"must": queries}}),
    }
}

fn any(mut queries: Vec<Value>) -> Value {
    match queries.len() {
        0 => json!({"match_none": {}}),
        1 => queries.remove(0),
        _ => json!({"bool": {"should": queries, "minimum_should_match": 1}}),
    }
}

fn constant(query: Value, score: f32) -> Value {
    json!({"constant_score": {"filter": query, "boost": score}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::Field;
    use crate::search::asked::parse;

    const INDEX: Index = Index {
        name: "recalls",
        key: "number",
        fields: &[
            Field { column: "number", kind: Kind::Id, suggest: true },
            Field { column: "firm", kind: Kind::Text { boost: 3.0 }, suggest: true },
            Field { column: "class", kind: Kind::Facet, suggest: false },
        ],
    };

    fn made(text: &str, known: &[(&str, u64, bool)]) -> String {
        let known = known.iter().map(|(word, rows, begins)| {
            ((*word).to_owned(), Frequency { rows: *rows, begins: *begins })
        });
        let matching = Matching { index: &INDEX, frequencies: known.collect() };
        Value::from(matching.parts(&parse(text))).to_string()
    }

    #[test]
    fn typos_are_forgiven_only_where_hardly_any_row_has_the_word() {
        assert!(!made("pump", &[("pump", 9, false)]).contains("fuzzy"));
        assert!(made("pump", &[("pump", 4, false)]).contains("words.beginnings"));
        assert!(!made("4711", &[]).contains("fuzzy"), "a number is no typo");
        let begins = made("pump", &[("pump", 1, true)]);
        assert!(begins.contains(r#"{"prefix":{"words":"pump"}}"#) && !begins.contains("fuzzy"));
        let first = made("pump x", &[("pump", 1, true)]);
        assert!(first.contains("fuzzy") && !first.contains(r#"{"prefix":{"words":"pump"}}"#));
    }

    #[test]
    fn values_are_of_columns_or_keys() {
        let wanted = ["Class I".to_owned()];
        assert_eq!(
            values(&INDEX, "class", &wanted)["terms"][format!("value.{}", slot("class"))],
            json!(["Class I"])
        );
        assert_eq!(values(&INDEX, "elsewhere", &wanted)["terms"]["key"], json!(["Class I"]));
    }

    #[test]
    fn counts_are_read_back() {
        let answer = json!({"aggregations": {"words": {"buckets": {
            "0 0": {"doc_count": 3}, "0 self": {"doc_count": 4}, "0 longer": {"doc_count": 9},
            "1 0": {"doc_count": 7}, "1 longer": {"doc_count": 0},
        }}}});
        assert_eq!(frequency(&answer, 0), Frequency { rows: 4, begins: true });
        assert_eq!(frequency(&answer, 1), Frequency { rows: 7, begins: false });
    }
}
