//! The numbers that pages, JSON and metrics have in common, worked out from the book.

mod happening;
mod pipeline;
mod standing;
mod worker;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::book::{Book, Heard};
use crate::told::PipelineTold;
pub(crate) use happening::HappeningView;
pub(crate) use pipeline::{LookupView, PartitionView, PipelineView, Summary};
pub(crate) use standing::{Is, Standing};
pub(crate) use worker::WorkerView;

/// Everything at one glance.
#[derive(Debug, Serialize)]
pub(crate) struct Overview {
    pub(crate) now_ms: i64,
    pub(crate) reading: Reading,
    pub(crate) totals: Totals,
    pub(crate) workers: Vec<WorkerView>,
    pub(crate) pipelines: Vec<Summary>,
}

/// How reading the status topic goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Reading {
    /// Whether all that was there at first was read.
    pub(crate) loaded: bool,
    /// Why the topics can't be read.
    pub(crate) trouble: Option<String>,
    /// Records that couldn't be understood.
    pub(crate) bad: u64,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Totals {
    pub(crate) hosts: usize,
    pub(crate) workers: usize,
    pub(crate) silent: usize,
    pub(crate) pipelines: usize,
    /// Of these: on which nobody works.
    pub(crate) idle: usize,
    pub(crate) lag: i64,
    pub(crate) events_per_s: f64,
    pub(crate) events: u64,
    pub(crate) dead_letters: u64,
    pub(crate) retries: u64,
}

/// What one worker told about one pipeline.
#[derive(Clone, Copy)]
pub(crate) struct Share<'a> {
    pub(crate) heard: &'a Heard,
    pub(crate) told: &'a PipelineTold,
    pub(crate) silent: bool,
}

impl Overview {
    pub(crate) fn of(book: &Book) -> Self {
        let workers: Vec<_> =
            book.workers.values().map(|heard| WorkerView::of(book, heard)).collect();
        let shares = shares(book);
        let mut ids = book.history.pipelines();
        ids.extend(shares.keys().map(String::as_str));
        let told = |id: &str| shares.get(id).map(Vec::as_slice).unwrap_or_default();
        let pipelines: Vec<_> = ids.into_iter().map(|id| Summary::of(book, id, told(id))).collect();
        let mut hosts: Vec<_> = workers.iter().map(|worker| &worker.host).collect();
        hosts.sort_unstable();
        hosts.dedup();
        let totals = Totals {
            hosts: hosts.len(),
            workers: workers.len(),
            silent: workers.iter().filter(|worker| worker.state.is == Is::Silent).count(),
            pipelines: pipelines.len(),
            idle: pipelines.iter().filter(|one| one.is_idle()).count(),
            lag: pipelines.iter().map(|one| one.lag).fold(0, i64::saturating_add),
            events_per_s: pipelines.iter().map(|one| one.events_per_s).sum(),
            events: pipelines.iter().map(|one| one.events).fold(0, u64::saturating_add),
            dead_letters: pipelines.iter().map(|one| one.dead_letters).fold(0, u64::saturating_add),
            retries: pipelines.iter().map(|one| one.retries).fold(0, u64::saturating_add),
        };
        Self { now_ms: book.now_ms, reading: Reading::of(book), totals, workers, pipelines }
    }

    /// Workers by host, both in order.
    pub(crate) fn hosts(&self) -> BTreeMap<&str, Vec<&WorkerView>> {
        let mut hosts: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for worker in &self.workers {
            hosts.entry(worker.host.as_str()).or_default().push(worker);
        }
        hosts
    }
}

impl Reading {
    pub(crate) fn of(book: &Book) -> Self {
        Self { loaded: book.loaded, trouble: book.trouble.clone(), bad: book.bad }
    }
}

/// Every pipeline with what its workers told, by its id.
pub(crate) fn shares(book: &Book) -> BTreeMap<String, Vec<Share<'_>>> {
    let mut pipelines: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for heard in book.workers.values() {
        let silent = book.silence(heard).is_some();
        for told in &heard.told.pipelines {
            pipelines.entry(told.plan.id()).or_default().push(Share { heard, told, silent });
        }
    }
    pipelines
}
