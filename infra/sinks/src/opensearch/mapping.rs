//! A declared index as the server sees it.
//!
//! | field | of | holds |
//! |---|---|---|
//! | `row` | rows | all columns; kept, not searched |
//! | `key`, `version` | rows, deletion marks | the key; what orders the writes of one key |
//! | `live`, `deleted` | rows, marks | tell them apart; the served alias shows what is live |
//! | `words` | rows | the words, each once and not stemmed, of ids and of texts that count: for typos and beginnings |
//! | `text.<column>` | rows | a text: stemmed words with their positions |
//! | `value.<column>`, `folded.<column>` | rows | of other kinds: the value; the value in lower case |
//! | `suggest.<column>` | rows | a text that is suggested: `text`, `plain`, `starts`, `length` |
//! | `at`, `seq`, `by`, `entry` | ledger | see `positions` |
//!
//! What is derived from `row` isn't kept twice: it is left out of `_source`. Words come in lower case, without accents, a
//! blank apart; what others search for is analysed by the server to the same.

use serde_json::{Map, Value, json};

use super::server::Replicas;
use crate::search::fields::slot_name;
use crate::search::{Field, Index, Kind};

/// How builds are laid out; another number means that older ones are replaced.
const LAYOUT: u32 = 1;
/// Longer words are dropped, as tantivy does.
const LONGEST_WORD: u32 = 39;
/// Beginnings of words for typos in them, which are looked for from four letters on.
const BEGINNINGS: (u32, u32) = (3, 12);
/// When what was written is found.
const REFRESH: &str = "1s";

/// Of our template over those that are meant for indexes of any name.
const PRIORITY: u32 = 500;

/// Fields that are only searched.
const DERIVED: [&str; 5] = ["text", "value", "folded", "words", "suggest"];

/// What builds are made for: one that was made for another declaration is replaced.
pub(super) fn declaration(index: &Index) -> String {
    format!("server {LAYOUT}; {}", index.declaration())
}

/// A column's name within a field.
pub(super) fn slot(column: &str) -> String {
    slot_name('c', column)
}

/// What indexes are to look like that come to be named like builds without us, restored under another name say.
pub(super) fn template(index: &Index, replicas: &Replicas, builds: &str) -> Value {
    json!({
        "index_patterns": [builds],
        "priority": PRIORITY,
        "template": body(index, replicas, Value::Null),
    })
}

/// Settings and mappings of a build; `meta`: what it is (`super::builds`).
pub(super) fn body(index: &Index, replicas: &Replicas, meta: Value) -> Value {
    json!({"settings": settings(replicas), "mappings": mappings(index, meta)})
}

fn settings(replicas: &Replicas) -> Value {
    let (min, max) = BEGINNINGS;
    let mut settings = json!({
        // One: rows, entries and positions are then of one piece, and counts are exact.
        "number_of_shards": 1,
        "refresh_interval": REFRESH,
        "analysis": {
            "tokenizer": {
                "words": {"type": "pattern", "pattern": "[^\\p{IsAlphabetic}\\p{N}]+"},
            },
            "filter": {
                "short": {"type": "length", "max": LONGEST_WORD},
                "stems": {"type": "stemmer", "language": "porter2"},
                "beginnings": {"type": "edge_ngram", "min_gram": min, "max_gram": max},
            },
            "analyzer": {
                "prose": analyzer("whitespace", &["stems"]),
                "words": analyzer("whitespace", &[]),
                "beginnings": analyzer("whitespace", &["beginnings"]),
                "asked_prose": analyzer("words", &["asciifolding", "lowercase", "short", "stems"]),
                "asked_words": analyzer("words", &["asciifolding", "lowercase", "short"]),
            },
        },
    });
    match replicas {
        Replicas::Auto(range) => settings["auto_expand_replicas"] = (*range).into(),
        Replicas::Number(number) => settings["number_of_replicas"] = (*number).into(),
    }
    json!({"index": settings})
}

fn analyzer(tokenizer: &str, filters: &[&str]) -> Value {
    json!({"type": "custom", "tokenizer": tokenizer, "filter": filters})
}

fn mappings(index: &Index, meta: Value) -> Value {
    let kept = || json!({"type": "object", "enabled": false});
    let keyword = || json!({"type": "keyword"});
    let words = |analyzer: &str| {
        json!({
            "type": "text", "analyzer": analyzer, "search_analyzer": "asked_words",
            "index_options": "docs", "norms": false,
        })
    };
    let mut all = words("words");
    all["fields"] = json!({"beginnings": words("beginnings")});
    let of = |part: fn(&Field) -> Option<Value>| {
        let fields = index.fields.iter();
        let made: Map<_, _> =
            fields.filter_map(|field| Some((slot(field.column), part(field)?))).collect();
        json!({"dynamic": false, "properties": made})
    };
    json!({
        "dynamic": false,
        "_meta": {"millstream": meta},
        "_source": {"excludes": DERIVED},
        "properties": {
            "row": kept(),
            "key": keyword(),
            "version": {"type": "long"},
            "live": {"type": "boolean"},
            "deleted": {"type": "boolean"},
            "words": all,
            "text": of(|field| is_text(field).then(prose)),
            "value": of(|field| (!is_text(field)).then(|| json!({"type": "keyword"}))),
            "folded": of(|field| (!is_text(field)).then(|| json!({"type": "keyword"}))),
            "suggest": of(|field| field.suggest.then(suggested)),
            "at": keyword(),
            "seq": {"type": "long"},
            "by": {"type": "keyword", "index": false, "doc_values": false},
            "entry": kept(),
            "state": kept(),
        },
    })
}

fn is_text(field: &Field) -> bool {
    matches!(field.kind, Kind::Text { .. })
}

fn prose() -> Value {
    json!({"type": "text", "analyzer": "prose", "search_analyzer": "asked_prose"})
}

fn suggested() -> Value {
    let compared = || json!({"type": "keyword", "doc_values": false});
    json!({"properties": {
        "text": {"type": "keyword"},
        "plain": compared(),
        "starts": compared(),
        "length": {"type": "integer", "index": false},
    }})
}

/// What the served alias lets through.
pub(super) fn is_live() -> Value {
    json!({"term": {"live": true}})
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: Index = Index {
        name: "recalls",
        key: "number",
        fields: &[
            Field { column: "number", kind: Kind::Id, suggest: true },
            Field { column: "a.firm", kind: Kind::Text { boost: 2.0 }, suggest: true },
            Field { column: "a.firm", kind: Kind::Facet, suggest: false },
        ],
    };

    #[test]
    fn a_column_may_be_searched_in_several_ways() {
        let body = body(&INDEX, &Replicas::Number(2), json!({"pipeline": "a.b"}));
        let properties = &body["mappings"]["properties"];
        let firm = slot("a.firm");
        assert!(!firm.contains('.'), "{firm}");
        assert_eq!(properties["text"]["properties"][&firm]["analyzer"], "prose");
        assert_eq!(properties["value"]["properties"][&firm]["type"], "keyword");
        assert_eq!(properties["suggest"]["properties"].as_object().map(Map::len), Some(2));
        assert_eq!(body["mappings"]["_meta"]["millstream"]["pipeline"], "a.b");
        let settings = &body["settings"]["index"];
        assert_eq!(
            (&settings["number_of_replicas"], &settings["number_of_shards"]),
            (&json!(2), &json!(1))
        );
    }
}
