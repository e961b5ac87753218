use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use millstream_engine::ledger::{Assignment, Entry};
use millstream_engine::{Outcome, Range, Sink, SinkError, Standing};
use millstream_topic::TopicPartition;

use super::commit::{self, Ours, Told};
use super::faults::Fault;
use super::seeding::{self, Watch};
use super::{opening, positions};
use crate::search::Seed;
use crate::search::owner::{Fit, compare};

/// How often is looked for builds that can go.
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// One worker's connection.
#[derive(Debug)]
pub(super) struct OpenSearchSink {
    ours: Ours,
    seed: Option<Arc<dyn Seed>>,
    /// The build that was there when we connected, or that we opened last: if that one doesn't fit, it is ours to
    /// replace.
    met: String,
    /// The build in which each partition was opened.
    opened: HashMap<TopicPartition, String>,
    /// Partitions on which other code was at work before.
    renewed: HashSet<TopicPartition>,
    told: Told,
    watch: Watch,
    /// Whether the build that we write to was seen to be served and whole.
    is_settled: bool,
    tidied: Instant,
}

impl OpenSearchSink {
    /// `met`: the build that was there when the worker connected.
    pub fn new(ours: Ours, seed: Option<Arc<dyn Seed>>, met: String) -> Self {
        Self {
            ours,
            seed,
            met,
            opened: HashMap::new(),
            renewed: HashSet::new(),
            told: HashMap::new(),
            watch: Watch::default(),
            is_settled: false,
            tidied: Instant::now(),
        }
    }

    fn told(&self, doing: &str) -> impl FnOnce(Fault) -> SinkError {
        let (place, doing) = (self.ours.place.clone(), doing.to_owned());
        move |fault| place.told(&doing, fault)
    }

    async fn settle(&mut self) -> Result<(), Fault> {
        if self.is_settled {
            return Ok(());
        }
        commit::settle(&self.ours, &self.told).await?;
        let builds = self.ours.place.look().await?;
        let is_whole = builds.current.as_ref().is_some_and(|current| current.state.ready);
        self.is_settled = builds.next.is_none() && is_whole;
        Ok(())
    }

    /// Whether the build in which partitions were opened is the one to write to.
    async fn is_current(&mut self) -> Result<bool, Fault> {
        let Some(target) = self.ours.place.look().await?.target() else { return Ok(false) };
        let (declared, schema) = (&self.ours.declared, &self.ours.schema);
        let fits = compare((&target.meta.declared, target.schema()), (declared, schema));
        // Somebody else's newer declaration is told when a partition is opened.
        let is_ours = fits != Fit::Differs || target.id != self.met;
        let is_opened = self.opened.values().all(|build| *build == target.id);
        Ok(is_opened && is_ours && !self.ours.place.is_wished_for(&target.id).await?)
    }

    async fn tidy(&mut self) -> Result<(), Fault> {
        if self.tidied.elapsed() < TIDY_EVERY.min(self.ours.grace) {
            return Ok(());
        }
        self.tidied = Instant::now();
        self.ours.place.tidy(self.ours.grace).await
    }
}

#[async_trait]
impl Sink for OpenSearchSink {
    async fn open(&mut self, assignment: &Assignment) -> Result<Standing, SinkError> {
        let doing = format!("open {} of index {}", assignment.at, self.ours.place.names.served);
        let target = opening::target(&self.ours, &self.met).await.map_err(self.told(&doing))?;
        if let Some(seed) = self.seed.clone().filter(|_| target.state.seeded.is_none()) {
            seeding::fill(&self.ours, &target, &seed, &mut self.watch).await?;
        }
        let entry = opening::entry(&self.ours, &target.id, assignment).await;
        let entry = entry.map_err(self.told(&doing))?;
        self.is_settled &= self.met == target.id;
        self.met.clone_from(&target.id);
        self.opened.insert(assignment.at.clone(), target.id);
        if entry.fingerprint != assignment.fingerprint {
            self.renewed.insert(assignment.at.clone());
        }
        Ok(Standing::At(entry))
    }

    async fn commit(
        &mut self,
        assignment: &Assignment,
        range: &Range,
    ) -> Result<Outcome, SinkError> {
        let at = &assignment.at;
        let doing = format!("commit range {} of {at}", range.entry.seq);
        let build = match self.opened.get(at) {
            Some(build) => build.clone(),
            // Nobody opened it here, an operator's choice say.
            None => self.met.clone(),
        };
        let done = commit::commit(&self.ours, (&build, self.renewed.contains(at)), at, range).await;
        let outcome = done.map_err(self.told(&doing))?;
        if outcome == Outcome::Committed
            && let Err(fault) = self.settle().await
        {
            // The range counts. Whether the build is whole is looked at again soon.
            tracing::debug!("see whether index {} is whole: {fault}", self.ours.place.names.served);
        }
        Ok(outcome)
    }

    async fn ledger(
        &mut self,
        at: &TopicPartition,
        from: u64,
        max: usize,
    ) -> Result<Vec<Entry>, SinkError> {
        let place = &self.ours.place;
        let read = async {
            match place.look().await?.target() {
                Some(target) => {
                    positions::ledger(place.server(), &target.id, at, (from, max)).await
                }
                None => Ok(Vec::new()),
            }
        };
        read.await.map_err(self.told(&format!("read the ledger of {at}")))
    }

    async fn reaches(&mut self, topic: &str, ends: &[i64]) -> Result<(), SinkError> {
        self.told.insert(topic.to_owned(), ends.to_vec());
        let doing = format!("see whether index {} is whole", self.ours.place.names.served);
        let settled = self.settle().await;
        settled.map_err(self.told(&doing))
    }

    async fn still_stands(&mut self) -> Result<bool, SinkError> {
        let doing = format!("look after index {}", self.ours.place.names.served);
        let looked = async {
            if !self.is_current().await? {
                return Ok(false);
            }
            self.settle().await?;
            self.tidy().await?;
            Ok(true)
        };
        looked.await.map_err(self.told(&doing))
    }
}
