use std::collections::BTreeMap;

use millstream_engine::{Batches, LookupStatus, PartitionStatus};
use millstream_web::words;
use serde::Serialize;

use super::happening::{HappeningView, happenings};
use super::{Is, Share, Standing};
use crate::book::Book;
use crate::history::Point;
use crate::worker::PipelinePlan;

/// Steps of history beside a pipeline's name: a quarter of an hour.
const GLANCE: usize = 90;

/// A pipeline over all its workers.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) id: String,
    pub(crate) plan: PipelinePlan,
    pub(crate) state: Standing,
    /// Those that have partitions of it.
    pub(crate) workers: Vec<String>,
    pub(crate) partitions: usize,
    pub(crate) lag: i64,
    pub(crate) events_per_s: f64,
    /// This and the following: since the workers that are listed started.
    pub(crate) events: u64,
    pub(crate) rows: u64,
    pub(crate) filtered: u64,
    pub(crate) tombstones: u64,
    pub(crate) dead_letters: u64,
    pub(crate) retries: u64,
    pub(crate) restarts: u64,
    pub(crate) batches: u64,
    pub(crate) batch_last_ms: Option<u64>,
    pub(crate) batch_mean_ms: Option<u64>,
    /// Records and rows in memory.
    pub(crate) held_bytes: usize,
    /// How many there may be before reading pauses, over all workers.
    pub(crate) memory_bytes: usize,
    /// The last quarter of an hour.
    pub(crate) recent: Vec<Point>,
}

/// The same with every partition, what happened, and all history.
#[derive(Debug, Serialize)]
pub(crate) struct PipelineView {
    #[serde(flatten)]
    pub(crate) summary: Summary,
    /// By the console's clock.
    pub(crate) now_ms: i64,
    pub(crate) by_partition: Vec<PartitionView>,
    /// Each lookup table once: as it stands with the worker that has to wait for it, or has the oldest.
    pub(crate) lookups: Vec<LookupView>,
    /// Newest first.
    pub(crate) happenings: Vec<HappeningView>,
    pub(crate) history: Vec<Point>,
}

