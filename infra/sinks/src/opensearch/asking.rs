//! A query as the server's request, and its answer.

use serde_json::{Map, Value, json};

use super::documents::shown;
use super::faults::Fault;
use super::mapping::{self, slot};
use super::matching::{Matching, values};
use super::snapshot::{Snapshot, locked, total};
use crate::search::asked::parse;
use crate::search::{Found, Hit, Index, Kind, Query, SearchError, Sort};

/// So deep the server pages by itself.
const WINDOW: usize = 10_000;
/// Hits in one answer.
const STRETCH: usize = 1_000;
/// Values of a column that are counted.
const VALUES: usize = 10_000;

/// A query that was found to be possible.
pub(super) struct Plan<'a> {
    index: &'a Index,
    query: &'a Query,
    /// Columns with the values that are let through.
    filters: Vec<(&'a str, &'a [String])>,
    /// Columns that are counted, with their fields.
    facets: Vec<(&'a str, String)>,
    sort: Value,
}

impl<'a> Plan<'a> {
    pub fn new(index: &'a Index, query: &'a Query) -> Result<Self, SearchError> {
        let any = |_| true;
        let mut filters = Vec::new();
        for (column, values) in query.filters.iter().filter(|(_, values)| !values.is_empty()) {
            field(index, column, any, "filter")?;
            filters.push((column.as_str(), values.as_slice()));
        }
        let mut facets = Vec::new();
        for column in &query.facets {
            let field = field(index, column, any, "count rows by its values")?;
            facets.push((column.as_str(), field));
        }
        Ok(Self { index, query, filters, facets, sort: sort(index, &query.sort)? })
    }

    pub async fn run(&self, snapshot: &Snapshot) -> Result<Found, Fault> {
        let mut body = self.request(snapshot).await?;
        let limit = self.query.limit.min(snapshot.rows.saturating_sub(self.query.offset));
        let size = limit.min(STRETCH);
        let is_deep = limit > 0 && self.query.offset.saturating_add(size) > WINDOW;
        if !is_deep && size > 0 {
            body["from"] = self.query.offset.into();
            body["size"] = size.into();
        }
        let first = snapshot.ask(body.clone()).await?;
        for once in ["from", "aggs"] {
            body.as_object_mut().map(|body| body.remove(once));
        }
        body["track_total_hits"] = false.into();
        let mut hits = hits(&first)?;
        let total = total(&first)?;
        let limit = limit.min(total.saturating_sub(self.query.offset));
        if hits.len() < limit {
            self.read_on(snapshot, body, &mut hits, limit).await?;
        }
        if let Some(last) = hits.last() {
            let at = (self.query.offset + hits.len(), last["sort"].clone());
            Snapshot::remember(&snapshot.cursors, self.name(), at);
        }
        Ok(Found {
            total,
            hits: hits.iter().map(|hit| self.hit(snapshot, hit)).collect(),
            facets: self.counted(&first),
            snapshot: None,
        })
    }

    /// Reads hits until there are `limit`, from where those that are there end, or from the nearest place before
    /// `offset` that is known.
    async fn read_on(
        &self,
        snapshot: &Snapshot,
        mut body: Value,
        hits: &mut Vec<Value>,
        limit: usize,
    ) -> Result<(), Fault> {
        let known = locked(&snapshot.cursors).get(&self.name()).cloned();
        let known = known.filter(|(at, _)| *at <= self.query.offset);
        let (mut at, mut after) = match hits.last() {
            Some(last) => (self.query.offset + hits.len(), Some(last["sort"].clone())),
            None => known.map_or((0, None), |(at, sort)| (at, Some(sort))),
        };
        while hits.len() < limit {
            let skipped = self.query.offset.saturating_sub(at);
            let size =
                if skipped > 0 { skipped.min(WINDOW) } else { (limit - hits.len()).min(STRETCH) };
            body["size"] = size.into();
            body["_source"] = if skipped > 0 { false.into() } else { json!(["row"]) };
            if let Some(after) = after.take() {
                body["search_after"] = after;
            }
            let more = self::hits(&snapshot.ask(body.clone()).await?)?;
            let Some(last) = more.last() else { break };
            at += more.len();
            after = Some(last["sort"].clone());
            if skipped == 0 {
                hits.extend(more);
            }
        }
        Ok(())
    }

    /// Tells queries apart whose hits come in the same order.
    fn name(&self) -> String {
        let Query { text, filters, sort, .. } = self.query;
        format!("{text:?} {filters:?} {sort:?}")
    }

