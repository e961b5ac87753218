use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::supervised::supervised;
use crate::{Serve, Setup};

/// Where the app's settings say that its pages are: `[serve] listen`.
pub fn address(setup: &Setup) -> Result<SocketAddr> {
    Ok(setup.settings.section("serve.listen")?)
}

/// Shows the app's pages at `listen`, or where its settings say, until `stop`.
pub async fn serve(
    setup: &Setup,
    listen: Option<SocketAddr>,
    stop: CancellationToken,
) -> Result<()> {
    if setup.app.serve.is_none() {
        bail!("{} has no pages to serve", setup.app.name);
    }
    let address = listen.map_or_else(|| address(setup), Ok)?;
    let listener = millstream_web::bind(address, false)
        .await
        .with_context(|| format!("serve {}; choose another address by --listen", setup.app.name))?;
    let line = format!("http://{}/", listener.local_addr()?);
    eprintln!("{}: {line}", setup.app.name);
    let serving = on(setup, listener, stop.clone(), |line| eprintln!("{line}"));
    supervised(serving, std::future::ready(()), &stop, || line.clone()).await
}

/// Shows the app's pages on a listener until `stop`.
pub async fn on(
    setup: &Setup,
    listener: TcpListener,
    stop: CancellationToken,
    notice: fn(&str),
) -> Result<()> {
    let app = &setup.app;
    let Some(serve) = app.serve else { bail!("{} has no pages to serve", app.name) };
    let task = Serve {
        settings: setup.settings.clone(),
        topics: setup.topics.clone(),
        stores: setup.stores.clone(),
        listener,
        stop,
        notice,
    };
    serve(task).await.with_context(|| format!("serve {}", app.name))
}
