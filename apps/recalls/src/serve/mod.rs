//! The site: recalls to search, to read, and to take along. Server-rendered; scripts only make it quicker.
//!
//! # Layout
//! - [`serve`]: puts it all together.
//! - `site`: what all pages share. `live`, `figures`: what moves while a page is open.
//! - `params`, `asked`: an address, read strictly. `record`: a recall in words. `highlight`: what was looked for, marked.
//! - `pages`: home, search, recall, the API's guide.
//! - `analytics`: the recalls in figures.
//! - `api`, `openapi`, `suggest`, `export`: for programs.

mod analytics;
mod api;
mod asked;
mod export;
mod figures;
mod highlight;
mod live;
mod openapi;
mod pages;
mod params;
mod record;
mod site;
mod suggest;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::routing::get;
use futures::future::BoxFuture;
use millstream_app::Serve;
use millstream_engine::Json;
use millstream_engine::view::View;
use millstream_web::sse::Hub;
use millstream_web::{Server, assets};
use serde::Deserialize;
use tracing::error;

use crate::event::schema;
use crate::feed_state;
use crate::pipeline::DEVICES;
use crate::refresh::Refresher;
use crate::search::RECALLS;
use site::{ASSETS, Site, shell};

/// Pages that are kept up to date at the same time.
const STREAMS: usize = 200;

#[derive(Debug, Deserialize)]
struct Settings {
    /// Whether this process refreshes the feed, too.
    refresh: bool,
    /// Names under which the site may be asked for besides this machine's own.
    hosts: Vec<String>,
}

/// Shows the pages until stopped.
pub fn serve(task: Serve) -> BoxFuture<'static, Result<()>> {
    Box::pin(run(task))
}

async fn run(task: Serve) -> Result<()> {
    let settings: Settings = task.settings.section("serve")?;
    let every = Duration::from_secs(task.settings.section("feed.every_s")?);
    // When the pages end, for whatever reason, so does what works for them.
    let stop = task.stop.child_token();
    let _stop = stop.clone().drop_guard();

    let feed = feed_state::watch(task.topics.clone(), stop.clone()).await;
    let decoder = Arc::new(Json::new(schema()));
    let view =
        View::follow(task.topics.clone(), &DEVICES, decoder, analytics::COLUMNS, stop.clone());
    let analytics = analytics::router(shell(), view, feed.clone(), every, stop.clone());
    let searcher = task.stores.searcher(&RECALLS).context("open the search index")?;
    let pulse = live::follow(searcher.clone(), feed, stop.clone()).await;
    let refresher = settings
        .refresh
        .then(|| Refresher::new(&task.settings, task.topics.clone(), &task.stores))
        .transpose()
        .context("make the feed's refresher ready")?;
    if let Some(refresher) = refresher.clone() {
        let stop = stop.clone();
        tokio::spawn(async move {
            if let Err(error) = refresher.run(stop).await {
                error!("refresh the feed: {error:#}; the pages stay as they are");
            }
        });
    }
    let ask = move || refresher.iter().for_each(Refresher::request);
    let hub = Hub::new(STREAMS, stop.clone());
    let site = Arc::new(Site::new(searcher, pulse, hub, every, ask));
    let router = router(site).merge(analytics);
    Server::new(router).shell(shell()).hosts(settings.hosts).serve(task.listener, stop).await?;
    Ok(())
}

fn router(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(pages::home))
        .route("/search", get(pages::search))
        .route("/search.csv", get(export::csv))
        .route("/search.json", get(export::json))
        .route("/recalls/{number}", get(pages::recall))
        .route("/events", get(live::events))
        .route("/api", get(pages::guide))
        .route("/healthz", get(api::health))
        .route("/readyz", get(api::ready))
        .merge(api::router())
        .with_state(site)
        .merge(assets::router())
        .merge(assets::router_of(&ASSETS))
}