    async fn request(&self, snapshot: &Snapshot) -> Result<Value, Fault> {
        let parts = parse(&self.query.text);
        let matching = Matching::of(snapshot, &parts).await?;
        // A facet counts what would be found without its own filter: such filters come after counting.
        let is_counted = |column: &str| self.facets.iter().any(|(facet, _)| *facet == column);
        let by = |(column, wanted): &(&str, &[String])| values(self.index, column, wanted);
        let (late, early): (Vec<_>, Vec<_>) =
            self.filters.iter().partition(|(column, _)| is_counted(column));
        let mut filters: Vec<_> = early.into_iter().map(by).collect();
        filters.push(mapping::is_live());
        let mut body = json!({
            "size": 0,
            "track_total_hits": true,
            "_source": ["row"],
            "sort": self.sort,
            "query": {"bool": {"must": matching.parts(&parts), "filter": filters}},
        });
        if !late.is_empty() {
            let late: Vec<_> = late.iter().map(|filter| by(filter)).collect();
            body["post_filter"] = json!({"bool": {"filter": late}});
        }
        if !self.facets.is_empty() {
            body["aggs"] = self.aggregations();
        }
        Ok(body)
    }

    fn aggregations(&self) -> Value {
        let is_counted = |column: &str| self.facets.iter().any(|(facet, _)| *facet == column);
        let mut all = Map::new();
        for (n, (column, field)) in self.facets.iter().enumerate() {
            let others =
                self.filters.iter().filter(|(other, _)| other != column && is_counted(other));
            let others = others.map(|(column, wanted)| values(self.index, column, wanted));
            // A filter without conditions would let nothing through.
            let filters: Vec<_> = others.chain([mapping::is_live()]).collect();
            let order = json!([{"_count": "desc"}, {"_key": "asc"}]);
            let counted = json!({"terms": {"field": field, "size": VALUES, "order": order}});
            let made =
                json!({"filter": {"bool": {"filter": filters}}, "aggs": {"counted": counted}});
            all.insert(format!("facet {n}"), made);
        }
        Value::Object(all)
    }

    fn counted(&self, answer: &Value) -> Vec<(String, Vec<(String, usize)>)> {
        let counted = |(n, (column, _)): (usize, &(&str, String))| {
            let buckets = &answer["aggregations"][format!("facet {n}")]["counted"]["buckets"];
            let value = |bucket: &Value| {
                let rows = bucket["doc_count"].as_u64().and_then(|rows| usize::try_from(rows).ok());
                Some((bucket["key"].as_str()?.to_owned(), rows?))
            };
            let values = buckets.as_array().into_iter().flatten().filter_map(value).collect();
            ((*column).to_owned(), values)
        };
        self.facets.iter().enumerate().map(counted).collect()
    }

    fn hit(&self, snapshot: &Snapshot, hit: &Value) -> Hit {
        let row = shown(&snapshot.schema, &hit["_source"]["row"]);
        let key = row.get(self.index.key).and_then(Value::as_str).unwrap_or_default().to_owned();
        #[allow(clippy::cast_possible_truncation, reason = "scores are f32 on the server, too")]
        let score = hit["_score"].as_f64().map_or(1.0, |score| score as f32);
        Hit { key, row, score }
    }
}

fn hits(answer: &Value) -> Result<Vec<Value>, Fault> {
    match answer["hits"].get("hits") {
        Some(Value::Array(hits)) => Ok(hits.clone()),
        // Left out of the answer where it is empty.
        None if answer["hits"].is_object() => Ok(Vec::new()),
        _ => Err(Fault::unreadable("hits")),
    }
}

fn sort(index: &Index, sort: &Sort) -> Result<Value, SearchError> {
    let by = |field: String, order: &str| {
        let options = json!({"order": order, "missing": "_last", "unmapped_type": "keyword"});
        json!([{field: options}, {"key": "asc"}])
    };
    Ok(match sort {
        Sort::Relevance => json!([{"_score": "desc"}, {"key": "asc"}]),
        Sort::Newest(column) => by(field(index, column, |_| true, "sort")?, "desc"),
        Sort::Oldest(column) => by(field(index, column, |_| true, "sort")?, "asc"),
        Sort::Az(column) => {
            let is_name = |kind| matches!(kind, Kind::Id | Kind::Facet);
            let field = field(index, column, is_name, "sort by name")?;
            let folded = field.strip_prefix("value.").map(|slot| format!("folded.{slot}"));
            by(folded.unwrap_or(field), "asc")
        }
    })
}

/// The field with a column's values.
fn field(
    index: &Index,
    column: &str,
    of: impl Fn(Kind) -> bool,
    purpose: &'static str,
) -> Result<String, SearchError> {
    let is = |kind| !matches!(kind, Kind::Text { .. }) && of(kind);
    if index.fields.iter().any(|field| field.column == column && is(field.kind)) {
        return Ok(format!("value.{}", slot(column)));
    }
    if column == index.key && of(Kind::Id) {
        return Ok("key".to_owned());
    }
    let (index, column) = (index.name.to_owned(), column.to_owned());
    Err(SearchError::Column { index, column, purpose })
}
