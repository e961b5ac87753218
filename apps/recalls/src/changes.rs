//! What a feed changes in the topic, found by comparing it with the topic's own live records.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use millstream_topic::{Backend, Record, TopicPartition};

use crate::event::Recall;
use crate::pipeline::DEVICES;

/// The header of records that are made up.
pub const MADE_UP: &str = "recalls.made-up";
const READ_AT_ONCE: usize = 2_000;

/// What the topic holds: the last record of every key that wasn't deleted.
#[derive(Debug, Default)]
pub struct Live {
    held: HashMap<Bytes, Held>,
    /// Up to where each partition was read.
    pub ends: Vec<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    hash: u64,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Real,
    MadeUp,
    /// No recall: somebody else's, for the next refresh to clear away.
    Foreign,
}

impl Live {
    /// Reads the topic from its beginning to its end.
    pub async fn read(topics: &dyn Backend) -> Result<Self> {
        let mut live = Self::default();
        live.ends = read_all(topics, &DEVICES.name, |record| live.take(record)).await?;
        Ok(live)
    }

    fn take(&mut self, record: Record) {
        let Some(key) = record.key.clone() else { return };
        match &record.value {
            Some(value) => {
                let kind = kind(&record, &key, value);
                self.held.insert(key, Held { hash: hash(value), kind });
            }
            None => {
                self.held.remove(&key);
            }
        }
    }

    /// Whether there are records of the real feed, which made-up ones must not replace.
    pub fn has_real(&self) -> bool {
        self.of(Kind::Real) > 0
    }

    fn of(&self, kind: Kind) -> usize {
        self.held.values().filter(|held| held.kind == kind).count()
    }
}

fn kind(record: &Record, key: &[u8], value: &[u8]) -> Kind {
    if record.header(MADE_UP).is_some() {
        return Kind::MadeUp;
    }
    let number = serde_json::to_vec(&String::from_utf8_lossy(key)).unwrap_or_default();
    let begins = value.strip_prefix(br#"{"recall_number":"#.as_slice());
    if begins.is_some_and(|rest| rest.starts_with(&number)) { Kind::Real } else { Kind::Foreign }
}

pub(crate) fn hash(value: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Reads a topic from its beginning to its end, and tells where each partition's is; none where there is no topic.
pub async fn read_all(
    topics: &dyn Backend,
    topic: &str,
    mut take: impl FnMut(Record),
) -> Result<Vec<i64>> {
    let info = topics.info(topic).await.with_context(|| format!("look at topic {topic}"))?;
    let bounds = info.map(|info| info.partitions).unwrap_or_default();
    for (partition, bounds) in (0..).zip(&bounds) {
        let at = TopicPartition::new(topic, partition);
        let mut next = bounds.low;
        while next < bounds.end {
            let slice = topics.read(&at, next, READ_AT_ONCE).await;
            let slice = slice.with_context(|| format!("read {at} to compare the feed with it"))?;
            slice.records.into_iter().for_each(&mut take);
            if slice.next <= next {
                bail!("read {at} at offset {next}: there was nothing before its end; try again");
            }
            next = slice.next;
        }
    }
    Ok(bounds.iter().map(|bounds| bounds.end).collect())
}

/// A feed on its way through: each record is seen once and not kept.
#[derive(Debug)]
pub struct Comparison {
    live: Live,
    made_up: bool,
    /// The last row of every key, with its hash.
    rows: HashMap<Bytes, (u64, u64)>,
    /// Rows whose key came again.
    superseded: HashSet<u64>,
    next: u64,
}

/// What a feed changes.
#[derive(Debug)]
pub struct Changes {
    /// Rows, counted from 0, that are new or differ.
    pub send: HashSet<u64>,
    /// Rows whose key came again later.
    pub superseded: HashSet<u64>,
    /// Keys that the feed has no more.
    pub gone: Vec<Bytes>,
    /// Recalls in the feed.
    pub total: u64,
    pub new: u64,
    pub changed: u64,
}

impl Comparison {
    pub fn new(live: Live, made_up: bool) -> Self {
        Self { live, made_up, rows: HashMap::new(), superseded: HashSet::new(), next: 0 }
    }

    pub fn take(&mut self, recall: &Recall) -> Result<()> {
        let value = recall.to_json().context("write a recall as JSON")?;
        let key = Bytes::copy_from_slice(recall.number().as_bytes());
        if let Some((before, _)) = self.rows.insert(key, (self.next, hash(&value))) {
            self.superseded.insert(before);
        }
        self.next += 1;
        Ok(())
    }

    /// Rows taken up to now.
    pub fn taken(&self) -> u64 {
        self.next
    }

    /// All rows were taken. An error: more than `max_gone_percent` of the real recalls would go.
    pub fn finish(self, max_gone_percent: u64) -> Result<Changes> {
        let Self { live, made_up, rows, superseded, .. } = self;
        let gone: Vec<Bytes> =
            live.held.keys().filter(|key| !rows.contains_key(*key)).cloned().collect();
        let real = live.of(Kind::Real) as u64;
        let is_real =
            |key: &&Bytes| live.held.get(*key).is_some_and(|held| held.kind == Kind::Real);
        let going = gone.iter().filter(is_real).count() as u64;
        if going * 100 > real * max_gone_percent {
            bail!(
                "compare the feed with what is there: it lacks {going} of {real} recalls, more than {max_gone_percent} %, \
                 so nothing was changed; check the feed, or raise [feed] max_gone_percent if they are really gone"
            );
        }
        let kind = if made_up { Kind::MadeUp } else { Kind::Real };
        let (mut send, mut new, mut changed) = (HashSet::new(), 0, 0);
        for (key, (row, hash)) in &rows {
            match live.held.get(key) {
                Some(held) if *held == (Held { hash: *hash, kind }) => continue,
                Some(_) => changed += 1,
                None => new += 1,
            }
            send.insert(*row);
        }
        Ok(Changes { send, superseded, gone, total: rows.len() as u64, new, changed })
    }
}

impl Changes {
    /// Of the rows of the snapshot, in their order: whether each is to be sent.
    pub fn rows(&self) -> impl Iterator<Item = bool> {
        (0..).filter(|row| !self.superseded.contains(row)).map(|row| self.send.contains(&row))
    }

    /// Records to be sent.
    pub fn count(&self) -> u64 {
        (self.send.len() + self.gone.len()) as u64
    }
}
