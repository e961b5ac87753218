//! Serves made-up recalls on a loopback port as the FDA serves real ones: a zip, with an ETag. For those without
//! network.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom};
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use futures::stream;
use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tracing::warn;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::simulation;

const PATH: &str = "/device-enforcement.json.zip";
const CHUNK: usize = 64 << 10;

/// `[stand_in]` of the settings.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Section {
    port: u16,
    seed: u64,
    recalls: u32,
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct StandIn {
    pub url: String,
    task: JoinHandle<()>,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens. The recalls are made when they are first asked for.
pub async fn start(section: &Section) -> Result<StandIn> {
    let port = section.port;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.with_context(|| {
        format!(
            "listen on 127.0.0.1:{port} for the stand-in server; set [stand_in] port to a free port, or to 0 for any"
        )
    })?;
    let address = listener.local_addr().context("ask for the stand-in server's port")?;
    let routes = Router::new().route(PATH, get(feed)).with_state(Arc::new(*section));
    let task = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            warn!(%error, "serve made-up recalls");
        }
    });
    Ok(StandIn { url: format!("http://{address}{PATH}"), task })
}

async fn feed(State(section): State<Arc<Section>>, headers: HeaderMap) -> Response {
    let etag = format!("\"made-up-{}-{}-{}\"", simulation::EDITION, section.seed, section.recalls);
    if headers.get(IF_NONE_MATCH).is_some_and(|seen| seen.as_bytes() == etag.as_bytes()) {
        return answer(StatusCode::NOT_MODIFIED, &etag, None, Body::empty());
    }
    let made = tokio::task::spawn_blocking(move || zipped(&section)).await;
    match made.map_err(anyhow::Error::from).flatten() {
        Ok((file, bytes)) => answer(StatusCode::OK, &etag, Some(bytes), read(file)),
        Err(error) => {
            let text = format!("make recalls up: {error:#}");
            answer(StatusCode::INTERNAL_SERVER_ERROR, &etag, None, Body::from(text))
        }
    }
}

fn answer(status: StatusCode, etag: &str, bytes: Option<u64>, body: Body) -> Response {
    let mut answer = Response::builder().status(status).header(ETAG, etag);
    if let Some(bytes) = bytes {
        answer = answer.header(CONTENT_TYPE, "application/zip").header(CONTENT_LENGTH, bytes);
    }
    answer.body(body).unwrap_or_default()
}

/// Packed, but not squeezed: it doesn't go far.
fn zipped(section: &Section) -> Result<(File, u64)> {
    let file = tempfile::tempfile().context("open a temporary file")?;
    let mut zip = ZipWriter::new(BufWriter::with_capacity(1 << 20, file));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    zip.start_file("device-enforcement.json", options).context("begin the zip")?;
    simulation::write_feed(section.seed, section.recalls, &mut zip)?;
    let file = zip.finish().context("finish the zip")?;
    let mut file =
        file.into_inner().map_err(io::IntoInnerError::into_error).context("write the zip")?;
    let bytes = file.seek(SeekFrom::End(0)).context("measure the zip")?;
    file.seek(SeekFrom::Start(0)).context("read the zip")?;
    Ok((file, bytes))
}

fn read(file: File) -> Body {
    let file = tokio::fs::File::from_std(file);
    Body::from_stream(stream::try_unfold(file, async |mut file| {
        let mut chunk = vec![0; CHUNK];
        let read = file.read(&mut chunk).await?;
        chunk.truncate(read);
        Ok::<_, std::io::Error>((read > 0).then(|| (Bytes::from(chunk), file)))
    }))
}
