use anyhow::{Context, Result};
use millstream_config::{Problems, Settings};
use millstream_sources::{Outlet, Pace};
use millstream_topic::Topic;

use crate::{Produce, Rate};

impl Produce {
    /// The pace asked for: `--rate`, else `[produce] rate` (records per second; 0: as fast as it goes).
    pub fn pace(&self) -> Result<Pace, Problems> {
        Ok(match self.options.rate {
            Some(Rate::Max) => Pace::Max,
            Some(Rate::PerSecond(rate)) => Pace::PerSecond(rate),
            None => Pace::from_rate(self.settings.section("produce.rate")?),
        })
    }

    /// The way into `topic`, up to `--limit` and until stopped; what it sends counts as [`Produce::sent`].
    pub async fn outlet(&self, topic: &Topic, pace: Pace) -> Result<Outlet> {
        let sent = self.sent.clone();
        let count = move |more| sent.add(more);
        let outlet = Outlet::open(self.topics.clone(), topic, pace, self.stop.clone(), count).await;
        let outlet = outlet.with_context(|| format!("open topic {}", topic.name))?;
        Ok(outlet.limit(self.options.limit))
    }
}

/// The SQL of a pipeline: `[sql] <pipeline>` if the settings have one, else the app's own.
pub fn sql(settings: &Settings, pipeline: &str, own: &str) -> Result<String, Problems> {
    let set: String = settings.section(&format!("sql.{pipeline}"))?;
    Ok(if set.trim().is_empty() { own.to_owned() } else { set })
}
