//! The smallest real [`Target`]: a table in memory. An example for writing sinks, and what tests drive:
//! calls can be made to fail, to lose their reply or to be refused, and the whole state can be looked at.

mod table;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use millstream_topic::TopicPartition;

use self::table::Table;
use crate::ledger::{Assignment, Entry, EntryKind};
use crate::{About, Keeping, Outcome, Range, Sink, SinkError, Standing, Target};

/// A table in memory. Clones share it, so a test keeps one and gives the other away.
#[derive(Clone, Debug)]
pub struct MemoryTarget {
    name: String,
    keeping: Keeping,
    state: Arc<Mutex<State>>,
}

/// What a [`MemoryTarget`] holds at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Everything a scan shows; `None` before the first connect.
    pub rows: Option<RecordBatch>,
    pub ledger: BTreeMap<TopicPartition, Vec<Entry>>,
}

impl MemoryTarget {
    /// Keeps every row.
    pub fn append(name: &str) -> Self {
        Self::keeping(name, Keeping::Append)
    }

    /// Keeps, per key, the row with the highest version.
    pub fn upsert(name: &str, key: &[&str]) -> Self {
        Self::keeping(name, Keeping::Upsert { key: owned(key) })
    }

    /// Adds `count` up per key.
    pub fn count(name: &str, key: &[&str], count: &str) -> Self {
        Self::keeping(name, Keeping::Count { key: owned(key), count: count.to_owned() })
    }

    fn keeping(name: &str, keeping: Keeping) -> Self {
        let state = State { table: Table::new(keeping.clone()), ..State::default() };
        Self { name: name.to_owned(), keeping, state: Arc::new(Mutex::new(state)) }
    }

    /// The next `calls` of open, commit and ledger do nothing and say the sink is unavailable.
    pub fn fail_next(&self, calls: usize) {
        self.lock().faults.fail = calls;
    }

    /// The next `calls` of open and commit take effect and say the sink is unavailable all the same.
    pub fn lose_reply_next(&self, calls: usize) {
        self.lock().faults.lose_reply = calls;
    }

    /// The next call of open, commit or ledger does nothing and is refused.
    pub fn refuse_next(&self) {
        self.lock().faults.refuse = true;
    }

    /// Makes it look as if a worker had planned the range up to `end`, inclusive, and died: the next open says
    /// [`Standing::Planned`], and a range that ends elsewhere is superseded. An operator's choice drops the plan.
    pub fn plan(&self, at: &TopicPartition, end: i64) {
        self.lock().partitions.entry(at.clone()).or_default().planned = Some(end);
    }

    /// Forgets all positions, as a sink does that is filled anew: the next range of each partition is superseded, and
    /// the next open starts at the genesis.
    pub fn begin_anew(&self) {
        self.lock().partitions.clear();
    }

    pub fn snapshot(&self) -> Snapshot {
        let state = self.lock();
        let ledger =
            state.partitions.iter().map(|(at, p)| (at.clone(), p.ledger.clone())).collect();
        Snapshot { rows: state.table.rows().ok().flatten(), ledger }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The way in of every call that may be told to fail.
    fn enter(&self, doing: &str) -> Result<MutexGuard<'_, State>, SinkError> {
        let mut state = self.lock();
        if std::mem::take(&mut state.faults.refuse) {
            return Err(SinkError::refused(doing, "the test said so", "look at the test"));
        }
        if use_up(&mut state.faults.fail) {
            return Err(SinkError::unavailable(doing, "the test said so"));
        }
        Ok(state)
    }
}

#[async_trait]
impl Target for MemoryTarget {
    fn about(&self) -> About {
        let required = match &self.keeping {
            Keeping::Append => Vec::new(),
            Keeping::Upsert { key } => key.clone(),
            Keeping::Count { key, count } => [key.as_slice(), std::slice::from_ref(count)].concat(),
        };
        About {
            table: self.name.clone(),
            place: "memory://".to_owned(),
            keeping: self.keeping.clone(),
            required,
        }
    }

    async fn connect(
        &self,
        pipeline: &str,
        schema: &SchemaRef,
    ) -> Result<Box<dyn Sink>, SinkError> {
        let mut state = self.lock();
        state.check_owner(&self.name, pipeline)?;
        state.table.connect(schema)?;
        state.owner = Some(pipeline.to_owned());
        Ok(Box::new(MemorySink { target: self.clone() }))
    }

