use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use maud::html;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::timeout::TimeoutLayer;

use crate::connections::Bounded;
use crate::guard::{self, Guard};
use crate::shell::Shell;
use crate::{WebError, explain, headers};

/// How many ports after the wanted one are tried.
const NEXT_PORTS: u16 = 20;
/// How long a page may take until its first byte.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long open replies may go on after the stop.
const DRAIN: Duration = Duration::from_secs(2);

/// Listens on `wanted`; with `or_next` on the first free one of the 20 ports after it, if it is taken.
///
/// # Errors
/// When the address can't be listened on, or all ports are taken.
pub async fn bind(wanted: SocketAddr, or_next: bool) -> Result<TcpListener, WebError> {
    let tries = if or_next && wanted.port() != 0 { NEXT_PORTS } else { 0 };
    for more in 0..=tries {
        let Some(port) = wanted.port().checked_add(more) else { break };
        match TcpListener::bind(SocketAddr::new(wanted.ip(), port)).await {
            Ok(listener) => return Ok(listener),
            Err(source) if source.kind() == ErrorKind::AddrInUse && tries > 0 => {}
            Err(source) => return Err(WebError::Bind { wanted, source }),
        }
    }
    Err(WebError::AllTaken { wanted, tried: NEXT_PORTS })
}

/// A router to be served, and how.
#[derive(Clone, Debug)]
pub struct Server {
    router: Router,
    shell: Shell,
    /// `None`: the site has no such setting.
    hosts: Option<Vec<String>>,
}

impl Server {
    /// A site whose error pages have a plain frame, until [`Server::shell`] says otherwise.
    pub fn new(router: Router) -> Self {
        let shell = Shell { site: "Millstream", nav: &[], head: html! {} };
        Self { router, shell, hosts: None }
    }

    /// The frame of error pages.
    pub fn shell(mut self, shell: Shell) -> Self {
        self.shell = shell;
        self
    }

    /// Host names, without port, under which the site may be asked for besides the loopback's own: a setting
    /// of the site, as the page says to whoever asks for another name. Without it, it advises to forward the port.
    pub fn hosts(mut self, hosts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let hosts = hosts.into_iter().map(|host| host.into().to_ascii_lowercase());
        self.hosts.get_or_insert_default().extend(hosts);
        self
    }

    /// The router inside its wrapping. `local`: it listens on the loopback, so that a foreign `Host` is
    /// somebody's trick.
    pub fn into_router(self, local: bool) -> Router {
        let guard = Arc::new(Guard {
            local,
            can_be_set: self.hosts.is_some(),
            hosts: self.hosts.unwrap_or_default(),
        });
        // From the inside to the outside.
        self.router
            .layer(from_fn_with_state(guard, guard::check))
            .layer(CatchPanicLayer::custom(explain::panicked))
            .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, PAGE_TIMEOUT))
            .layer(from_fn_with_state(Arc::new(self.shell), explain::explain))
            .layer(CompressionLayer::new())
            .layer(from_fn(headers::set))
    }

    /// Serves until `stop`, then lets open replies finish for at most 2 s.
    ///
    /// # Errors
    /// When the listener fails for good.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> Result<(), WebError> {
        let local = listener.local_addr().map_err(WebError::Serve)?.ip().is_loopback();
        let router = self.into_router(local);
        let asked = stop.clone();
        let serving = axum::serve(Bounded::new(listener), router)
            .with_graceful_shutdown(async move { asked.cancelled().await });
        let too_long = async {
            stop.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            served = async { serving.await } => served.map_err(WebError::Serve),
            () = too_long => Ok(()),
        }
    }
}

/// [`Server::serve`] with a plain frame around error pages.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) -> Result<(), WebError> {
    Server::new(router).serve(listener, stop).await
}
