use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use millstream_topic::Backend;
use millstream_web::sse::{Hub, Message};
use millstream_web::{Server, assets, error_page};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::book::Book;
use crate::error::ConsoleError;
use crate::own::Own;
use crate::pages;
use crate::view::{Is, Overview, PipelineView, Reading, Standing, WorkerView};
use crate::worker::now_ms;
use crate::{follow, metrics};

/// Pages kept up to date at once.
const STREAMS: usize = 200;

/// Serves the console until `stop`: pages, live updates, JSON, metrics. `own`: the worker in this process,
/// whose pipelines `/readyz` is about. Topics that can't be read are shown as such.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    topics: Arc<dyn Backend>,
    own: Option<Own>,
    stop: CancellationToken,
) -> Result<(), ConsoleError> {
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        tracing::warn!(
            "the console at {address} can be seen from other machines and asks for no password; \
             listen on 127.0.0.1, or let only those in who may see it"
        );
    }
    let id = own.as_ref().map(|own| own.worker().id.clone());
    let book = Book { now_ms: now_ms(), own: id.clone(), ..Book::default() };
    let book = Arc::new(watch::Sender::new(book));
    let following = tokio::spawn(follow::follow(topics, book.clone(), own, stop.clone()));
    let site = Site {
        book: book.subscribe(),
        hub: Hub::new(STREAMS, stop.clone()),
        own: id.map(Into::into),
    };
    let served = Server::new(router(site)).shell(pages::shell()).serve(listener, stop).await;
    following.abort();
    Ok(served?)
}

#[derive(Clone)]
struct Site {
    book: watch::Receiver<Book>,
    hub: Hub,
    own: Option<Arc<str>>,
}

fn router(site: Site) -> Router {
    Router::new()
        .route("/", get(overview))
        .route("/pipelines/{id}", get(pipeline))
        .route("/workers/{id}", get(worker))
        .route("/live/overview", get(live_overview))
        .route("/live/pipelines/{id}", get(live_pipeline))
        .route("/live/workers/{id}", get(live_worker))
        .route("/api/v1/overview", get(overview_json))
        .route("/api/v1/pipelines/{id}", get(pipeline_json))
        .route("/api/v1/workers/{id}", get(worker_json))
        .route("/metrics", get(metrics_text))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .with_state(site)
        .merge(assets::router())
        .merge(assets::router_of(&pages::ASSETS))
}

async fn overview(State(site): State<Site>) -> Response {
    pages::overview::page(&Overview::of(&site.book.borrow()))
}

async fn pipeline(State(site): State<Site>, Path(id): Path<String>) -> Response {
    let book = site.book.borrow();
    match PipelineView::of(&book, &id) {
        Some(view) => pages::pipeline::page(&view, &Reading::of(&book)),
        None => missing(&book, "pipeline", &id),
    }
}

async fn worker(State(site): State<Site>, Path(id): Path<String>) -> Response {
    let book = site.book.borrow();
    match book.workers.get(&id) {
        Some(heard) => pages::worker::page(&WorkerView::of(&book, heard), &Reading::of(&book)),
        None => missing(&book, "worker", &id),
    }
}

fn missing(book: &Book, kind: &str, id: &str) -> Response {
    if !book.loaded {
        return error_page(
            &pages::shell(),
            StatusCode::SERVICE_UNAVAILABLE,
            "What the workers told is still being read.",
            "Load this page again in some seconds.",
        );
    }
    let what = format!("No worker tells of {kind} {id}.");
    error_page(
        &pages::shell(),
        StatusCode::NOT_FOUND,
        &what,
        "It may have ended; the overview shows who is there.",
    )
}

async fn live_overview(State(site): State<Site>) -> Response {
    stream(&site, |book| Some(pages::overview::live(&Overview::of(book))))
}

async fn live_pipeline(State(site): State<Site>, Path(id): Path<String>) -> Response {
    stream(&site, move |book| {
        PipelineView::of(book, &id).map(|view| pages::pipeline::live(&view, &Reading::of(book)))
    })
}

async fn live_worker(State(site): State<Site>, Path(id): Path<String>) -> Response {
    stream(&site, move |book| {
        let heard = book.workers.get(&id)?;
        Some(pages::worker::live(&WorkerView::of(book, heard), &Reading::of(book)))
    })
}

/// Sends the fragments that have changed. `None`: what the page is about has gone.
fn stream<F>(site: &Site, tell: F) -> Response
where
    F: Fn(&Book) -> Option<Vec<Message>> + Send + 'static,
{
    let sent = std::sync::Mutex::new(std::collections::HashMap::<&'static str, String>::new());
    site.hub.stream(site.book.clone(), move |book| {
        let told = tell(book).unwrap_or_else(|| vec![pages::gone()]);
        let mut sent = sent.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_news =
            |(name, text): &Message| sent.insert(name, text.clone()).as_ref() != Some(text);
        told.into_iter().filter(is_news).collect()
    })
}

async fn overview_json(State(site): State<Site>) -> Response {
    Json(Overview::of(&site.book.borrow())).into_response()
}

async fn pipeline_json(State(site): State<Site>, Path(id): Path<String>) -> Response {
    let book = site.book.borrow();
    match PipelineView::of(&book, &id) {
        Some(view) => Json(view).into_response(),
        None => missing(&book, "pipeline", &id),
    }
}

async fn worker_json(State(site): State<Site>, Path(id): Path<String>) -> Response {
    let book = site.book.borrow();
    match book.workers.get(&id) {
        Some(heard) => Json(WorkerView::of(&book, heard)).into_response(),
        None => missing(&book, "worker", &id),
    }
}

async fn metrics_text(State(site): State<Site>) -> Response {
    match metrics::text(&site.book.borrow()) {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-store")], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Whether this process does its work: 200, or 503 and why not.
async fn ready(State(site): State<Site>) -> Response {
    let why = unready(&site.book.borrow(), site.own.as_deref());
    let status = if why.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(CACHE_CONTROL, "no-store")], Json(json!({ "ready": why.is_empty(), "why": why })))
        .into_response()
}

fn unready(book: &Book, own: Option<&str>) -> Vec<String> {
    if let Some(why) = &book.trouble {
        return vec![format!("the status topic can't be read: {why}")];
    }
    if !book.loaded {
        return vec!["the status topic is still being read".to_owned()];
    }
    let Some(own) = own else { return Vec::new() };
    let Some(heard) = book.workers.get(own) else {
        return vec![format!("worker {own} hasn't told how it stands yet")];
    };
    if let Some(silence) = book.silence(heard) {
        return vec![format!("worker {own}: {}", Standing::silent(silence).why)];
    }
    let told =
        heard.told.pipelines.iter().map(|one| (one.plan.id(), Standing::from(&one.status.state)));
    told.filter(|(_, standing)| standing.is > Is::Running)
        .map(|(id, Standing { is, why })| {
            format!("pipeline {id} is {} {why}", is.word()).trim_end().to_owned()
        })
        .collect()
}
