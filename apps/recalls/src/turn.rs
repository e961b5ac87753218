//! One refresh at a time, whoever wants it, on whatever machine.

use std::time::Duration;

use anyhow::{Context, Result};
use millstream_topic::{Backend, Consumer, Event};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::pipeline::FEED;

const GROUP: &str = "recalls.refresh";
const WAIT: Duration = Duration::from_millis(500);

/// The turn to refresh: whoever has the only partition of the feed's topic in the group has it. Dropping it passes
/// it on.
pub struct Turn(Box<dyn Consumer>);

impl Turn {
    /// Waits until nobody else refreshes; `None`: stopped before.
    pub async fn wait(topics: &dyn Backend, stop: &CancellationToken) -> Result<Option<Self>> {
        topics.ensure(&FEED).await.context("make the topic of the feed's state")?;
        let joined = topics.join(GROUP, &[FEED.name.clone().into_owned()]).await;
        let mut member = joined.with_context(|| format!("join group {GROUP}"))?;
        let mut told = false;
        while let Some(event) = stop.run_until_cancelled(member.poll(WAIT)).await {
            match event.with_context(|| format!("wait for the turn in group {GROUP}"))? {
                Event::Assigned(partitions) if !partitions.is_empty() => {
                    return Ok(Some(Self(member)));
                }
                Event::Standby(who) if !told => {
                    info!("another refresh is under way ({who}); waiting for it");
                    told = true;
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Keeps the turn until `done`, which it cancels when the turn is lost. `true`: it was kept. Nobody else has it
    /// before it is dropped: who loses it still says where they are.
    pub async fn keep(&mut self, done: &CancellationToken) -> bool {
        while let Some(event) = done.run_until_cancelled(self.0.poll(WAIT)).await {
            match event {
                Ok(Event::Revoked(partitions) | Event::Lost(partitions))
                    if !partitions.is_empty() =>
                {
                    warn!("somebody else refreshes now; this refresh ends");
                    done.cancel();
                    return false;
                }
                Ok(_) => {}
                Err(error) => {
                    warn!(%error, "keep the turn to refresh; trying again");
                    let _ = done.run_until_cancelled(tokio::time::sleep(WAIT)).await;
                }
            }
        }
        true
    }
}
