use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use millstream_engine::ledger::{Assignment, Entry};
use millstream_engine::{About, Keeping, Outcome, Range, Sink, SinkError, Standing, Target};
use millstream_topic::TopicPartition;

use super::builds::{Place, now_ms};
use super::commit::{self, Ours, Told};
use super::faults::Fault;
use super::seeding::{self, Watch};
use super::server::OpenSearch;
use super::{mapping, opening, positions, scan};
use crate::search::changes;
use crate::search::owner::{Fit, compare, nullable};
use crate::search::{Index, Seed};

/// A little longer than anybody reads one state of an index.
const GRACE: Duration = Duration::from_secs(15 * 60);
/// How often is looked for builds that can go.
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// A search index on a server as a target. Rows carry whole values: null overwrites.
///
/// A write counts if its version is higher than what the key has, be that a row or a deletion; of equal versions the
/// first that came stays.
#[derive(Clone, Debug)]
pub struct OpenSearchTarget {
    place: Place,
    seed: Option<Arc<dyn Seed>>,
    grace: Duration,
}

impl OpenSearchTarget {
    pub fn new(at: OpenSearch, index: &Index, seed: Option<Arc<dyn Seed>>) -> Self {
        Self { place: Place::new(at, index), seed, grace: GRACE }
    }

    /// How long a build stays after another one took its place, for those who are reading it: 15 minutes if this isn't
    /// said.
    pub fn keep_replaced_for(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    async fn wish(&self) -> Result<(), Fault> {
        match self.place.look().await?.target() {
            Some(target) => self.place.wish(&target.id).await,
            // The first build is still to come, and is a new one.
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Target for OpenSearchTarget {
    fn about(&self) -> About {
        let index = &self.place.index;
        About {
            table: index.name.to_owned(),
            place: format!(
                "{} index {}",
                self.place.server().origin.shown,
                self.place.names.served
            ),
            keeping: Keeping::Upsert { key: vec![index.key.to_owned()] },
            required: vec![index.key.to_owned()],
        }
    }

    async fn connect(
        &self,
        pipeline: &str,
        schema: &SchemaRef,
    ) -> Result<Box<dyn Sink>, SinkError> {
        changes::check(&self.place.index, schema)?;
        let ours = Ours {
            place: self.place.clone(),
            pipeline: pipeline.to_owned(),
            schema: nullable(schema),
            declared: mapping::declaration(&self.place.index),
            writer: writer(),
            grace: self.grace,
        };
        let doing = format!("connect to index {}", self.place.names.served);
        let met = async {
            self.place.server().dialect().await?;
            opening::meet(&ours).await
        };
        let met = met.await.map_err(|fault| self.place.told(&doing, fault))?.id;
        Ok(Box::new(OpenSearchSink {
            ours,
            seed: self.seed.clone(),
            met,
            opened: HashMap::new(),
            told: HashMap::new(),
            watch: Watch::default(),
            is_settled: false,
            tidied: Instant::now(),
        }))
    }

    /// What is there is served until the new build has all that the topic held.
    fn rebuild(&self) -> Result<(), SinkError> {
        // Whoever calls this may hold a runtime's thread, so the request goes out on another one.
        let place = Place { at: self.place.at.anew(), ..self.place.clone() };
        let aside = Self { place, ..self.clone() };
        let doing = format!("ask for a new build of index {}", self.place.names.served);
        let ask = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map(|runtime| runtime.block_on(aside.wish()))
        });
        match ask.join() {
            Ok(Ok(asked)) => asked.map_err(|fault| self.place.told(&doing, fault)),
            Ok(Err(error)) => Err(SinkError::unavailable(doing, error)),
            Err(_) => Err(SinkError::unavailable(doing, "it was broken off")),
        }
    }

    async fn scan(
        &self,
        pipeline: &str,
        visit: &mut (dyn FnMut(RecordBatch) -> Result<(), SinkError> + Send),
    ) -> Result<(), SinkError> {
        let read = scan::read(&self.place, pipeline, visit).await;
        let doing = || format!("read index {}", self.place.names.served);
        read.map_err(|fault| self.place.told(&doing(), fault))
    }
}

/// A name that nobody else has: host, process, time, count.
fn writer() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let host = std::env::var("HOSTNAME").unwrap_or_default();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut chance = [0; 8];
    // Without chance the other parts still tell workers of one machine apart.
    let _ = openssl::rand::rand_bytes(&mut chance);
    format!(
        "{host}-{}-{}-{count}-{:016x}",
        std::process::id(),
        now_ms(),
        u64::from_le_bytes(chance)
    )
}

/// One worker's connection.
#[derive(Debug)]
struct OpenSearchSink {
    ours: Ours,
    seed: Option<Arc<dyn Seed>>,
    /// The build that was there when we connected, or that we opened last: if that one doesn't fit, it is ours to
    /// replace.
    met: String,
    /// The build in which each partition was opened.
    opened: HashMap<TopicPartition, String>,
    told: Told,
    watch: Watch,
    /// Whether the build that we write to was seen to be served and whole.
    is_settled: bool,
    tidied: Instant,
}

impl OpenSearchSink {
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
        let done = commit::commit(&self.ours, &build, at, range).await;
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