    async fn scan(
        &self,
        pipeline: &str,
        visit: &mut (dyn FnMut(RecordBatch) -> Result<(), SinkError> + Send),
    ) -> Result<(), SinkError> {
        let rows = {
            let state = self.lock();
            state.check_owner(&self.name, pipeline)?;
            state.table.rows()?
        };
        rows.map_or(Ok(()), visit)
    }
}

/// One worker's connection to a [`MemoryTarget`].
#[derive(Debug)]
pub struct MemorySink {
    target: MemoryTarget,
}

#[async_trait]
impl Sink for MemorySink {
    async fn open(&mut self, assignment: &Assignment) -> Result<Standing, SinkError> {
        let doing = format!("open {} in {}", assignment.at, self.target.name);
        let mut state = self.target.enter(&doing)?;
        let counts = matches!(self.target.keeping, Keeping::Count { .. });
        let partition = state.partitions.entry(assignment.at.clone()).or_default();
        let last = match partition.ledger.last() {
            Some(last) => last.clone(),
            None => {
                // No clock here: a genesis at the epoch keeps the state a pure function of the calls.
                let genesis = Entry::genesis(assignment, 0);
                partition.ledger.push(genesis.clone());
                genesis
            }
        };
        let planned = partition.planned;
        if counts {
            check_fingerprint(&doing, &last, assignment)?;
        }
        state.reply(&doing)?;
        Ok(match planned {
            Some(end) => Standing::Planned { after: last, end },
            None => Standing::At(last),
        })
    }

    async fn commit(
        &mut self,
        assignment: &Assignment,
        range: &Range,
    ) -> Result<Outcome, SinkError> {
        let entry = &range.entry;
        let doing = format!("commit range {} of {}", entry.seq, assignment.at);
        let mut guard = self.target.enter(&doing)?;
        let state = &mut *guard;
        let partition = state.partitions.entry(assignment.at.clone()).or_default();
        let follows = partition.ledger.last().is_some_and(|last| last.seq + 1 == entry.seq);
        let as_planned = entry.kind != EntryKind::Range
            || partition.planned.is_none_or(|planned| planned == entry.end);
        let outcome = if follows && as_planned {
            state.table.apply(range)?;
            partition.ledger.push(entry.clone());
            partition.planned = None;
            Outcome::Committed
        } else {
            Outcome::Superseded
        };
        state.reply(&doing)?;
        Ok(outcome)
    }

    async fn ledger(
        &mut self,
        at: &TopicPartition,
        from: u64,
        max: usize,
    ) -> Result<Vec<Entry>, SinkError> {
        let state = self.target.enter("read the ledger")?;
        let entries = state.partitions.get(at).map_or(&[][..], |partition| &partition.ledger);
        Ok(entries.iter().filter(|entry| entry.seq >= from).take(max).cloned().collect())
    }
}

#[derive(Debug, Default)]
struct State {
    owner: Option<String>,
    table: Table,
    partitions: BTreeMap<TopicPartition, Partition>,
    faults: Faults,
}

#[derive(Debug, Default)]
struct Partition {
    ledger: Vec<Entry>,
    planned: Option<i64>,
}

#[derive(Debug, Default)]
struct Faults {
    fail: usize,
    lose_reply: usize,
    refuse: bool,
}

impl State {
    fn check_owner(&self, table: &str, pipeline: &str) -> Result<(), SinkError> {
        match &self.owner {
            Some(owner) if owner != pipeline => Err(SinkError::refused(
                format!("use table {table} for pipeline {pipeline}"),
                format!("it belongs to pipeline {owner}"),
                "give each pipeline a table of its own",
            )),
            _ => Ok(()),
        }
    }

    /// The way out of every call whose reply may be lost.
    fn reply(&mut self, doing: &str) -> Result<(), SinkError> {
        if use_up(&mut self.faults.lose_reply) {
            return Err(SinkError::unavailable(doing, "the reply got lost, as the test said"));
        }
        Ok(())
    }
}

/// Counts made by two versions of the code must not be mixed unless the operator says so.
fn check_fingerprint(doing: &str, last: &Entry, ours: &Assignment) -> Result<(), SinkError> {
    if last.fingerprint == ours.fingerprint || last.kind == EntryKind::AcceptChange {
        return Ok(());
    }
    Err(SinkError::refused(
        doing,
        "the counts were made by another version of the pipeline's code",
        "use a new table, or accept the mixture with `millstream position accept-change`",
    ))
}

fn use_up(times: &mut usize) -> bool {
    let any = *times > 0;
    *times = times.saturating_sub(1);
    any
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[cfg(test)]
mod tests;
