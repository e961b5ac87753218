//! A searcher over rows in memory, just good enough to see that pages ask the right things.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use millstream_sinks::search::{
    Found, Hit, IndexState, Query, SearchError, Searcher, Snapshot, Sort, Suggestion,
};
use serde_json::{Map, Value};

#[derive(Debug)]
pub struct Fake {
    pub rows: Mutex<Vec<Map<String, Value>>>,
    pub state: Mutex<IndexState>,
    pub broken: Mutex<bool>,
    commits: AtomicUsize,
}

impl Fake {
    pub fn of(rows: Vec<Map<String, Value>>) -> Fake {
        let state = Mutex::new(IndexState::Ready { rows: rows.len(), rebuilding: false });
        Fake {
            rows: Mutex::new(rows),
            state,
            broken: Mutex::new(false),
            commits: AtomicUsize::new(0),
        }
    }

    /// From now on the index is another one, whatever its rows are.
    pub fn commit(&self) {
        self.commits.fetch_add(1, Ordering::Relaxed);
    }

    pub fn break_down(&self) {
        *self.broken.lock().expect("lock") = true;
    }

    fn check(&self) -> Result<(), SearchError> {
        match *self.broken.lock().expect("lock") {
            false => Ok(()),
            true => Err(SearchError::Unavailable {
                doing: "open /secret/path".into(),
                source: "no such file".into(),
            }),
        }
    }
}

fn text<'a>(row: &'a Map<String, Value>, column: &str) -> &'a str {
    row.get(column).and_then(Value::as_str).unwrap_or_default()
}

fn matches(row: &Map<String, Value>, query: &Query, passed_over: &str) -> bool {
    let all = row.values().filter_map(Value::as_str).collect::<Vec<_>>().join(" ").to_lowercase();
    let words = query.text.to_lowercase();
    words.split_whitespace().all(|word| all.contains(word))
        && query.filters.iter().all(|(column, values)| {
            column == passed_over
                || values.is_empty()
                || values.iter().any(|value| value == text(row, column))
        })
}

#[async_trait]
impl Searcher for Fake {
    async fn search(&self, query: &Query) -> Result<Found, SearchError> {
        self.check()?;
        let snapshot = query.within.clone().unwrap_or_else(|| {
            let rows = self.rows.lock().expect("lock").clone();
            Snapshot::new(Arc::new(rows), self.commits.load(Ordering::Relaxed).to_string())
        });
        let rows = snapshot.state::<Vec<Map<String, Value>>>().expect("a snapshot of this fake");
        let mut found: Vec<_> =
            rows.iter().filter(|row| matches(row, query, "")).cloned().collect();
        match &query.sort {
            Sort::Relevance => {}
            Sort::Newest(column) => found.sort_by(|a, b| text(b, column).cmp(text(a, column))),
            Sort::Oldest(column) | Sort::Az(column) => {
                found.sort_by(|a, b| text(a, column).cmp(text(b, column)))
            }
        }
        let facets = query.facets.iter().map(|column| {
            let mut counts: Vec<(String, usize)> = Vec::new();
            for row in rows
                .iter()
                .filter(|row| matches(row, query, column) && !text(row, column).is_empty())
            {
                match counts.iter_mut().find(|(value, _)| value == text(row, column)) {
                    Some((_, count)) => *count += 1,
                    None => counts.push((text(row, column).to_owned(), 1)),
                }
            }
            (column.clone(), counts)
        });
        let facets = facets.collect();
        let total = found.len();
        let hit = |row: Map<String, Value>| Hit {
            key: text(&row, "recall_number").to_owned(),
            row,
            score: 1.0,
        };
        let hits = found.into_iter().skip(query.offset).take(query.limit).map(hit).collect();
        Ok(Found { total, hits, facets, snapshot: Some(snapshot) })
    }

    async fn suggest(&self, typed: &str, max: usize) -> Result<Vec<Suggestion>, SearchError> {
        self.check()?;
        let rows = self.rows.lock().expect("lock");
        let mut found: Vec<Suggestion> = Vec::new();
        for column in ["recall_number", "recalling_firm", "product_description"] {
            for row in rows
                .iter()
                .filter(|row| text(row, column).to_lowercase().starts_with(&typed.to_lowercase()))
            {
                match found.iter_mut().find(|known| known.text == text(row, column)) {
                    Some(known) => (known.rows, known.key) = (known.rows + 1, None),
                    None => found.push(Suggestion {
                        text: text(row, column).to_owned(),
                        column: column.to_owned(),
                        key: Some(text(row, "recall_number").to_owned()),
                        rows: 1,
                    }),
                }
            }
        }
        found.truncate(max);
        Ok(found)
    }

    async fn state(&self) -> Result<IndexState, SearchError> {
        self.check()?;
        Ok(self.state.lock().expect("lock").clone())
    }
}
