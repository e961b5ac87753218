use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

use integration_tests::{Data, Running, load};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::events::{Event, What, now_ms, parse};
use crate::sinks::Sink;
use crate::stop;
use crate::world::{PARTITIONS, World};

/// What a worker is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Faults happen to it: its connections go by the wires.
    Victim,
    /// Its own are direct.
    Bystander,
    /// Comes late and leaves again.
    Guest,
}

struct Worker {
    role: Role,
    /// Unlike any other's of this crew, also of those that have gone.
    number: usize,
    running: Running,
    /// How far its log was read.
    read: u64,
}

/// The workers of one app on one sink, and all that they told of partitions.
pub struct Crew<'a> {
    pub world: &'a World,
    pub sink: Sink,
    pub data: Data,
    workers: Vec<Worker>,
    /// How many there were.
    started: usize,
    /// In the order of time.
    pub events: Vec<Event>,
}

impl<'a> Crew<'a> {
    /// A victim and a bystander, at work.
    pub fn start(world: &'a World, sink: Sink) -> Self {
        let app = sink.app().to_uppercase();
        let mut data = Data::new()
            .with(&format!("{app}_TOPICS__URL"), &format!("kafka://{}", world.kafka.address()))
            .with(&format!("{app}_CONSOLE__LISTEN"), "")
            .with(&format!("{app}_ROLL__EVERY_S"), "0.3")
            .with("MILLSTREAM_LOG", "warn,millstream_engine=debug")
            .with("MILLSTREAM_LOG_FORMAT", "json");
        let place = sink.place(world, &world.address(sink));
        let place = place.map(|(name, value)| (name.to_owned(), value));
        for (name, value) in sink.settings(world).into_iter().chain(place) {
            data = data.with(&name, &value);
        }
        let mut crew =
            Self { world, sink, data, workers: Vec::new(), started: 0, events: Vec::new() };
        crew.enter(Role::Victim);
        crew.enter(Role::Bystander);
        crew.until_shared();
        crew
    }

    /// Starts a worker.
    pub fn enter(&mut self, role: Role) {
        let mut command = self.data.command(self.sink.app(), &["process"]);
        if role == Role::Victim {
            let topics = format!("{}_TOPICS__URL", self.sink.app().to_uppercase());
            command.env(topics, format!("kafka://{}", self.world.kafka_wire.address()));
            let wire = self.world.wire(self.sink).map(crate::wire::Wire::address);
            let place = wire.and_then(|address| self.sink.place(self.world, &address));
            command.envs(place);
        }
        let running = Running::start(command);
        self.started += 1;
        self.workers.push(Worker { role, number: self.started, running, read: 0 });
    }

    /// A signal that it can't refuse.
    pub fn send(&self, role: Role, signal: Signal) {
        let id = i32::try_from(self.worker(role).running.id()).expect("a process id");
        kill(Pid::from_raw(id), signal).expect("send a signal");
    }

    /// It is killed at once.
    pub fn kill(&mut self, role: Role) {
        self.send(role, Signal::SIGKILL);
        self.look();
        let worker = self.take(role);
        worker.running.kill_9();
    }

    /// It leaves as an operator would have it leave.
    pub fn leave(&mut self, role: Role) {
        let mut worker = self.take(role);
        let path = worker.running.stderr_path().to_owned();
        // Read to its end: what it tells of its last commits goes with it.
        let said = File::open(path).expect("open its log");
        load::end(worker.running);
        worker.read = take_lines(said, worker.read, |line| {
            self.events.extend(parse(line, self.sink.pipeline(), self.sink.topic(), worker.number));
        });
        self.events.sort_by_key(|event| event.at_ms);
    }

    fn take(&mut self, role: Role) -> Worker {
        let index = self.workers.iter().position(|worker| worker.role == role);
        self.workers.remove(index.expect("it is there"))
    }

    fn worker(&self, role: Role) -> &Worker {
        self.workers.iter().find(|worker| worker.role == role).expect("it is there")
    }

    pub fn number(&self, role: Role) -> usize {
        self.worker(role).number
    }

    /// Reads what the workers have told since the last look.
    pub fn look(&mut self) {
        let (pipeline, topic) = (self.sink.pipeline(), self.sink.topic());
        for worker in &mut self.workers {
            let said = File::open(worker.running.stderr_path()).expect("open its log");
            worker.read = take_lines(said, worker.read, |line| {
                self.events.extend(parse(line, pipeline, topic, worker.number));
            });
        }
        self.events.sort_by_key(|event| event.at_ms);
    }

    /// The partitions that a worker has.
    pub fn held(&self, number: usize) -> BTreeSet<u32> {
        let mut held = BTreeSet::new();
        for event in self.events.iter().filter(|event| event.worker == number) {
            match event.what {
                What::Assigned => _ = held.insert(event.partition),
                What::Revoked | What::Lost => _ = held.remove(&event.partition),
                What::Committed(_) => {}
            }
        }
        held
    }

    /// Commits since a moment: partition, worker and time of each.
    pub fn commits(&self, since_ms: i64) -> impl Iterator<Item = &Event> {
        let is_commit = |event: &&Event| matches!(event.what, What::Committed(_));
        self.events.iter().filter(move |event| event.at_ms >= since_ms).filter(is_commit)
    }

    /// All partitions are held, and each worker has some.
    pub fn until_shared(&mut self) {
        self.until("the workers share the partitions", |crew| {
            let held: Vec<_> =
                crew.workers.iter().map(|worker| crew.held(worker.number).len()).collect();
            held.iter().sum::<usize>() == PARTITIONS as usize && !held.contains(&0)
        });
    }

    /// Waits for something that is told. Panics after a minute, or if a worker has ended.
    pub fn until(&mut self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let started = now_ms();
        loop {
            self.look();
            if is_so(self) {
                return;
            }
            for worker in &mut self.workers {
                let ended = worker.running.has_ended();
                assert!(ended.is_none(), "{:?} ended: {ended:?}", worker.role);
            }
            let waited = now_ms() - started;
            assert!(waited < 60_000, "{what}: not within {waited} ms; {}", self.said());
            stop::pause(Duration::from_millis(50));
        }
    }

    /// The last lines of each worker, for a person.
    fn said(&self) -> String {
        let last = |worker: &Worker| {
            let said = std::fs::read_to_string(worker.running.stderr_path()).unwrap_or_default();
            let lines: Vec<_> = said.lines().filter(|line| !line.contains("committed ")).collect();
            let lines = lines[lines.len().saturating_sub(6)..].join("\n  ");
            format!("{:?} has {:?}:\n  {lines}", worker.role, self.held(worker.number))
        };
        self.workers.iter().map(last).collect::<Vec<_>>().join("\n")
    }
}

/// Gives the whole lines behind `from`; where the last one ended.
fn take_lines(mut file: File, from: u64, mut take: impl FnMut(&str)) -> u64 {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(from)).and_then(|_| file.read_to_end(&mut bytes)).expect("read it");
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    String::from_utf8_lossy(&bytes[..end]).lines().for_each(&mut take);
    from + end as u64
}
