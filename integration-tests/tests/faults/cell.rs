use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::events::{What, now_ms};
use crate::fault::{Done, Fault};
use crate::feed::{Feed, Sent};
use crate::sinks::Found;
use crate::stop;
use crate::workers::Crew;
use crate::world::PARTITIONS;

/// One fault on one sink, as it was measured.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Records that the broker took while it went on.
    pub sent: u64,
    /// Of these, those that are not in the sink.
    pub lost: u64,
    /// How often more than once they are there; also what nobody sent.
    pub doubled: u64,
    /// Of moved partitions: from the moment their new worker was told to its first commit; the longest, and how many moves.
    pub moved_ms: Option<i64>,
    pub moves: usize,
    /// Of partitions that stayed with a worker that met the fault: from the end of the fault to the first commit.
    pub healed_ms: Option<i64>,
    /// Of partitions whose worker it didn't happen to: the longest time between two commits, and before the fault.
    pub others_ms: Option<i64>,
    pub usual_ms: i64,
    /// Processes that wanted a core, in the last minute; ours among them.
    pub load: f64,
    pub took: Duration,
}

/// So many for each core are more than ours: times say nothing then of what was measured.
const BUSY: f64 = 4.0;

/// Without partitions to move nothing more than the time-outs of clients and the engine's back-off is waited for.
const RECOVERS_WITHIN_MS: i64 = 60_000;

impl Measured {
    /// Runs it: load, fault in its middle, load, until all is there.
    pub fn run(crew: &mut Crew<'_>, fault: Fault, cell: usize) -> Self {
        let (began, began_ms) = (Instant::now(), now_ms());
        let sink = crew.sink;
        let feed = Feed::start(&crew.world.kafka.address(), sink, cell);
        let prefix = feed.prefix.clone();
        crew.until("every partition is worked off", |crew| {
            let times = times(crew, began_ms);
            times.len() == PARTITIONS as usize && times.values().all(|times| times.len() >= 3)
        });
        let quiet_ms = now_ms();
        stop::pause(Duration::from_millis(1500));
        let done = fault.happen(crew);
        crew.until("all partitions go on", |crew| goes_on(crew, &done));
        stop::pause(Duration::from_millis(700));
        let until_ms = now_ms();
        let sent = feed.end();
        until_caught_up(crew, &sent);
        let (lost, doubled) = compare(&sent, &sink.read(crew.world, cell, &prefix));
        let recovery = Recovery::of(crew, &done, quiet_ms, until_ms);
        Self {
            sent: sent.ids.len() as u64,
            lost,
            doubled,
            moved_ms: recovery.moved_ms,
            moves: recovery.moves,
            healed_ms: recovery.healed_ms,
            others_ms: recovery.others_ms,
            usual_ms: recovery.usual_ms,
            load: load(),
            took: began.elapsed(),
        }
    }

    pub fn is_exact(&self) -> bool {
        self.lost == 0 && self.doubled == 0
    }

    /// The machine had so much other work that times are worth nothing.
    pub fn was_busy(&self) -> bool {
        self.load > BUSY * cores() as f64
    }
}

pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Where the system doesn't tell there is none.
pub fn load() -> f64 {
    let told = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    told.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

struct Recovery {
    moved_ms: Option<i64>,
    moves: usize,
    healed_ms: Option<i64>,
    others_ms: Option<i64>,
    usual_ms: i64,
}

impl Recovery {
    fn of(crew: &Crew<'_>, done: &Done, quiet_ms: i64, until_ms: i64) -> Self {
        let moves = moves(crew, done);
        let moved: BTreeSet<u32> = moves.iter().map(|(partition, _)| *partition).collect();
        let times = times(crew, quiet_ms);
        let stayed = done.affected.difference(&moved);
        let first = |partition: &u32| {
            let after = times.get(partition)?.iter().find(|at| **at >= done.healed_ms);
            Some(after? - done.healed_ms)
        };
        let longest = |partition: &u32, from: i64, to: i64| {
            let of = times.get(partition).into_iter().flatten();
            let within: Vec<_> = of.filter(|at| (from..=to).contains(at)).collect();
            within.windows(2).map(|two| two[1] - two[0]).max()
        };
        let others =
            (0..PARTITIONS).filter(|at| !done.affected.contains(at) && !moved.contains(at));
        // From half a second before, so that the gap in which it happens is one.
        let gaps = others.filter_map(|at| longest(&at, done.from_ms - 500, until_ms));
        let usual = (0..PARTITIONS).filter_map(|at| longest(&at, quiet_ms, done.from_ms));
        Self {
            moved_ms: moves.iter().map(|(_, took)| *took).max(),
            moves: moves.len(),
            healed_ms: stayed.filter_map(first).max(),
            others_ms: gaps.max(),
            usual_ms: usual.max().unwrap_or_default(),
        }
    }
}

/// When each partition was committed.
fn times(crew: &Crew<'_>, since_ms: i64) -> BTreeMap<u32, Vec<i64>> {
    let mut times: BTreeMap<u32, Vec<i64>> = BTreeMap::new();
    for event in crew.commits(since_ms) {
        times.entry(event.partition).or_default().push(event.at_ms);
    }
    times
}

/// Each time a partition came to a worker since then, how long its first commit there took; but where it went on to the
/// next one before.
fn moves(crew: &Crew<'_>, done: &Done) -> Vec<(u32, i64)> {
    if done.is_servers {
        // Until it is back nobody can commit, wherever partitions are.
        return vec![];
    }
    let since = crew.events.iter().enumerate().filter(|(_, event)| event.at_ms >= done.from_ms);
    let given = since.filter(|(_, event)| event.what == What::Assigned);
    let took = given.filter_map(|(index, given)| {
        let mut next =
            crew.events[index + 1..].iter().filter(|next| next.partition == given.partition);
        let next = next.find(|next| match next.what {
            What::Committed(_) => next.worker == given.worker,
            What::Assigned => true,
            What::Revoked | What::Lost => next.worker == given.worker,
        })?;
        let is_commit = matches!(next.what, What::Committed(_));
        is_commit.then_some((given.partition, next.at_ms - given.at_ms))
    });
    took.collect()
}

/// Whether each partition was committed since the fault was over, and by the worker that has it now.
fn goes_on(crew: &Crew<'_>, done: &Done) -> bool {
    (0..PARTITIONS).all(|partition| {
        let of = |event: &&crate::events::Event| event.partition == partition;
        let holder = crew.events.iter().filter(of).rfind(|event| event.what == What::Assigned);
        let mut commits = crew.commits(done.healed_ms).filter(of);
        holder.is_some_and(|holder| {
            commits.any(|commit| commit.worker == holder.worker && commit.at_ms >= holder.at_ms)
        })
    })
}

/// By what the workers tell; by what the sink says, where a commit's reply was lost and nobody told of it.
fn until_caught_up(crew: &mut Crew<'_>, sent: &Sent) {
    let started = now_ms();
    let ends: i64 = sent.last.values().map(|last| last + 1).sum();
    loop {
        crew.look();
        let mut reached: BTreeMap<u32, i64> = BTreeMap::new();
        for event in crew.commits(0) {
            if let What::Committed(end) = event.what {
                let furthest = reached.entry(event.partition).or_insert(end);
                *furthest = end.max(*furthest);
            }
        }
        if sent.last.iter().all(|(at, last)| reached.get(at).is_some_and(|end| end >= last)) {
            return;
        }
        let waited = now_ms() - started;
        let asked = if waited > 2_000 { crew.data.position(crew.sink.pipeline()) } else { Ok(0) };
        if asked == Ok(ends as u64) {
            return;
        }
        assert!(waited < RECOVERS_WITHIN_MS, "not caught up: {asked:?} of {ends}, {reached:?}");
        stop::pause(Duration::from_millis(100));
    }
}

fn compare(sent: &Sent, found: &Found) -> (u64, u64) {
    let lost = sent.ids.iter().filter(|id| !found.contains_key(*id)).count() as u64;
    let ids: BTreeSet<_> = sent.ids.iter().collect();
    let more = |(id, count): (&String, &u64)| if ids.contains(id) { count - 1 } else { *count };
    (lost, found.iter().map(more).sum())
}
