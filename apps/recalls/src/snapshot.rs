//! Snapshots: each feed that was taken over, as CSV in the lake.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek, SeekFrom};
use std::sync::Arc;

use anyhow::{Context, Result};
use chrono::{DateTime, NaiveDateTime, Utc};
use millstream_sinks::lake::{Put, Store};
use serde::{Deserialize, Serialize};

use crate::event::{FIELDS, Recall};

/// Their directory in the lake.
pub const PREFIX: &str = "recalls/snapshots/";
const TIME: &str = "%Y%m%dT%H%M%S%.3fZ";
const CSV: &str = ".csv";
/// Beside a snapshot whose changes were all sent; holds a [`Sent`].
const SENT: &str = ".sent";

/// Rows on their way to a snapshot: a temporary file without a name.
#[derive(Debug)]
pub struct Spool(csv::Writer<BufWriter<File>>);

impl Spool {
    pub fn new() -> Result<Self> {
        let file = tempfile::tempfile().context("open a temporary file for the snapshot")?;
        let mut writer = csv::Writer::from_writer(BufWriter::with_capacity(1 << 20, file));
        writer.write_record(FIELDS).context("write the snapshot")?;
        Ok(Self(writer))
    }

    pub fn push(&mut self, recall: &Recall) -> Result<()> {
        self.0.write_record(recall.as_csv()).context("write the snapshot")
    }

    /// The rows but for those that came again.
    pub fn finish(self, superseded: &HashSet<u64>) -> Result<File> {
        let writer = self.0.into_inner().map_err(csv::IntoInnerError::into_error);
        let written =
            writer.and_then(|writer| writer.into_inner().map_err(io::IntoInnerError::into_error));
        let file = rewound(written.context("write the snapshot")?)?;
        if superseded.is_empty() {
            return Ok(file);
        }
        let mut once = Self::new()?;
        for (row, recall) in (0..).zip(read(file)) {
            let recall = recall?;
            if !superseded.contains(&row) {
                once.push(&recall)?;
            }
        }
        once.finish(&HashSet::new())
    }
}

/// The file from its beginning.
pub fn rewound(mut file: File) -> Result<File> {
    file.seek(SeekFrom::Start(0)).context("read the snapshot from its beginning")?;
    Ok(file)
}

/// The rows of a snapshot.
pub fn read(file: File) -> impl Iterator<Item = Result<Recall>> + Send {
    let rows = csv::Reader::from_reader(BufReader::with_capacity(1 << 20, file)).into_records();
    rows.map(|row| row.map(|row| Recall::from_csv(&row)).context("read the snapshot"))
}

/// The snapshots of a lake.
#[derive(Clone, Debug)]
pub struct Snapshots(Arc<dyn Store>);

/// A snapshot that the topic agreed with.
#[derive(Debug)]
pub struct Snapshot {
    /// When it was written: no record made from it is older.
    pub at: DateTime<Utc>,
    pub rows: u64,
    pub file: File,
}

/// What a snapshot was sent to, and how much it is.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sent {
    /// The topic's identity.
    pub devices_id: String,
    pub rows: u64,
}

impl Snapshots {
    pub fn new(lake: Arc<dyn Store>) -> Self {
        Self(lake)
    }

    /// Keeps the rows, before anything of them is sent. Returns the snapshot's path.
    pub async fn write(&self, file: File, at: DateTime<Utc>) -> Result<String> {
        let path = format!("{PREFIX}{}{CSV}", at.format(TIME));
        self.0
            .put_file(&path, rewound(file)?, Put::Overwrite)
            .await
            .context("keep the snapshot")?;
        Ok(path)
    }

    /// Everything in it was sent: from now on an index may be filled from it. All but the newest `keep` go, and those
    /// of a clock that was ahead: in time, they would pass for the newest.
    pub async fn complete(&self, path: &str, sent: &Sent, keep: usize) -> Result<()> {
        let mark = serde_json::to_vec(sent).context("mark the snapshot as sent")?;
        let marked = self.0.put(&format!("{path}{SENT}"), mark.into(), Put::Overwrite).await;
        marked.context("mark the snapshot as sent")?;
        let (all, now) = (self.paths().await?, Utc::now());
        let others = all.iter().filter(|other| other.ends_with(CSV) && *other != path).rev();
        let (ahead, before): (Vec<_>, Vec<_>) =
            others.partition(|path| time(path).is_some_and(|at| at > now));
        for path in ahead.into_iter().chain(before.into_iter().skip(keep.saturating_sub(1))) {
            for path in [format!("{path}{SENT}"), path.clone()] {
                // One that stays costs space and nothing else; a bucket's policy may want it so.
                if let Err(error) = self.0.remove(&path).await {
                    tracing::warn!(path, %error, "remove an old snapshot later");
                }
            }
        }
        Ok(())
    }

    /// The newest one of which everything was sent to the topic of this identity. One of the future, by a clock that
    /// was ahead, would win over records that are newer.
    pub async fn newest(&self, devices_id: &str) -> Result<Option<Snapshot>> {
        let (all, now) = (self.paths().await?, Utc::now());
        for path in all.iter().rev().filter_map(|path| path.strip_suffix(SENT)) {
            let Some(at) = time(path).filter(|at| *at <= now) else { continue };
            let mark = self.0.get(&format!("{path}{SENT}")).await;
            let mark = mark.context("read a snapshot's mark")?;
            // A mark of an earlier version doesn't say which topic it was.
            let sent = mark.and_then(|mark| serde_json::from_slice::<Sent>(&mark).ok());
            let Some(sent) = sent.filter(|sent| sent.devices_id == devices_id) else { continue };
            if let Some(file) = self.0.open(path).await.context("open the newest snapshot")? {
                return Ok(Some(Snapshot { at, rows: sent.rows, file }));
            }
        }
        Ok(None)
    }

    /// Snapshots and marks, the oldest first.
    async fn paths(&self) -> Result<Vec<String>> {
        let listed = self.0.list(PREFIX, None, usize::MAX).await.context("list the snapshots")?;
        Ok(listed.into_iter().map(|listed| listed.path).collect())
    }
}

/// When the snapshot at this path was written.
fn time(path: &str) -> Option<DateTime<Utc>> {
    let time = path.strip_prefix(PREFIX)?.strip_suffix(CSV)?;
    Some(NaiveDateTime::parse_from_str(time, TIME).ok()?.and_utc())
}
