//! What happens when: made from a seed, and from nothing else.

use std::fmt::{self, Display};
use std::time::Duration;

use millstream_engine::Roll;

use crate::chance::Chance;
use crate::wire::Rates;

/// Workers there are at once, at most.
pub const WORKERS: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    LakeCsv,
    LakeParquet,
    Append,
    Upsert,
    Count,
}

impl Kind {
    /// The lake has the longest protocol; Parquet differs from CSV in the bytes only.
    pub fn of(seed: u64) -> Self {
        match seed % 20 {
            0 if seed.is_multiple_of(100) => Self::LakeParquet,
            0..=6 => Self::LakeCsv,
            7..=9 => Self::Append,
            10..=14 => Self::Upsert,
            _ => Self::Count,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Schedule {
    pub seed: u64,
    pub kind: Kind,
    pub partitions: u32,
    pub keys: u64,
    pub compacted: bool,
    /// Whether `verify` judges, too: it works all records off once more, which takes as long as the rest.
    pub verified: bool,
    /// Records an event holds at most.
    pub most: usize,
    pub roll: Roll,
    pub checkpoint_every: u64,
    /// Bytes a worker holds at most.
    pub memory: usize,
    pub topics: Rates,
    pub sink: Rates,
    /// By milliseconds.
    pub steps: Vec<(u64, Step)>,
    /// For what is decided on the way.
    pub chance: Chance,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// With a lost reply the producer sends all of it again.
    Produce { count: u64, reply_lost: bool },
    /// Of this code; in a group of its own it gets all partitions, whoever else has them.
    Start { worker: usize, other_code: bool, own_group: bool },
    /// As SIGKILL, when it has sent so many more I/Os to its sink.
    Kill { worker: usize, after: u64 },
    /// As SIGTERM.
    Stop(usize),
    /// As SIGSTOP, when it has sent so many more I/Os to its sink. The group throws it out some milliseconds later, if at
    /// all.
    Pause { worker: usize, after: u64, out_after: Option<u64> },
    /// As SIGCONT.
    Resume(usize),
    /// The group throws a member out that is well.
    Expire(u64),
    /// The group gives a partition to another member at once.
    Steal(u32),
    /// Nobody answers at the topics.
    Away(bool),
    /// A partition delivers nothing until it is sought.
    Stall(u32),
    /// Every I/O of the sink fails, or all is as usual again.
    SinkDown(bool),
    /// The wall clock jumps by so many milliseconds.
    Jump(i64),
    /// Offsets that hold no record: transactions' markers, or aborted ones.
    Absent { partition: u32, count: u32 },
    /// Records go that are in the sink; in a thousand cases so many partitions.
    Retention(u64),
    /// Of each key the last record stays.
    Compact,
    /// What the group had committed is set or forgotten.
    ResetGroup { partition: u32, offset: Option<i64> },
}

impl Step {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Produce { reply_lost: false, .. } => "records",
            Self::Produce { .. } => "a producer sends twice",
            Self::Start { other_code: true, .. } => "a worker of other code starts",
            Self::Start { own_group: true, .. } => "a worker shares partitions with another",
            Self::Start { .. } => "a worker starts",
            Self::Kill { .. } => "a worker is killed",
            Self::Stop(_) => "a worker is stopped",
            Self::Pause { out_after: None, .. } => "a worker is paused",
            Self::Pause { .. } => "a worker is paused and thrown out",
            Self::Resume(_) => "a worker goes on",
            Self::Expire(_) => "a member is thrown out",
            Self::Steal(_) => "a partition is given away",
            Self::Away(true) => "the topics are away",
            Self::Away(false) => "the topics are back",
            Self::Stall(_) => "a partition goes silent",
            Self::SinkDown(true) => "the sink is down",
            Self::SinkDown(false) => "the sink is up",
            Self::Jump(ms) if *ms < 0 => "the clock jumps back",
            Self::Jump(_) => "the clock jumps ahead",
            Self::Absent { .. } => "offsets without records",
            Self::Retention(_) => "retention",
            Self::Compact => "compaction",
            Self::ResetGroup { .. } => "a group's offset is reset",
        }
    }
}

impl Schedule {
    pub fn of(seed: u64) -> Self {
        let kind = Kind::of(seed);
        let mut chance = Chance::new(seed);
        let quiet = chance.permille(150);
        let rates = |chance: &mut Chance| match quiet {
            true => Rates { slow: 10, ..Rates::default() },
            false => Rates {
                fail: chance.one_of(&[0, 20, 60, 150]),
                lose: chance.one_of(&[0, 20, 60, 150]),
                late: chance.one_of(&[0, 10, 40, 100]),
                slow: chance.one_of(&[3, 10, 40, 200]),
            },
        };
        let mut schedule = Self {
            seed,
            kind,
            partitions: chance.one_of(&[1, 1, 2, 2, 3]),
            keys: chance.one_of(&[3, 12, 50]),
            compacted: kind == Kind::Upsert && chance.permille(600),
            verified: (seed / 20).is_multiple_of(4),
            most: chance.one_of(&[1, 4, 15, 500]),
            roll: Roll {
                every: Duration::from_millis(chance.one_of(&[300, 1_000, 3_000])),
                records: chance.one_of(&[6, 15, 40]),
                bytes: 1 << 20,
            },
            checkpoint_every: chance.between(1, 5),
            memory: chance.one_of(&[4_000, 64 << 20, 64 << 20]),
            topics: rates(&mut chance),
            sink: rates(&mut chance),
            steps: Vec::new(),
            chance: chance.branch(),
        };
        schedule.fill(&mut chance);
        schedule
    }

