use chrono::DateTime;
use serde::{Deserialize, Serialize};

use super::Lookup;

/// How a lookup table stands in one worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LookupStatus {
    pub name: String,
    /// Where it is read from, without secrets.
    pub place: String,
    pub state: Freshness,
    /// Milliseconds since the Unix epoch when the latest snapshot was read; `None`: none was.
    pub as_of_ms: Option<i64>,
    pub rows: usize,
    /// Held in memory.
    pub bytes: usize,
    /// Partitions wait until it can be read.
    pub waits: bool,
    /// Why it could not be read the last time.
    pub failed: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Freshness {
    /// It was never read.
    #[default]
    Missing,
    Fresh,
    /// It should have been read anew by now.
    Stale,
}

impl LookupStatus {
    /// In words: "lookup patients: as of 2026-11-21 10:31:05 UTC, 1204 rows".
    pub fn told(&self) -> String {
        let name = &self.name;
        let as_of = self.as_of_ms.and_then(DateTime::from_timestamp_millis);
        let as_of = as_of.map(|time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string());
        let (as_of, rows) = (as_of.unwrap_or_default(), self.rows);
        let stands = match self.state {
            Freshness::Missing => format!("lookup {name}: not read yet from {}", self.place),
            Freshness::Fresh => format!("lookup {name}: as of {as_of}, {rows} rows"),
            Freshness::Stale => format!("lookup {name}: stale since {as_of}, {rows} rows"),
        };
        let waits = if self.waits { "; partitions wait for it" } else { "" };
        match &self.failed {
            Some(failed) => format!("{stands}{waits}; {failed}"),
            None => format!("{stands}{waits}"),
        }
    }
}

impl Lookup {
    /// How it stands now.
    pub fn status(&self) -> LookupStatus {
        let latest = self.read_lock();
        let snapshot = latest.snapshot.as_ref();
        let age = snapshot.map(|(_, since)| since.elapsed());
        LookupStatus {
            name: self.name.clone(),
            place: self.place(),
            state: match age {
                None => Freshness::Missing,
                Some(age) if self.is_stale_at(age) => Freshness::Stale,
                Some(_) => Freshness::Fresh,
            },
            as_of_ms: snapshot.map(|(snapshot, _)| snapshot.as_of_us().div_euclid(1000)),
            rows: snapshot.map_or(0, |(snapshot, _)| snapshot.rows()),
            bytes: snapshot.map_or(0, |(snapshot, _)| snapshot.bytes()),
            waits: !age.is_some_and(|age| self.is_usable_at(age)),
            failed: latest.failed.as_ref().map(|failed| failed.why.clone()),
        }
    }

    /// Whether nothing but a person can make it usable.
    pub(crate) fn is_hopeless(&self) -> bool {
        !self.is_usable() && self.read_lock().failed.as_ref().is_some_and(|f| !f.retryable)
    }
}
