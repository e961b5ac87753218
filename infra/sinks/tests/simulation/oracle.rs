//! What the records say should be in the sink, thought out anew and in the plainest way, held against what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use millstream_engine::ledger::{Buckets, Entry, EntryKind};
use millstream_engine::verify::verify;
use millstream_topic::dead_letter::{self, DeadLetter};
use millstream_topic::memory::Memory;
use millstream_topic::{Subscriptions, TopicPartition, Topics};

use crate::directory;
use crate::schedule::Kind;
use crate::stage::Stage;
use crate::topics::at_once;

/// Every record there ever was, by partition and offset; also those that retention or compaction took.
#[derive(Debug, Default)]
pub struct Journal {
    records: BTreeMap<(u32, i64), Line>,
    ends: BTreeMap<u32, i64>,
}

#[derive(Debug)]
struct Line {
    key: Option<Bytes>,
    value: Option<Bytes>,
}

/// What is to become of a record.
#[derive(Debug)]
enum Fate {
    Row { id: String, n: i64 },
    Filtered,
    Dead,
    Deletes(String),
}

impl Journal {
    /// Reads what is new. To be called before anything is taken away.
    pub fn read(&mut self, topics: &Memory, partitions: u32) {
        for partition in 0..partitions {
            let at = TopicPartition::new("events", partition);
            let from = self.ends.get(&partition).copied().unwrap_or_default();
            let slice = at_once(topics.read(&at, from, usize::MAX)).expect("it is there");
            self.ends.insert(partition, slice.end);
            for record in slice.records {
                let line = Line { key: record.key, value: record.value };
                self.records.insert((partition, record.offset), line);
            }
        }
    }

    fn of(&self, partition: u32, from: i64, to: i64) -> impl Iterator<Item = (i64, &Line)> {
        let range = self.records.range((partition, from)..(partition, to + 1));
        range.map(|((_, offset), line)| (*offset, line))
    }
}

impl Line {
    fn fate(&self, compacted: bool) -> Fate {
        let Some(value) = &self.value else {
            return match &self.key {
                Some(key) if compacted => Fate::Deletes(String::from_utf8_lossy(key).into_owned()),
                _ => Fate::Dead,
            };
        };
        let Ok(value) = serde_json::from_slice::<serde_json::Value>(value) else {
            return Fate::Dead;
        };
        match (value["id"].as_str(), value["n"].as_i64()) {
            (Some(_), Some(n)) if n % 7 == 5 => Fate::Filtered,
            (Some(id), Some(n)) => Fate::Row { id: id.to_owned(), n },
            _ => Fate::Dead,
        }
    }
}

/// Adds what is wrong to the stage's problems.
pub async fn judge(stage: &mut Stage) {
    stage.read_journal();
    let mut problems = Vec::new();
    let pipeline = stage.pipeline(false);
    let sink = pipeline.target.connect("sim.rows", &pipeline.schema()).await;
    let mut sink = sink.expect("the sink itself answers");
    for partition in 0..stage.schedule.partitions {
        let at = stage.at(partition);
        let ledger = sink.ledger(&at, 0, usize::MAX).await.expect("the ledger can be read");
        ledger_is_whole(stage, partition, &ledger, &mut problems);
        letters_are_there(stage, &at, &ledger, &mut problems);
        stage.trace.note(&format!("{at}: {:?}", ledger.last()));
    }
    let found = rows(stage, &mut problems).await;
    differences(&expected(stage), &found, "the sink", &mut problems);
    if stage.schedule.kind == Kind::LakeCsv {
        let seen = directory::numbers(&stage.store);
        differences(&expected(stage), &seen, "the directory", &mut problems);
    }
    if stage.schedule.verified {
        let report = verify(&pipeline, &stage.world()).await.expect("verify");
        if !report.is_exact() || report.pending > 0 {
            problems.push(format!("verify: {report:?}"));
        }
    }
    stage.problems.extend(problems);
}

/// The entries follow one another from the first offset to the last, and each tells what became of its records.
fn ledger_is_whole(stage: &Stage, partition: u32, ledger: &[Entry], problems: &mut Vec<String>) {
    let end = stage.journal.ends[&partition];
    let mut next = 0;
    for (seq, entry) in ledger.iter().enumerate() {
        if (entry.seq, entry.start) != (seq as u64, next) {
            problems.push(format!("events-{partition}: {entry:?} should be {seq} from {next}"));
        }
        next = entry.next();
        let is_range = entry.kind == EntryKind::Range;
        if is_range != (seq > 0) || entry.buckets.total() as i64 != entry.end - entry.start + 1 {
            problems.push(format!("events-{partition}: entry {seq} is none: {entry:?}"));
        }
        let told = counts(&entry.buckets);
        let said = buckets(stage, partition, entry);
        if told != said && !stage.compacted {
            problems.push(format!(
                "events-{partition}: entry {seq} {}..={} tells {told:?}, its records {said:?}",
                entry.start, entry.end
            ));
        }
    }
    if next != end {
        problems.push(format!("events-{partition}: the ledger ends at {next}, the topic at {end}"));
    }
}

