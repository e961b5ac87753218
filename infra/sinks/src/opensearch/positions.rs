//! Positions and ledger. An entry is a document that is created and never changes. They follow one another without a
//! gap, so the newest one is found from any that is there; a document says where to begin looking.

use millstream_engine::ledger::Entry;
use millstream_topic::TopicPartition;
use serde_json::{Value, json};

use super::builds::unreadable;
use super::bulk::{self, Item};
use super::faults::Fault;
use super::fetch::{self, Fetched};
use super::names;
use super::server::Server;

/// So far is looked ahead of a hint at once: 1, 2, 4, … entries.
const STEPS: u32 = 16;
/// Entries that are read at a time.
const PAGE: usize = 500;

/// An entry with who wrote it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kept {
    pub entry: Entry,
    pub by: String,
}

impl Kept {
    pub fn of(fetched: Fetched) -> Result<Self, Fault> {
        let Fetched { mut source, .. } = fetched;
        let by = source["by"].as_str().unwrap_or_default().to_owned();
        let entry = serde_json::from_value(source["entry"].take()).map_err(unreadable)?;
        Ok(Self { entry, by })
    }
}

/// The document of an entry.
pub(super) fn create(at: &TopicPartition, entry: &Entry, by: &str) -> Result<Item, Fault> {
    let document = json!({
        "at": at.to_string(),
        "seq": entry.seq,
        "by": by,
        "entry": serde_json::to_value(entry).map_err(unreadable)?,
    });
    Ok(Item::create(names::entry(at, entry.seq), &document))
}

/// Says where to look for the newest entry. That it isn't said, or late, costs a search only.
pub(super) async fn hint(
    server: &Server,
    build: &str,
    at: &TopicPartition,
    entry: &Entry,
) -> Result<(), Fault> {
    let document = json!({"at": at.to_string(), "state": {"seq": entry.seq, "next": entry.next()}});
    let version = i64::try_from(entry.seq).unwrap_or(i64::MAX);
    let item = Item::newest(names::position(at), version, &document);
    bulk::one(server, build, item).await.map(|_| ())
}

/// The newest entry of a partition, and whether the hint points to it.
pub(super) async fn newest(
    server: &Server,
    build: &str,
    at: &TopicPartition,
) -> Result<Option<(Entry, bool)>, Fault> {
    let hints = fetch::documents(server, build, &[names::position(at)]).await?;
    let hinted = hints.into_iter().next().flatten().and_then(|hint| seq_of(&hint.source));
    // A hint without its entry was somebody's mistake; entry 0 is always there, if any is.
    let mut low = match hinted {
        Some(seq) if fetch::which(server, build, &[names::entry(at, seq)]).await? == [true] => seq,
        _ if fetch::which(server, build, &[names::entry(at, 0)]).await? == [true] => 0,
        _ => return Ok(None),
    };
    loop {
        let ahead: Vec<u64> = (0..STEPS).map(|n| low + (1 << n)).collect();
        let ids: Vec<_> = ahead.iter().map(|seq| names::entry(at, *seq)).collect();
        let there = fetch::which(server, build, &ids).await?;
        match ahead.iter().zip(there).rev().find(|(_, there)| *there) {
            Some((seq, _)) => low = *seq,
            None => break,
        }
    }
    let found = fetch::documents(server, build, &[names::entry(at, low)]).await?;
    let found = found.into_iter().next().flatten();
    let kept = found.map(Kept::of).transpose()?.ok_or_else(|| Fault::unreadable("an entry"))?;
    Ok(Some((kept.entry, hinted == Some(low))))
}

fn seq_of(source: &Value) -> Option<u64> {
    source["state"]["seq"].as_u64()
}

/// Whether everything before `ends`, one per partition, is in, as far as hints tell: they may be late.
pub(super) async fn have_reached(
    server: &Server,
    build: &str,
    topic: &str,
    ends: &[i64],
) -> Result<bool, Fault> {
    let waited: Vec<_> = (0..).zip(ends).filter(|(_, end)| **end > 0).collect();
    let at = |partition: u32| TopicPartition::new(topic, partition);
    let ids: Vec<_> =
        waited.iter().map(|(partition, _)| names::position(&at(*partition))).collect();
    if ids.is_empty() {
        return Ok(true);
    }
    let hints = fetch::documents(server, build, &ids).await?;
    let next = |hint: Option<Fetched>| hint.and_then(|hint| hint.source["state"]["next"].as_i64());
    Ok(hints.into_iter().zip(waited).all(|(hint, (_, end))| next(hint).unwrap_or(0) >= *end))
}

/// Entries with `seq >= from`, at most `max`, in order.
pub(super) async fn ledger(
    server: &Server,
    build: &str,
    at: &TopicPartition,
    (from, max): (u64, usize),
) -> Result<Vec<Entry>, Fault> {
    let mut entries = Vec::new();
    while entries.len() < max {
        let first = from + entries.len() as u64;
        let count = PAGE.min(max - entries.len());
        let ids: Vec<_> = (first..first + count as u64).map(|seq| names::entry(at, seq)).collect();
        let found = fetch::documents(server, build, &ids).await?;
        let there: Vec<_> = found.into_iter().map_while(|found| found).collect();
        let read = there.len();
        for fetched in there {
            entries.push(Kept::of(fetched)?.entry);
        }
        if read < count {
            break;
        }
    }
    Ok(entries)
}
