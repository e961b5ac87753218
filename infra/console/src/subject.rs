use std::time::Duration;

use millstream_engine::{Happening, Status};
use millstream_topic::Outgoing;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::rate::Rates;
use crate::told::{Past, PipelineTold, Sample};
use crate::worker::{PipelinePlan, Worker};

/// How often what happened is written down though nothing new did: it shows until when somebody was there.
const PAST_EVERY: Duration = Duration::from_secs(10 * 60);

/// A pipeline that is told about.
pub(crate) struct Subject {
    pub(crate) plan: PipelinePlan,
    pub(crate) status: watch::Receiver<Status>,
    /// The happenings that were written down last, and when.
    pub(crate) kept: Option<(Instant, Vec<Happening>)>,
    rates: Rates,
    /// Dead letters at the last sample.
    dead: u64,
}

impl Subject {
    pub(crate) fn new(plan: PipelinePlan, status: watch::Receiver<Status>) -> Self {
        Self { plan, status, kept: None, rates: Rates::default(), dead: 0 }
    }

    pub(crate) fn tell(&mut self, now: Instant) -> PipelineTold {
        let status = self.status.borrow().clone();
        let rates = self.rates.of(&status.partitions, now);
        PipelineTold { plan: self.plan.clone(), status, rates }
    }

    /// `None`: who stands by has nothing to tell.
    pub(crate) fn sample(&mut self, told: &PipelineTold, at_ms: i64) -> Option<Outgoing> {
        let dead = told.status.totals.dead_lettered;
        let since = dead.saturating_sub(std::mem::replace(&mut self.dead, dead));
        let first = told.status.partitions.first()?;
        let sample = Sample {
            pipeline: told.plan.id(),
            first: format!("{}-{}", first.topic, first.partition),
            at_ms,
            rate: told.rate(),
            lag: told.status.lag(),
            dead_letters: since,
        };
        sample.to_record().ok()
    }

    /// Whether something happened that isn't written down, or nothing was for long.
    pub(crate) fn is_past_due(&self, now: Instant) -> bool {
        self.kept.as_ref().is_none_or(|(at, happenings)| {
            now.duration_since(*at) >= PAST_EVERY || *happenings != self.status.borrow().happenings
        })
    }

    pub(crate) fn past(&self, worker: &Worker, told_at_ms: i64) -> Past {
        let happenings = self.status.borrow().happenings.clone();
        Past { worker: worker.clone(), plan: self.plan.clone(), told_at_ms, happenings }
    }
}
