//! Where the records come from: the FDA's server, a file, or, where there is no network, the stand-in server.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use millstream_sources::{FeedFile, Fetched, Limits, Progress, Seen, ZipFeed, masked};
use millstream_topic::TopicInfo;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::feed_state::{FeedState, Phase, Teller, Trouble};

/// `[feed]` of the settings.
#[derive(Clone, Debug, Deserialize)]
pub struct FeedSection {
    pub url: String,
    pub file: PathBuf,
    pub every_s: NonZeroU32,
    pub when_unreachable: WhenUnreachable,
    pub max_gone_percent: u64,
    max_download_mb: u64,
    max_json_mb: u64,
    tries: u32,
    idle_s: f64,
    download_s: f64,
    pub keep_snapshots: usize,
}

/// What to do where nobody answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenUnreachable {
    /// Recalls are made up, as long as there are no real ones.
    Generate,
    /// It is trouble.
    Fail,
}

impl FeedSection {
    /// Where it is, for people: no secrets, and of a file only its name, as the pages show it to everybody.
    pub fn place(&self) -> String {
        let name = self.file.file_name().map(|name| name.to_string_lossy().into_owned());
        name.filter(|_| self.is_file()).unwrap_or_else(|| masked(&self.url))
    }

    pub fn is_file(&self) -> bool {
        !self.file.as_os_str().is_empty()
    }

    pub fn limits(&self) -> Limits {
        Limits {
            download_bytes: self.max_download_mb << 20,
            json_bytes: self.max_json_mb << 20,
            idle: seconds(self.idle_s),
            total: seconds(self.download_s),
            ..Limits::default()
        }
    }

    /// The feed, unless it is what was seen; `None` stands for that. `once`: somebody who doesn't answer is not
    /// asked again.
    pub async fn get(
        &self,
        seen: &Seen,
        once: bool,
        teller: &Teller,
        stop: &CancellationToken,
    ) -> Result<Option<FeedFile>> {
        if self.is_file() {
            return Ok(Some(FeedFile::open(&self.file).context("read [feed] file, or --file")?));
        }
        let feed = ZipFeed::new(&self.url, stop.clone()).context("use [feed] url, or --url")?;
        let feed = feed.limits(self.limits()).tries(self.tries);
        let feed = if once { feed.tries_unreached(1) } else { feed };
        Ok(download(&feed, seen, teller, !once).await?)
    }
}

/// Downloads and tells of it; of tries that failed, too, unless something else takes the feed's place at once.
pub async fn download(
    feed: &ZipFeed,
    seen: &Seen,
    teller: &Teller,
    failures: bool,
) -> Result<Option<FeedFile>, millstream_sources::SourceError> {
    let before = teller.state().trouble.map_or(0, |trouble| trouble.tries);
    let mut told = |progress: Progress<'_>| match progress {
        Progress::Bytes { bytes, of } => teller.phase(Phase::Downloading { bytes, of }),
        Progress::Failed { .. } if !failures => {}
        Progress::Failed { tries, why } => {
            let what = format!("GET {}: {why}; it is tried again", feed.place());
            let trouble = Trouble { at: chrono::Utc::now(), what, tries: before + tries };
            teller.change(|state| state.trouble = Some(trouble));
        }
    };
    teller.phase(Phase::Downloading { bytes: 0, of: None });
    match feed.fetch(seen, &mut told).await? {
        Fetched::Unchanged => Ok(None),
        Fetched::New(file) => Ok(Some(file)),
    }
}

/// What makes the feed at `source` recognisable, if the topic is still what it was filled into, as it was left.
pub fn seen(state: &FeedState, source: &str, devices: &TopicInfo) -> Seen {
    let same = state.source == source
        && state.devices_id.as_deref() == Some(&devices.id)
        && state.devices_ends == ends(devices);
    if !same {
        return Seen::default();
    }
    Seen { etag: state.etag.clone(), last_modified: state.last_modified.clone() }
}

/// Where a topic's partitions end.
pub fn ends(topic: &TopicInfo) -> Vec<i64> {
    topic.partitions.iter().map(|bounds| bounds.end).collect()
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}
