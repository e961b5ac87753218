//! An endpoint of AWS's that answers as a test tells it: for what a real one does only at bad times.

use std::sync::{Arc, Mutex};

use millstream_config::Secret;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::Catalog;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// "GetTable".
    pub operation: String,
    pub body: Value,
    /// Of this operation, from 1.
    pub n: usize,
}

pub enum Reply {
    Ok(Value),
    /// Status, code, message.
    No(u16, &'static str, &'static str),
    /// The connection breaks without an answer.
    Lost,
}

type Plan = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

pub struct Fake {
    address: String,
    seen: Arc<Mutex<Vec<Asked>>>,
}

impl Fake {
    pub async fn start(plan: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (plan, seen_there): (Plan, _) = (Arc::new(plan), seen.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, plan.clone(), seen_there.clone()));
            }
        });
        Self { address, seen }
    }

    /// A catalog `lake` of this endpoint.
    pub fn catalog(&self) -> Catalog {
        let url = format!("glue://key@lake?endpoint=http://{}&timeout=5", self.address);
        Catalog::parse("stores.catalog", &url, Secret::new("hidden")).unwrap()
    }

    /// Requests of an operation so far.
    pub fn seen(&self, operation: &str) -> Vec<Asked> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|asked| asked.operation == operation).cloned().collect()
    }
}

/// One request a connection. One that breaks off is nobody's business.
async fn serve(mut stream: TcpStream, plan: Plan, seen: Arc<Mutex<Vec<Asked>>>) {
    let mut read = Vec::new();
    let (head, body) = loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
            let length = header(&head, "content-length").parse::<usize>().unwrap_or(0);
            if read.len() >= end + 4 + length {
                let original = String::from_utf8_lossy(&read[..end]).into_owned();
                break (original, read[end + 4..].to_vec());
            }
        }
        match stream.read_buf(&mut read).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    };
    let operation = head
        .lines()
        .find_map(|line| {
            line.to_lowercase().starts_with("x-amz-target:").then(|| line.rsplit('.').next())
        })
        .flatten()
        .unwrap_or_default()
        .trim()
        .to_owned();
    let asked = {
        let mut seen = seen.lock().unwrap();
        let n = 1 + seen.iter().filter(|asked| asked.operation == operation).count();
        let body = serde_json::from_slice(&body).unwrap_or_default();
        seen.push(Asked { operation, body, n });
        seen[seen.len() - 1].clone()
    };
    let (status, body) = match plan(&asked) {
        Reply::Ok(body) => (200, body.to_string()),
        Reply::No(status, code, message) => {
            (status, serde_json::json!({ "__type": code, "message": message }).to_string())
        }
        Reply::Lost => return,
    };
    let answer = format!(
        "HTTP/1.1 {status} x\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_default().trim()
}
