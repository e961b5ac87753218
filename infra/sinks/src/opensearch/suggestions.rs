//! How what is typed may go on. A text that is suggested is compared from each of its words on, by prefix; the server
//! groups equal texts and counts their rows.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::documents::start;
use super::faults::Fault;
use super::mapping::slot;
use super::snapshot::{Snapshot, live};
use crate::search::Suggestion;
use crate::search::suggestions::plain;

/// Of what was typed.
const CHARS: usize = 200;
/// Texts per column that are looked at, more than are wanted: some of the server's are sorted out here.
const LOOKED_AT: usize = 4;

/// The ways in which a text goes on, the best first.
const WAYS: [&str; 3] = ["begins", "inside", "words"];

#[derive(Clone, Debug)]
struct Candidate {
    /// Less is better: not from its beginning on, column, rows, length; then by text.
    rank: (bool, usize, Reverse<u64>, usize, String),
}

/// At most `max` texts that go on from what was typed, the best first.
pub(super) async fn suggest(
    snapshot: &Snapshot,
    typed: &str,
    max: usize,
) -> Result<Vec<Suggestion>, Fault> {
    let typed = plain(&typed.chars().take(CHARS).collect::<String>());
    let index = &snapshot.place.index;
    let columns: Vec<_> =
        index.fields.iter().filter(|field| field.suggest).map(|field| field.column).collect();
    if typed.is_empty() || max == 0 || columns.is_empty() {
        return Ok(Vec::new());
    }
    let answer = snapshot.ask(request(&columns, &typed, max)).await?;
    let mut found = Vec::new();
    for way in WAYS {
        if way == "words" && found.len() >= max {
            break;
        }
        for n in 0..columns.len() {
            found.extend(candidates(&answer, way, n, &typed));
        }
    }
    let chosen = choose(found, max);
    let keys = keys(snapshot, &columns, &chosen).await?;
    let suggestion =
        |Candidate { rank: (_, column, Reverse(rows), _, text) }: Candidate| Suggestion {
            key: (rows == 1).then(|| keys.get(&(column, text.clone())).cloned()).flatten(),
            column: columns[column].to_owned(),
            rows: usize::try_from(rows).unwrap_or(usize::MAX),
            text,
        };
    Ok(chosen.into_iter().map(suggestion).collect())
}

fn request(columns: &[&str], typed: &str, max: usize) -> Value {
    let mut aggs = Map::new();
    for (n, column) in columns.iter().enumerate() {
        let field = |part: &str| format!("suggest.{}.{part}", slot(column));
        let begins = json!({"prefix": {field("plain"): typed}});
        let inside = json!({"prefix": {field("starts"): start(typed)}});
        let words: Vec<_> = typed
            .split(' ')
            .map(|word| json!({"prefix": {field("starts"): start(word)}}))
            .collect();
        let mut ways = vec![
            ("begins", begins.clone()),
            ("inside", json!({"bool": {"filter": [&inside], "must_not": [&begins]}})),
        ];
        if words.len() > 1 {
            ways.push((
                "words",
                json!({"bool": {"filter": words, "must_not": [&inside, &begins]}}),
            ));
        }
        for (way, filter) in ways {
            let order = json!([{"_count": "desc"}, {"length": "asc"}, {"_key": "asc"}]);
            let size = max.saturating_mul(LOOKED_AT).min(1_000);
            let texts = json!({
                "terms": {"field": field("text"), "size": size, "order": order},
                "aggs": {"length": {"min": {"field": field("length")}}},
            });
            aggs.insert(format!("{way} {n}"), json!({"filter": filter, "aggs": {"texts": texts}}));
        }
    }
    json!({"size": 0, "track_total_hits": false, "query": live(), "aggs": aggs})
}

fn candidates(answer: &Value, way: &str, column: usize, typed: &str) -> Vec<Candidate> {
    let buckets = &answer["aggregations"][format!("{way} {column}")]["texts"]["buckets"];
    let is_inside = way != "begins";
    let candidate = |bucket: &Value| {
        let text = bucket["key"].as_str()?;
        let compared = plain(text);
        // The server compares beginnings of a bounded length only.
        let fits = way != "inside" || compared.contains(&format!(" {typed}"));
        let rows = Reverse(bucket["doc_count"].as_u64()?);
        fits.then(|| Candidate { rank: (is_inside, column, rows, text.len(), text.to_owned()) })
    };
    buckets.as_array().into_iter().flatten().filter_map(candidate).collect()
}

/// The best of each column, so that none crowds the others out; then the rest.
fn choose(mut found: Vec<Candidate>, max: usize) -> Vec<Candidate> {
    let by_column: HashSet<_> = found.iter().map(|candidate| candidate.rank.1).collect();
    let share = max.div_ceil(by_column.len().max(1));
    found.sort_unstable_by(|a, b| a.rank.cmp(&b.rank));
    found.dedup_by(|a, b| a.rank == b.rank);
    let mut taken = HashMap::<usize, usize>::new();
    let (mut chosen, mut rest) = (Vec::new(), Vec::new());
    for candidate in found {
        let of_column = taken.entry(candidate.rank.1).or_default();
        if *of_column < share && chosen.len() < max {
            *of_column += 1;
            chosen.push(candidate);
        } else {
            rest.push(candidate);
        }
    }
    let room = max - chosen.len();
    chosen.extend(rest.into_iter().take(room));
    chosen.sort_unstable_by(|a, b| a.rank.cmp(&b.rank));
    chosen
}

/// The keys of rows whose text no other row has.
async fn keys(
    snapshot: &Snapshot,
    columns: &[&str],
    chosen: &[Candidate],
) -> Result<HashMap<(usize, String), String>, Fault> {
    let mut ways = Vec::new();
    for (n, column) in columns.iter().enumerate() {
        let of_one = chosen.iter().filter(|one| one.rank.1 == n && one.rank.2 == Reverse(1));
        let texts: Vec<_> = of_one.map(|one| one.rank.4.as_str()).collect();
        if !texts.is_empty() {
            ways.push(json!({"terms": {format!("suggest.{}.text", slot(column)): texts}}));
        }
    }
    if ways.is_empty() {
        return Ok(HashMap::new());
    }
    let body = json!({
        "size": chosen.len(),
        "track_total_hits": false,
        "_source": ["key"],
        "docvalue_fields": columns.iter().map(|column| format!("suggest.{}.text", slot(column))).collect::<Vec<_>>(),
        "query": {"bool": {"filter": [live(), {"bool": {"should": ways, "minimum_should_match": 1}}]}},
    });
    let answer = snapshot.ask(body).await?;
    let mut keys = HashMap::new();
    for hit in answer["hits"]["hits"].as_array().into_iter().flatten() {
        let Some(key) = hit["_source"]["key"].as_str() else { continue };
        for (n, column) in columns.iter().enumerate() {
            let texts = &hit["fields"][format!("suggest.{}.text", slot(column))];
            for text in texts.as_array().into_iter().flatten().filter_map(Value::as_str) {
                keys.insert((n, text.to_owned()), key.to_owned());
            }
        }
    }
    Ok(keys)
}
