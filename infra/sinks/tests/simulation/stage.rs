//! Topics, a sink, workers and a clock, and what a step of a schedule does to them.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream_engine::memory_sink::MemoryTarget;
use millstream_engine::{Clock, Options, Pipeline, Target, World};
use millstream_sinks::lake::{Format, Lake, MemoryStore};
use millstream_topic::memory::{Memory, START_MS};
use millstream_topic::{Outgoing, TopicPartition, Topics};
use tokio::time::Instant;

use crate::chance::Chance;
use crate::code;
use crate::mutants::Mutant;
use crate::oracle::Journal;
use crate::schedule::{Kind, Schedule, Step, WORKERS};
use crate::topics::at_once;
use crate::trace::Trace;
use crate::wire::{CALM, Rates, Weather, Wire};
use crate::worker::{Seen, Worker};
use crate::{lake, sinks, topics};

pub struct Stage {
    pub schedule: Schedule,
    pub topics: Memory,
    /// Of lakes.
    pub store: MemoryStore,
    /// The sink itself, by no wire.
    pub target: Arc<dyn Target>,
    pub clock: Arc<Wall>,
    pub trace: Arc<Trace>,
    pub journal: Journal,
    pub over_topics: Weather,
    pub over_sink: Weather,
    pub workers: [Option<Worker>; WORKERS],
    pub problems: Vec<String>,
    pub chance: Chance,
    /// Whether records went by compaction: then a range's entry tells what was there when it was read.
    pub compacted: bool,
    /// Whether the workers can't reach the topics.
    away: bool,
    mutant: Mutant,
    /// Of the records sent.
    next: i64,
    started: u64,
}

/// A wall clock that goes with the simulation's time, and jumps.
#[derive(Debug)]
pub struct Wall {
    began: Instant,
    jumped: AtomicI64,
}

impl Clock for Wall {
    fn now_ms(&self) -> i64 {
        START_MS + self.began.elapsed().as_millis() as i64 + self.jumped.load(Ordering::Relaxed)
    }
}

impl Stage {
    pub async fn new(schedule: Schedule, mutant: Mutant) -> Self {
        let clock = Arc::new(Wall { began: Instant::now(), jumped: AtomicI64::default() });
        let stamps = clock.clone();
        let topics = Memory::with_clock(Arc::new(move || stamps.now_ms()));
        topics.ensure(&code::topic(&schedule)).await.expect("make the topic");
        topics.deliver_at_most(schedule.most);
        let store = MemoryStore::new();
        let lake = |format| Arc::new(lake_over(Arc::new(store.clone()), &schedule, format));
        let target: Arc<dyn Target> = match schedule.kind {
            Kind::LakeCsv => lake(Format::Csv),
            Kind::LakeParquet => lake(Format::Parquet),
            Kind::Append => Arc::new(MemoryTarget::append("rows")),
            Kind::Upsert => Arc::new(MemoryTarget::upsert("rows", &["id"])),
            Kind::Count => Arc::new(MemoryTarget::count("rows", &["id"], "units")),
        };
        Self {
            topics,
            store,
            target,
            clock,
            trace: Arc::new(Trace::new()),
            journal: Journal::default(),
            over_topics: Weather::new(schedule.topics),
            over_sink: Weather::new(schedule.sink),
            workers: Default::default(),
            problems: Vec::new(),
            chance: schedule.chance.clone(),
            compacted: false,
            away: false,
            mutant,
            next: 0,
            started: 0,
            schedule,
        }
    }

    pub fn at(&self, partition: u32) -> TopicPartition {
        TopicPartition::new("events", partition)
    }

    /// The pipeline over the sink itself, for looking at it.
    pub fn pipeline(&self, other_code: bool) -> Pipeline {
        code::pipeline(&self.schedule, other_code, self.target.clone())
    }

    /// The topics themselves.
    pub fn world(&self) -> World {
        World { topics: Arc::new(self.topics.clone()), clock: self.clock.clone(), seed: 1 }
    }

