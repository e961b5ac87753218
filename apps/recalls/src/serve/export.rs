//! All hits of a search, as a file, sent while they are read: memory holds one stretch of them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use millstream_sinks::search::{Query, SearchError, Snapshot};
use millstream_web::{csv::Writer, error_page};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;
use tracing::warn;

use super::asked::Asked;
use super::record::{FIELDS, Recall};
use super::site::Site;

/// Hits that are read at a time.
const STRETCH: usize = 1_000;
/// How long an export may take: it has one of few places, and holds the index as it was.
const LONGEST: Duration = Duration::from_secs(600);

/// `/search.csv?q=…`
pub async fn csv(State(site): State<Arc<Site>>, RawQuery(query): RawQuery) -> Response {
    let csv = Format { kind: "text/csv; charset=utf-8", name: "recalls.csv", write: write_csv };
    export(site, &query.unwrap_or_default(), csv).await
}

/// `/search.json?q=…`
pub async fn json(State(site): State<Arc<Site>>, RawQuery(query): RawQuery) -> Response {
    let json = Format { kind: "application/json", name: "recalls.json", write: write_json };
    export(site, &query.unwrap_or_default(), json).await
}

/// How hits become bytes.
#[derive(Clone, Copy)]
struct Format {
    kind: &'static str,
    name: &'static str,
    write: fn(&Stretch) -> Result<Bytes, serde_json::Error>,
}

/// A part of the file.
struct Stretch {
    recalls: Vec<Recall>,
    first: bool,
    last: bool,
}

async fn export(site: Arc<Site>, query: &str, format: Format) -> Response {
    let asked = match Asked::read(query) {
        Ok(asked) => asked.on(1),
        Err(refusal) => return site.refused(&refusal),
    };
    let Ok(room) = site.exports.clone().try_acquire_owned() else {
        let (what, remedy) = ("Too many exports are being sent at once.", "Try again in a minute.");
        let full = error_page(&site.shell, StatusCode::SERVICE_UNAVAILABLE, what, remedy);
        return ([(RETRY_AFTER, "60")], full).into_response();
    };
    let mut reading = Reading { site, asked, offset: 0, within: None, over: false, _room: room };
    // The first stretch comes before the headers, so that a search that fails can still be told as such.
    let first = match reading.next().await {
        Ok(first) => first,
        Err(error) => return reading.site.failed(&error),
    };
    let headers = [
        (CONTENT_TYPE, format.kind.to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", format.name)),
        (CACHE_CONTROL, "no-cache".to_owned()),
    ];
    (headers, Body::from_stream(body(reading, first, format))).into_response()
}

/// The file. It is read in a task of its own, so that it ends in time even if whoever gets it doesn't take it.
fn body(
    reading: Reading,
    first: Stretch,
    format: Format,
) -> impl stream::Stream<Item = Result<Bytes>> {
    let (sender, stretches) = mpsc::channel(1);
    tokio::spawn(async move {
        if timeout(LONGEST, read_all(reading, first, sender)).await.is_err() {
            warn!("send an export: it took longer than {LONGEST:?}, and was broken off");
        }
    });
    stream::try_unfold((stretches, false), move |(mut stretches, over)| async move {
        match stretches.recv().await {
            Some(stretch) => {
                let stretch = stretch?;
                Ok(Some(((format.write)(&stretch)?, (stretches, stretch.last))))
            }
            None if over => Ok(None),
            // The file breaks off, and whoever gets it sees that it did.
            None => bail!("send an export: it took too long; narrow the search down"),
        }
    })
}

/// Sends everything, as fast as it is taken.
async fn read_all(
    mut reading: Reading,
    first: Stretch,
    sender: mpsc::Sender<Result<Stretch, SearchError>>,
) {
    let mut read = Ok(first);
    loop {
        let failed = read.is_err();
        // Nobody takes it any more: nothing is left to be done.
        if sender.send(read).await.is_err() || failed || reading.over {
            return;
        }
        read = reading.next().await;
    }
}

/// Goes through all hits.
struct Reading {
    site: Arc<Site>,
    asked: Asked,
    offset: usize,
    /// The index as the first stretch found it: in one that changes meanwhile, hits move.
    within: Option<Snapshot>,
    over: bool,
    _room: OwnedSemaphorePermit,
}

impl Reading {
    async fn next(&mut self) -> Result<Stretch, SearchError> {
        let query = self.asked.query(self.offset, STRETCH);
        let found = self.site.search(&Query { within: self.within.take(), ..query }).await?;
        let first = self.offset == 0;
        self.within = found.snapshot;
        self.offset += found.hits.len();
        self.over = found.hits.is_empty() || self.offset >= found.total;
        let recalls = found.hits.into_iter().map(|hit| Recall::new(hit.row)).collect();
        Ok(Stretch { recalls, first, last: self.over })
    }
}

fn write_csv(stretch: &Stretch) -> Result<Bytes, serde_json::Error> {
    let mut writer = Writer::new(FIELDS.iter().map(|(name, ..)| *name));
    if !stretch.first {
        // Its head was sent with the first stretch.
        writer.take();
    }
    for recall in &stretch.recalls {
        writer.row(FIELDS.iter().map(|(name, ..)| recall.raw(name)));
    }
    Ok(writer.take())
}

fn write_json(stretch: &Stretch) -> Result<Bytes, serde_json::Error> {
    let mut text = Vec::new();
    if stretch.first {
        text.extend_from_slice(b"{\"results\":[");
    }
    for (at, recall) in stretch.recalls.iter().enumerate() {
        text.extend_from_slice(if stretch.first && at == 0 { b"\n" } else { b",\n" });
        serde_json::to_writer(&mut text, &recall.json())?;
    }
    if stretch.last {
        text.extend_from_slice(b"\n]}\n");
    }
    Ok(text.into())
}
