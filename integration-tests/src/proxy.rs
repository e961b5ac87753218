//! A proxy for HTTP that stands between workers and a server, and does to each request what it is told to. What servers
//! differ in, how they refuse, is a [`Refusal`].

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Stands between workers and the server, for as long as the test's runtime is there.
#[derive(Clone)]
pub struct Proxy(Arc<State>);

struct State {
    address: String,
    server: String,
    refusal: Refusal,
    plan: Mutex<Plan>,
    count: AtomicUsize,
    parked: Notify,
}

/// What is to be done to a request.
pub type Plan = Arc<dyn Fn(&Asked) -> Fault + Send + Sync>;

/// How a server of some kind says no.
#[derive(Clone, Copy)]
pub struct Refusal {
    pub content_type: &'static str,
    /// The body, from the status and what the server calls the error.
    pub body: fn(u16, &str) -> String,
}

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
    /// It is not done, and success is answered.
    Pretend,
    /// The connection breaks in the middle of the request.
    Reset,
    /// It is done, and the connection breaks without an answer.
    Lose,
    /// It is done, and the connection breaks in the middle of the answer.
    Cut,
    /// It is done, and the answer stops in its middle without an end.
    Stall,
    /// It is done later.
    Slow(Duration),
    /// It is not done, and never answered.
    Park,
    /// It is done, and never answered.
    ParkDone,
    /// It is done once it is told so.
    Hold(Arc<Notify>),
    /// It is done, and the answer, head and body, is made another one.
    Change(Arc<dyn Fn(&str) -> String + Send + Sync>),
}

impl Proxy {
    /// `server`: host:port.
    pub async fn to(server: &str, refusal: Refusal) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
        let address = listener.local_addr().expect("its address").to_string();
        let proxy = Self(Arc::new(State {
            address,
            server: server.to_owned(),
            refusal,
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

    /// Waits until a request is parked or held, or until `work`, which makes them, has ended; whether one was.
    pub async fn parks(&self, work: &JoinHandle<()>) -> bool {
        let ended = async {
            while !work.is_finished() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            () = self.parked() => true,
            () = ended => false,
        }
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
        let asked = self.asked(&head);
        let plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let fault = plan(&asked);
        if let Fault::Reset = fault {
            // What was sent and not read makes it a reset, not an end.
            return read_up_to(&mut client, &mut body, length / 2).await;
        }
        if header(&head, "expect").is_some() {
            client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        read_up_to(&mut client, &mut body, length).await?;
        match fault {
            Fault::Say(status, kind) => return self.say(&mut client, &asked, status, kind).await,
            Fault::Pretend => return self.say(&mut client, &asked, 200, "").await,
            Fault::Park => return self.park().await,
            Fault::Hold(until) => {
                self.parked.notify_one();
                until.notified().await;
                return client.write_all(&self.ask(&head, &body).await?).await;
            }
            Fault::Slow(time) => tokio::time::sleep(time).await,
            _ => {}
        }
        let answer = self.ask(&head, &body).await?;
        self.pass_on(&mut client, answer, fault).await
    }

    fn asked(&self, head: &str) -> Asked {
        let mut words = head.split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        Asked { n: self.count.fetch_add(1, Ordering::SeqCst) + 1, method, path }
    }

    async fn pass_on(
        &self,
        client: &mut TcpStream,
        mut answer: Vec<u8>,
        fault: Fault,
    ) -> std::io::Result<()> {
        let most = answer.len() - answer.len() / 4;
        match fault {
            Fault::ParkDone => return self.park().await,
            Fault::Lose => return Ok(()),
            Fault::Cut => answer.truncate(most.saturating_sub(1)),
            Fault::Stall => {
                client.write_all(&answer[..most]).await?;
                return self.park().await;
            }
            Fault::Change(change) => {
                answer = change(&String::from_utf8_lossy(&answer)).into_bytes();
            }
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
        // A signature covers neither; a server would wait for us to wait for it.
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

    async fn say(
        &self,
        client: &mut TcpStream,
        asked: &Asked,
        status: u16,
        kind: &str,
    ) -> std::io::Result<()> {
        let is_bare = kind.is_empty() || asked.method == "HEAD";
        let body = if is_bare { String::new() } else { (self.refusal.body)(status, kind) };
        let (content_type, length) = (self.refusal.content_type, body.len());
        let answer = format!(
            "HTTP/1.1 {status} Ordered\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        client.write_all(answer.as_bytes()).await?;
        client.shutdown().await
    }
}

/// With `line` in place of the header of its name.
pub fn with_header(answer: &str, line: &str) -> String {
    let name = line.split(':').next().unwrap_or_default();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let lines: Vec<_> = head.lines().filter(|line| !is_named(line, name)).chain([line]).collect();
    format!("{}\r\n\r\n{body}", lines.join("\r\n"))
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