    pub fn start(&mut self, other_code: bool, own_group: bool, until_caught_up: bool) -> Worker {
        self.started += 1;
        let name = format!("w{}", self.started);
        let mut wire = |to: &str, weather: &Weather| {
            let chance = self.chance.branch();
            Arc::new(Wire::new(format!("{name}>{to}"), self.trace.clone(), weather.clone(), chance))
        };
        let (to_topics, to_sink) =
            (wire("topics", &self.over_topics), wire("sink", &self.over_sink));
        let sent = to_sink.sent();
        let mut pipeline = code::pipeline(&self.schedule, other_code, self.reached(to_sink));
        if own_group {
            pipeline = pipeline.group(&format!("own-{name}"));
        }
        let members = Arc::new(Mutex::new(Vec::new()));
        let topics = topics::Reached {
            memory: self.topics.clone(),
            wire: to_topics,
            members: members.clone(),
            mutant: self.mutant,
        };
        let seed = self.chance.next();
        let world = World { topics: Arc::new(topics), clock: self.clock.clone(), seed };
        let options = Options {
            until_caught_up,
            memory: self.schedule.memory,
            watchdog: Duration::from_secs(3),
            ..Options::default()
        };
        Worker::start(name, pipeline, world, options, Seen { members, sent })
    }

    fn reached(&self, wire: Arc<Wire>) -> Arc<dyn Target> {
        let mutant = self.mutant;
        let format = match self.schedule.kind {
            Kind::LakeCsv => Format::Csv,
            Kind::LakeParquet => Format::Parquet,
            _ => return Arc::new(sinks::Reached { target: self.target.clone(), wire, mutant }),
        };
        let store = lake::Reached { store: self.store.clone(), wire, mutant };
        let lake = lake_over(Arc::new(store), &self.schedule, format);
        match mutant {
            Mutant::ForgetsPlans => Arc::new(lake::Forgetful(Arc::new(lake))),
            _ => Arc::new(lake),
        }
    }

    pub async fn step(&mut self, step: Step) {
        self.trace.fault(step.name());
        self.trace.note(step.name());
        match step {
            Step::Produce { count, reply_lost } => self.produce(count, reply_lost),
            Step::Start { worker, other_code, own_group } => {
                if self.workers[worker].as_ref().is_none_or(Worker::has_ended) {
                    self.bury(worker).await;
                    self.workers[worker] = Some(self.start(other_code, own_group, false));
                }
            }
            Step::Kill { worker, after } => {
                self.sent(worker, after).await;
                if let Some(worker) = self.workers[worker].take() {
                    self.problems.extend(worker.kill().await);
                }
            }
            Step::Stop(worker) => self.with(worker, Worker::stop),
            Step::Pause { worker, after, out_after } => {
                self.sent(worker, after).await;
                self.with(worker, Worker::pause);
                if let (Some(ms), Some(worker)) = (out_after, &self.workers[worker]) {
                    self.throw_out(worker, ms);
                }
            }
            Step::Resume(worker) => self.with(worker, Worker::resume),
            Step::Expire(which) => {
                let members = self.topics.members("sim.rows");
                if let Some(member) = members.get(which as usize % members.len().max(1)) {
                    self.topics.expire("sim.rows", *member);
                }
            }
            Step::Steal(partition) => self.topics.steal("sim.rows", &self.at(partition)),
            Step::Away(away) => self.go_away(away),
            Step::Stall(partition) => self.topics.stall(&self.at(partition), true),
            Step::SinkDown(down) => {
                let all = Rates { fail: 1_000, ..CALM };
                self.over_sink.set(if down { all } else { self.schedule.sink });
            }
            Step::Jump(ms) => drop(self.clock.jumped.fetch_add(ms, Ordering::Relaxed)),
            Step::Absent { partition, count } => {
                self.topics.append_absent(&self.at(partition), count).expect("it is there");
            }
            Step::Retention(of_thousand) => self.retain(of_thousand).await,
            Step::Compact => {
                self.read_journal();
                self.topics.compact("events").expect("it is there");
                self.compacted = true;
            }
            Step::ResetGroup { partition, offset } => {
                self.topics.reset_committed("sim.rows", &self.at(partition), offset);
            }
        }
    }

