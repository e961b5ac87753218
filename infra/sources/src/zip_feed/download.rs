//! One try to download the feed.

use std::io;
use std::time::Duration;

use reqwest::header::{
    ETAG, HeaderMap, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use reqwest::{Client, Response, StatusCode, Url};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::{Fault, FeedFile, Fetched, Limits, Progress, REMEDY, Seen};
use crate::SourceError;
use crate::backoff::chain;
use crate::masking::masked_url;
use crate::retry_after::retry_after;

const CONNECT: Duration = Duration::from_secs(10);

/// How a try ended, short of an error that stays.
pub(super) enum Try {
    Done(Fetched),
    Again(Fault),
}

/// What one try met, in the words of [`Try`] or for good.
enum End {
    Again(Fault),
    Refused(SourceError),
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        Self::Again(fault)
    }
}

pub(super) fn client(url: &str) -> Result<(Url, Client), SourceError> {
    let refused = |why: String| {
        let doing = format!("use the feed {:?}", crate::masked(url));
        SourceError::refused(doing, why, "give a URL that begins with http:// or https://")
    };
    let parsed = Url::parse(url).map_err(|error| refused(error.to_string()))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(refused(format!("{}:// can't be downloaded", parsed.scheme())));
    }
    let mut client = Client::builder().connect_timeout(CONNECT).user_agent("millstream");
    // A proxy of the environment is for the outside; it can't reach a server of this machine.
    if matches!(parsed.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
        client = client.no_proxy();
    }
    let client = client.build().map_err(|error| SourceError::unavailable("set up HTTP", error))?;
    Ok((parsed, client))
}

pub(super) async fn one(
    client: &Client,
    url: &Url,
    limits: &Limits,
    seen: &Seen,
    told: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<Try, SourceError> {
    match timeout(limits.total, attempt(client, url, limits, seen, told)).await {
        Ok(Ok(fetched)) => Ok(Try::Done(fetched)),
        Ok(Err(End::Again(fault))) => Ok(Try::Again(fault)),
        Ok(Err(End::Refused(error))) => Err(error),
        Err(_) => Ok(Try::Again(slow(&format!("it took more than {:?}", limits.total)))),
    }
}

async fn attempt(
    client: &Client,
    url: &Url,
    limits: &Limits,
    seen: &Seen,
    told: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<Fetched, End> {
    let mut request = client.get(url.clone());
    if let Some(etag) = &seen.etag {
        request = request.header(IF_NONE_MATCH, etag);
    }
    if let Some(date) = &seen.last_modified {
        request = request.header(IF_MODIFIED_SINCE, date);
    }
    let no_answer = |_| slow(&format!("no answer within {:?}", limits.idle));
    let response = timeout(limits.idle.max(CONNECT), request.send()).await.map_err(no_answer)?;
    let response = response.map_err(|error| Fault {
        unreached: error.is_connect() || error.is_timeout(),
        ..broken(error)
    })?;
    let asked_by_it = *seen != Seen::default();
    match response.status() {
        StatusCode::NOT_MODIFIED if asked_by_it => Ok(Fetched::Unchanged),
        StatusCode::OK => take(response, url, limits, told).await.map(Fetched::New),
        status => Err(refusal(status, response.headers(), url)),
    }
}

/// Into a file without a name: whatever happens, nothing is left behind.
async fn take(
    mut response: Response,
    url: &Url,
    limits: &Limits,
    told: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<FeedFile, End> {
    let of = response.content_length();
    let header = |name: HeaderName| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
    let seen = Seen { etag: header(ETAG), last_modified: header(LAST_MODIFIED) };
    if of.is_some_and(|of| of > limits.download_bytes) {
        return Err(too_long(url, limits));
    }
    let file = tempfile::tempfile().map_err(|error| disk(url, error))?;
    let mut file = tokio::fs::File::from_std(file);
    let mut bytes = 0;
    loop {
        let stalled = |_| slow(&format!("no byte for {:?}, {bytes} bytes are here", limits.idle));
        let chunk = timeout(limits.idle, response.chunk()).await.map_err(stalled)?;
        let Some(chunk) = chunk.map_err(broken)? else { break };
        bytes += chunk.len() as u64;
        if bytes > limits.download_bytes {
            return Err(too_long(url, limits));
        }
        file.write_all(&chunk).await.map_err(|error| disk(url, error))?;
        told(Progress::Bytes { bytes, of });
    }
    file.flush().await.map_err(|error| disk(url, error))?;
    Ok(FeedFile { file: file.into_std().await, place: masked_url(url), seen, bytes })
}

fn refusal(status: StatusCode, headers: &HeaderMap, url: &Url) -> End {
    let why = format!("the server answered {status}");
    let passes = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status)
        || status.is_server_error();
    if passes {
        return Fault { why, wait: retry_after(headers), unreached: false }.into();
    }
    End::Refused(SourceError::refused(format!("GET {}", masked_url(url)), why, REMEDY))
}

fn too_long(url: &Url, limits: &Limits) -> End {
    let why = format!("the download has more than {} bytes", limits.download_bytes);
    End::Refused(SourceError::refused(format!("GET {}", masked_url(url)), why, REMEDY))
}

fn disk(url: &Url, error: io::Error) -> End {
    let doing = format!("keep {} in a temporary file", masked_url(url));
    let remedy = "free some space, or name another directory by TMPDIR";
    End::Refused(SourceError::refused(doing, error.to_string(), remedy))
}

fn slow(why: &str) -> Fault {
    Fault { why: format!("too slow: {why}"), wait: None, unreached: false }
}

/// The error's own text would show the URL with its secrets.
fn broken(error: reqwest::Error) -> Fault {
    Fault { why: chain(&error.without_url()), wait: None, unreached: false }
}
