//! What the model's world is made of: the store's objects, the topic, the workers and what each is about to do.

use std::collections::BTreeMap;

/// The code a worker runs, as plans name it by its fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    A,
    B,
    /// `millstream position skip`, whose fingerprint no code has.
    Operator,
}

/// What made a range's bytes. Records are looked up in a table that may change: the fingerprint doesn't tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Maker {
    pub code: Code,
    pub snapshot: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Genesis,
    Range,
    Skip,
}

/// A try's plan: `start..next` is what it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    pub start: u8,
    pub next: u8,
    /// The try with which the range before it was committed.
    pub after: u8,
    pub kind: Kind,
    pub by: Maker,
}

impl Plan {
    /// The Hive partitions it has files in, each once.
    pub fn hives(&self) -> Vec<u8> {
        let mut hives = vec![];
        for n in self.start..self.next {
            if self.kind == Kind::Range && !hives.contains(&hive(self.by.code, n)) {
                hives.push(hive(self.by.code, n));
            }
        }
        hives
    }

    /// All its files, as a set of bits.
    pub fn all(&self) -> u8 {
        (1 << self.hives().len()) - 1
    }

    /// Its `i`th file's name, without the try it belongs to.
    pub fn name(&self, i: u8) -> Name {
        Name { start: self.start, next: self.next, hive: self.hives()[usize::from(i)] }
    }
}

/// Both codes share one Hive partition, and each has one of its own.
pub fn hive(code: Code, n: u8) -> u8 {
    if code == Code::A { n % 2 } else { n % 2 * 2 }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    Committed,
    Abandoned,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    pub start: u8,
    pub next: u8,
    pub hive: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum File {
    Rows(Maker),
    /// Put where an abandoned try's file is or might still come.
    Empty,
}

/// Number of a range, and which try of it.
pub type Key = (u8, u8);

/// The objects of one try.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Try {
    pub plan: Option<Plan>,
    pub end: Option<End>,
    pub files: BTreeMap<Name, File>,
    /// Not in the store: how it was first said to have ended.
    pub first_end: Option<End>,
}

/// A write on its way to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Put {
    Plan(Key, Plan),
    End(Key, End),
    Rows(Key, Name, Maker),
    /// The only one that replaces what is there.
    Empty(Key, Name),
}

/// What a worker knows of the partition, as `Known` of `sinks/lake/sink.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Known {
    /// The last committed range, the offset after it, and the try it was committed with.
    pub seq: u8,
    pub next: u8,
    pub after: u8,
    /// The next range's try.
    pub attempt: u8,
    pub left_to_us: bool,
}

/// A closed range that waits to be committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Draft {
    pub next: u8,
    pub kind: Kind,
    pub by: Maker,
}

/// The I/O a worker does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// LIST the ledger and GET what it names, none of which changes any more.
    Look,
    /// PUT the first plan of all.
    Genesis,
    /// LIST a file of an open plan; these are left.
    Check { at: Key, plan: Plan, left: u8 },
    /// PUT the end of an open plan.
    Settle { at: Key, end: End },
    /// PUT empty files over an abandoned try's.
    Empty { at: Key, plan: Plan, left: u8, then: Then },
    /// Fetch records, up to where the range is closed.
    Read,
    /// PUT the plan, for the try after ours when `again`.
    Plan { again: bool },
    /// GET the plan that was there.
    SeePlan { again: bool },
    /// PUT the end of a try of our own code that reads differently now.
    GiveUp { plan: Plan },
    /// GET how that try ended.
    SeeGivenUp { plan: Plan },
    /// PUT a file; these are left.
    Write { plan: Plan, attempt: u8, left: u8 },
    /// GET a file that was there.
    Compare { plan: Plan, attempt: u8, left: u8, file: u8 },
    /// GET the end, since the file was another one.
    Explain { attempt: u8 },
    /// PUT the end.
    End { plan: Plan, attempt: u8 },
    /// GET the end that was there.
    SeeEnd { plan: Plan, attempt: u8 },
    /// Commit the group's offset.
    Group,
    /// All records are committed.
    Idle,
    /// Retention took what comes next: an operator has to choose.
    Stopped,
    /// The sink says that somebody else must have written here. Never in a correct protocol.
    Refused,
}

/// What follows once a try's files are emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Then {
    /// In `open`: the position is known.
    Open(Known),
    /// In `commit`: the next try is planned.
    Plan,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Worker {
    pub code: Code,
    pub phase: Phase,
    pub known: Option<Known>,
    /// Where the next range must end, when a plan says so.
    pub planned: Option<u8>,
    pub draft: Option<Draft>,
}

impl Worker {
    /// One that has just been started: it knows nothing.
    pub fn new(code: Code) -> Self {
        Self { code, phase: Phase::Look, known: None, planned: None, draft: None }
    }
}

/// How often what may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Workers that die; each is followed by one of any code.
    pub crashes: u8,
    /// I/Os that fail, lose their reply, take effect later or are answered "412" although they were ours.
    pub faults: u8,
    /// Offsets that retention drops.
    pub retention: u8,
    /// Times the group's offset is set to anything.
    pub resets: u8,
    /// Changes of a table that records are looked up in.
    pub lookups: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub store: BTreeMap<Key, Try>,
    /// The topic's first offset.
    pub low: u8,
    pub snapshot: u8,
    /// The group's committed offset, and whether somebody set it by hand since.
    pub group: Option<u8>,
    pub moved: bool,
    pub workers: Vec<Worker>,
    /// A write that its worker no longer waits for.
    pub late: Option<Put>,
    pub budget: Budget,
}

impl State {
    /// Applies a write; true: the object was not there and is now. `replacing` is what no write but [`Put::Empty`]
    /// may do.
    pub fn put(&mut self, put: Put, replacing: bool) -> bool {
        let (Put::Plan(key, _) | Put::End(key, _) | Put::Rows(key, ..) | Put::Empty(key, _)) = put;
        let at = self.store.entry(key).or_default();
        match put {
            Put::Plan(_, plan) => place(&mut at.plan, plan, replacing),
            Put::End(_, end) => {
                at.first_end.get_or_insert(end);
                place(&mut at.end, end, replacing)
            }
            Put::Rows(_, name, _) if !replacing && at.files.contains_key(&name) => false,
            Put::Rows(_, name, by) => {
                at.files.insert(name, File::Rows(by));
                true
            }
            Put::Empty(_, name) => {
                at.files.insert(name, File::Empty);
                true
            }
        }
    }

    pub fn plan(&self, key: Key) -> Option<Plan> {
        self.store.get(&key)?.plan
    }

    pub fn end(&self, key: Key) -> Option<End> {
        self.store.get(&key)?.end
    }

    pub fn file(&self, key: Key, name: Name) -> Option<File> {
        self.store.get(&key)?.files.get(&name).copied()
    }

    /// The committed tries, in order.
    pub fn committed(&self) -> Vec<(Key, Plan)> {
        let ended = self.store.iter().filter(|(_, at)| at.end == Some(End::Committed));
        ended.filter_map(|(key, at)| Some((*key, at.plan?))).collect()
    }

    /// The offset after the last committed range.
    pub fn position(&self) -> u8 {
        self.committed().last().map_or(0, |(_, plan)| plan.next)
    }
}

fn place<T>(object: &mut Option<T>, value: T, replacing: bool) -> bool {
    let created = object.is_none() || replacing;
    if created {
        *object = Some(value);
    }
    created
}
