//! The recalls in figures: a page of charts that follows the topic while it is open, and the charts to take along.
//!
//! # Layout
//! - [`router`]: the addresses.
//! - `figures`, `places`: what is counted, by SQL over a view of the topic. `board`: what is shown now, made once for all.
//! - `charts`: which charts there are. `page`: the page and its live parts. `sheet`: pictures.

mod board;
mod charts;
mod figures;
mod page;
mod places;
mod sheet;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use chrono::Utc;
use millstream_engine::view::View;
use millstream_web::chart::standing_alone;
use millstream_web::csv::Writer;
use millstream_web::sse::{Hub, Message};
use millstream_web::{Shell, error_page};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::feed_state::FeedState;
use board::{Board, Shown};
use charts::Plan;
pub use figures::COLUMNS;

/// Pages that are kept up to date at the same time.
const STREAMS: usize = 200;

/// What the handlers share.
struct Analytics {
    shell: Shell,
    board: Board,
    hub: Hub,
    every: Duration,
}

/// The analytics page and its charts. `view` is of topic `devices` with at least [`COLUMNS`]; `every`: how often the feed
/// is refreshed, to tell when it is stale.
pub fn router(
    shell: Shell,
    view: View,
    feed: watch::Receiver<Option<FeedState>>,
    every: Duration,
    stop: CancellationToken,
) -> Router {
    let board = Board::new(view, feed);
    tokio::spawn(board.clone().keep_current(stop.clone()));
    let analytics = Arc::new(Analytics { shell, board, hub: Hub::new(STREAMS, stop), every });
    Router::new()
        .route("/analytics", get(shown))
        .route("/analytics/events", get(events))
        .route("/analytics/charts/{file}", get(file))
        .route("/static/output.png", get(all))
        .with_state(analytics)
}

async fn shown(State(site): State<Arc<Analytics>>) -> Response {
    let shown = site.board.current().await;
    site.shell.page("Analytics", "/analytics", page::page(&shown, site.every, Utc::now()))
}

/// At once everything, then whatever has changed.
async fn events(State(site): State<Arc<Analytics>>) -> Response {
    let watched = site.board.subscribe();
    site.board.current().await;
    let (every, told) = (site.every, Mutex::new(HashMap::new()));
    site.hub.stream(watched, move |shown: &Arc<Shown>| {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        let parts = page::parts(shown, every, Utc::now());
        parts.into_iter().filter(|part| is_news(&mut told, part)).collect()
    })
}

fn is_news(told: &mut HashMap<&'static str, String>, (name, part): &Message) -> bool {
    told.insert(*name, part.clone()).as_ref() != Some(part)
}

/// A chart to take along: `<name>.svg`, `.png` or `.csv`.
async fn file(State(site): State<Arc<Analytics>>, Path(file): Path<String>) -> Response {
    let (name, ending) = file.rsplit_once('.').unwrap_or((&file, ""));
    let Some(plan) = Plan::named(name) else { return site.missing() };
    let figures = site.board.current().await.figures.clone();
    let (kind, made) = match ending {
        "svg" => (
            "image/svg+xml",
            standing_alone(&plan.chart(&figures).svg()).map(Bytes::from).map_err(Into::into),
        ),
        "png" => ("image/png", site.board.picture(plan.name, board::one).await),
        "csv" => ("text/csv; charset=utf-8", Ok(csv(plan, &figures))),
        _ => return site.missing(),
    };
    let attached = format!("attachment; filename=\"recalls-{}.{ending}\"", plan.name);
    site.sent(kind, made, Some(attached))
}

/// All charts as one picture.
async fn all(State(site): State<Arc<Analytics>>) -> Response {
    let made = site.board.picture("all charts", board::all).await;
    site.sent("image/png", made, None)
}

fn csv(plan: &Plan, figures: &figures::Figures) -> Bytes {
    let mut writer = Writer::new([plan.of, "Recalls"]);
    for row in plan.rows(figures) {
        writer.row([row.name.as_str(), &row.recalls.to_string()]);
    }
    writer.take()
}

impl Analytics {
    fn sent(&self, kind: &'static str, made: Result<Bytes>, attached: Option<String>) -> Response {
        let made = match made {
            Ok(made) => made,
            Err(error) => {
                error!("send a chart: {error:#}");
                return error_page(
                    &self.shell,
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "This chart can't be drawn just now.",
                    "Its figures are on the analytics page, and in its CSV file.",
                );
            }
        };
        let mut response =
            ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")], made).into_response();
        if let Some(attached) = attached.and_then(|attached| attached.parse().ok()) {
            response.headers_mut().insert(CONTENT_DISPOSITION, attached);
        }
        response
    }

    fn missing(&self) -> Response {
        error_page(
            &self.shell,
            StatusCode::NOT_FOUND,
            "There is no such chart.",
            "The analytics page has links to all charts, as PNG, SVG and CSV.",
        )
    }
}
