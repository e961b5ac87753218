use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{server, site};
use crate::sse::Hub;
use crate::{Server, WebError, bind};

const DEADLINE: Duration = Duration::from_secs(20);
/// What a stop would wait for open replies.
const OPEN_REPLIES: Duration = Duration::from_secs(2);

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

struct Served {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<Result<(), WebError>>,
}

impl Served {
    async fn start(server: Server, stop: CancellationToken) -> Self {
        let listener = bind(loopback(0), false).await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { address, task: tokio::spawn(server.serve(listener, stop.clone())), stop }
    }

    /// Sends a request as it stands, and reads until `until` has come or the connection ends.
    async fn raw(&self, path: &str, until: &str) -> (TcpStream, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let text = read_until(&mut stream, until).await;
        (stream, text)
    }
}

async fn read_until(stream: &mut TcpStream, until: &str) -> String {
    let mut got = Vec::new();
    let reading = async {
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&got).contains(until) {
            match stream.read(&mut buffer).await.unwrap() {
                0 => break,
                read => got.extend_from_slice(&buffer[..read]),
            }
        }
    };
    let done = timeout(DEADLINE, reading).await;
    let text = String::from_utf8_lossy(&got).into_owned();
    assert!(done.is_ok(), "{until:?} hasn't come, but {text:?}");
    text
}

#[tokio::test]
async fn a_taken_port_is_an_error_or_the_next_one() {
    let first = bind(loopback(0), false).await.unwrap();
    let taken = first.local_addr().unwrap();
    let error = bind(taken, false).await.unwrap_err();
    assert!(
        error.to_string().contains(&taken.to_string())
            && error.to_string().contains("free the port"),
        "{error}"
    );
    let next = bind(taken, true).await.unwrap().local_addr().unwrap();
    assert!(next.port() > taken.port() && next.port() <= taken.port() + 20, "{next}");
}

#[tokio::test]
async fn a_panic_leaves_the_site_standing() {
    let served = Served::start(server(), CancellationToken::new()).await;
    let client = reqwest::Client::new();
    for _ in 0..3 {
        let answer = client.get(format!("http://{}/panic", served.address)).send().await.unwrap();
        assert_eq!(answer.status(), 500);
    }
    let answer = client.get(format!("http://{}/", served.address)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    // As no client would write it: the path isn't put straight on the way.
    let (_, answer) = served.raw("/assets/../../etc/passwd", "\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test]
async fn open_replies_hold_the_stop_up_for_two_seconds_at_most() {
    let stop = CancellationToken::new();
    let (_keep, numbers) = watch::channel(0);
    // A stream that doesn't know of the stop, and a page that takes minutes.
    let hub = Hub::new(4, CancellationToken::new());
    let live =
        get(move || async move { hub.stream(numbers, |n: &i32| vec![("n", n.to_string())]) });
    let served = Served::start(Server::new(site().route("/events/live", live)), stop).await;
    let (_stream, _) = served.raw("/events/live", "event: n").await;
    let mut slow = TcpStream::connect(served.address).await.unwrap();
    slow.write_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let begun = Instant::now();
    served.stop.cancel();
    timeout(DEADLINE, served.task).await.unwrap().unwrap().unwrap();
    // Not the minutes of that page, however busy the machine is.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(TcpStream::connect(served.address).await.is_err(), "it still listens");
}

#[tokio::test]
async fn without_open_replies_the_stop_is_at_once() {
    let served = Served::start(server(), CancellationToken::new()).await;
    let (_idle, _) = served.raw("/", "\r\n\r\n").await;
    let begun = Instant::now();
    served.stop.cancel();
    timeout(DEADLINE, served.task).await.unwrap().unwrap().unwrap();
    assert!(begun.elapsed() < OPEN_REPLIES, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn streams_are_bounded_told_together_and_ended_with_the_site() {
    let stop = CancellationToken::new();
    let (numbers, told) = watch::channel(0);
    let hub = Hub::new(2, stop.clone());
    let live = get(move || async move {
        hub.stream(told, |n: &i32| vec![("n", format!("<p>{n}</p>\r\nnext"))])
    });
    let served = Served::start(Server::new(site().route("/events/live", live)), stop).await;

    let (mut first, head) = served.raw("/events/live", "data: next\n\n").await;
    assert!(head.contains("text/event-stream") && head.contains("no-store"), "{head}");
    assert!(!head.contains("gzip") && head.contains("content-security-policy"), "{head}");
    assert!(head.contains("event: n\ndata: <p>0</p>\ndata: next\n\n"), "{head}");
    let (second, _) = served.raw("/events/live", "event: n").await;
    let (_, refused) = served.raw("/events/live", "\r\n\r\n").await;
    assert!(
        refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after: 10"),
        "{refused}"
    );

    // A hundred changes at once come as few messages, the last among them.
    for n in 1..=100 {
        numbers.send_replace(n);
        tokio::task::yield_now().await;
    }
    let text = read_until(&mut first, "<p>100</p>").await;
    assert!(text.matches("event: n").count() <= 3, "{text}");

    drop(second);
    let again = async {
        loop {
            // The place is given back when the server sees that nobody reads any more: with the next message.
            numbers.send_modify(|n| *n += 1);
            let (stream, head) = served.raw("/events/live", "\r\n\r\n").await;
            if head.starts_with("HTTP/1.1 200") {
                break stream;
            }
        }
    };
    let mut third = timeout(DEADLINE, again).await.expect("a place that was given back is free");
    let begun = Instant::now();
    served.stop.cancel();
    timeout(DEADLINE, served.task).await.unwrap().unwrap().unwrap();
    assert!(begun.elapsed() < OPEN_REPLIES, "the streams end by themselves");
    let mut rest = Vec::new();
    timeout(DEADLINE, third.read_to_end(&mut rest)).await.unwrap().unwrap();
}
