//! What programs ask. Strict: a parameter that nothing is made of is refused rather than passed over.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use millstream_sinks::search::IndexState;
use serde_json::{Map, Value, json};

use super::asked::{Asked, OFFSET_MAX};
use super::openapi::{DOCUMENT, FEED, Operation, RECALL, RECALLS, SUGGEST, document};
use super::params::{Refusal, number, pairs, shown};
use super::record::Recall;
use super::site::Site;
use super::suggest::suggest;

/// Recalls in one answer, unless asked otherwise, and at most.
const LIMIT: usize = 20;
pub const LIMIT_MAX: usize = 100;

pub fn router() -> Router<Arc<Site>> {
    Router::new()
        .route(RECALLS.path, get(recalls))
        .route(RECALL.path, get(recall))
        .route(SUGGEST.path, get(suggest))
        .route(FEED.path, get(feed))
        .route(DOCUMENT.path, get(openapi))
}

/// The parameters of a request, if the operation has all of them.
pub fn parameters(
    query: Option<&str>,
    operation: &Operation,
) -> Result<Vec<(String, String)>, Refusal> {
    let pairs = pairs(query.unwrap_or_default().as_bytes())?;
    let known: Vec<&str> = operation.query().map(|parameter| parameter.name).collect();
    match pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        None => Ok(pairs),
        Some((name, _)) if known.is_empty() => Err(Refusal::new(
            format!("parameter {} is unknown", shown(name)),
            "ask without parameters",
        )),
        Some((name, _)) => Err(Refusal::new(
            format!("parameter {} is unknown", shown(name)),
            format!("the parameters are {}", known.join(", ")),
        )),
    }
}

async fn recalls(State(site): State<Arc<Site>>, RawQuery(query): RawQuery) -> Response {
    let page = parameters(query.as_deref(), &RECALLS).and_then(|pairs| {
        let offset = number(&pairs, "offset", 0..=OFFSET_MAX, 0)?;
        let limit = number(&pairs, "limit", 0..=LIMIT_MAX, LIMIT)?;
        Ok((Asked::of(&pairs)?, offset, limit))
    });
    let (asked, offset, limit) = match page {
        Ok(page) => page,
        Err(refusal) => return site.refused(&refusal),
    };
    match site.search(&asked.query(offset, limit)).await {
        Ok(found) => {
            let next = offset + limit;
            let more = limit > 0 && next < found.total && next <= OFFSET_MAX;
            let results: Vec<_> =
                found.hits.into_iter().map(|hit| Recall::new(hit.row).json()).collect();
            let next = more.then(|| next_page(&asked, next, limit));
            let answer = json!({
                "total": found.total, "offset": offset, "limit": limit, "next": next, "results": results,
            });
            Json(answer).into_response()
        }
        Err(error) => site.failed(&error),
    }
}

fn next_page(asked: &Asked, offset: usize, limit: usize) -> String {
    let query = asked.on(1).render();
    let and = if query.is_empty() { "" } else { "&" };
    format!("{}?{query}{and}limit={limit}&offset={offset}", RECALLS.path)
}

async fn recall(
    State(site): State<Arc<Site>>,
    Path(number): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    if let Err(refusal) = parameters(query.as_deref(), &RECALL) {
        return site.refused(&refusal);
    }
    match site.recall(&number).await {
        Ok(Some(recall)) => Json(recall.json()).into_response(),
        Ok(None) => site.missing(
            &format!("There is no recall {}.", shown(&number)),
            "Ask /api/v1/suggest with the number's beginning, or /api/v1/recalls.",
        ),
        Err(error) => site.failed(&error),
    }
}

async fn feed(State(site): State<Arc<Site>>, RawQuery(query): RawQuery) -> Response {
    if let Err(refusal) = parameters(query.as_deref(), &FEED) {
        return site.refused(&refusal);
    }
    let pulse = site.pulse();
    Json(json!({ "feed": pulse.feed, "index": index(pulse.index.as_ref()) })).into_response()
}

async fn openapi(State(site): State<Arc<Site>>, RawQuery(query): RawQuery) -> Response {
    match parameters(query.as_deref(), &DOCUMENT) {
        Ok(_) => Json(document()).into_response(),
        Err(refusal) => site.refused(&refusal),
    }
}

/// `/healthz`: the process answers.
pub async fn health() -> &'static str {
    "ok\n"
}

/// `/readyz`: everything there is can be found; 503 before that.
pub async fn ready(State(site): State<Arc<Site>>) -> Response {
    // Asked anew, since whoever waits for it waits for this moment.
    let state = site.searcher.state().await.ok();
    let ready = matches!(state, Some(IndexState::Ready { .. }));
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": ready, "index": index(state.as_ref()) }))).into_response()
}

fn index(state: Option<&IndexState>) -> Map<String, Value> {
    let (name, rows, from) = match state {
        None => ("unavailable", None, None),
        Some(IndexState::Missing) => ("missing", None, None),
        Some(IndexState::Loading { rows, from }) => ("loading", Some(*rows), Some(from.as_str())),
        Some(IndexState::Ready { rows, rebuilding: false }) => ("ready", Some(*rows), None),
        Some(IndexState::Ready { rows, rebuilding: true }) => ("rebuilding", Some(*rows), None),
    };
    let pairs = [("state", json!(name)), ("rows", json!(rows)), ("from", json!(from))];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
