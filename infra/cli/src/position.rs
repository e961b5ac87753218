use anyhow::{Context, Result, bail};
use millstream_app::Setup;
use millstream_engine::ledger::{Assignment, Buckets, Entry, EntryKind, Genesis};
use millstream_engine::{Clock, Keeping, Outcome, Pipeline, Range, Sink, SystemClock};
use millstream_topic::{Bounds, TopicInfo, TopicPartition};

use crate::apps::Where;
use crate::show::{self, say};

/// A fingerprint no code has: a lake abandons plans of other code before it takes an operator's entry.
const OPERATOR: &str = "operator";

#[derive(clap::Subcommand)]
pub enum Verb {
    /// Where every pipeline stands, partition by partition
    Show {
        /// Only this pipeline (`app.pipeline`)
        pipeline: Option<String>,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Give up offsets that can't be worked off; they count as absent, with the reason in the ledger
    Skip {
        #[command(flatten)]
        of: Of,
        /// The first offset given up: the position
        #[arg(long)]
        from: i64,
        /// The last offset given up
        #[arg(long)]
        to: i64,
        /// Why, for those who read the ledger
        #[arg(long)]
        reason: String,
    },
    /// Let other code go on with a counter (its sums mix what both made)
    AcceptChange {
        #[command(flatten)]
        of: Of,
    },
    /// Go on with a topic that was recreated, or whose log lost or replaced records that were worked off
    AdoptTopic {
        #[command(flatten)]
        of: Of,
        /// Count from this offset on; by default a recreated topic from its start, and one that lost its end
        /// from where it ends now, so that nothing counts twice
        #[arg(long)]
        from: Option<i64>,
    },
}

/// One partition of one pipeline.
#[derive(clap::Args)]
pub struct Of {
    /// `app.pipeline`
    pipeline: String,
    topic: String,
    partition: u32,
}

pub async fn position(place: &Where, verb: Verb) -> Result<()> {
    place.must_exist()?;
    match verb {
        Verb::Show { pipeline, json } => show_positions(place, pipeline.as_deref(), json).await,
        Verb::Skip { of, from, to, reason } => {
            let mut choice = Choice::open(place, &of).await?;
            let next = choice.last.next();
            if from != next || to < from || to >= choice.bounds.end {
                let last = choice.bounds.end - 1;
                bail!(
                    "give --from {next}, the position, and a --to from there up to {last}, the last offset"
                );
            }
            let mut entry = choice.entry(EntryKind::Skip { reason });
            (entry.start, entry.end) = (from, to);
            entry.buckets = Buckets { absent: vec![(from, to)], ..Buckets::default() };
            choice.write(entry).await
        }
        Verb::AcceptChange { of } => {
            let mut choice = Choice::open(place, &of).await?;
            let mut entry = choice.entry(EntryKind::AcceptChange);
            entry.fingerprint = choice.pipeline.fingerprint();
            choice.write(entry).await
        }
        Verb::AdoptTopic { of, from } => adopt(Choice::open(place, &of).await?, from).await,
    }
}

async fn adopt(mut choice: Choice, from: Option<i64>) -> Result<()> {
    let (genesis, bounds) = (choice.assignment.genesis.clone(), choice.bounds);
    let next = choice.last.next();
    let recreated =
        genesis.topic_id != choice.last.topic_id || genesis.cluster != choice.last.cluster;
    let usual = if recreated { bounds.low } else { next.min(bounds.end) };
    let from = from.unwrap_or(usual);
    if !(bounds.low..=bounds.end).contains(&from) {
        bail!(
            "the partition has the offsets {} to {}: give a --from among them",
            bounds.low,
            bounds.end
        );
    }
    if !recreated && from < next {
        say!("offsets {from} to {} were counted before; what is there now counts again", next - 1);
    }
    let mut entry = choice.entry(EntryKind::AdoptTopic);
    (entry.start, entry.end) = (from, from - 1);
    (entry.topic_id, entry.cluster) = (genesis.topic_id, genesis.cluster);
    entry.last = None;
    choice.write(entry).await
}

async fn show_positions(place: &Where, only: Option<&str>, json: bool) -> Result<()> {
    let setups = match only {
        None => place.open_all()?,
        Some(id) => {
            let (mut setup, pipeline) = place.pipeline(id)?;
            setup.pipelines = vec![pipeline];
            vec![setup]
        }
    };
    let mut lines = Vec::new();
    for setup in &setups {
        for pipeline in &setup.pipelines {
            for topic in pipeline.topics() {
                let Some(info) = setup.topics.info(&topic.name).await? else { continue };
                lines.extend(partition_lines(pipeline, &info, json).await?);
            }
        }
    }
    if !json {
        let header = ["pipeline", "partition", "position", "end", "lag", "range", "last entry"];
        show::out(&show::table(&header, &lines));
    }
    Ok(())
}

async fn partition_lines(
    pipeline: &Pipeline,
    info: &TopicInfo,
    json: bool,
) -> Result<Vec<Vec<String>>> {
    let mut sink = pipeline.target.connect(&pipeline.id(), &pipeline.schema()).await?;
    let mut lines = Vec::new();
    for (partition, bounds) in info.partitions.iter().enumerate() {
        let at = TopicPartition::new(info.name.clone(), partition as u32);
        let last = last_entry(sink.as_mut(), &at).await?;
        let next = last.as_ref().map_or(bounds.low, Entry::next);
        let kind = last.as_ref().map_or("none".to_owned(), |entry| kind(&entry.kind));
        let lag = (bounds.end - next).max(0);
        let seq = last.map_or("-".to_owned(), |entry| entry.seq.to_string());
        if json {
            let line = serde_json::json!({
                "pipeline": pipeline.id(), "topic": at.topic, "partition": at.partition,
                "position": next, "end": bounds.end, "lag": lag, "last_entry": kind,
            });
            say!("{line}");
        }
        let numbers = [next, bounds.end, lag].map(|number| number.to_string());
        let cells = [pipeline.id(), at.to_string()].into_iter().chain(numbers).chain([seq, kind]);
        lines.push(cells.collect());
    }
    Ok(lines)
}

fn kind(kind: &EntryKind) -> String {
    match kind {
        EntryKind::Genesis => "genesis".to_owned(),
        EntryKind::Range => "range".to_owned(),
        EntryKind::Skip { reason } => format!("skip: {reason}"),
        EntryKind::AcceptChange => "accept-change".to_owned(),
        EntryKind::AdoptTopic => "adopt-topic".to_owned(),
    }
}

async fn last_entry(sink: &mut dyn Sink, at: &TopicPartition) -> Result<Option<Entry>> {
    Ok(sink.ledger(at, 0, usize::MAX).await?.pop())
}

/// An operator's choice on its way into a ledger.
struct Choice {
    pipeline: Pipeline,
    assignment: Assignment,
    /// How far the partition reaches.
    bounds: Bounds,
    sink: Box<dyn Sink>,
    last: Entry,
}

impl Choice {
    async fn open(place: &Where, of: &Of) -> Result<Self> {
        let (setup, pipeline) = place.pipeline(&of.pipeline)?;
        let at = TopicPartition::new(of.topic.clone(), of.partition);
        let (assignment, bounds) = assignment(&setup, &pipeline, at).await?;
        let mut sink = pipeline.target.connect(&pipeline.id(), &pipeline.schema()).await?;
        if pipeline.target.about().keeping == Keeping::Append {
            sink.open(&assignment).await.context("settle what was left open")?;
        }
        let last = last_entry(sink.as_mut(), &assignment.at).await?;
        let last = last.with_context(|| {
            format!(
                "{} has no position on {} yet: there is nothing to choose",
                of.pipeline, assignment.at
            )
        })?;
        Ok(Self { pipeline, assignment, bounds, sink, last })
    }

