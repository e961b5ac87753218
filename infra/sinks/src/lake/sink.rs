use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use millstream_engine::ledger::{Assignment, Entry};
use millstream_engine::{Outcome, Range, Sink, SinkError, Standing};
use millstream_topic::TopicPartition;

use super::catalog::{Registrar, directories};
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
    /// `None`: nobody reads its directories by a catalog.
    pub registrar: Option<Registrar>,
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
    /// Hive partitions of the last committed range, as directories of the table.
    pub directories: Vec<String>,
}

impl Known {
    pub fn after(plan: &Plan, checkpoint: Option<u64>) -> Self {
        let (last, after) = (plan.entry.clone(), plan.attempt);
        let directories =
            directories(&plan.table, plan.files.iter().map(|file| file.path.as_str()));
        Self { last, after, attempt: 0, left_to_us: false, checkpoint, directories }
    }
}

#[async_trait]
impl Sink for LakeSink {
    async fn open(&mut self, assignment: &Assignment) -> Result<Standing, SinkError> {
        self.standings.remove(&assignment.at);
        let (standing, known) = self.find_standing(assignment).await?;
        // Whoever committed it may have died before it was.
        self.register(&known).await?;
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
        self.register(&known).await?;
        if seq <= known.last.seq {
            return self.repeat(&draft).await;
        }
        match self.commit_after(known, &draft).await? {
            Some(known) => {
                self.standings.insert(at.clone(), known.clone());
                // After an error the same range comes again: its rows count already, and only this is left to do.
                self.register(&known).await?;
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

    /// Sees to it that readers who go by a catalog find the last committed range.
    async fn register(&mut self, known: &Known) -> Result<(), SinkError> {
        match &mut self.registrar {
            Some(registrar) => registrar.register(&known.directories).await,
            None => Ok(()),
        }
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
