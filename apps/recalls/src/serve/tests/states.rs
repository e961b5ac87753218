use std::time::Duration;

use axum::body::Body;
use axum::http::header::HOST;
use axum::http::{Request, StatusCode};
use chrono::Utc;
use futures::StreamExt;
use millstream_sinks::search::IndexState;
use tower::ServiceExt;

use super::{Stage, recalls};
use crate::feed_state::{FeedState, Phase};
use crate::serve::live::Pulse;

#[tokio::test]
async fn what_moves_is_on_the_pages_and_in_the_api() {
    let stage = Stage::with(recalls(3)).await;
    let phase = Phase::Comparing { records: 12_000, of: Some(40_000) };
    let feed =
        FeedState { phase, told_at: Some(Utc::now()), made_up: true, ..FeedState::default() };
    let loading = IndexState::Loading { rows: 3, from: "the topic".into() };
    stage.pulse.send_replace(Pulse { feed: Some(feed), index: Some(loading), ..Pulse::default() });
    for path in ["/", "/search"] {
        let page = stage.ok(path).await;
        assert!(page.contains("12,000 of 40,000 recalls compared"), "{path}");
        assert!(page.contains("These recalls are made up"), "{path}");
        assert!(page.contains("Loading recalls from the topic: 3 so far"), "{path}");
    }
    let feed = stage.json("/api/v1/feed").await;
    assert_eq!(feed["feed"]["phase"]["comparing"]["records"], 12_000);
    assert_eq!(feed["index"]["state"], "loading");
}

#[tokio::test]
async fn readiness_follows_the_index() {
    let stage = Stage::with(recalls(3)).await;
    assert_eq!(stage.ok("/healthz").await, "ok\n");
    assert_eq!(stage.json("/readyz").await["index"]["rows"], 3);
    *stage.fake.state.lock().expect("lock") = IndexState::Missing;
    let answer = stage.get("/readyz").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.body.contains("missing"), "{}", answer.body);
    stage.fake.break_down();
    assert_eq!(stage.get("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(stage.get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_search_that_is_down_is_told_and_the_home_page_stays() {
    let stage = Stage::with(recalls(3)).await;
    stage.ok("/").await;
    stage.fake.break_down();
    stage.pulse.send_modify(|pulse| pulse.index = None);
    let home = stage.ok("/").await;
    assert!(home.contains("last good data") && home.contains("/recalls/Z-0002-2026"), "{home}");
    for path in ["/search?q=x", "/recalls/Z-0001-2026", "/search.csv", "/search.json?q=x"] {
        let answer = stage.get(path).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(
            answer.body.contains("Try again in a minute") && !answer.body.contains("/secret"),
            "{path}"
        );
    }
    for path in ["/api/v1/recalls", "/api/v1/recalls/Z-0001-2026", "/api/v1/suggest?q=z"] {
        let answer = stage.get(path).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(answer.kind(), "application/problem+json", "{path}");
    }
    assert_eq!(stage.json("/api/v1/feed").await["index"]["state"], "unavailable");
}

#[tokio::test]
async fn a_site_that_never_could_search_says_so() {
    let stage = Stage::with(recalls(3)).await;
    stage.fake.break_down();
    stage.pulse.send_replace(Pulse::default());
    assert_eq!(stage.get("/").await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn open_pages_are_told_what_changes() {
    let stage = Stage::with(recalls(3)).await;
    let request = Request::get("/events?since=0").header(HOST, "localhost").body(Body::empty());
    let response =
        stage.router.clone().oneshot(request.expect("a request")).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    let mut stream = response.into_body().into_data_stream();
    let mut told = String::new();
    let mut wait_for = async |part: &str| {
        let waited = tokio::time::timeout(Duration::from_secs(10), async {
            while !told.contains(part) {
                let chunk = stream.next().await.expect("more").expect("a chunk");
                told.push_str(&String::from_utf8_lossy(&chunk));
            }
        });
        assert!(waited.await.is_ok(), "{part}: {told}");
    };
    wait_for("event: feed").await;
    stage.pulse.send_modify(|pulse| pulse.news += 1);
    wait_for("There are new recalls").await;
}
