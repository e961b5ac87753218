//! `health`: whether the app that runs here with these settings is alive, for health checks of images that have no
//! other program. It asks the pages that the settings name, the console's and the app's own, on the loopback.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use millstream_config::Settings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{App, Places, Setup, console};

/// How long a page may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// The path that console and pages answer while they are alive.
const PATH: &str = "/healthz";
/// Bytes of an answer that are read: its first line is what counts.
const ENOUGH: u64 = 4 << 10;

/// Prints who answers. Fails when nobody does, and says why of each address.
pub async fn health(app: &App, places: &Places) -> Result<()> {
    let settings = Setup::settings(app, places.config.as_deref())?;
    println!("{}", ask_all(&addresses(app, &settings)?).await?);
    Ok(())
}

/// Where the app's pages are, by name: the console of a worker, the pages of `serve`.
fn addresses(app: &App, settings: &Settings) -> Result<Vec<(&'static str, SocketAddr)>> {
    let mut found: Vec<_> =
        console::address(settings)?.map(|at| ("console", reachable(at))).into_iter().collect();
    if app.serve.is_some() {
        found.push(("pages", reachable(settings.section("serve.listen")?)));
    }
    Ok(found)
}

/// Who listens everywhere is asked on the loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// The first that answers; a process shows one of them or both.
async fn ask_all(addresses: &[(&str, SocketAddr)]) -> Result<String> {
    if addresses.is_empty() {
        bail!("nothing can be asked: the app has no pages, and [console] listen is empty; set it");
    }
    let mut why = Vec::new();
    for (name, address) in addresses {
        match ask(*address).await {
            Ok(()) => return Ok(format!("alive: the {name} at http://{address}/ answers")),
            Err(error) => why.push(format!("the {name}: {error:#}")),
        }
    }
    bail!("not alive, or not there: {}", why.join("; "))
}

async fn ask(address: SocketAddr) -> Result<()> {
    let doing = || format!("ask http://{address}{PATH}");
    let answered = timeout(PATIENCE, first_line(address)).await;
    let line = answered
        .with_context(|| format!("no answer within {} s", PATIENCE.as_secs()))
        .and_then(|read| read)
        .with_context(doing)?;
    match line.split_whitespace().nth(1) {
        Some("200") => Ok(()),
        _ => bail!("{} was answered by {line:?}", doing()),
    }
}

async fn first_line(address: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect(address).await.context("connect")?;
    let request = format!("GET {PATH} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.context("send the request")?;
    let mut answer = Vec::new();
    stream.take(ENOUGH).read_to_end(&mut answer).await.context("read the answer")?;
    Ok(String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::{ask_all, reachable};

    /// Answers every request with this; an empty answer hangs up.
    async fn answering(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 512];
                let read = stream.read(&mut request).await.unwrap();
                assert!(request[..read].starts_with(b"GET /healthz HTTP/1.1\r\n"));
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        address
    }

    async fn nobody() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
    }

    const GOOD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n";
    const BAD: &str = "HTTP/1.1 503 Service Unavailable\r\n\r\n";

    #[tokio::test]
    async fn one_that_answers_is_enough() {
        let (console, pages) = (nobody().await, answering(GOOD).await);
        let told = ask_all(&[("console", console), ("pages", pages)]).await.unwrap();
        assert_eq!(told, format!("alive: the pages at http://{pages}/ answers"));
    }

    #[tokio::test]
    async fn every_reason_is_told_when_none_answers() {
        let places = [
            ("console", nobody().await),
            ("pages", answering(BAD).await),
            ("other", answering("").await),
        ];
        let error = format!("{:#}", ask_all(&places).await.unwrap_err());
        assert!(error.contains("the console: ask http://127.0.0.1:"), "{error}");
        assert!(error.contains("refused"), "{error}");
        assert!(error.contains("503 Service Unavailable"), "{error}");
        assert!(
            error.contains(&format!("{}/healthz was answered by \"\"", places[2].1)),
            "{error}"
        );
    }

    #[tokio::test]
    async fn an_app_that_listens_nowhere_is_told_to_listen() {
        let error = ask_all(&[]).await.unwrap_err();
        assert!(error.to_string().contains("[console] listen"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_no_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let error = format!("{:#}", ask_all(&[("console", address)]).await.unwrap_err());
        assert!(error.contains("no answer within 3 s"), "{error}");
    }

    #[test]
    fn who_listens_everywhere_is_asked_on_the_loopback() {
        for (listen, asked) in [
            ("0.0.0.0:9090", "127.0.0.1:9090"),
            ("[::]:80", "[::1]:80"),
            ("10.1.2.3:9090", "10.1.2.3:9090"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