/// A lookup table.
#[derive(Debug, Serialize)]
pub(crate) struct LookupView {
    #[serde(flatten)]
    pub(crate) status: LookupStatus,
    pub(crate) worker: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct PartitionView {
    pub(crate) topic: String,
    pub(crate) partition: u32,
    pub(crate) state: Standing,
    pub(crate) position: i64,
    pub(crate) next: i64,
    pub(crate) end: i64,
    pub(crate) lag: i64,
    pub(crate) events_per_s: f64,
    pub(crate) worker: String,
    pub(crate) host: String,
    /// Until what is open is rolled by the clock; `None`: nothing is open.
    pub(crate) roll_in_ms: Option<i64>,
    pub(crate) held_bytes: usize,
    /// Reading pauses until the sink has taken what is held.
    pub(crate) paused: bool,
    /// This and the following: since it was assigned to its worker.
    pub(crate) events: u64,
    pub(crate) dead_letters: u64,
    pub(crate) retries: u64,
    pub(crate) batches: u64,
    pub(crate) batch_ms_sum: u64,
    pub(crate) batch_last_ms: Option<u64>,
    pub(crate) batch_mean_ms: Option<u64>,
}

impl Summary {
    pub(crate) fn of(book: &Book, id: &str, shares: &[Share<'_>]) -> Self {
        Self::with(book, id, shares, &partitions(book, shares))
    }

    fn with(book: &Book, id: &str, shares: &[Share<'_>], partitions: &[PartitionView]) -> Self {
        let mut workers: Vec<_> = partitions.iter().map(|at| at.worker.clone()).collect();
        workers.sort_unstable();
        workers.dedup();
        let sum = |of: fn(&millstream_engine::Totals) -> u64| {
            shares.iter().map(|share| of(&share.told.status.totals)).fold(0, u64::saturating_add)
        };
        let batches = batches(shares);
        let memory =
            shares.iter().filter(|share| !share.silent).map(|share| share.told.status.memory);
        Self {
            id: id.to_owned(),
            plan: newest(shares)
                .map_or_else(|| book.history.plan(id), |share| share.told.plan.clone()),
            state: if shares.is_empty() {
                nobody(book, id)
            } else {
                state(book, shares, partitions)
            },
            workers,
            partitions: partitions.len(),
            lag: partitions.iter().map(|at| at.lag).fold(0, i64::saturating_add),
            events_per_s: partitions.iter().map(|at| at.events_per_s).sum(),
            events: sum(millstream_engine::Totals::events),
            rows: sum(|totals| totals.rows),
            filtered: sum(|totals| totals.filtered),
            tombstones: sum(|totals| totals.tombstones),
            dead_letters: sum(|totals| totals.dead_lettered),
            retries: sum(|totals| totals.retries),
            restarts: sum(|totals| totals.restarts),
            batches: batches.count,
            batch_last_ms: (batches.count > 0).then_some(batches.last_ms),
            batch_mean_ms: batches.mean_ms(),
            held_bytes: partitions.iter().map(|at| at.held_bytes).fold(0, usize::saturating_add),
            memory_bytes: memory.fold(0, usize::saturating_add),
            recent: book.history.of(id, GLANCE),
        }
    }

    /// Nobody works on it: there are no numbers of the moment.
    pub(crate) fn is_idle(&self) -> bool {
        self.state.is == Is::Nobody
    }
}

impl PipelineView {
    /// `None`: no worker tells of it, and none has for so long that nothing is left of it.
    pub(crate) fn of(book: &Book, id: &str) -> Option<Self> {
        let all = super::shares(book);
        let shares = all.get(id).map(Vec::as_slice).unwrap_or_default();
        if shares.is_empty() && book.history.last_told_ms(id).is_none() {
            return None;
        }
        let by_partition = partitions(book, shares);
        Some(Self {
            summary: Summary::with(book, id, shares, &by_partition),
            now_ms: book.now_ms,
            by_partition,
            lookups: lookups(shares),
            happenings: happenings(book, id, shares),
            history: book.history.of(id, usize::MAX),
        })
    }
}

fn lookups(shares: &[Share<'_>]) -> Vec<LookupView> {
    let mut found: BTreeMap<&str, (Share<'_>, &LookupStatus)> = BTreeMap::new();
    for share in shares.iter().filter(|share| !share.silent) {
        for one in &share.told.status.lookups {
            let place = found.entry(&one.name).or_insert((*share, one));
            let rank = |status: &LookupStatus| (!status.waits, status.as_of_ms);
            if rank(one) < rank(place.1) {
                *place = (*share, one);
            }
        }
    }
    let view = |(share, status): (Share<'_>, &LookupStatus)| LookupView {
        status: status.clone(),
        worker: share.heard.told.worker.id.clone(),
    };
    found.into_values().map(view).collect()
}

/// Each partition once: as the worker tells that isn't silent, or that told last.
fn partitions(book: &Book, shares: &[Share<'_>]) -> Vec<PartitionView> {
    let mut found: BTreeMap<(&str, u32), (Share<'_>, &PartitionStatus, f64)> = BTreeMap::new();
    for share in shares {
        let rates = share.told.rates.iter().copied().chain(std::iter::repeat(0.0));
        for (at, rate) in share.told.status.partitions.iter().zip(rates) {
            let place = found.entry((&at.topic, at.partition)).or_insert((*share, at, rate));
            let prior = (!place.0.silent, place.0.heard.heard_at_ms);
            if (!share.silent, share.heard.heard_at_ms) > prior {
                *place = (*share, at, rate);
            }
        }
    }
    found.into_values().map(|(share, at, rate)| PartitionView::of(book, share, at, rate)).collect()
}

impl PartitionView {
    fn of(book: &Book, share: Share<'_>, at: &PartitionStatus, rate: f64) -> Self {
        let silence = book.silence(share.heard);
        let (worker, counts) = (&share.heard.told.worker, at.counts);
        // The countdown is the worker's; its clock may differ from ours.
        let age = book.now_ms.saturating_sub(share.heard.heard_at_ms);
        let roll_in =
            |roll_at: i64| (roll_at.saturating_sub(share.heard.told.told_at_ms) - age).max(0);
        Self {
            topic: at.topic.clone(),
            partition: at.partition,
            state: silence.map_or_else(|| Standing::from(&at.state), Standing::silent),
            position: at.position,
            next: at.next,
            end: at.end,
            lag: at.lag(),
            events_per_s: if share.silent { 0.0 } else { rate },
            worker: worker.id.clone(),
            host: worker.host.clone(),
            roll_in_ms: at.roll_at_ms.filter(|_| !share.silent).map(roll_in),
            held_bytes: at.held,
            paused: at.paused,
            events: counts.events,
            dead_letters: counts.dead_lettered,
            retries: counts.retries,
            batches: counts.batches.count,
            batch_ms_sum: counts.batches.sum_ms,
            batch_last_ms: (counts.batches.count > 0).then_some(counts.batches.last_ms),
            batch_mean_ms: counts.batches.mean_ms(),
        }
    }
}

/// How a pipeline stands that only history knows.
fn nobody(book: &Book, id: &str) -> Standing {
    let Some(told_at) = book.history.last_told_ms(id) else {
        return Standing::new(Is::Nobody, "");
    };
    let ago = words::lasting(book.now_ms.saturating_sub(told_at).max(0));
    let why = format!("its last worker told of it {ago} ago");
    match book.history.of(id, 1).first() {
        Some(point) if point.lag > 0 => {
            let waited = words::grouped(point.lag);
            Standing::new(Is::Nobody, format!("{why}; {waited} events waited then"))
        }
        _ => Standing::new(Is::Nobody, why),
    }
}

/// Who stands by, or is done, says nothing about the pipeline as long as another one works.
fn state(book: &Book, shares: &[Share<'_>], partitions: &[PartitionView]) -> Standing {
    let told = shares
        .iter()
        .filter(|share| !share.silent)
        .map(|share| Standing::from(&share.told.status.state));
    let orphans =
        partitions.iter().filter(|at| at.state.is == Is::Silent).map(|at| at.state.clone());
    Standing::worst(told.chain(orphans)).unwrap_or_else(|| {
        let silence = shares.iter().filter_map(|share| book.silence(share.heard)).min();
        Standing::silent(silence.unwrap_or_default())
    })
}

fn batches(shares: &[Share<'_>]) -> Batches {
    let all = shares.iter().map(|share| share.told.status.batches);
    let last = shares
        .iter()
        .filter(|share| share.told.status.batches.count > 0)
        .max_by_key(|share| share.heard.heard_at_ms);
    all.fold(Batches::default(), |sum, one| Batches {
        count: sum.count.saturating_add(one.count),
        sum_ms: sum.sum_ms.saturating_add(one.sum_ms),
        last_ms: last.map_or(0, |share| share.told.status.batches.last_ms),
    })
}

fn newest<'a>(shares: &[Share<'a>]) -> Option<Share<'a>> {
    shares.iter().copied().max_by_key(|share| share.heard.heard_at_ms)
}
