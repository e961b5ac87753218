//! An index at one moment: what was committed when it was opened.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use serde_json::{Map, Value};
use tantivy::collector::Count;
use tantivy::query::Query as Matches;
use tantivy::schema::Value as _;
use tantivy::{DocAddress, Searcher, TantivyDocument};

use super::asked::parse;
use super::counting::{Counted, Counting, in_order};
use super::fields::{Fields, slot_name};
use super::index::{Index, Kind};
use super::matching::{Matching, all};
use super::ranking::{By, Page, Ranks};
use super::rows::to_json;
use super::searcher::{Found, Hit, Query, SearchError, Sort};

/// So many answers are kept; they hold no rows, only where those are.
const ANSWERS: usize = 1_000;
/// Of a larger page nothing is kept.
const KEPT_HITS: usize = 200;

/// What was committed at one moment.
pub(super) struct Snapshot {
    pub index: Index,
    pub searcher: Searcher,
    pub fields: Fields,
    pub schema: SchemaRef,
    pub rows: usize,
    answers: Mutex<HashMap<String, Arc<Answer>>>,
    /// The orders that were asked for, by fast field.
    ranks: Mutex<HashMap<String, Arc<Ranks>>>,
}

/// What a query found, without the rows themselves.
#[derive(Debug)]
struct Answer {
    total: usize,
    hits: Vec<(f32, DocAddress)>,
    facets: Vec<(String, Vec<(String, usize)>)>,
}

impl Snapshot {
    pub fn new(
        index: Index,
        searcher: Searcher,
        fields: Fields,
        schema: SchemaRef,
    ) -> tantivy::Result<Self> {
        let live = Matching { searcher: &searcher, fields: &fields }.live();
        let rows = searcher.search(&live, &Count)?;
        Ok(Self {
            index,
            searcher,
            fields,
            schema,
            rows,
            answers: Mutex::default(),
            ranks: Mutex::default(),
        })
    }

    /// What `query` finds. Works the processor; a query that was asked before costs only its rows.
    pub fn search(&self, query: &Query) -> Result<Found, SearchError> {
        let unavailable = |source: tantivy::TantivyError| SearchError::Unavailable {
            doing: format!("search index {}", self.index.name),
            source: source.into(),
        };
        let asked = format!("{query:?}");
        let known = self.answers().get(&asked).cloned();
        let answer = match known {
            Some(answer) => answer,
            None => {
                let plan = Plan::new(self, query)?;
                let answer = Arc::new(plan.run().map_err(unavailable)?);
                self.keep(asked, &answer);
                answer
            }
        };
        let hits = answer.hits.iter().map(|(score, at)| self.hit(*score, *at));
        Ok(Found {
            total: answer.total,
            hits: hits.collect::<tantivy::Result<_>>().map_err(unavailable)?,
            facets: answer.facets.clone(),
            snapshot: None,
        })
    }

    fn answers(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Answer>>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, asked: String, answer: &Arc<Answer>) {
        if answer.hits.len() > KEPT_HITS {
            return;
        }
        let mut answers = self.answers();
        if answers.len() >= ANSWERS {
            answers.clear();
        }
        answers.insert(asked, answer.clone());
    }

    /// The order of a fast field's values. Held while it is made: who asks for the same waits for it.
    fn ranks(&self, field: &str) -> tantivy::Result<Arc<Ranks>> {
        let mut ranks = self.ranks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = ranks.get(field) {
            return Ok(known.clone());
        }
        let made = Arc::new(Ranks::of(&self.searcher, field)?);
        ranks.insert(field.to_owned(), made.clone());
        Ok(made)
    }

    fn hit(&self, score: f32, at: DocAddress) -> tantivy::Result<Hit> {
        let row = self.row(at)?;
        let key = row.get(self.index.key).and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Hit { key, row, score })
    }

    fn row(&self, at: DocAddress) -> tantivy::Result<Map<String, Value>> {
        let document: TantivyDocument = self.searcher.doc(at)?;
        let bytes = document.get_first(self.fields.row).and_then(|value| value.as_bytes());
        Ok(to_json(&self.schema, bytes.unwrap_or_default()))
    }

    /// The fast field in which a column's values stand, if its kind is one of these. The key counts as an id.
    fn fast_field(
        &self,
        column: &str,
        of: fn(Kind) -> bool,
        purpose: &'static str,
    ) -> Result<String, SearchError> {
        let is = |kind| !matches!(kind, Kind::Text { .. }) && of(kind);
        let mut declared = self.index.fields.iter();
        if declared.any(|field| field.column == column && is(field.kind)) {
            return Ok(slot_name('v', column));
        }
        if column == self.index.key && of(Kind::Id) {
            return Ok("_key".to_owned());
        }
        let (index, column) = (self.index.name.to_owned(), column.to_owned());
        Err(SearchError::Column { index, column, purpose })
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("index", &self.index.name).finish_non_exhaustive()
    }
}

/// How many there are, their values by column, and those of the page.
type Hits = (usize, Counted, Vec<(f32, DocAddress)>);

