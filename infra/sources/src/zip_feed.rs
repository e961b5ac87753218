use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use rand::RngExt;
use reqwest::{Client, Url};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::SourceError;
use crate::masking::masked_url;

mod directory;
mod download;
mod guard;
mod records;

use download::Try;
pub use records::{Meta, Records};

const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
const REMEDY: &str = "check the feed's URL";

/// A zip with one JSON file (`{"meta": …, "results": [record, …]}`), downloaded again and again.
///
/// It is asked for with what made the last answer recognisable, so that an unchanged feed costs one request. What may
/// pass (no connection, too slow, cut short, 408, 429, 5xx) is tried again; anything else is an error.
#[derive(Clone, Debug)]
pub struct ZipFeed {
    client: Client,
    url: Url,
    limits: Limits,
    tries: u32,
    tries_unreached: u32,
    stop: CancellationToken,
}

/// What a feed may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of the download.
    pub download_bytes: u64,
    /// Of the JSON, unpacked.
    pub json_bytes: u64,
    /// How many times the JSON may be longer than what it was packed in; looked at from 10 MB on.
    pub ratio: u64,
    /// Of one record's JSON, to within 64 KiB.
    pub record_bytes: u64,
    /// Without a byte of the download.
    pub idle: Duration,
    /// Of one download.
    pub total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            download_bytes: 512 << 20,
            json_bytes: 4 << 30,
            ratio: 100,
            record_bytes: 1 << 20,
            idle: Duration::from_secs(30),
            total: Duration::from_secs(30 * 60),
        }
    }
}

/// What makes an answer recognisable to the server that gave it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub etag: Option<String>,
    pub last_modified: Option<String>,
}

/// What is told while a download goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress<'a> {
    /// So many bytes are here, of so many if the server said so.
    Bytes { bytes: u64, of: Option<u64> },
    /// So many tries failed, the last one because of this.
    Failed { tries: u32, why: &'a str },
}

/// How a download ended.
#[derive(Debug)]
pub enum Fetched {
    /// The feed is still what was seen.
    Unchanged,
    New(FeedFile),
}

/// A feed on this machine: a zip, or the JSON itself.
#[derive(Debug)]
pub struct FeedFile {
    file: File,
    place: String,
    /// For the next time.
    pub seen: Seen,
    pub bytes: u64,
}

impl ZipFeed {
    /// A feed at an `http://` or `https://` URL. Nothing is asked before [`ZipFeed::fetch`].
    pub fn new(url: &str, stop: CancellationToken) -> Result<Self, SourceError> {
        let (url, client) = download::client(url)?;
        Ok(Self {
            client,
            url,
            limits: Limits::default(),
            tries: 5,
            tries_unreached: u32::MAX,
            stop,
        })
    }

    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How often it is tried before it counts as failed: 5 times until set.
    pub fn tries(mut self, tries: u32) -> Self {
        self.tries = tries.max(1);
        self
    }

    /// How often, at most, somebody who doesn't answer at all is asked.
    pub fn tries_unreached(mut self, tries: u32) -> Self {
        self.tries_unreached = tries.max(1);
        self
    }

    /// Where it is, without secrets.
    pub fn place(&self) -> String {
        masked_url(&self.url)
    }

    /// Downloads the feed into a temporary file that has no name. Unavailable: it was tried often enough, or stopped.
    pub async fn fetch(
        &self,
        seen: &Seen,
        told: &mut (dyn FnMut(Progress<'_>) + Send),
    ) -> Result<Fetched, SourceError> {
        let doing = format!("GET {}", self.place());
        let (mut failed, mut step) = (0, FIRST_WAIT);
        loop {
            let one = download::one(&self.client, &self.url, &self.limits, seen, told);
            let stopped = || SourceError::unavailable(doing.clone(), "stopped before it was here");
            let tried = self.stop.run_until_cancelled(one).await.ok_or_else(stopped)??;
            let fault = match tried {
                Try::Done(fetched) => {
                    if failed > 0 {
                        info!(tries = failed, "{doing} works again");
                    }
                    return Ok(fetched);
                }
                Try::Again(fault) => fault,
            };
            failed += 1;
            told(Progress::Failed { tries: failed, why: &fault.why });
            let most = if fault.unreached { self.tries_unreached } else { u32::MAX };
            if failed >= self.tries.min(most) {
                let tries =
                    if failed == 1 { "1 try".to_owned() } else { format!("{failed} tries") };
                return Err(SourceError::unavailable(format!("{doing} ({tries})"), fault));
            }
            warn!(error = %fault.why, "{doing} failed; trying again ({failed} of {})", self.tries);
            let jittered = step.mul_f64(rand::rng().random_range(0.5..1.0));
            let pause = tokio::time::sleep(fault.wait.unwrap_or(jittered).max(jittered));
            self.stop.run_until_cancelled(pause).await.ok_or_else(stopped)?;
            step = (step * 2).min(LONGEST_WAIT);
        }
    }
}

impl FeedFile {
    /// A local file.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let place = path.display().to_string();
        let told = |error: io::Error| {
            let doing = format!("open {place}");
            SourceError::refused(doing, error.to_string(), "name a readable zip or JSON file")
        };
        let file = File::open(path).map_err(told)?;
        let about = file.metadata().map_err(told)?;
        if !about.is_file() {
            return Err(told(io::Error::other("it is no file")));
        }
        Ok(Self { file, bytes: about.len(), seen: Seen::default(), place })
    }

    /// Its records, one after the other.
    pub fn records(mut self, limits: &Limits) -> Result<Records, SourceError> {
        self.file.seek(SeekFrom::Start(0)).map_err(|error| {
            SourceError::unavailable(format!("read the feed {}", self.place), error)
        })?;
        Ok(Records::read(self.file, self.place, *limits))
    }
}

/// A try that failed, and may succeed the next time.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub(crate) struct Fault {
    why: String,
    /// The server asked for so long.
    wait: Option<Duration>,
    /// There was no answer at all.
    pub(crate) unreached: bool,
}

#[cfg(test)]
mod tests;
