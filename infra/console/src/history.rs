use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::told::{Past, SAMPLE_MS, SLOTS, Sample};
use crate::worker::PipelinePlan;

/// A past of which nobody told for so long is forgotten, in milliseconds: a week.
const FORGOTTEN_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// How pipelines stood, in steps of 10 s, and what happened to them.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// Per pipeline and step, the shares of the workers by their first partition.
    shares: BTreeMap<String, BTreeMap<i64, BTreeMap<String, Sample>>>,
    /// Per pipeline, what workers told of it besides numbers, by the keys of their records.
    pasts: BTreeMap<String, BTreeMap<String, Past>>,
}

/// All workers' shares of a pipeline in one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Point {
    /// When the step begins, in milliseconds since the Unix epoch.
    pub(crate) at_ms: i64,
    pub(crate) events_per_s: f64,
    pub(crate) lag: i64,
    /// In this step.
    pub(crate) dead_letters: u64,
}

impl History {
    pub(crate) fn take(&mut self, sample: Sample) {
        let step = sample.at_ms.div_euclid(SAMPLE_MS);
        let steps = self.shares.entry(sample.pipeline.clone()).or_default();
        steps.entry(step).or_default().insert(sample.first.clone(), sample);
    }

    pub(crate) fn take_past(&mut self, key: &str, past: Past) {
        self.pasts.entry(past.plan.id()).or_default().insert(key.to_owned(), past);
    }

    /// Forgets what the record with this key told.
    pub(crate) fn drop_past(&mut self, key: &str) {
        self.pasts.values_mut().for_each(|pasts| drop(pasts.remove(key)));
        self.pasts.retain(|_, pasts| !pasts.is_empty());
    }

    /// Every pipeline of which something is known.
    pub(crate) fn pipelines(&self) -> BTreeSet<&str> {
        self.shares.keys().chain(self.pasts.keys()).map(String::as_str).collect()
    }

    /// What workers told of a pipeline, whether they are still there or not.
    pub(crate) fn pasts(&self, pipeline: &str) -> impl Iterator<Item = &Past> {
        self.pasts.get(pipeline).into_iter().flat_map(BTreeMap::values)
    }

    /// The last plan of a pipeline; only its name when just samples are left of it.
    pub(crate) fn plan(&self, pipeline: &str) -> PipelinePlan {
        let last = self.pasts(pipeline).max_by_key(|past| past.told_at_ms);
        last.map(|past| past.plan.clone()).unwrap_or_else(|| {
            let (app, name) = pipeline.split_once('.').unwrap_or((pipeline, ""));
            PipelinePlan { app: app.to_owned(), pipeline: name.to_owned(), ..Default::default() }
        })
    }

    /// When a worker told of a pipeline last, in milliseconds since the Unix epoch; `None`: nobody did.
    pub(crate) fn last_told_ms(&self, pipeline: &str) -> Option<i64> {
        let told = self.pasts(pipeline).map(|past| past.told_at_ms);
        let steps = self.shares.get(pipeline).and_then(|steps| steps.values().next_back());
        let sampled = steps.into_iter().flat_map(BTreeMap::values).map(|sample| sample.at_ms);
        told.chain(sampled).max()
    }

    /// Lets go of what is older than the ring of keys is long, or of a time to come.
    pub(crate) fn forget(&mut self, now_ms: i64) {
        let now = now_ms.div_euclid(SAMPLE_MS);
        for steps in self.shares.values_mut() {
            steps.retain(|step, _| (now - SLOTS..=now + SLOTS).contains(step));
        }
        self.shares.retain(|_, steps| !steps.is_empty());
        for pasts in self.pasts.values_mut() {
            pasts.retain(|_, past| past.told_at_ms.abs_diff(now_ms) <= FORGOTTEN_MS);
        }
        self.pasts.retain(|_, pasts| !pasts.is_empty());
    }

    /// The last `most` steps of a pipeline, oldest first. Steps nobody told about are missing.
    pub(crate) fn of(&self, pipeline: &str, most: usize) -> Vec<Point> {
        let Some(steps) = self.shares.get(pipeline) else { return Vec::new() };
        let mut points: Vec<_> =
            steps.iter().rev().take(most).map(|(at, shares)| point(*at, shares)).collect();
        points.reverse();
        points
    }
}

fn point(step: i64, shares: &BTreeMap<String, Sample>) -> Point {
    Point {
        at_ms: step * SAMPLE_MS,
        events_per_s: shares.values().map(|share| share.rate).sum(),
        lag: shares.values().map(|share| share.lag).fold(0, i64::saturating_add),
        dead_letters: shares.values().map(|share| share.dead_letters).fold(0, u64::saturating_add),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at_ms: i64, first: &str, rate: f64) -> Sample {
        Sample { pipeline: "a.b".into(), first: first.into(), at_ms, rate, lag: 3, dead_letters: 1 }
    }

    #[test]
    fn shares_add_up_and_old_steps_go() {
        let mut history = History::default();
        history.take(sample(20_000, "t-0", 5.0));
        history.take(sample(29_000, "t-1", 7.0));
        history.take(sample(30_000, "t-0", 1.0));
        let points = history.of("a.b", 10);
        assert_eq!(points.len(), 2);
        assert_eq!(points[0], Point { at_ms: 20_000, events_per_s: 12.0, lag: 6, dead_letters: 2 });
        assert_eq!(history.of("a.b", 1)[0].at_ms, 30_000);
        history.forget(30_000 + SLOTS * SAMPLE_MS);
        assert_eq!(history.of("a.b", 10).len(), 1);
        assert!(history.of("a.c", 10).is_empty());
    }

    #[test]
    fn pasts_name_the_last_plan_and_go_after_a_week_or_when_taken_back() {
        let past = |told_at_ms, sink: &str| Past {
            plan: PipelinePlan {
                app: "a".into(),
                pipeline: "b".into(),
                sink: sink.into(),
                ..Default::default()
            },
            told_at_ms,
            ..Past::default()
        };
        let mut history = History::default();
        assert_eq!(history.last_told_ms("a.b"), None);
        history.take(sample(90_000, "t-0", 5.0));
        assert_eq!(
            (history.plan("a.b").pipeline, history.last_told_ms("a.b")),
            ("b".into(), Some(90_000))
        );
        history.take_past("told/a.b/1", past(70_000, "older"));
        history.take_past("told/a.b/2", past(80_000, "newer"));
        assert_eq!(history.plan("a.b").sink, "newer");
        assert_eq!(history.last_told_ms("a.b"), Some(90_000));
        history.forget(75_000 + FORGOTTEN_MS as i64);
        assert_eq!(history.pasts("a.b").count(), 1);
        assert_eq!(history.last_told_ms("a.b"), Some(80_000));
        history.drop_past("told/a.b/2");
        assert!(history.pipelines().is_empty());
    }
}