/// A query that was found to be possible.
struct Plan<'a> {
    snapshot: &'a Snapshot,
    query: &'a Query,
    /// Columns with the values that are let through.
    filters: Vec<(&'a str, &'a [String])>,
    /// Columns that are counted, with their fast fields.
    facets: Vec<(&'a str, String)>,
    order: Ordering,
}

/// What hits are sorted by: relevance, or a fast field.
enum Ordering {
    Relevance,
    Up(String),
    Down(String),
}

impl<'a> Plan<'a> {
    fn new(snapshot: &'a Snapshot, query: &'a Query) -> Result<Self, SearchError> {
        let mut filters = Vec::new();
        for (column, values) in query.filters.iter().filter(|(_, values)| !values.is_empty()) {
            snapshot.fast_field(column, |_| true, "filter")?;
            filters.push((column.as_str(), values.as_slice()));
        }
        let mut facets = Vec::new();
        for column in &query.facets {
            let field = snapshot.fast_field(column, |_| true, "count rows by its values")?;
            facets.push((column.as_str(), field));
        }
        let by = |column: &str| snapshot.fast_field(column, |_| true, "sort");
        let order = match &query.sort {
            Sort::Relevance => Ordering::Relevance,
            Sort::Newest(column) => Ordering::Down(by(column)?),
            Sort::Oldest(column) => Ordering::Up(by(column)?),
            Sort::Az(column) => {
                let is_name = |kind| matches!(kind, Kind::Id | Kind::Facet);
                let field = snapshot.fast_field(column, is_name, "sort by name")?;
                let folded = field.strip_prefix("v_").map(|name| format!("z_{name}"));
                Ordering::Up(folded.unwrap_or(field))
            }
        };
        Ok(Self { snapshot, query, filters, facets, order })
    }

    fn run(&self) -> tantivy::Result<Answer> {
        let is_filtered = |column: &str| self.filters.iter().any(|(other, _)| *other == column);
        let own = |filtered: bool| {
            let facets =
                self.facets.iter().filter(move |(column, _)| is_filtered(column) == filtered);
            facets.collect::<Vec<_>>()
        };
        let unfiltered = own(false);
        let fields = unfiltered.iter().map(|(_, field)| field.clone()).collect();
        let (total, counted, hits) = self.hits(&self.matches(None)?, Counting(fields))?;
        let mut by_column: HashMap<&str, Vec<(String, usize)>> = HashMap::new();
        for ((column, _), counted) in unfiltered.into_iter().zip(counted) {
            by_column.insert(column, in_order(counted));
        }
        for (column, field) in own(true) {
            let counting = Counting(vec![field.clone()]);
            let counted = self.snapshot.searcher.search(&self.matches(Some(column))?, &counting)?;
            by_column.insert(column, counted.into_iter().flat_map(in_order).collect());
        }
        let facet = |(column, _): &(&str, String)| {
            ((*column).to_owned(), by_column.get(column).cloned().unwrap_or_default())
        };
        Ok(Answer { total, hits, facets: self.facets.iter().map(facet).collect() })
    }

    /// The query, without the filter on one column.
    fn matches(&self, without: Option<&str>) -> tantivy::Result<Box<dyn Matches>> {
        let Snapshot { searcher, fields, index, .. } = self.snapshot;
        let matching = Matching { searcher, fields };
        let mut parts = matching.parts(&parse(&self.query.text))?;
        let mut needs_live = parts.is_empty();
        for (column, values) in self.filters.iter().filter(|(column, _)| Some(*column) != without) {
            let value = fields.declared.iter().find(|declared| {
                declared.field.column == *column
                    && !matches!(declared.field.kind, Kind::Text { .. })
            });
            match value {
                Some(declared) => parts.push(matching.values(declared.value, values)),
                // The key's own terms are there for deletion marks, too.
                None if *column == index.key => {
                    needs_live = true;
                    parts.push(matching.keys(values));
                }
                None => {}
            }
        }
        if needs_live {
            parts.push(matching.live());
        }
        Ok(all(parts))
    }

    /// How many there are, what the counted columns have, and the page that is wanted.
    fn hits(&self, matches: &dyn Matches, counting: Counting) -> tantivy::Result<Hits> {
        let Snapshot { searcher, rows, .. } = self.snapshot;
        let limit = self.query.limit.min(rows.saturating_sub(self.query.offset));
        if limit == 0 {
            let (total, counted) = searcher.search(matches, &(Count, counting))?;
            return Ok((total, counted, Vec::new()));
        }
        let by = match &self.order {
            Ordering::Relevance => By::Score,
            Ordering::Up(field) => By::Up(self.snapshot.ranks(field)?),
            Ordering::Down(field) => By::Down(self.snapshot.ranks(field)?),
        };
        let is_scored = matches!(by, By::Score);
        let keys = self.snapshot.ranks("_key")?;
        let page = Page { by, keys, offset: self.query.offset, limit };
        let (total, counted, mut hits) = searcher.search(matches, &(Count, counting, page))?;
        if !is_scored {
            hits.iter_mut().for_each(|(score, _)| *score = 1.0);
        }
        Ok((total, counted, hits))
    }
}
