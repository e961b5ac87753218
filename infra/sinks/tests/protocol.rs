//! The range protocol under everything at once: batch sizes, workers that are killed or hang between any two
//! I/Os, lost replies, a second worker on the same partitions, and code that changes in between. Whatever
//! happens, each event is in the lake exactly once. The engine is the one that runs in production.
#![cfg(test)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use futures::FutureExt;
use millstream_engine::verify::verify;
use millstream_engine::{Options, Pipeline, Roll, Status, SystemClock, Target, World, run};
use millstream_sinks::lake::{Format, Hook, Lake, MemoryStore};
use millstream_topic::memory::Memory;
use millstream_topic::{Outgoing, Topic, Topics};
use proptest::prelude::*;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const EVENTS: Topic = Topic::new("events").keyed_by("n").partitions(2).schema(schema);

/// Two versions of the code, which put the same rows into other Hive partitions.
const CODES: [&str; 2] = [
    "SELECT n, CAST(n % 3 AS VARCHAR) AS part FROM events",
    "SELECT n, CASE WHEN n % 2 = 0 THEN 'even' ELSE 'odd' END AS part FROM events",
];

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]))
}

#[derive(Clone, Debug)]
enum Step {
    Send(u8),
    Wait(u16),
    /// Kills the worker in that seat and starts another one.
    Start {
        seat: usize,
        records: usize,
        code: usize,
    },
    Kill {
        seat: usize,
    },
    /// From its `after`-th I/O on, the worker hangs: it is dead, or it is a zombie to be.
    Hang {
        seat: usize,
        after: usize,
    },
    Wake {
        seat: usize,
    },
    Lose {
        seat: usize,
        replies: usize,
    },
    Fail {
        seat: usize,
        calls: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let seat = 0..2_usize;
    prop_oneof![
        4 => (1..=120_u8).prop_map(Step::Send),
        4 => (0..3_000_u16).prop_map(Step::Wait),
        3 => (seat.clone(), 1..200_usize, 0..2_usize)
            .prop_map(|(seat, records, code)| Step::Start { seat, records, code }),
        1 => seat.clone().prop_map(|seat| Step::Kill { seat }),
        2 => (seat.clone(), 0..12_usize).prop_map(|(seat, after)| Step::Hang { seat, after }),
        2 => seat.clone().prop_map(|seat| Step::Wake { seat }),
        2 => (seat.clone(), 1..4_usize).prop_map(|(seat, replies)| Step::Lose { seat, replies }),
        1 => (seat, 1..4_usize).prop_map(|(seat, calls)| Step::Fail { seat, calls }),
    ]
}

struct Stage {
    topics: Memory,
    store: MemoryStore,
    seats: [Option<Seat>; 2],
    sent: i64,
}

/// A worker with its own way to the store.
struct Seat {
    client: MemoryStore,
    task: JoinHandle<()>,
}

impl Stage {
    async fn new(deliver_at_most: usize) -> Self {
        let topics = Memory::new();
        topics.deliver_at_most(deliver_at_most);
        topics.ensure(&EVENTS).await.expect("make the topic");
        Self { topics, store: MemoryStore::new(), seats: [None, None], sent: 0 }
    }

    fn world(&self) -> World {
        World { topics: Arc::new(self.topics.clone()), clock: Arc::new(SystemClock), seed: 1 }
    }

    /// Every seat has a group of its own, so that both have every partition: the sink alone fences them.
    fn pipeline(client: &MemoryStore, code: usize, records: usize, group: &str) -> Pipeline {
        let lake = Lake::new(Arc::new(client.clone()), "events", Format::Csv, &["part"]);
        Pipeline::from("test", "events", &EVENTS)
            .sql(CODES[code])
            .expect("the SQL is row-wise")
            .into(Arc::new(lake.checkpoint_every(7)))
            .roll(Roll { every: Duration::from_millis(700), records, bytes: 1 << 20 })
            .group(group)
    }

