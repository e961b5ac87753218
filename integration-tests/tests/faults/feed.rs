use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use integration_tests::stack;
use rdkafka::ClientConfig;
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::sinks::Sink;
use crate::world::PARTITIONS;

/// Records each second, in turn to all partitions.
const RATE: u64 = 90;

/// A load at a constant rate, each record with an id of its own, straight to the broker.
pub struct Feed {
    pub prefix: String,
    stop: Arc<AtomicBool>,
    work: Option<JoinHandle<Sent>>,
}

/// What the broker took.
#[derive(Debug)]
pub struct Sent {
    pub ids: Vec<String>,
    /// The last offset in each partition.
    pub last: BTreeMap<u32, i64>,
}

impl Feed {
    pub fn start(broker: &str, sink: Sink, cell: usize) -> Self {
        let prefix = format!("c{cell:03}n");
        let stop = Arc::new(AtomicBool::new(false));
        let producer: FutureProducer = ClientConfig::new()
            .set("bootstrap.servers", broker)
            // Each record once, also across a restart of the broker.
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", "120000")
            .create()
            .expect("make a producer");
        let work = produce(producer, sink, cell, prefix.clone(), stop.clone());
        #[allow(clippy::async_yields_async, reason = "it is waited for when the load ends")]
        let work = stack::block_on(async { tokio::spawn(work) });
        Self { prefix, stop, work: Some(work) }
    }

    /// Ends it when the broker has taken all.
    pub fn end(mut self) -> Sent {
        self.stop.store(true, Ordering::SeqCst);
        let work = self.work.take().expect("it is at work");
        stack::block_on(work).expect("the load goes on")
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

async fn produce(
    producer: FutureProducer,
    sink: Sink,
    cell: usize,
    prefix: String,
    stop: Arc<AtomicBool>,
) -> Sent {
    let mut ticks = interval(Duration::from_micros(1_000_000 / RATE));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sent: Vec<(String, DeliveryFuture)> = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        ticks.tick().await;
        let id = format!("{prefix}{:05}", sent.len());
        let value = sink.value(cell, &id);
        let partition = (sent.len() as u32 % PARTITIONS) as i32;
        let record = FutureRecord::to(sink.topic()).partition(partition).key(&id).payload(&value);
        let sending = producer.send_result(record);
        let sending = sending.map_err(|(error, _)| error).expect("there is room to send");
        sent.push((id, sending));
    }
    let mut taken = Sent { ids: Vec::new(), last: BTreeMap::new() };
    for (id, sending) in sent {
        let at = sending.await.expect("an answer").map_err(|(error, _)| error);
        let at = at.expect("the broker takes it");
        let last = taken.last.entry(at.partition as u32).or_insert(at.offset);
        *last = at.offset.max(*last);
        taken.ids.push(id);
    }
    taken
}
