//! How what is being typed may go on.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use millstream_sinks::search::{SearchError, Suggestion};
use serde::Serialize;
use serde_json::json;

use super::api::parameters;
use super::asked::{Asked, Facet};
use super::openapi::SUGGEST;
use super::params::{TEXT_MAX, one, text};
use super::record::href;
use super::site::Site;

/// Suggestions at once.
const MOST: usize = 8;

/// One way on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proposal {
    pub text: String,
    /// What the text is: `recall number`, `firm` or `product`.
    pub label: &'static str,
    /// Where it leads: the recall, if it is just one, else the search for it.
    pub url: String,
    /// Recalls that have this text.
    pub rows: usize,
}

/// `/api/v1/suggest?q=…`
pub async fn suggest(State(site): State<Arc<Site>>, RawQuery(query): RawQuery) -> Response {
    let typed = parameters(query.as_deref(), &SUGGEST)
        .and_then(|pairs| text(one(&pairs, "q")?.unwrap_or_default()));
    let typed = match typed {
        Ok(typed) => typed,
        Err(refusal) => return site.refused(&refusal),
    };
    match proposals(&site, &typed, MOST).await {
        Ok(suggestions) => Json(json!({ "suggestions": suggestions })).into_response(),
        Err(error) => site.failed(&error),
    }
}

/// At most `max` proposals for what was typed.
pub async fn proposals(site: &Site, typed: &str, max: usize) -> Result<Vec<Proposal>, SearchError> {
    if typed.is_empty() {
        return Ok(Vec::new());
    }
    let suggestions = site.searcher.suggest(typed, max).await?;
    Ok(suggestions.into_iter().take(max).map(proposal).collect())
}

fn proposal(suggestion: Suggestion) -> Proposal {
    let Suggestion { text, column, key, rows } = suggestion;
    let words = |text: &str| Asked { text: searchable(text), ..Asked::default() }.href();
    let (label, search) = match column.as_str() {
        "recall_number" => ("recall number", words(&text)),
        "recalling_firm" if Facet::Firm.allows(&text) => {
            ("firm", Asked::default().with(Facet::Firm, &text).href())
        }
        "recalling_firm" => ("firm", words(&text)),
        _ => ("product", words(&text)),
    };
    Proposal { url: key.map_or(search, |key| href(&key)), text, label, rows }
}

/// A text that the search takes: tidy, and not too long.
fn searchable(long: &str) -> String {
    let short: String = long.chars().take(TEXT_MAX).collect();
    text(&short).unwrap_or_default()
}