    fn entry(&self, kind: EntryKind) -> Entry {
        self.last.choice(kind, SystemClock.now_ms())
    }

    async fn write(&mut self, entry: Entry) -> Result<()> {
        let (at, next, told) = (&self.assignment.at, entry.next(), kind(&entry.kind));
        let range = Range { entry, rows: Vec::new(), deletes: Vec::new() };
        match self.sink.commit(&self.assignment, &range).await.context("write the choice")? {
            Outcome::Committed => {
                say!("{}: {at} goes on at {next} ({told})", self.assignment.pipeline);
                Ok(())
            }
            Outcome::Superseded => {
                bail!(
                    "a worker moved the position meanwhile; look with `position show`, and choose again"
                )
            }
        }
    }
}

async fn assignment(
    setup: &Setup,
    pipeline: &Pipeline,
    at: TopicPartition,
) -> Result<(Assignment, Bounds)> {
    let info = setup.topics.info(&at.topic).await?;
    let info = info.with_context(|| format!("there is no topic {}", at.topic))?;
    let bounds = info.partitions.get(at.partition as usize);
    let bounds = *bounds.with_context(|| format!("there is no partition {at}"))?;
    let genesis = Genesis { cluster: info.cluster, topic_id: info.id, first_offset: bounds.low };
    let fingerprint = OPERATOR.to_owned();
    Ok((Assignment { pipeline: pipeline.id(), at, genesis, fingerprint }, bounds))
}
