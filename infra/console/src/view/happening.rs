use std::collections::BTreeSet;

use millstream_engine::Happening;
use serde::Serialize;

use super::Share;
use crate::book::Book;
use crate::worker::Worker;

/// Happenings shown.
const HAPPENINGS: usize = 60;

/// Something that happened to a pipeline, and where.
#[derive(Debug, Serialize)]
pub(crate) struct HappeningView {
    #[serde(flatten)]
    pub(crate) happening: Happening,
    pub(crate) worker: String,
    pub(crate) host: String,
    /// Whether the worker still tells how it stands.
    pub(crate) there: bool,
}

/// What workers tell now and what those that have gone told, newest first.
pub(super) fn happenings(book: &Book, id: &str, shares: &[Share<'_>]) -> Vec<HappeningView> {
    let now = shares
        .iter()
        .map(|share| (&share.heard.told.worker, share.told.status.happenings.as_slice()));
    let past = book.history.pasts(id).map(|past| (&past.worker, past.happenings.as_slice()));
    let mut seen = BTreeSet::new();
    let mut all: Vec<_> = now
        .chain(past)
        .flat_map(|(worker, some)| some.iter().map(move |one| (worker, one)))
        // What a worker tells is in history too.
        .filter(|(worker, one)| {
            seen.insert((
                &worker.id,
                one.at_ms,
                format!("{:?}", one.what),
                &one.partitions,
                &one.why,
            ))
        })
        .collect();
    all.sort_by_key(|(_, one)| std::cmp::Reverse(one.at_ms));
    all.truncate(HAPPENINGS);
    all.into_iter().map(|(worker, one)| view(book, worker, one)).collect()
}

fn view(book: &Book, worker: &Worker, happening: &Happening) -> HappeningView {
    HappeningView {
        happening: happening.clone(),
        worker: worker.id.clone(),
        host: worker.host.clone(),
        there: book.workers.contains_key(&worker.id),
    }
}
