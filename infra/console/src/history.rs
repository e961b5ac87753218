use std::collections::BTreeMap;

use serde::Serialize;

use crate::told::{SAMPLE_MS, SLOTS, Sample};

/// How pipelines stood, in steps of 10 s.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// Per pipeline and step, the shares of the workers by their first partition.
    shares: BTreeMap<String, BTreeMap<i64, BTreeMap<String, Sample>>>,
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

    /// Lets go of what is older than the ring of keys is long, or of a time to come.
    pub(crate) fn forget(&mut self, now_ms: i64) {
        let now = now_ms.div_euclid(SAMPLE_MS);
        for steps in self.shares.values_mut() {
            steps.retain(|step, _| (now - SLOTS..=now + SLOTS).contains(step));
        }
        self.shares.retain(|_, steps| !steps.is_empty());
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
}
