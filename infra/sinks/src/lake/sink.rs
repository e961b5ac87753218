use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use millstream_engine::ledger::{Assignment, Entry};
use millstream_engine::{Outcome, Range, Sink, SinkError, Standing};
use millstream_topic::TopicPartition;

use super::format::Layout;
use super::history::{History, Newest};
use super::keys;
use super::plan::Plan;
use super::store::Store;

/// One worker's connection to a table of the lake. Opening is in `open`, committing in `commit`.
#[derive(Debug)]
pub(super) struct LakeSink {
    pub store: Arc<dyn Store>,
    pub table: String,
    pub layout: Arc<Layout>,
    /// Ranges per checkpoint.
    pub checkpoint_every: u64,
    pub standings: HashMap<TopicPartition, Known>,
}

/// What this worker knows about a partition. It may be outdated: the store decides.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// The last committed range.
    pub last: Entry,
    /// The try it was committed with.
    pub after: u32,
    /// The next range's try.
    pub attempt: u32,
    /// That try has a plan already, which can be finished only by reading its range again: that is up to us, and so
    /// is ending it should the range read differently now.
    pub left_to_us: bool,
    /// The newest checkpoint.
    pub checkpoint: Option<u64>,
}

impl Known {
    pub fn after(plan: &Plan, checkpoint: Option<u64>) -> Self {
        let (last, after) = (plan.entry.clone(), plan.attempt);
        Self { last, after, attempt: 0, left_to_us: false, checkpoint }
    }
}

#[async_trait]
impl Sink for LakeSink {
    async fn open(&mut self, assignment: &Assignment) -> Result<Standing, SinkError> {
        self.standings.remove(&assignment.at);
        let (standing, known) = self.find_standing(assignment).await?;
        self.standings.insert(assignment.at.clone(), known);
        Ok(standing)
    }

    async fn commit(
        &mut self,
        assignment: &Assignment,
        range: &Range,
    ) -> Result<Outcome, SinkError> {
        let at = &assignment.at;
        let draft = self.draft(at, range).await?;
        let seq = range.entry.seq;
        let known = match self.standings.remove(at) {
            Some(known) if known.last.seq + 1 == seq => Some(known),
            _ => self.look_up(&draft.prefix).await?,
        };
        let Some(known) = known.filter(|known| seq <= known.last.seq + 1) else {
            return Ok(Outcome::Superseded);
        };
        // Kept over an error: the engine tries again, and the try may still be left to us.
        self.standings.insert(at.clone(), known.clone());
        if seq <= known.last.seq {
            return self.repeat(&draft).await;
        }
        match self.commit_after(known, &draft).await? {
            Some(known) => {
                self.standings.insert(at.clone(), known);
                Ok(Outcome::Committed)
            }
            None => {
                self.standings.remove(at);
                Ok(Outcome::Superseded)
            }
        }
    }

    async fn ledger(
        &mut self,
        at: &TopicPartition,
        from: u64,
        max: usize,
    ) -> Result<Vec<Entry>, SinkError> {
        let prefix = keys::partition(&self.layout.pipeline, at);
        let plans = self.history(&prefix).committed(from, max).await?;
        Ok(plans.into_iter().map(|plan| plan.entry).collect())
    }
}

impl LakeSink {
    pub fn history<'a>(&'a self, prefix: &'a str) -> History<'a> {
        History { store: &*self.store, prefix }
    }

    /// The partition as it is, for a worker that has not opened it; `None`: it has no genesis.
    async fn look_up(&self, prefix: &str) -> Result<Option<Known>, SinkError> {
        let (newest, checkpoint) = self.history(prefix).newest().await?;
        match newest {
            Newest::Committed(plan) => Ok(Some(Known::after(&plan, checkpoint))),
            Newest::Uncommitted { plan, before: Some(before), abandoned } => {
                if abandoned {
                    self.empty_files(&plan).await?;
                }
                let attempt = plan.attempt + u32::from(abandoned);
                Ok(Some(Known { attempt, ..Known::after(&before, checkpoint) }))
            }
            _ => Ok(None),
        }
    }
}