    /// Waits until a worker has sent so many more I/Os to its sink: there is more to be broken than between two ranges.
    async fn sent(&self, worker: usize, more: u64) {
        const AT_MOST: Duration = Duration::from_secs(2);
        let Some(worker) = &self.workers[worker] else { return };
        let mut sent = worker.seen.sent.clone();
        let goal = *sent.borrow() + more;
        let _ = tokio::time::timeout(AT_MOST, sent.wait_for(|sent| *sent >= goal)).await;
    }

    fn with(&self, worker: usize, act: impl Fn(&Worker)) {
        if let Some(worker) = &self.workers[worker] {
            act(worker);
        }
    }

    async fn bury(&mut self, worker: usize) {
        if let Some(worker) = self.workers[worker].take() {
            self.problems.extend(worker.ends(Duration::from_secs(1)).await);
        }
    }

    fn throw_out(&self, worker: &Worker, after: u64) {
        let (topics, members) = (self.topics.clone(), worker.seen.members.clone());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(after)).await;
            for (group, member) in members.lock().unwrap().iter() {
                topics.expire(group, *member);
            }
        });
    }

    pub fn go_away(&mut self, away: bool) {
        self.away = away;
        self.topics.go_away(away);
    }

    /// Reads what is new in the topic. Comes before anything is taken away from it.
    pub fn read_journal(&mut self) {
        self.topics.go_away(false);
        self.journal.read(&self.topics, self.schedule.partitions);
        self.topics.go_away(self.away);
    }

    /// The producer reaches the topics also while no worker does.
    fn produce(&mut self, count: u64, reply_lost: bool) {
        let records: Vec<_> = (0..count).map(|_| self.record()).collect();
        self.topics.go_away(false);
        for _ in 0..=u32::from(reply_lost) {
            at_once(self.topics.append("events", records.clone())).expect("append");
        }
        self.topics.go_away(self.away);
    }

    fn record(&mut self) -> Outgoing {
        // Compaction may keep of a key a bad record only: then the good one before it was there or wasn't.
        let compacted = self.schedule.compacted;
        self.next += 1 + i64::from(compacted && self.next % 7 == 4);
        let (n, key) = (self.next, self.chance.below(self.schedule.keys));
        let key = format!("k{key}");
        let value = match self.chance.below(20) {
            0 => return Outgoing { key: Some(key.into()), ..Outgoing::default() },
            1 if !compacted => r#"{"id":"#.to_owned(),
            2 if !compacted => format!(r#"{{"id":"{key}","n":"{n}"}}"#),
            _ => format!(r#"{{"id":"{key}","n":{n}}}"#),
        };
        Outgoing::keyed(key, value)
    }

    /// Retention may drop what is in the sink, and nothing else: how far that is, the sink says.
    async fn retain(&mut self, of_thousand: u64) {
        self.read_journal();
        let pipeline = self.pipeline(false);
        let sink = pipeline.target.connect("sim.rows", &pipeline.schema()).await;
        let mut sink = sink.expect("the sink itself answers");
        for partition in 0..self.schedule.partitions {
            let at = self.at(partition);
            let ledger = sink.ledger(&at, 0, usize::MAX).await.expect("the ledger can be read");
            let Some(last) = ledger.last().filter(|last| last.seq > 0) else { continue };
            if self.chance.permille(of_thousand) {
                self.topics.truncate(&at, last.next()).expect("it is there");
            }
        }
    }
}

fn lake_over(
    store: Arc<dyn millstream_sinks::lake::Store>,
    schedule: &Schedule,
    format: Format,
) -> Lake {
    Lake::new(store, "rows", format, &["part"]).checkpoint_every(schedule.checkpoint_every)
}
