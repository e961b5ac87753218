use anyhow::{Context, Result, ensure};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use clap::ValueEnum;
use millstream_topic::{Backend, Outgoing, Topic, TopicInfo};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use crate::vitals::{DAY_MS, vital, vitals_schema};

/// Events per append: each one waits for the disk.
const APPEND: u64 = 20_000;
const WORDS_IN_A_SENTENCE: usize = 12;
const VOCABULARY: f64 = 20_000.0;

/// A topic, and what becomes of its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Vitals of three days in 4 partitions, with an alert, to Parquet by date.
    Parquet,
    /// A tenth as many vitals, to a table or an index that keeps the last one of each patient.
    Upsert,
    /// A fifth as many sentences of 12 words in 4 partitions: how often each word occurs.
    Wordcount,
    /// A fifth as many vitals in 16 partitions, in no order of time, to Parquet in 500 directories.
    Wide,
    /// 1,000 vitals: what it takes to begin.
    Start,
    /// A fifth as many vitals as for Parquet, in one partition, to Parquet by date.
    One,
    /// The same in two partitions.
    Two,
    /// … and in four.
    Four,
    /// Twice as many vitals as for Parquet, in a sink: until all of them are accounted for.
    Verify,
    /// 1,000 small records a second, for 30 s, to a table: until they are seen.
    Latency,
    /// 20,000 a second.
    LatencyFast,
}

impl Work {
    pub const ALL: [Self; 11] = [
        Self::Parquet,
        Self::Upsert,
        Self::Wordcount,
        Self::Wide,
        Self::Start,
        Self::One,
        Self::Two,
        Self::Four,
        Self::Verify,
        Self::Latency,
        Self::LatencyFast,
    ];

    pub fn is_latency(self) -> bool {
        matches!(self, Self::Latency | Self::LatencyFast)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Upsert => "upsert",
            Self::Wordcount => "wordcount",
            Self::Wide => "wide",
            Self::Start => "start",
            Self::One => "one",
            Self::Two => "two",
            Self::Four => "four",
            Self::Verify => "verify",
            Self::Latency => "latency",
            Self::LatencyFast => "latency-fast",
        }
    }

    /// For people.
    pub fn about(self) -> &'static str {
        match self {
            Self::Parquet => {
                "Vitals (JSON of some 180 bytes, three days, 4 partitions, lz4), with an alert added, to Parquet by date on local disk."
            }
            Self::Upsert => {
                "Vitals to a table or an index that keeps the last row of each of 50,000 patients."
            }
            Self::Wordcount => "Sentences of 12 words, 4 partitions: how often each word occurs.",
            Self::Wide => {
                "Vitals in 16 partitions and in no order of time, to Parquet in 500 directories."
            }
            Self::Start => "From the start of the process until 1,000 vitals are committed.",
            Self::One => "As `parquet`, a fifth of it, in 1 partition.",
            Self::Two => "As `parquet`, a fifth of it, in 2 partitions.",
            Self::Four => {
                "As `parquet`, a fifth of it, in 4 partitions, by one worker and by three."
            }
            Self::Verify => {
                "`millstream verify` of a sink that has twice as many vitals: what is in it compared with all records, row by row."
            }
            Self::Latency => {
                "1,000 small records a second for 30 s, the first 10 s not counted, `roll.every_s` = 0.1: from producing until a reader of the table sees them."
            }
            Self::LatencyFast => "The same with 20,000 a second.",
        }
    }

    /// Events of it, where the vitals to Parquet are `events`.
    pub fn events(self, events: u64) -> u64 {
        match self {
            Self::Parquet => events,
            Self::Upsert => events.div_ceil(10),
            Self::Wordcount | Self::Wide | Self::One | Self::Two | Self::Four => events.div_ceil(5),
            Self::Verify => 2 * events,
            Self::Start => 1000,
            Self::Latency | Self::LatencyFast => crate::latency::events(self),
        }
    }

    /// The number of events is part of the name, so that a topic that is kept fits or is another one.
    pub fn topic(self, events: u64) -> Topic {
        let name = format!("bench-{}-{}", self.name(), self.events(events));
        let schema = if self == Self::Wordcount { text_schema } else { vitals_schema };
        let partitions = match self {
            Self::Wide => 16,
            Self::One => 1,
            Self::Two => 2,
            _ => 4,
        };
        Topic { key: "patient_id", schema, ..Topic::named(name).partitions(partitions) }
    }

    /// Makes the topic with its events: the same ones every time. One that has them already is left as it is.
    pub async fn generate(self, topics: &dyn Backend, events: u64) -> Result<()> {
        // Its records are made while they are worked off.
        if self.is_latency() {
            return Ok(());
        }
        let topic = self.topic(events);
        let events = self.events(events);
        let there = topics.ensure(&topic).await.context("make the topic")?;
        let there = records(&there);
        if there == events {
            return Ok(());
        }
        let name = &topic.name;
        ensure!(
            there == 0,
            "topic {name} has {there} of {events} events: a run was broken off; delete it"
        );
        let mut chance = SmallRng::seed_from_u64(1);
        for start in (0..events).step_by(APPEND as usize) {
            let batch = start..events.min(start + APPEND);
            let records = batch.map(|index| self.event(&mut chance, index, events)).collect();
            topics.append(name, records).await.context("append events")?;
        }
        Ok(())
    }

    fn event(self, chance: &mut SmallRng, index: u64, events: u64) -> Outgoing {
        match self {
            Self::Wide => {
                let after_ms = chance.random_range(0..5 * DAY_MS);
                vital(chance, after_ms)
            }
            Self::Wordcount => sentence(chance, index),
            _ => vital(chance, index * 3 * DAY_MS / events),
        }
    }
}

pub fn records(topic: &TopicInfo) -> u64 {
    let counts = topic.partitions.iter().map(|bounds| bounds.end - bounds.low);
    counts.sum::<i64>().unsigned_abs()
}

fn text_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("text", DataType::Utf8, false)]))
}

/// Frequent words and rare ones, as texts have them.
fn sentence(chance: &mut SmallRng, index: u64) -> Outgoing {
    let words = (0..WORDS_IN_A_SENTENCE).map(|_| {
        let share: f64 = chance.random_range(0.0..1.0);
        word((share.powi(3) * VOCABULARY) as usize)
    });
    let text = words.collect::<Vec<_>>().join(" ");
    // A key spreads them over the partitions the same way every time.
    Outgoing::keyed(index.to_string(), format!(r#"{{"text":"{text}"}}"#))
}

/// The word of a number, in syllables.
fn word(mut number: usize) -> String {
    let mut word = String::new();
    loop {
        word.push(char::from(b"bdfgklmnprst"[number % 12]));
        word.push(char::from(b"aeiou"[number / 12 % 5]));
        number /= 60;
        if number == 0 {
            return word;
        }
    }
}
