//! The site as a browser or a program sees it: through the whole router, with a small searcher behind it.

mod api;
mod fake;
mod hostile;
mod pages;
mod states;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_TYPE, HOST, LOCATION};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::Response;
use millstream_sinks::search::Searcher;
use millstream_web::Server;
use millstream_web::sse::Hub;
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::figures::Figures;
use super::live::Pulse;
use super::site::{Site, shell};
pub use fake::Fake;

/// A site to ask.
struct Stage {
    fake: Arc<Fake>,
    pulse: watch::Sender<Pulse>,
    refreshes: Arc<AtomicUsize>,
    router: Router,
}

/// What was answered.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Stage {
    async fn with(rows: Vec<Map<String, Value>>) -> Stage {
        let fake = Arc::new(Fake::of(rows));
        let figures = Figures::of(fake.as_ref()).await.ok().map(Arc::new);
        let first = Pulse { index: fake.state().await.ok(), figures, ..Pulse::default() };
        let (pulse, receiver) = watch::channel(first);
        let refreshes = Arc::new(AtomicUsize::new(0));
        let count = refreshes.clone();
        let refresh = move || {
            count.fetch_add(1, Ordering::Relaxed);
        };
        let hub = Hub::new(2, CancellationToken::new());
        let site = Site::new(fake.clone(), receiver, hub, Duration::from_secs(3600), refresh);
        let router = Server::new(super::router(Arc::new(site))).shell(shell()).into_router(true);
        Stage { fake, pulse, refreshes, router }
    }

    /// The answer with a body that is still to be read.
    async fn open(&self, path: &str) -> Response {
        let request = Request::get(path).header(HOST, "localhost").body(Body::empty()).expect(path);
        self.router.clone().oneshot(request).await.expect("an answer")
    }

    async fn get(&self, path: &str) -> Answer {
        let response = self.open(path).await;
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 64 << 20).await.expect("a body");
        let body = String::from_utf8(body.to_vec()).expect("UTF-8");
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// A page or document that has to be there.
    async fn ok(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
        answer.body
    }

    async fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.ok(path).await).expect("JSON")
    }
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn kind(&self) -> &str {
        self.header(CONTENT_TYPE.as_str())
    }

    fn location(&self) -> &str {
        self.header(LOCATION.as_str())
    }
}

fn row(value: Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

/// `count` recalls: every third of Class I, odd ones from CA, each event with three.
pub fn recalls(count: usize) -> Vec<Map<String, Value>> {
    let one = |at: usize| {
        row(json!({
            "recall_number": format!("Z-{at:04}-2026"),
            "event_id": (at / 3).to_string(),
            "classification": (["Class I", "Class II", "Class III"][at % 3]),
            "status": if at.is_multiple_of(2) { "Ongoing" } else { "Terminated" },
            "recalling_firm": (["Acme Pumps, Inc.", "Bolt & Sons"][at % 2]),
            "product_description": format!("Infusion pump model {at}"),
            "reason_for_recall": "The battery may leak.\nIt was found in tests.",
            "code_info": "Lot 1\nLot 2",
            "report_date": format!("2026{:02}{:02}", at % 12 + 1, at % 28 + 1),
            "recall_initiation_date": "20260102",
            "city": "Springfield",
            "state": (["WA", "CA"][at % 2]),
            "country": "United States",
            "year": "2026",
            "address_1": "N/A",
        }))
    };
    (0..count).map(one).collect()
}
