use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::future::join;
use millstream_config::{Problems, Settings};
use millstream_console::{Own, PipelinePlan, Worker};
use millstream_engine::Pipeline;
use millstream_topic::Backend;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::Setup;
use crate::plan::{first_words, keeping};
use crate::process::Running;
use crate::progress::Bars;

/// How long a worker waits before it looks anew whether the console's port is free.
const AGAIN: Duration = Duration::from_secs(5);

/// Publishes how these pipelines stand for the consoles of all workers, until `stop`.
pub fn report(
    app: &str,
    topics: Arc<dyn Backend>,
    running: Vec<Running>,
    stop: CancellationToken,
) -> JoinHandle<()> {
    tell(Own::new(Worker::here(app)), topics, running, stop)
}

fn tell(
    own: Own,
    topics: Arc<dyn Backend>,
    running: Vec<Running>,
    stop: CancellationToken,
) -> JoinHandle<()> {
    let told = running.into_iter().map(|one| (planned(&one.pipeline), one.status)).collect();
    millstream_console::report(topics, own, told, stop)
}

/// Reports, and shows the console where `[console] listen` says unless this is a short run. Ends some time
/// after `stop`.
pub(crate) fn start(
    setup: &Setup,
    running: Vec<Running>,
    short: bool,
    bars: &Bars,
    stop: &CancellationToken,
) -> Result<impl Future<Output = ()> + use<>> {
    let own = Own::new(Worker::here(setup.app.name));
    let serving = match address(&setup.settings)? {
        Some(address) if !short => {
            let served = serve(address, setup.topics.clone(), own.clone(), stop.clone());
            tokio::spawn(hold(served, bars.clone(), address))
        }
        _ => tokio::spawn(async {}),
    };
    let telling = tell(own, setup.topics.clone(), running, stop.clone());
    Ok(async move {
        // Neither has anything to tell: what went wrong was said when it did.
        let _ = join(serving, telling).await;
    })
}

/// `None`: nowhere.
pub(crate) fn address(settings: &Settings) -> Result<Option<SocketAddr>, Problems> {
    let listen: String = settings.section("console.listen")?;
    if listen.is_empty() {
        return Ok(None);
    }
    listen.parse().map(Some).map_err(|_| {
        let expected = "an address and a port, as in \"127.0.0.1:9090\", or nothing";
        Problems::from(settings.problem("console.listen", listen, expected))
    })
}

async fn hold(served: impl Future<Output = Result<()>>, bars: Bars, at: SocketAddr) {
    bars.println(&format!("console: http://{at}/"));
    if let Err(error) = served.await {
        warn!("{error:#}; the workers go on without it");
    }
}

/// One worker of a machine shows the console for all; when it goes, another one takes the port.
async fn serve(
    address: SocketAddr,
    topics: Arc<dyn Backend>,
    own: Own,
    stop: CancellationToken,
) -> Result<()> {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                return millstream_console::serve(listener, topics, Some(own), stop)
                    .await
                    .context("serve the console");
            }
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
            Err(error) => {
                let doing = format!("listen at {address}; correct [console] listen");
                return Err(error).context(doing);
            }
        }
        if stop.run_until_cancelled(tokio::time::sleep(AGAIN)).await.is_none() {
            return Ok(());
        }
    }
}

/// The way of a pipeline, in words.
fn planned(pipeline: &Pipeline) -> PipelinePlan {
    let about = pipeline.target.about();
    let transform = pipeline.transform.id();
    let sql = transform.strip_prefix("sql ").map(|text| text.trim().to_owned());
    PipelinePlan {
        app: pipeline.app.clone(),
        pipeline: pipeline.name.clone(),
        topic: pipeline.topic.name.to_string(),
        decode: first_words(&pipeline.decoder.id(), 2),
        transform: if sql.is_some() { "SQL".to_owned() } else { first_words(&transform, 2) },
        sql,
        sink: format!("{} in {}", about.table, about.place),
        keeping: keeping(&about.keeping),
    }
}
