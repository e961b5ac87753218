//! All hits of a search, as a file, sent while they are read: memory holds one stretch of them.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use millstream_sinks::search::{Hit, SearchError};
use millstream_web::{csv::Writer, error_page};
use tokio::sync::OwnedSemaphorePermit;

use super::asked::Asked;
use super::record::{FIELDS, Recall};
use super::site::Site;

/// Hits that are read at a time.
const STRETCH: usize = 1_000;

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
    let mut reading =
        Reading { site, asked, offset: 0, seen: HashSet::new(), over: false, _room: room };
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

fn body(
    reading: Reading,
    first: Stretch,
    format: Format,
) -> impl stream::Stream<Item = Result<Bytes, anyhow::Error>> {
    let read = VecDeque::from([first]);
    stream::try_unfold((reading, read), move |(mut reading, mut read)| async move {
        let stretch = match read.pop_front() {
            Some(stretch) => stretch,
            None if reading.over => return Ok(None),
            // The file breaks off, and whoever gets it sees that it did.
            None => reading.next().await?,
        };
        Ok(Some(((format.write)(&stretch)?, (reading, read))))
    })
}

/// Goes through all hits.
struct Reading {
    site: Arc<Site>,
    asked: Asked,
    offset: usize,
    /// Numbers that were sent: where the index changes meanwhile, hits move, and none is to come twice.
    seen: HashSet<String>,
    over: bool,
    _room: OwnedSemaphorePermit,
}

impl Reading {
    async fn next(&mut self) -> Result<Stretch, SearchError> {
        let found = self.site.search(&self.asked.query(self.offset, STRETCH)).await?;
        let first = self.offset == 0;
        self.offset += found.hits.len();
        self.over = found.hits.is_empty() || self.offset >= found.total;
        let new = |hit: Hit| self.seen.insert(hit.key).then(|| Recall::new(hit.row));
        Ok(Stretch {
            recalls: found.hits.into_iter().filter_map(new).collect(),
            first,
            last: self.over,
        })
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
