//! The pipeline's lookup tables while it runs: kept current beside the loop, and waited for by it.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::Worker;
use crate::lookup::{Freshness, Lookup, LookupStatus, keep};
use crate::pipeline::Pipeline;
use crate::status::What;
use crate::world::World;

/// Dropping it ends the reading.
pub(super) struct Lookups {
    all: Vec<Arc<Lookup>>,
    /// How each stood when it was last looked at.
    told: Vec<LookupStatus>,
    _reading: JoinSet<()>,
}

impl Lookups {
    /// Begins to read them.
    pub(super) fn start(pipeline: &Pipeline, world: &World) -> Self {
        let all = pipeline.lookups().to_vec();
        let mut reading = JoinSet::new();
        for lookup in &all {
            lookup.begin();
            reading.spawn(keep(lookup.clone(), world.clock.clone(), world.seed));
        }
        let told = vec![LookupStatus::default(); all.len()];
        Self { all, told, _reading: reading }
    }

    pub(super) fn statuses(&self) -> Vec<LookupStatus> {
        self.all.iter().map(|lookup| lookup.status()).collect()
    }

    /// Whether records have to wait: rows made now would lack what should be looked up.
    pub(super) fn wait(&self) -> bool {
        self.all.iter().any(|lookup| !lookup.is_usable())
    }

    /// What records wait for, in words.
    pub(super) fn awaited(&self) -> Option<String> {
        self.all.iter().find(|lookup| !lookup.is_usable()).map(|lookup| lookup.status().told())
    }

    /// Why waiting is of no use, unless somebody acts.
    pub(super) fn hopeless(&self) -> Option<String> {
        self.all.iter().find(|lookup| lookup.is_hopeless()).map(|lookup| lookup.status().told())
    }
}

impl Worker {
    /// Tells what changed about the lookup tables since the last look.
    pub(super) fn look_at_lookups(&mut self) {
        let now = self.lookups.statuses();
        let before = std::mem::replace(&mut self.lookups.told, now.clone());
        for (before, now) in before.iter().zip(&now) {
            let bad = |one: &LookupStatus| one.waits || one.state == Freshness::Stale;
            let told = now.told();
            // A worker that starts has read nothing yet, and that is no news.
            let is_new = before.name.is_empty();
            let worse = (now.waits && !before.waits) || (bad(now) && !bad(before));
            let failed = now.failed.is_some() && now.failed != before.failed;
            let better =
                before.failed.is_some() || (before.as_of_ms.is_some() && bad(before) && !bad(now));
            if failed || (worse && !is_new) {
                tracing::warn!(pipeline = self.id, "{told}");
                self.happened(What::Retrying, &[], &told);
            } else if now.failed.is_none() && better {
                tracing::info!(pipeline = self.id, "{told}");
                self.happened(What::Recovered, &[], &told);
            } else if before.as_of_ms.is_none() && now.as_of_ms.is_some() {
                tracing::info!(pipeline = self.id, "{told}");
            }
        }
    }
}
