use std::collections::BTreeSet;
use std::time::Duration;

use integration_tests::proxy::{Fault as Answer, Proxy, Refusal};
use integration_tests::stack;
use nix::sys::signal::Signal;

use crate::events::{What, now_ms};
use crate::sinks::Sink;
use crate::stop;
use crate::wire::{Way, Wire};
use crate::workers::{Crew, Role};
use crate::world::PARTITIONS;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Kill,
    Pause,
    Join,
    SinkLate,
    SinkReset,
    SinkSilent,
    SinkDrip,
    KafkaReset,
    KafkaSilent,
    SinkRestart,
    BrokerRestart,
    Errors,
    DiskFull,
}

/// When it was there, and for whom.
pub struct Done {
    pub from_ms: i64,
    /// From when on nothing was wrong any more.
    pub healed_ms: i64,
    /// Partitions whose worker it happened to.
    pub affected: BTreeSet<u32>,
    /// It is a server's or a disk's, and no worker's.
    pub is_servers: bool,
}

/// How long what passes is there. Less than a member of a group may be silent.
const HOLD: Duration = Duration::from_secs(4);
/// 200 ms from a question to its answer.
const LATE: Duration = Duration::from_millis(100);
const BYTES_A_SECOND: usize = 300;
/// Resets come one after the other: some hit a commit.
const RESETS: u32 = 8;

impl Fault {
    pub const ALL: [Self; 13] = [
        Self::Kill,
        Self::Pause,
        Self::Join,
        Self::SinkLate,
        Self::SinkReset,
        Self::SinkSilent,
        Self::SinkDrip,
        Self::KafkaReset,
        Self::KafkaSilent,
        Self::SinkRestart,
        Self::BrokerRestart,
        Self::Errors,
        Self::DiskFull,
    ];

    /// As arguments call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "sigkill",
            Self::Pause => "sigstop",
            Self::Join => "rebalance",
            Self::SinkLate => "sink-latency",
            Self::SinkReset => "sink-reset",
            Self::SinkSilent => "sink-half-open",
            Self::SinkDrip => "sink-drip",
            Self::KafkaReset => "kafka-reset",
            Self::KafkaSilent => "kafka-half-open",
            Self::SinkRestart => "sink-restart",
            Self::BrokerRestart => "broker-restart",
            Self::Errors => "sink-errors",
            Self::DiskFull => "disk-full",
        }
    }

    /// As tables call it.
    pub fn told(self) -> &'static str {
        match self {
            Self::Kill => "a worker is killed (SIGKILL)",
            Self::Pause => "a worker is stopped past its time-out (SIGSTOP, SIGCONT)",
            Self::Join => "a worker joins and leaves",
            Self::SinkLate => "sink 200 ms away",
            Self::SinkReset => "connections to the sink reset, eight times",
            Self::SinkSilent => "sink half-open for 4 s",
            Self::SinkDrip => "sink drips, 300 bytes/s, for 4 s",
            Self::KafkaReset => "connections to Kafka reset, eight times",
            Self::KafkaSilent => "Kafka half-open for 4 s",
            Self::SinkRestart => "sink's server restarted",
            Self::BrokerRestart => "broker restarted",
            Self::Errors => "sink answers 503 SlowDown and 500 for 4 s",
            Self::DiskFull => "disk full for 4 s",
        }
    }

    /// Whether it can happen to such a sink.
    pub fn befalls(self, sink: Sink) -> bool {
        match self {
            Self::Kill | Self::Pause | Self::Join => true,
            Self::KafkaReset | Self::KafkaSilent | Self::BrokerRestart => true,
            Self::Errors => sink == Sink::S3,
            Self::DiskFull => sink == Sink::Disk,
            _ => sink != Sink::Disk,
        }
    }

    /// Lets it happen, and has it healed.
    pub fn happen(self, crew: &mut Crew<'_>) -> Done {
        crew.look();
        let victims = crew.held(crew.number(Role::Victim));
        let from_ms = now_ms();
        let kafka = &crew.world.kafka_wire;
        let sink = crew.world.wire(crew.sink);
        let mut affected = victims.clone();
        match self {
            Self::Kill => killed(crew, &victims),
            Self::Pause => paused(crew, &victims),
            Self::Join => {
                affected.clear();
                guest(crew);
            }
            Self::SinkLate => for_a_while(sink.expect("a wire"), Way::Late(LATE)),
            Self::SinkDrip => for_a_while(sink.expect("a wire"), Way::Drip(BYTES_A_SECOND)),
            Self::SinkSilent => half_open(sink.expect("a wire")),
            Self::SinkReset => reset(sink.expect("a wire")),
            Self::KafkaSilent => half_open(kafka),
            Self::KafkaReset => reset(kafka),
            Self::Errors => errors(crew, sink.expect("a wire")),
            Self::SinkRestart | Self::BrokerRestart => {
                let server = match self {
                    Self::SinkRestart => crew.world.server(crew.sink),
                    _ => &crew.world.kafka,
                };
                stack::block_on(server.stop());
                stack::block_on(server.start());
                affected = (0..PARTITIONS).collect();
            }
            Self::DiskFull => {
                let disk = crew.world.full_disk();
                disk.fill();
                stop::pause(HOLD);
                disk.free();
                affected = (0..PARTITIONS).collect();
            }
        }
        let is_servers = matches!(self, Self::SinkRestart | Self::BrokerRestart | Self::DiskFull);
        Done { from_ms, healed_ms: now_ms(), affected, is_servers }
    }
}

