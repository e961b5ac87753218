//! The numbers in Prometheus' text format.

use std::sync::atomic::{AtomicI64, AtomicU64};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::book::Book;
use crate::view::{Is, PartitionView, PipelineView, WorkerView, shares};

type Labels = Vec<(&'static str, String)>;
type Whole = Family<Labels, Gauge<i64, AtomicI64>>;
type Measured = Family<Labels, Gauge<f64, AtomicU64>>;
type Counted = Family<Labels, Counter<u64, AtomicU64>>;
type Summed = Family<Labels, Counter<f64, AtomicU64>>;

/// Made anew for every scrape: a worker that has gone leaves nothing behind.
#[derive(Default)]
struct Metrics {
    up: Whole,
    memory: Whole,
    position: Whole,
    end: Whole,
    lag: Whole,
    held: Whole,
    running: Whole,
    rate: Measured,
    batch: Measured,
    batch_sum: Summed,
    batches: Counted,
    events: Counted,
    dead_letters: Counted,
    retries: Counted,
    restarts: Counted,
}

/// The whole page.
pub(crate) fn text(book: &Book) -> Result<String, std::fmt::Error> {
    let metrics = Metrics::default();
    for heard in book.workers.values() {
        metrics.take_worker(&WorkerView::of(book, heard));
    }
    for (id, shares) in shares(book) {
        let Some(view) = PipelineView::of(book, &id) else { continue };
        let plan = &view.summary.plan;
        for at in &view.by_partition {
            metrics.take_partition(&plan.app, &plan.pipeline, at);
        }
        for share in shares {
            let worker = share.heard.told.worker.id.clone();
            let labels = labels(&plan.app, &plan.pipeline, worker);
            metrics.restarts.get_or_create(&labels).inc_by(share.told.status.totals.restarts);
        }
    }
    let mut text = String::new();
    encode(&mut text, &metrics.registry())?;
    Ok(text)
}

fn labels(app: &str, pipeline: &str, worker: String) -> Labels {
    vec![("app", app.to_owned()), ("pipeline", pipeline.to_owned()), ("worker", worker)]
}

impl Metrics {
    fn take_worker(&self, worker: &WorkerView) {
        let labels: Labels = vec![
            ("app", worker.app.clone()),
            ("host", worker.host.clone()),
            ("worker", worker.id.clone()),
        ];
        self.up.get_or_create(&labels).set(i64::from(worker.state.is != Is::Silent));
        if let Some(bytes) = worker.memory_bytes {
            self.memory.get_or_create(&labels).set(bytes.try_into().unwrap_or(i64::MAX));
        }
    }

    fn take_partition(&self, app: &str, pipeline: &str, at: &PartitionView) {
        let mut labels = labels(app, pipeline, at.worker.clone());
        labels.push(("topic", at.topic.clone()));
        labels.push(("partition", at.partition.to_string()));
        self.position.get_or_create(&labels).set(at.position);
        self.end.get_or_create(&labels).set(at.end);
        self.lag.get_or_create(&labels).set(at.lag);
        self.held.get_or_create(&labels).set(at.held_bytes.try_into().unwrap_or(i64::MAX));
        self.running.get_or_create(&labels).set(i64::from(at.state.is == Is::Running));
        self.rate.get_or_create(&labels).set(at.events_per_s);
        self.batch.get_or_create(&labels).set(at.batch_last_ms.unwrap_or_default() as f64 / 1000.0);
        self.batch_sum.get_or_create(&labels).inc_by(at.batch_ms_sum as f64 / 1000.0);
        self.batches.get_or_create(&labels).inc_by(at.batches);
        self.events.get_or_create(&labels).inc_by(at.events);
        self.dead_letters.get_or_create(&labels).inc_by(at.dead_letters);
        self.retries.get_or_create(&labels).inc_by(at.retries);
    }

    fn registry(self) -> Registry {
        let mut all = Registry::with_prefix("millstream");
        all.register(
            "worker_up",
            "1 while the worker tells how it stands, 0 when it is silent",
            self.up,
        );
        all.register("worker_memory_bytes", "Memory of the worker's process", self.memory);
        all.register("position", "Next offset to be committed", self.position);
        all.register("end", "Offset the partition's next record will get", self.end);
        all.register("lag", "Offsets that wait to be committed", self.lag);
        all.register("held_bytes", "Records and rows held in memory", self.held);
        all.register(
            "partition_running",
            "1 while the partition is worked off without trouble",
            self.running,
        );
        all.register("events_per_second", "Events read, over the last 5 s", self.rate);
        all.register("batch_last_seconds", "How long the last batch took to commit", self.batch);
        // The encoder adds _total to counters.
        all.register("batch_seconds", "How long all batches took to commit", self.batch_sum);
        all.register("batches", "Batches committed", self.batches);
        all.register("events", "Events worked off", self.events);
        all.register("dead_letters", "Events that became dead letters", self.dead_letters);
        all.register("retries", "Tries that failed and were repeated", self.retries);
        all.register("restarts", "Silent partitions that were started again", self.restarts);
        all
    }
}
