use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{Poll, SourceError};

type Reply = (u16, &'static str, &'static str);

/// A server whose answers are laid out beforehand: per path, one after the other, the last for ever.
#[derive(Clone, Default)]
struct Script {
    replies: Arc<Mutex<HashMap<String, Vec<Reply>>>>,
    calls: Arc<AtomicUsize>,
}

impl Script {
    fn on(self, path: &str, mut replies: Vec<Reply>) -> Self {
        replies.reverse();
        self.replies.lock().unwrap().insert(path.to_owned(), replies);
        self
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    async fn serve(&self) -> String {
        self.serve_on(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn serve_on(&self, listener: TcpListener) -> String {
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        base
    }
}

async fn answer(State(script): State<Script>, request: Request) -> Response {
    script.calls.fetch_add(1, Ordering::SeqCst);
    let (status, retry_after, body) = {
        let mut replies = script.replies.lock().unwrap();
        match replies.get_mut(request.uri().path()) {
            Some(replies) if replies.len() > 1 => replies.pop().unwrap(),
            Some(replies) => replies[0],
            None => (404, "", "{}"),
        }
    };
    if body == "slow" {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let headers = (!retry_after.is_empty()).then_some([("retry-after", retry_after)]);
    let status = StatusCode::from_u16(status).unwrap();
    match headers {
        Some(headers) => (status, headers, body).into_response(),
        None => (status, body).into_response(),
    }
}

fn poll(base: &str, paths: &[&str], every_ms: u64) -> Poll {
    let urls: Vec<_> = paths.iter().map(|path| format!("{base}{path}")).collect();
    Poll::new(urls, Duration::from_millis(every_ms), CancellationToken::new()).unwrap()
}

async fn next(poll: &mut Poll) -> Result<Option<(usize, String)>, SourceError> {
    let answer = timeout(Duration::from_secs(20), poll.next()).await.expect("an answer in time")?;
    Ok(answer.map(|answer| (answer.which, String::from_utf8(answer.body.to_vec()).unwrap())))
}

#[tokio::test]
async fn every_url_answers_once_a_round() {
    let script = Script::default()
        .on("/a", vec![(200, "", "{\"n\":1}"), (200, "", "{\"n\":2}")])
        .on("/b", vec![(200, "", "[]")]);
    let mut poll = poll(&script.serve().await, &["/a", "/b"], 100).rounds(2);
    let start = Instant::now();
    let mut answers = Vec::new();
    while let Some(answer) = next(&mut poll).await.unwrap() {
        answers.push(answer);
    }
    let expected = [(0, "{\"n\":1}"), (1, "[]"), (0, "{\"n\":2}"), (1, "[]")];
    assert_eq!(answers, expected.map(|(which, body)| (which, body.to_owned())));
    assert!(start.elapsed() >= Duration::from_millis(100), "the rounds ran together");
}

#[tokio::test]
async fn a_bad_key_is_refused_with_the_remedy_and_without_the_key() {
    for status in [401, 403] {
        let script = Script::default().on("/w", vec![(status, "", "bad key s3cret!")]);
        let base = script.serve().await;
        let mut poll = poll(&base, &["/w?id=1&appid=s3cret!"], 10).remedy("set WEATHER_KEY");
        let error = next(&mut poll).await.unwrap_err().to_string();
        assert!(error.contains("set WEATHER_KEY"), "{error}");
        assert!(error.contains(&status.to_string()) && error.contains("id=1"), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}

#[tokio::test]
async fn a_missing_url_is_left_out_and_all_missing_is_an_error() {
    let script = Script::default().on("/a", vec![(200, "", "1"), (404, "", "")]);
    let mut poll = poll(&script.serve().await, &["/gone", "/a"], 10);
    assert_eq!(next(&mut poll).await.unwrap(), Some((1, "1".to_owned())));
    let error = next(&mut poll).await.unwrap_err().to_string();
    assert!(error.contains("404"), "{error}");
    assert_eq!(script.calls(), 3, "the missing one was asked again");
}

#[tokio::test]
async fn trouble_passes_by_itself() {
    let script = Script::default()
        .on("/a", vec![(503, "", "busy"), (500, "", ""), (408, "", ""), (200, "", "{}")]);
    let mut poll = poll(&script.serve().await, &["/a"], 10);
    assert_eq!(next(&mut poll).await.unwrap(), Some((0, "{}".to_owned())));
    assert_eq!(script.calls(), 4);
}

#[tokio::test]
async fn a_server_over_its_limit_is_left_alone_as_long_as_it_asks() {
    let script = Script::default().on("/a", vec![(429, "1", "slow down"), (200, "", "{}")]);
    let mut poll = poll(&script.serve().await, &["/a"], 10);
    let start = Instant::now();
    assert_eq!(next(&mut poll).await.unwrap(), Some((0, "{}".to_owned())));
    assert!(start.elapsed() >= Duration::from_secs(1), "asked again too soon");
}

#[tokio::test]
async fn a_server_that_hangs_is_timed_out_and_asked_again() {
    let script = Script::default().on("/a", vec![(200, "", "slow"), (200, "", "{}")]);
    let base = script.serve().await;
    let mut poll = poll(&base, &["/a"], 10).timeout(Duration::from_millis(200)).unwrap();
    assert_eq!(next(&mut poll).await.unwrap(), Some((0, "{}".to_owned())));
}

#[tokio::test]
async fn a_server_that_starts_late_is_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let script = Script::default().on("/a", vec![(200, "", "{}")]);
    let mut poll = poll(&format!("http://{address}"), &["/a"], 10);
    let late = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        script.serve_on(TcpListener::bind(address).await.unwrap());
    };
    let (answer, ()) = tokio::join!(next(&mut poll), late);
    assert_eq!(answer.unwrap(), Some((0, "{}".to_owned())));
}

#[tokio::test]
async fn an_answer_that_is_not_json_names_the_masked_url() {
    let script = Script::default().on("/a", vec![(200, "", "<html>hello")]);
    let mut poll = poll(&script.serve().await, &["/a?token=abcdef"], 10);
    let error = next(&mut poll).await.unwrap_err().to_string();
    assert!(error.contains("/a?token=***") && error.contains("<html>"), "{error}");
}

#[tokio::test]
async fn an_answer_too_long_is_refused() {
    let script = Script::default().on("/a", vec![(200, "", "\"0123456789\"")]);
    let mut poll = poll(&script.serve().await, &["/a"], 10).max_bytes(10);
    let error = next(&mut poll).await.unwrap_err().to_string();
    assert!(error.contains("10 bytes"), "{error}");
}

#[tokio::test]
async fn a_stop_ends_it_wherever_it_waits() {
    let script = Script::default()
        .on("/hangs", vec![(200, "", "slow")])
        .on("/busy", vec![(429, "600", "")])
        .on("/fine", vec![(200, "", "{}")]);
    let base = script.serve().await;
    for path in ["/hangs", "/busy", "/fine"] {
        let stop = CancellationToken::new();
        let url = format!("{base}{path}");
        let mut poll = Poll::new([url], Duration::from_secs(600), stop.clone()).unwrap();
        let answered = tokio::sync::Notify::new();
        let stopping = async {
            if path == "/fine" {
                answered.notified().await;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
            stop.cancel();
        };
        let polling = async {
            let mut answers = 0;
            while next(&mut poll).await.unwrap().is_some() {
                answers += 1;
                answered.notify_one();
            }
            answers
        };
        let (answers, ()) = tokio::join!(polling, stopping);
        assert_eq!(answers, usize::from(path == "/fine"), "{path}");
    }
}

#[test]
fn what_is_no_url_is_refused() {
    for url in ["weather", "ftp://h/x", "http://"] {
        let error =
            Poll::new([url], Duration::ZERO, CancellationToken::new()).unwrap_err().to_string();
        assert!(error.contains("http://"), "{error}");
    }
}