    async fn step(&mut self, step: &Step) {
        match *step {
            Step::Send(count) => {
                let records = (self.sent..self.sent + i64::from(count)).map(event).collect();
                self.sent += i64::from(count);
                self.topics.append("events", records).await.expect("append");
            }
            Step::Wait(ms) => tokio::time::sleep(Duration::from_millis(ms.into())).await,
            Step::Start { seat, records, code } => self.start(seat, records, code).await,
            Step::Kill { seat } => self.kill(seat).await,
            Step::Hang { seat, after } => {
                self.with(seat, |c| c.faults().set_hook(Some(hang(after))))
            }
            Step::Wake { seat } => self.with(seat, |c| c.faults().set_hook(None)),
            Step::Lose { seat, replies } => {
                self.with(seat, |c| c.faults().lose_reply_next(replies))
            }
            Step::Fail { seat, calls } => self.with(seat, |c| c.faults().fail_next(calls)),
        }
    }

    fn with(&self, seat: usize, act: impl Fn(&MemoryStore)) {
        if let Some(seat) = &self.seats[seat] {
            act(&seat.client);
        }
    }

    async fn start(&mut self, seat: usize, records: usize, code: usize) {
        self.kill(seat).await;
        let client = self.store.client();
        let pipeline = Self::pipeline(&client, code, records, &format!("seat-{seat}"));
        let (status, _) = watch::channel(Status::default());
        let work =
            run(pipeline, self.world(), Options::default(), CancellationToken::new(), status);
        let task = tokio::spawn(work.map(|_| ()));
        self.seats[seat] = Some(Seat { client, task });
    }

    async fn kill(&mut self, seat: usize) {
        if let Some(Seat { task, .. }) = self.seats[seat].take() {
            task.abort();
            let _ = task.await;
        }
    }

    /// Everybody is gone; a last worker brings everything in. What the lake then holds is the truth.
    async fn settle(&mut self, code: usize) {
        self.kill(0).await;
        self.kill(1).await;
        let client = self.store.client();
        let pipeline = Self::pipeline(&client, code, 50, "last");
        let options = Options { until_caught_up: true, ..Options::default() };
        let (status, _) = watch::channel(Status::default());
        let work = run(pipeline.clone(), self.world(), options, CancellationToken::new(), status);
        tokio::time::timeout(Duration::from_secs(3_600), work)
            .await
            .expect("the last worker catches up")
            .expect("the last worker finds nothing wrong");

        let report = verify(&pipeline, &self.world()).await.expect("verify");
        assert!(report.is_exact() && report.pending == 0, "{report:#?}");
        assert_eq!(report.produced, self.sent as u64);
        let numbers = numbers(&client).await;
        assert_eq!(numbers, (0..self.sent).collect::<Vec<_>>(), "each event once");
    }
}

fn hang(after: usize) -> Hook {
    let calls = AtomicUsize::new(0);
    Arc::new(move |_, _| {
        let hangs = calls.fetch_add(1, Ordering::Relaxed) >= after;
        async move {
            if hangs {
                std::future::pending::<()>().await;
            }
        }
        .boxed()
    })
}

fn event(n: i64) -> Outgoing {
    Outgoing::keyed(n.to_string(), format!(r#"{{"n":{n}}}"#))
}

async fn numbers(client: &MemoryStore) -> Vec<i64> {
    let lake = Lake::new(Arc::new(client.clone()), "events", Format::Csv, &["part"]);
    let mut numbers = Vec::new();
    lake.scan("test.events", &mut |batch| {
        let column = batch.column_by_name("n").expect("column n");
        numbers.extend(column.as_primitive::<Int64Type>().values());
        Ok(())
    })
    .await
    .expect("scan");
    numbers.sort_unstable();
    numbers
}

/// 150, or as many as `PROPTEST_CASES` says.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(150)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_event_is_in_the_lake_once(
        steps in prop::collection::vec(step(), 5..40),
        deliver_at_most in 1..80_usize,
        last_code in 0..2_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let mut stage = Stage::new(deliver_at_most).await;
            for step in &steps {
                stage.step(step).await;
            }
            stage.settle(last_code).await;
        });
    }
}
