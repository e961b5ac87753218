use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use millstream_engine::ledger::{Assignment, Entry};
use millstream_engine::{About, Keeping, Outcome, Range, Sink, SinkError, Standing, Target};
use millstream_topic::TopicPartition;
use tokio::sync::mpsc;

use super::builds::Place;
use super::changes::{self, Changes};
use super::commit::{self, Ours};
use super::faults::Fault;
use super::fields::Fields;
use super::index::{Index, Seed};
use super::opening::{self, Opened};
use super::owner::nullable;
use super::{positions, scan, seeding, session};

/// How many batches a scan may be ahead of its reader.
const AHEAD: usize = 2;

/// A search index as a target. Rows carry whole values: null overwrites.
///
/// A write counts if its version is higher than what the key has, be that a row or a deletion; of equal versions the
/// first that came stays.
#[derive(Clone, Debug)]
pub struct SearchTarget {
    place: Place,
    index: Index,
    seed: Option<Arc<dyn Seed>>,
}

impl SearchTarget {
    /// `search`: the directory of all indexes.
    pub fn new(search: &std::path::Path, index: &Index, seed: Option<Arc<dyn Seed>>) -> Self {
        Self { place: Place::new(search, index.name), index: *index, seed }
    }
}

#[async_trait]
impl Target for SearchTarget {
    fn about(&self) -> About {
        About {
            table: self.index.name.to_owned(),
            place: format!("tantivy://{}", self.place.path().display()),
            keeping: Keeping::Upsert { key: vec![self.index.key.to_owned()] },
            required: vec![self.index.key.to_owned()],
        }
    }

    async fn connect(
        &self,
        pipeline: &str,
        schema: &SchemaRef,
    ) -> Result<Box<dyn Sink>, SinkError> {
        changes::check(&self.index, schema)?;
        let ours = Arc::new(Ours {
            place: self.place.clone(),
            index: self.index,
            pipeline: pipeline.to_owned(),
            schema: nullable(schema),
            declared: self.index.declaration(),
        });
        let doing = format!("connect to index {}", self.index.name);
        let met = ours.clone().work(doing, opening::meet).await?;
        let (opened, told) = (HashMap::new(), HashMap::new());
        Ok(Box::new(SearchSink { ours, seed: self.seed.clone(), met, opened, told }))
    }

    /// What is there is served until the new build has all that the topic held.
    fn rebuild(&self) -> Result<(), SinkError> {
        let asked = self.place.ask_for_rebuild();
        asked.map_err(|fault| fault.told("ask for a new build of the index", self.place.path()))
    }

    async fn scan(
        &self,
        pipeline: &str,
        visit: &mut (dyn FnMut(RecordBatch) -> Result<(), SinkError> + Send),
    ) -> Result<(), SinkError> {
        let (sender, mut batches) = mpsc::channel(AHEAD);
        let (place, index, pipeline) = (self.place.clone(), self.index, pipeline.to_owned());
        let doing = format!("read index {}", self.index.name);
        let reading = tokio::task::spawn_blocking(move || {
            let mut send = |batch| sender.blocking_send(batch).is_ok();
            scan::read(&place, &index, &pipeline, &mut send)
                .map_err(|fault| fault.told(&doing, place.path()))
        });
        while let Some(batch) = batches.recv().await {
            visit(batch)?;
        }
        reading.await.map_err(|error| SinkError::unavailable("read an index", error))?
    }
}

/// One worker's connection. Work goes on blocking threads and is finished even if the worker doesn't wait for it.
#[derive(Debug)]
struct SearchSink {
    ours: Arc<Ours>,
    seed: Option<Arc<dyn Seed>>,
    /// The build that was there when we connected: if that one doesn't fit, it is ours to replace.
    met: String,
    /// The build in which each partition was opened.
    opened: HashMap<TopicPartition, String>,
    /// Topics and how far each of their partitions reached when it was opened.
    told: HashMap<String, Vec<i64>>,
}

#[async_trait]
impl Sink for SearchSink {
    async fn open(&mut self, assignment: &Assignment) -> Result<Standing, SinkError> {
        let (at, met) = (assignment.clone(), self.met.clone());
        let doing = format!("open {} of index {}", at.at, self.ours.index.name);
        let has_seed = self.seed.is_some();
        let opened = self
            .ours
            .clone()
            .work(doing.clone(), move |ours| opening::open(ours, &at, &met, has_seed))
            .await?;
        let (id, entry) = match (opened, self.seed.clone()) {
            (Opened::At(id, entry), _) => (id, entry),
            (Opened::New(locked), seed) => {
                let locked = match seed.filter(|_| locked.needs_seed) {
                    None => locked,
                    Some(seed) => seeding::fill(&self.ours, locked, seed).await?,
                };
                let at = assignment.clone();
                let work = move |ours: &Ours| opening::genesis(ours, &locked, &at);
                self.ours.clone().work(doing, work).await?
            }
        };
        self.met.clone_from(&id);
        self.opened.insert(assignment.at.clone(), id);
        Ok(Standing::At(entry))
    }

    async fn commit(
        &mut self,
        assignment: &Assignment,
        range: &Range,
    ) -> Result<Outcome, SinkError> {
        let (at, range) = (assignment.at.clone(), range.clone());
        let opened = self.opened.get(&at).cloned();
        let told = self.told.clone();
        let doing = format!("commit range {} of {at}", range.entry.seq);
        self.ours
            .clone()
            .work(doing, move |ours| {
                let changes = Changes::of(&ours.index, &range.rows, &range.deletes)?;
                commit::commit(ours, opened.as_deref(), &at, &range.entry, &changes, &told)
            })
            .await
    }

    async fn ledger(
        &mut self,
        at: &TopicPartition,
        from: u64,
        max: usize,
    ) -> Result<Vec<Entry>, SinkError> {
        let at = at.clone();
        let doing = format!("read the ledger of {at}");
        let read = move |ours: &Ours| -> Result<_, Fault> {
            let Some(target) = ours.place.target()? else { return Ok(Vec::new()) };
            let (store, reader) = session::open(&ours.place.build_path(&target.id))?;
            let fields = Fields::of(&ours.index, &store.schema())?;
            positions::ledger(&reader.searcher(), &fields, &at, (from, max))
        };
        self.ours.clone().work(doing, read).await
    }

    async fn reaches(&mut self, topic: &str, ends: &[i64]) -> Result<(), SinkError> {
        self.told.insert(topic.to_owned(), ends.to_vec());
        let told = self.told.clone();
        let doing = format!("see whether index {} is whole", self.ours.index.name);
        self.ours.clone().work(doing, move |ours| commit::settle(ours, &told)).await
    }

    async fn still_stands(&mut self) -> Result<bool, SinkError> {
        let opened = self.opened.clone();
        let doing = format!("look after index {}", self.ours.index.name);
        let look = move |ours: &Ours| -> Result<bool, Fault> {
            let Some(target) = ours.place.target()? else { return Ok(false) };
            let is_opened = opened.values().all(|id| *id == target.id);
            Ok(is_opened && !ours.place.is_rebuild_asked_for())
        };
        self.ours.clone().work(doing, look).await
    }
}
