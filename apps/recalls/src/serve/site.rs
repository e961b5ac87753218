use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use maud::html;
use millstream_engine::chain;
use millstream_sinks::search::{Found, Query, SearchError, Searcher};
use millstream_web::assets::Asset;
use millstream_web::sse::Hub;
use millstream_web::{Shell, error_page};
use tokio::sync::{Semaphore, watch};

use super::live::Pulse;
use super::params::Refusal;
use super::record::Recall;

/// Exports that are sent at the same time.
const EXPORTS: usize = 4;

/// The site's own files.
pub static ASSETS: [Asset; 2] = [
    Asset::new("recalls.css", include_bytes!("assets/recalls.css")),
    Asset::new("recalls.js", include_bytes!("assets/recalls.js")),
];

/// Entries of the navigation.
const NAV: &[(&str, &str)] =
    &[("/", "Home"), ("/search", "Search"), ("/analytics", "Analytics"), ("/api", "API")];

/// The frame around every page.
pub fn shell() -> Shell {
    let head = html! { @for asset in &ASSETS { (asset.link()) } };
    Shell { site: "Device recalls", nav: NAV, head }
}

/// What all pages share.
pub struct Site {
    pub shell: Shell,
    pub searcher: Arc<dyn Searcher>,
    pub pulse: watch::Receiver<Pulse>,
    pub hub: Hub,
    /// How often the feed is refreshed.
    pub every: Duration,
    /// Room for exports.
    pub exports: Arc<Semaphore>,
    asked_for_refresh: AtomicBool,
    refresh: Box<dyn Fn() + Send + Sync>,
}

impl Site {
    /// `refresh` is called when somebody comes to the home page for the first time.
    pub fn new(
        searcher: Arc<dyn Searcher>,
        pulse: watch::Receiver<Pulse>,
        hub: Hub,
        every: Duration,
        refresh: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Site {
            shell: shell(),
            searcher,
            pulse,
            hub,
            every,
            exports: Arc::new(Semaphore::new(EXPORTS)),
            asked_for_refresh: AtomicBool::new(false),
            refresh: Box::new(refresh),
        }
    }

    /// Somebody is on the home page.
    pub fn visited(&self) {
        if !self.asked_for_refresh.swap(true, Ordering::Relaxed) {
            (self.refresh)();
        }
    }

    /// How feed and index are just now.
    pub fn pulse(&self) -> Pulse {
        self.pulse.borrow().clone()
    }

    /// The recall of that number.
    pub async fn recall(&self, number: &str) -> Result<Option<Recall>, SearchError> {
        let filters = vec![("recall_number".to_owned(), vec![number.to_owned()])];
        let found = self.search(&Query { filters, limit: 1, ..Query::default() }).await?;
        Ok(found.hits.into_iter().next().map(|hit| Recall::new(hit.row)))
    }

    pub async fn search(&self, query: &Query) -> Result<Found, SearchError> {
        self.searcher.search(query).await
    }

    /// The page for a request that can't be read.
    pub fn refused(&self, refusal: &Refusal) -> Response {
        let (what, remedy) = (sentence(&refusal.what), sentence(&refusal.remedy));
        error_page(&self.shell, StatusCode::BAD_REQUEST, &what, &remedy)
    }

    /// The page for a search that failed. Only what helps the reader is told; the log has the rest.
    pub fn failed(&self, error: &SearchError) -> Response {
        tracing::error!("answer a search: {}", chain(error));
        error_page(
            &self.shell,
            StatusCode::SERVICE_UNAVAILABLE,
            "The search can't be reached just now.",
            "Try again in a minute. Nothing is lost: recalls go on being collected, and the feed's state on the home page stays current.",
        )
    }

    /// The answer for something that isn't there.
    pub fn missing(&self, what: &str, remedy: &str) -> Response {
        error_page(&self.shell, StatusCode::NOT_FOUND, what, remedy)
    }
}

/// With a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    let text: String = first.chain(letters).collect();
    if text.ends_with(['.', '!', '?']) { text } else { format!("{text}.") }
}
