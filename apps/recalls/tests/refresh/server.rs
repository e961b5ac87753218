//! A server of a feed that does what a test wants.

use std::io::{Cursor, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::response::Response;
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use zip::write::SimpleFileOptions;

#[derive(Clone)]
pub enum Reply {
    Status(u16),
    Bytes(Vec<u8>),
    /// With an ETag, which is honoured.
    Tagged(&'static str, Vec<u8>),
    /// A byte now and then, without end.
    Drip,
    /// As `Bytes`, after a while.
    Late(Duration, Vec<u8>),
}

#[derive(Clone)]
pub struct Server {
    pub url: String,
    reply: Arc<Mutex<Reply>>,
    pub calls: Arc<AtomicUsize>,
    now: Arc<AtomicUsize>,
    /// Most requests that were being answered at a time.
    pub most: Arc<AtomicUsize>,
}

impl Server {
    pub async fn start(reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/feed.json.zip?api_key=s3cret", listener.local_addr().unwrap());
        let reply = Arc::new(Mutex::new(reply));
        let (calls, now, most) = Default::default();
        let server = Self { url, reply, calls, now, most };
        let answering = server.clone();
        let answer = move |headers: HeaderMap| {
            let server = answering.clone();
            async move { server.answer(&headers).await }
        };
        let router = Router::new().fallback(answer);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        server
    }

    pub fn says(&self, reply: Reply) {
        *self.reply.lock().unwrap() = reply;
    }

    async fn answer(&self, headers: &HeaderMap) -> Response {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let reply = self.reply.lock().unwrap().clone();
        let answer = match reply {
            Reply::Status(status) => Response::builder().status(status).body(Body::empty()),
            Reply::Bytes(bytes) => Response::builder().body(bytes.into()),
            Reply::Tagged(tag, bytes) => {
                let same = headers.get("if-none-match").is_some_and(|seen| seen == tag);
                let builder = Response::builder().header("etag", tag);
                if same {
                    builder.status(304).body(Body::empty())
                } else {
                    builder.body(bytes.into())
                }
            }
            Reply::Drip => {
                let drip = stream::iter(0..).then(async |_: u32| {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    Ok::<_, std::io::Error>(Bytes::from_static(b"P"))
                });
                Response::builder().body(Body::from_stream(drip))
            }
            Reply::Late(wait, bytes) => {
                tokio::time::sleep(wait).await;
                Response::builder().body(bytes.into())
            }
        };
        self.now.fetch_sub(1, Ordering::SeqCst);
        answer.unwrap()
    }
}

/// A recall as the feed has it.
pub fn recall(n: usize, status: &str) -> Value {
    json!({
        "recall_number": format!("Z-{n:04}-2026"), "event_id": (90_000 + n / 3).to_string(), "status": status,
        "classification": "Class II", "recalling_firm": "Firm \"A\"\r\nof B", "state": "CA", "openfda": {},
        "report_date": "20260401", "more_code_info": "", "code_info": "L1,\tL2; ü",
    })
}

pub fn recalls(numbers: impl IntoIterator<Item = usize>) -> Vec<Value> {
    numbers.into_iter().map(|n| recall(n, "Ongoing")).collect()
}

pub fn json_of(records: &[Value], total: usize) -> Vec<u8> {
    let meta = json!({"last_updated": "2026-04-01", "results": {"skip": 0, "limit": total, "total": total}});
    json!({"meta": meta, "results": records}).to_string().into_bytes()
}

pub fn zipped(json: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("device-enforcement.json", SimpleFileOptions::default()).unwrap();
    zip.write_all(json).unwrap();
    zip.finish().unwrap().into_inner()
}

/// The feed of these records.
pub fn feed(records: &[Value]) -> Vec<u8> {
    zipped(&json_of(records, records.len()))
}