fn killed(crew: &mut Crew<'_>, partitions: &BTreeSet<u32>) {
    crew.kill(Role::Victim);
    until_taken_over(crew, partitions);
    crew.enter(Role::Victim);
    crew.until_shared();
}

fn paused(crew: &mut Crew<'_>, partitions: &BTreeSet<u32>) {
    let (from_ms, victim) = (now_ms(), crew.number(Role::Victim));
    crew.send(Role::Victim, Signal::SIGSTOP);
    until_taken_over(crew, partitions);
    crew.send(Role::Victim, Signal::SIGCONT);
    // It has to learn that it is out before it is let in again.
    crew.until("the worker that was stopped is let in again", |crew| {
        let mut told = crew.events.iter().filter(|event| event.worker == victim);
        told.any(|event| event.what == What::Assigned && event.at_ms > from_ms)
    });
    crew.until_shared();
}

fn until_taken_over(crew: &mut Crew<'_>, partitions: &BTreeSet<u32>) {
    let bystander = crew.number(Role::Bystander);
    crew.until("the other worker takes over", |crew| crew.held(bystander).is_superset(partitions));
    // At work on them, when the next thing happens.
    stop::pause(Duration::from_millis(1000));
}

fn guest(crew: &mut Crew<'_>) {
    crew.enter(Role::Guest);
    crew.until_shared();
    stop::pause(Duration::from_millis(1500));
    crew.leave(Role::Guest);
    crew.until_shared();
}

fn for_a_while(wire: &Wire, way: Way) {
    wire.be(way);
    stop::pause(HOLD);
    wire.be(Way::Open);
}

/// What was opened before and meanwhile is reset in the end, as a host does that is back and knows nothing of it.
fn half_open(wire: &Wire) {
    wire.be(Way::Silent);
    stop::pause(HOLD);
    wire.reset();
    wire.be(Way::Open);
}

fn reset(wire: &Wire) {
    for _ in 1..RESETS {
        wire.reset();
        stop::pause(HOLD / RESETS / 2);
    }
    wire.reset();
}

/// Every request of the victim is refused, now one way, now the other.
fn errors(crew: &Crew<'_>, wire: &Wire) {
    let server = crew.world.address(crew.sink);
    let refusal = Refusal {
        content_type: "application/xml",
        body: |_, code| format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>"),
    };
    let proxy = stack::block_on(Proxy::to(&server, refusal));
    proxy.set(|asked| match asked.n % 2 {
        0 => Answer::Say(503, "SlowDown"),
        _ => Answer::Say(500, "InternalError"),
    });
    wire.lead_to(proxy.address());
    wire.reset();
    stop::pause(HOLD);
    assert!(proxy.count() > 0, "no request met an error");
    wire.lead_to(&server);
    wire.reset();
}