    fn fill(&mut self, chance: &mut Chance) {
        let length = chance.one_of(&[1_500, 3_000, 6_000]);
        let records = chance.one_of(&[15, 40, 80]);
        let first = self.start(chance, 0);
        self.steps.push((0, first));
        for _ in 0..chance.between(3, 6) {
            let step = Step::Produce { count: records / 5, reply_lost: chance.permille(100) };
            self.steps.push((chance.below(length * 3 / 4), step));
        }
        for _ in 0..chance.between(2, 14) {
            let at = chance.below(length);
            self.trouble(chance, at);
        }
        // Of two at the same time the one that was thought of first.
        self.steps.sort_by_key(|(at, _)| *at);
    }

    fn trouble(&mut self, chance: &mut Chance, at: u64) {
        let worker = chance.below(WORKERS as u64) as usize;
        let partition = chance.below(u64::from(self.partitions)) as u32;
        let later = at + chance.one_of(&[100, 500, 1_500, 4_000]);
        let mut both = |first, then| self.steps.extend([(at, first), (later, then)]);
        match chance.below(18) {
            0..=2 => {
                let start = self.start(chance, worker);
                self.steps.push((at, start));
            }
            3 | 4 => {
                let again = self.start(chance, worker);
                let kill = Step::Kill { worker, after: chance.below(8) };
                self.steps.extend([(at, kill), (later, again)]);
            }
            5 => self.steps.push((at, Step::Stop(worker))),
            6..=8 => {
                let out_after = chance.permille(700).then(|| chance.between(50, 1_500));
                let pause = Step::Pause { worker, after: chance.below(8), out_after };
                both(pause, Step::Resume(worker));
            }
            9 => self.steps.push((at, Step::Expire(chance.next()))),
            10 => self.steps.push((at, Step::Steal(partition))),
            11 => both(Step::Away(true), Step::Away(false)),
            12 => self.steps.push((at, Step::Stall(partition))),
            13 => both(Step::SinkDown(true), Step::SinkDown(false)),
            14 => {
                let far = chance.one_of(&[5, 5_000, 3_600_000, 90_000_000]);
                let jump = if chance.permille(500) { far } else { -far };
                self.steps.push((at, Step::Jump(jump)));
            }
            15 => {
                let count = chance.between(1, 4) as u32;
                self.steps.push((at, Step::Absent { partition, count }));
            }
            16 if self.compacted => self.steps.push((at, Step::Compact)),
            16 => self.steps.push((at, Step::Retention(chance.one_of(&[300, 1_000])))),
            _ => {
                let offset = chance.permille(600).then(|| chance.below(60) as i64);
                self.steps.push((at, Step::ResetGroup { partition, offset }));
            }
        }
    }

    fn start(&self, chance: &mut Chance, worker: usize) -> Step {
        // A counter refuses other code, as it has to.
        let other_code = self.kind != Kind::Count && chance.permille(250);
        Step::Start { worker, other_code, own_group: chance.permille(200) }
    }
}

impl Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, kind, partitions, keys, compacted, most, roll, .. } = self;
        let cleanup = if *compacted { ", compacted" } else { "" };
        writeln!(f, "seed {seed}: {kind:?}, {partitions} partitions, {keys} keys{cleanup}")?;
        writeln!(
            f,
            "  ranges of {} records or {:?}, events of ≤ {most}",
            roll.records, roll.every
        )?;
        let Self { checkpoint_every, memory, .. } = self;
        writeln!(f, "  a checkpoint every {checkpoint_every} ranges, {memory} bytes of memory")?;
        writeln!(f, "  topics: {}\n  sink: {}", self.topics, self.sink)?;
        self.steps.iter().try_for_each(|(ms, step)| writeln!(f, "  {ms:>6} ms  {step:?}"))
    }
}
