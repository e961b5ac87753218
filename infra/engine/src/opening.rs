//! What is checked before a partition is worked on: that its position still points into its topic.

use millstream_topic::{Backend, Bounds, TopicError, TopicPartition, UNKNOWN_ID};

use crate::ledger::{Assignment, Entry, EntryKind, Genesis};
use crate::sink::{Sink, SinkError, Standing};

/// Why a partition can't be worked on now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Blocked {
    #[error(transparent)]
    Topic(#[from] TopicError),
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error("{0}")]
    Stop(String),
}

impl Blocked {
    pub(crate) fn is_retryable(&self) -> bool {
        match self {
            Self::Topic(error) => error.is_retryable(),
            Self::Sink(error) => error.is_retryable(),
            Self::Stop(_) => false,
        }
    }
}

/// Where the partition stands, once it is certain that it stands on the same log.
pub(crate) async fn open(
    topics: &dyn Backend,
    sink: &mut dyn Sink,
    pipeline: &str,
    fingerprint: &str,
    at: &TopicPartition,
) -> Result<(Assignment, Standing, Bounds), Blocked> {
    let mut looked = look(topics, sink, pipeline, fingerprint, at).await?;
    let mut ended = None;
    // Records came after the topic was looked at, and another worker has them in the sink already; a log that is damaged
    // ends where it ended.
    while looked.standing.entry().next() > looked.bounds.end
        && ended.replace(looked.bounds.end) != Some(looked.bounds.end)
    {
        looked = look(topics, sink, pipeline, fingerprint, at).await?;
    }
    let Looked { assignment, standing, bounds, ends } = looked;
    check(topics, &assignment, standing.entry(), bounds).await?;
    sink.reaches(&at.topic, &ends).await?;
    Ok((assignment, standing, bounds))
}

/// Topic and sink, one after the other: between the two anybody may have done anything.
struct Looked {
    assignment: Assignment,
    standing: Standing,
    bounds: Bounds,
    /// Of all the topic's partitions.
    ends: Vec<i64>,
}

async fn look(
    topics: &dyn Backend,
    sink: &mut dyn Sink,
    pipeline: &str,
    fingerprint: &str,
    at: &TopicPartition,
) -> Result<Looked, Blocked> {
    let info = topics.info(&at.topic).await?;
    let info = info.ok_or_else(|| Blocked::Stop(format!("topic {} is gone", at.topic)))?;
    let bounds = info.partitions.get(at.partition as usize).copied();
    let bounds = bounds.ok_or_else(|| Blocked::Stop(format!("partition {at} is gone")))?;
    let genesis = Genesis { cluster: info.cluster, topic_id: info.id, first_offset: bounds.low };
    let assignment = Assignment {
        pipeline: pipeline.to_owned(),
        at: at.clone(),
        genesis,
        fingerprint: fingerprint.to_owned(),
    };
    let standing = sink.open(&assignment).await?;
    let ends = info.partitions.iter().map(|bounds| bounds.end).collect();
    Ok(Looked { assignment, standing, bounds, ends })
}

async fn check(
    topics: &dyn Backend,
    assignment: &Assignment,
    last: &Entry,
    bounds: Bounds,
) -> Result<(), Blocked> {
    let (at, next) = (&assignment.at, last.next());
    let genesis = &assignment.genesis;
    let command = |verb: &str| {
        format!("millstream position {verb} {} {} {}", assignment.pipeline, at.topic, at.partition)
    };
    if genesis.topic_id == UNKNOWN_ID && last.topic_id != UNKNOWN_ID {
        let doing = format!("look at topic {}", at.topic);
        return Err(TopicError::unavailable(doing, "the brokers don't tell its id just now").into());
    }
    if last.topic_id != genesis.topic_id || last.cluster != genesis.cluster {
        return Err(Blocked::Stop(format!(
            "topic {} is not the one whose records were counted up to {next}: it was deleted and \
             recreated, or lives in another cluster; restore it, or count the new one from its start: {}",
            at.topic,
            command("adopt-topic"),
        )));
    }
    if next > bounds.end {
        return Err(Blocked::Stop(format!(
            "{at} ends at {} but its position is {next}: records that were worked off are gone from the \
             log (power loss or restored backup?); restore the log, or go on where it ends now: {}",
            bounds.end,
            command("adopt-topic"),
        )));
    }
    if next < bounds.low {
        return Err(Blocked::Stop(format!(
            "offsets {next}..={} of {at} were dropped by retention before they were worked off; restore \
             them, or give them up: {} --from {next} --to {} --reason \"…\"",
            bounds.low - 1,
            command("skip"),
            bounds.low - 1,
        )));
    }
    same_last_record(topics, at, last, &command("adopt-topic")).await
}

/// The record the position rests on must still be the one that was seen.
async fn same_last_record(
    topics: &dyn Backend,
    at: &TopicPartition,
    last: &Entry,
    remedy: &str,
) -> Result<(), Blocked> {
    let Some(seen) = last.last.filter(|_| last.kind != EntryKind::AdoptTopic) else {
        return Ok(());
    };
    let there = topics.read(at, seen.offset, 1).await?;
    // Retention or compaction may have dropped it: then there is nothing to compare with.
    let same = there.records.first().filter(|record| record.offset == seen.offset);
    if same.is_none_or(|record| record.checksum() == seen.checksum) {
        return Ok(());
    }
    Err(Blocked::Stop(format!(
        "record {} of {at} is not the one that was worked off: the log was replaced; restore it, or accept \
         it as it is: {remedy}",
        seen.offset,
    )))
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use millstream_topic::memory::Memory;
    use millstream_topic::{Outgoing, Topic, Topics};

    use super::*;
    use crate::sink::{Outcome, Range};

    /// A sink that another worker brings forward, by records that came after the topic was looked at.
    struct Moving(Memory);

    #[async_trait]
    impl Sink for Moving {
        async fn open(&mut self, assignment: &Assignment) -> Result<Standing, SinkError> {
            self.0.append("events", vec![Outgoing::keyed("k", "v")]).await.unwrap();
            Ok(Standing::At(Entry { seq: 1, end: 0, ..Entry::genesis(assignment, 0) }))
        }

        async fn commit(&mut self, _: &Assignment, _: &Range) -> Result<Outcome, SinkError> {
            unreachable!("nothing is committed")
        }

        async fn ledger(
            &mut self,
            _: &TopicPartition,
            _: u64,
            _: usize,
        ) -> Result<Vec<Entry>, SinkError> {
            unreachable!("nobody reads it")
        }
    }

    #[tokio::test]
    async fn records_that_came_after_the_first_look_are_no_damaged_log() {
        let topics = Memory::new();
        topics.ensure(&Topic::new("events").partitions(1)).await.unwrap();
        let mut sink = Moving(topics.clone());
        let at = TopicPartition::new("events", 0);
        let (_, standing, bounds) =
            open(&topics, &mut sink, "app.pipeline", "f", &at).await.unwrap();
        assert!(standing.entry().next() <= bounds.end, "{standing:?}, {bounds:?}");
    }
}
