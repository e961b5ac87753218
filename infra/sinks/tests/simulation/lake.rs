//! A lake's store as a worker reaches it, object by object.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use bytes::Bytes;
use millstream_engine::ledger::{Assignment, Entry};
use millstream_engine::{About, Outcome, Range, Sink, SinkError, Standing, Target};
use millstream_sinks::lake::{Listed, MemoryStore, Put, Store, Stored};
use millstream_topic::TopicPartition;

use crate::mutants::Mutant;
use crate::topics::at_once;
use crate::wire::Wire;

#[derive(Debug)]
pub struct Reached {
    pub store: MemoryStore,
    pub wire: Arc<Wire>,
    pub mutant: Mutant,
}

impl Reached {
    async fn ask<T: Send + 'static>(
        &self,
        what: String,
        effect: impl FnOnce(&MemoryStore) -> Result<T, SinkError> + Send + 'static,
    ) -> Result<T, SinkError> {
        let store = self.store.clone();
        let sent = self.wire.send(what.clone(), move || effect(&store)).await;
        sent.map_err(|why| SinkError::unavailable(what, why))?
    }
}

#[async_trait]
impl Store for Reached {
    async fn put(&self, path: &str, bytes: Bytes, how: Put) -> Result<Stored, SinkError> {
        let path = path.to_owned();
        let overwrites = self.mutant == Mutant::Overwrites;
        let how = if overwrites { Put::Overwrite } else { how };
        let what = format!("put {path} {how:?}");
        self.ask(what, move |store| at_once(store.put(&path, bytes, how))).await
    }

    async fn get(&self, path: &str) -> Result<Option<Bytes>, SinkError> {
        let path = path.to_owned();
        self.ask(format!("get {path}"), move |store| at_once(store.get(&path))).await
    }

    async fn list(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        max: usize,
    ) -> Result<Vec<Listed>, SinkError> {
        let (prefix, after) = (prefix.to_owned(), start_after.map(str::to_owned));
        let what = format!("list {prefix}");
        let hides = self.mutant == Mutant::HidesPlans;
        self.ask(what, move |store| {
            let mut listed = at_once(store.list(&prefix, after.as_deref(), max))?;
            if hides {
                let ends: Vec<_> = listed.iter().map(|one| one.path.clone()).collect();
                let open = |path: &str| {
                    path.strip_suffix(".plan")
                        .is_some_and(|of| !ends.contains(&format!("{of}.end")))
                };
                listed.retain(|one| !open(&one.path));
            }
            Ok(listed)
        })
        .await
    }

    fn place(&self) -> String {
        "memory://".to_owned()
    }
}

/// A lake whose worker hears nothing of plans that were begun.
#[derive(Debug)]
pub struct Forgetful(pub Arc<dyn Target>);

#[async_trait]
impl Target for Forgetful {
    fn about(&self) -> About {
        self.0.about()
    }

    async fn connect(
        &self,
        pipeline: &str,
        schema: &SchemaRef,
    ) -> Result<Box<dyn Sink>, SinkError> {
        Ok(Box::new(ForgetfulSink(self.0.connect(pipeline, schema).await?)))
    }

    async fn scan(
        &self,
        pipeline: &str,
        visit: &mut (dyn FnMut(RecordBatch) -> Result<(), SinkError> + Send),
    ) -> Result<(), SinkError> {
        self.0.scan(pipeline, visit).await
    }
}

struct ForgetfulSink(Box<dyn Sink>);

#[async_trait]
impl Sink for ForgetfulSink {
    async fn open(&mut self, assignment: &Assignment) -> Result<Standing, SinkError> {
        Ok(Standing::At(self.0.open(assignment).await?.entry().clone()))
    }

    async fn commit(
        &mut self,
        assignment: &Assignment,
        range: &Range,
    ) -> Result<Outcome, SinkError> {
        self.0.commit(assignment, range).await
    }

    async fn ledger(
        &mut self,
        at: &TopicPartition,
        from: u64,
        max: usize,
    ) -> Result<Vec<Entry>, SinkError> {
        self.0.ledger(at, from, max).await
    }
}
