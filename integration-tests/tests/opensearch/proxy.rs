use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// Stands between workers and the server, and does to each request what it is told to.
#[derive(Clone)]
pub struct Proxy(Arc<State>);

struct State {
    address: String,
    server: String,
    plan: Mutex<Plan>,
    count: AtomicUsize,
    parked: Notify,
}

/// What is to be done to a request.
pub type Plan = Arc<dyn Fn(&Asked) -> Fault + Send + Sync>;

/// A request, before anything was done.
#[derive(Clone, Debug)]
pub struct Asked {
    /// From 1.
    pub n: usize,
    pub method: String,
    pub path: String,
}

#[derive(Clone)]
pub enum Fault {
    None,
    /// An error is answered, and nothing done.
    Say(u16, &'static str),
    /// The connection breaks in the middle of the request.
    Reset,
    /// It is done, and the connection breaks without an answer.
    Lose,
    /// It is done, and the connection breaks in the middle of the answer.
    Cut,
    /// It is done later.
    Slow(Duration),
    /// It is not done, and never answered.
    Park,
    /// It is done, and never answered.
    ParkDone,
    /// It is done once it is told so.
    Hold(Arc<Notify>),
    /// It is done, and of each item of a bulk request but the first is told that there was no room.
    NoRoom,
}

impl Proxy {
    /// `server`: host:port.
    pub async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
        let address = listener.local_addr().expect("its address").to_string();
        let proxy = Self(Arc::new(State {
            address,
            server: server.to_owned(),
            plan: Mutex::new(Arc::new(|_| Fault::None)),
            count: AtomicUsize::new(0),
            parked: Notify::new(),
        }));
        let state = proxy.0.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let state = state.clone();
                // Connections break: that is what this is for.
                tokio::spawn(async move { state.serve(client).await.ok() });
            }
        });
        proxy
    }

    pub fn address(&self) -> &str {
        &self.0.address
    }

    /// From now on; requests are counted anew.
    pub fn set(&self, plan: impl Fn(&Asked) -> Fault + Send + Sync + 'static) {
        *self.0.plan.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(plan);
        self.0.count.store(0, Ordering::SeqCst);
    }

    /// Does `fault` to the `n`th request from now, and nothing to others.
    pub fn at(&self, n: usize, fault: Fault) {
        self.set(move |asked| if asked.n == n { fault.clone() } else { Fault::None });
    }

    /// Requests since the last plan.
    pub fn count(&self) -> usize {
        self.0.count.load(Ordering::SeqCst)
    }

    /// Waits until a request is parked or held.
    pub async fn parked(&self) {
        self.0.parked.notified().await;
    }
}

impl State {
    /// One request a connection.
    async fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        let (head, mut body) = read_head(&mut client).await?;
        if head.is_empty() {
            return Ok(());
        }
        let length =
            header(&head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let mut words = head.split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let n = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        let plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let fault = plan(&Asked { n, method: method.clone(), path });
        if let Fault::Reset = fault {
            // What was sent and not read makes it a reset, not an end.
            read_up_to(&mut client, &mut body, length / 2).await?;
            return Ok(());
        }
        if header(&head, "expect").is_some() {
            client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        read_up_to(&mut client, &mut body, length).await?;
        match fault {
            Fault::Say(status, kind) => return say(&mut client, status, kind).await,
            Fault::Park => return self.park().await,
            Fault::Hold(until) => {
                self.parked.notify_one();
                until.notified().await;
                return client.write_all(&self.ask(&head, &body).await?).await;
            }
            Fault::Slow(time) => tokio::time::sleep(time).await,
            _ => {}
        }
        let mut answer = self.ask(&head, &body).await?;
        match fault {
            Fault::ParkDone => return self.park().await,
            Fault::Lose => return Ok(()),
            Fault::Cut => answer.truncate(answer.len().saturating_sub(1 + answer.len() / 4)),
            Fault::NoRoom => answer = no_room(&answer),
            _ => {}
        }
        client.write_all(&answer).await?;
        client.shutdown().await
    }

    async fn park(&self) -> std::io::Result<()> {
        self.parked.notify_one();
        std::future::pending().await
    }

    /// The server's whole answer.
    async fn ask(&self, head: &str, body: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut server = TcpStream::connect(&self.server).await?;
        // The signature covers neither; the server would wait for us to wait for it.
        let lines = head
            .trim_end()
            .lines()
            .filter(|line| !is_named(line, "expect") && !is_named(line, "connection"));
        let head: Vec<_> = lines.chain(["Connection: close", "\r\n"]).collect();
        server.write_all(head.join("\r\n").as_bytes()).await?;
        server.write_all(body).await?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer).await?;
        // The client is to know that it can't ask again on this connection.
        let end = answer.windows(2).position(|two| two == b"\r\n").unwrap_or(answer.len());
        answer.splice(end..end, b"\r\nConnection: close".iter().copied());
        Ok(answer)
    }
}

async fn read_head(client: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut read = Vec::new();
    loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let body = read.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&read).into_owned(), body));
        }
        if client.read_buf(&mut read).await? == 0 {
            return Ok((String::new(), vec![]));
        }
    }
}

async fn read_up_to(
    client: &mut TcpStream,
    body: &mut Vec<u8>,
    length: usize,
) -> std::io::Result<()> {
    while body.len() < length {
        let missing = (length - body.len()) as u64;
        if client.take(missing).read_buf(body).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

fn is_named(line: &str, name: &str) -> bool {
    line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let line = head.lines().find(|line| is_named(line, name))?;
    line.split_once(':').map(|(_, value)| value.trim())
}

async fn say(client: &mut TcpStream, status: u16, kind: &str) -> std::io::Result<()> {
    let body = format!(r#"{{"error":{{"type":"{kind}","reason":"on order"}},"status":{status}}}"#);
    let answer = format!(
        "HTTP/1.1 {status} Ordered\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    client.write_all(answer.as_bytes()).await?;
    client.shutdown().await
}

/// The answer to a bulk request, in which all items but the first found no room.
fn no_room(answer: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(answer);
    let (_, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    let Ok(mut body) = serde_json::from_str::<serde_json::Value>(body) else {
        return answer.to_vec();
    };
    for item in body["items"].as_array_mut().into_iter().flatten().skip(1) {
        let full =
            serde_json::json!({"type": "es_rejected_execution_exception", "reason": "queue full"});
        for result in item.as_object_mut().into_iter().flat_map(|item| item.values_mut()) {
            *result = serde_json::json!({"status": 429, "error": full});
        }
    }
    let body = body.to_string();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
    format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
