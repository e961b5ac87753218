use std::collections::{BTreeMap, HashSet};

use anyhow::{Context, Result, bail};
use millstream_app::Setup;
use millstream_engine::Pipeline;
use millstream_topic::dead_letter::{self, DeadLetter};
use millstream_topic::{Backend, Outgoing, Record, TopicPartition};

use crate::apps::{APPS, Where};
use crate::show::{self, say};

/// Says which dead letter a replayed record was.
const REPLAY_OF: &str = "millstream.replay.of";

#[derive(clap::Subcommand)]
pub enum Verb {
    /// How many there are, by pipeline, topic and kind
    List {
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show a pipeline's, with their reasons and values
    Show {
        /// `app.pipeline`, or `app.produce`: what a producer could not send
        pipeline: String,
        /// At most so many
        #[arg(long, default_value_t = 20)]
        max: usize,
        /// Print one JSON object a line; values that aren't UTF-8 come as an array of bytes
        #[arg(long)]
        json: bool,
    },
    /// Send a pipeline's in again, each once, through a topic that it alone reads
    Replay {
        /// `app.pipeline`
        pipeline: String,
        /// Only this one, as `show` names it: topic-partition@offset; may be repeated
        #[arg(long, value_name = "WHICH")]
        only: Vec<String>,
    },
}

pub async fn dlq(place: &Where, verb: Verb) -> Result<()> {
    place.must_exist()?;
    match verb {
        Verb::List { json } => list(&place.open_all()?, json).await,
        Verb::Show { pipeline, max, json } => {
            let app = pipeline.strip_suffix(".produce").unwrap_or_default();
            let letters = match APPS.iter().find(|known| known.name == app) {
                Some(app) => producers_letters(&Setup::open(app, &place.of(app))?).await?,
                None => {
                    let (setup, pipeline) = place.pipeline(&pipeline)?;
                    letters(&setup, &pipeline).await?
                }
            };
            show_letters(&letters, max, json)
        }
        Verb::Replay { pipeline, only } => {
            let (setup, pipeline) = place.pipeline(&pipeline)?;
            replay(&setup, &pipeline, &only).await
        }
    }
}

async fn list(setups: &[Setup], json: bool) -> Result<()> {
    let mut counts: BTreeMap<(String, String, &str), u64> = BTreeMap::new();
    for setup in setups {
        let mut found = producers_letters(setup).await?;
        for pipeline in &setup.pipelines {
            found.extend(letters(setup, pipeline).await?);
        }
        for letter in found {
            let key = (letter.pipeline, letter.at.topic, letter.kind.as_str());
            *counts.entry(key).or_default() += 1;
        }
    }
    let mut lines = Vec::new();
    for ((pipeline, topic, kind), count) in counts {
        if json {
            let line = serde_json::json!(
                { "pipeline": pipeline, "topic": topic, "kind": kind, "count": count }
            );
            say!("{line}");
        }
        lines.push(vec![pipeline, topic, kind.to_owned(), count.to_string()]);
    }
    match (json, lines.is_empty()) {
        (true, _) => {}
        (false, true) => say!("no dead letters"),
        (false, false) => show::out(&show::table(&["pipeline", "topic", "kind", "count"], &lines)),
    }
    Ok(())
}

/// A pipeline's dead letters, each once, by topic, partition and offset.
pub async fn letters(setup: &Setup, pipeline: &Pipeline) -> Result<Vec<DeadLetter>> {
    let topics = pipeline.topics();
    letters_in(setup, topics.iter().map(|topic| topic.name.as_ref()), &pipeline.id()).await
}

/// What an app's producer could not send, each once.
async fn producers_letters(setup: &Setup) -> Result<Vec<DeadLetter>> {
    let id = format!("{}.produce", setup.app.name);
    letters_in(setup, setup.app.topics.iter().map(|topic| topic.name.as_ref()), &id).await
}

async fn letters_in(
    setup: &Setup,
    topics: impl Iterator<Item = &str>,
    id: &str,
) -> Result<Vec<DeadLetter>> {
    let mut found = BTreeMap::new();
    for topic in topics {
        let name = dead_letter::topic_for(topic);
        for record in read_all(setup.topics.as_ref(), &name).await? {
            let letter = DeadLetter::from_record(&record)?;
            if letter.pipeline == id {
                found.insert((letter.at.clone(), letter.offset), letter);
            }
        }
    }
    Ok(found.into_values().collect())
}

async fn read_all(topics: &dyn Backend, name: &str) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    let Some(info) = topics.info(name).await? else { return Ok(records) };
    for (partition, bounds) in info.partitions.iter().enumerate() {
        let at = TopicPartition::new(name, partition as u32);
        let mut next = bounds.low;
        while next < bounds.end {
            let slice =
                topics.read(&at, next, 10_000).await.with_context(|| format!("read {at}"))?;
            if slice.next <= next {
                break;
            }
            next = slice.next;
            records.extend(slice.records);
        }
    }
    Ok(records)
}

fn which(letter: &DeadLetter) -> String {
    format!("{}@{}", letter.at, letter.offset)
}

fn show_letters(letters: &[DeadLetter], max: usize, json: bool) -> Result<()> {
    for letter in letters.iter().take(max) {
        let value = letter.value.as_deref();
        if json {
            let text = value.map(|bytes| match std::str::from_utf8(bytes) {
                Ok(text) => serde_json::json!(text),
                Err(_) => serde_json::json!(bytes),
            });
            let line = serde_json::json!({
                "which": which(letter), "kind": letter.kind.as_str(), "reason": letter.reason,
                "time_ms": letter.time_ms, "value": text,
            });
            say!("{line}");
            continue;
        }
        say!("{}  {}: {}", which(letter), letter.kind, show::text(letter.reason.as_bytes(), 400));
        say!("    {}", value.map_or_else(|| "(null)".to_owned(), |bytes| show::text(bytes, 400)));
    }
    if !json && letters.len() > max {
        say!("{} more: --max {}", letters.len() - max, letters.len());
    }
    Ok(())
}

async fn replay(setup: &Setup, pipeline: &Pipeline, only: &[String]) -> Result<()> {
    let topic = pipeline.replay_topic();
    let sent = read_all(setup.topics.as_ref(), &topic.name).await?;
    let sent: HashSet<Vec<u8>> =
        sent.iter().filter_map(|record| record.header(REPLAY_OF)).map(|of| of.to_vec()).collect();
    let all = letters(setup, pipeline).await?;
    if let Some(unknown) = only.iter().find(|name| all.iter().all(|letter| which(letter) != **name))
    {
        bail!("there is no dead letter {unknown} of {}; see `dlq show {0}`", pipeline.id());
    }
    let chosen = all.into_iter().filter(|letter| only.is_empty() || only.contains(&which(letter)));
    let records: Vec<_> = chosen
        .filter(|letter| !sent.contains(which(letter).as_bytes()))
        .map(|letter| Outgoing {
            headers: vec![(REPLAY_OF.to_owned(), which(&letter).into_bytes().into())],
            timestamp_ms: Some(letter.timestamp_ms),
            key: letter.key,
            value: letter.value,
            ..Outgoing::default()
        })
        .collect();
    let count = records.len();
    if count > 0 {
        setup.topics.ensure(&topic).await.context("make the replay topic")?;
        setup.topics.append(&topic.name, records).await.context("send the records in again")?;
    }
    say!("{count} sent in again through {}; those sent before stay out", topic.name);
    Ok(())
}
