//! A table in memory as a worker reaches it.

use std::sync::{Arc, Mutex};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use millstream_engine::ledger::{Assignment, Entry};
use millstream_engine::{About, Outcome, Range, Sink, SinkError, Standing, Target};
use millstream_topic::TopicPartition;

use crate::mutants::Mutant;
use crate::topics::at_once;
use crate::wire::Wire;

#[derive(Debug)]
pub struct Reached {
    pub target: Arc<dyn Target>,
    pub wire: Arc<Wire>,
    pub mutant: Mutant,
}

type Shared = Arc<Mutex<Box<dyn Sink>>>;

#[async_trait]
impl Target for Reached {
    fn about(&self) -> About {
        self.target.about()
    }

    async fn connect(
        &self,
        pipeline: &str,
        schema: &SchemaRef,
    ) -> Result<Box<dyn Sink>, SinkError> {
        let (target, pipeline, schema) = (self.target.clone(), pipeline.to_owned(), schema.clone());
        let connect = move || at_once(target.connect(&pipeline, &schema));
        let sent = self.wire.send("connect".to_owned(), connect).await;
        let sink = sent.map_err(|why| SinkError::unavailable("connect", why))??;
        let (wire, mutant) = (self.wire.clone(), self.mutant);
        Ok(Box::new(Connection { sink: Arc::new(Mutex::new(sink)), wire, mutant }))
    }

    async fn scan(
        &self,
        pipeline: &str,
        visit: &mut (dyn FnMut(RecordBatch) -> Result<(), SinkError> + Send),
    ) -> Result<(), SinkError> {
        self.target.scan(pipeline, visit).await
    }
}

struct Connection {
    sink: Shared,
    wire: Arc<Wire>,
    mutant: Mutant,
}

impl Connection {
    async fn ask<T: Send + 'static>(
        &self,
        what: String,
        effect: impl FnOnce(&mut dyn Sink) -> Result<T, SinkError> + Send + 'static,
    ) -> Result<T, SinkError> {
        let sink = self.sink.clone();
        let sent = self.wire.send(what.clone(), move || effect(&mut **sink.lock().unwrap())).await;
        sent.map_err(|why| SinkError::unavailable(what, why))?
    }
}

#[async_trait]
impl Sink for Connection {
    async fn open(&mut self, assignment: &Assignment) -> Result<Standing, SinkError> {
        let assignment = assignment.clone();
        let what = format!("open {}", assignment.at);
        self.ask(what, move |sink| at_once(sink.open(&assignment))).await
    }

    async fn commit(
        &mut self,
        assignment: &Assignment,
        range: &Range,
    ) -> Result<Outcome, SinkError> {
        let Entry { seq, start, end, .. } = range.entry;
        let what = format!("commit {} {seq}: {start}..={end}", assignment.at);
        let (assignment, mut range) = (assignment.clone(), range.clone());
        let fenceless = self.mutant == Mutant::NoFence;
        let tears = self.mutant == Mutant::TearsCommits && self.wire.happens(100);
        self.ask(what, move |sink| {
            if fenceless {
                let entries = at_once(sink.ledger(&assignment.at, 0, usize::MAX))?;
                range.entry.seq = entries.last().map_or(0, |last| last.seq + 1);
            }
            if tears {
                range.rows.pop();
            }
            at_once(sink.commit(&assignment, &range))
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
        let what = format!("ledger {at} from {from}");
        self.ask(what, move |sink| at_once(sink.ledger(&at, from, max))).await
    }
}