type Counts = (u64, u64, Vec<i64>, u64, u64);

fn counts(buckets: &Buckets) -> Counts {
    let Buckets { delivered, filtered, dead, tombstones, .. } = buckets;
    (*delivered, *filtered, dead.clone(), *tombstones, buckets.absent_count())
}

fn buckets(stage: &Stage, partition: u32, entry: &Entry) -> Counts {
    let mut said: Counts = (0, 0, vec![], 0, (entry.end - entry.start + 1) as u64);
    for (offset, line) in stage.journal.of(partition, entry.start, entry.end) {
        said.4 -= 1;
        match line.fate(stage.schedule.compacted) {
            Fate::Row { .. } => said.0 += 1,
            Fate::Filtered => said.1 += 1,
            Fate::Dead => said.2.push(offset),
            Fate::Deletes(_) => said.3 += 1,
        }
    }
    said
}

/// A record that counts as dead can be found among the dead letters.
fn letters_are_there(
    stage: &Stage,
    at: &TopicPartition,
    ledger: &[Entry],
    problems: &mut Vec<String>,
) {
    let name = dead_letter::topic_for("events");
    let there = at_once(stage.topics.info(&name)).expect("look at the topic");
    let mut found = BTreeSet::new();
    if there.is_some() {
        let letters = TopicPartition::new(name, 0);
        let slice = at_once(stage.topics.read(&letters, 0, usize::MAX)).expect("it is there");
        let letters = slice.records.iter().filter_map(|one| DeadLetter::from_record(one).ok());
        found.extend(letters.filter(|letter| letter.at == *at).map(|letter| letter.offset));
    }
    for offset in ledger.iter().flat_map(|entry| &entry.buckets.dead) {
        if !found.contains(offset) {
            problems.push(format!("{at}: offset {offset} is dead, and no letter tells of it"));
        }
    }
}

/// Rows as text, and how often each is there.
pub type Held = BTreeMap<String, i64>;

fn expected(stage: &Stage) -> Held {
    let mut held = Held::new();
    let mut latest: BTreeMap<String, Option<i64>> = BTreeMap::new();
    for line in stage.journal.records.values() {
        match line.fate(stage.schedule.compacted) {
            Fate::Row { id, n } => match stage.schedule.kind {
                Kind::Upsert => drop(latest.insert(id, Some(n))),
                Kind::Count => *held.entry(id).or_default() += n % 5,
                _ => *held.entry(row(&id, n)).or_default() += 1,
            },
            Fate::Deletes(id) => drop(latest.insert(id, None)),
            Fate::Filtered | Fate::Dead => {}
        }
    }
    held.extend(latest.into_iter().filter_map(|(id, n)| Some((row(&id, n?), 1))));
    held
}

pub fn row(id: &str, n: i64) -> String {
    format!("{id} {n}")
}

async fn rows(stage: &Stage, problems: &mut Vec<String>) -> Held {
    let mut held = Held::new();
    let counts = stage.schedule.kind == Kind::Count;
    let mut visit = |batch: RecordBatch| {
        let ids = batch["id"].as_string::<i32>();
        let numbers = batch[if counts { "units" } else { "n" }].as_primitive::<Int64Type>();
        for (id, number) in ids.iter().flatten().zip(numbers.values()) {
            match counts {
                true => *held.entry(id.to_owned()).or_default() += number,
                false => *held.entry(row(id, *number)).or_default() += 1,
            }
        }
        Ok(())
    };
    if let Err(error) = stage.target.scan("sim.rows", &mut visit).await {
        problems.push(format!("the sink can't be read: {error}"));
    }
    held
}

fn differences(expected: &Held, found: &Held, place: &str, problems: &mut Vec<String>) {
    let all: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let count = |held: &Held, row: &String| held.get(row).copied();
    let mut lost = Vec::new();
    let mut doubled = Vec::new();
    for row in all {
        let (wanted, there) = (count(expected, row), count(found, row));
        if wanted != there {
            let which = if there < wanted { &mut lost } else { &mut doubled };
            which.push(format!("{row} ({} of {})", there.unwrap_or(0), wanted.unwrap_or(0)));
        }
    }
    tell(place, "lost", &lost, problems);
    tell(place, "doubled", &doubled, problems);
}

fn tell(place: &str, what: &str, rows: &[impl Debug], problems: &mut Vec<String>) {
    const SHOWN: usize = 10;
    if !rows.is_empty() {
        let (count, shown) = (rows.len(), &rows[..rows.len().min(SHOWN)]);
        problems.push(format!("{what} in {place}: {count} rows, {shown:?}"));
    }
}
