use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use millstream_engine::{About, Keeping, Sink, SinkError, Target};

use super::builds::{Place, now_ms};
use super::commit::Ours;
use super::faults::Fault;
use super::server::OpenSearch;
use super::sink::OpenSearchSink;
use super::{mapping, opening, scan};
use crate::search::owner::nullable;
use crate::search::{Index, Seed, changes};

/// A little longer than anybody reads one state of an index.
const GRACE: Duration = Duration::from_secs(15 * 60);

/// A search index on a server as a target. Rows carry whole values: null overwrites.
///
/// A write counts if its version is higher than what the key has, be that a row or a deletion; of equal versions the
/// first that came stays, unless other code made it.
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
        Ok(Box::new(OpenSearchSink::new(ours, self.seed.clone(), met)))
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
