use std::time::Duration;

use anyhow::{Context, Result};
use tokio_util::sync::CancellationToken;

use crate::progress::Bars;
use crate::{Produce, ProduceOptions, Sent, Setup};

/// Runs the app's producer until it ends or `stop`, and shows how much it sent.
pub async fn produce(
    setup: &Setup,
    options: ProduceOptions,
    stop: CancellationToken,
) -> Result<()> {
    let sent = Sent::default();
    let bars = Bars::new();
    let bar = bars.produced(setup.app.name, options.limit);
    let given = Produce {
        settings: setup.settings.clone(),
        topics: setup.topics.clone(),
        stores: setup.stores.clone(),
        options,
        stop,
        sent: sent.clone(),
        notice: |line| eprintln!("{line}"),
    };
    let producing = (setup.app.produce)(given);
    tokio::pin!(producing);
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    let ended = loop {
        tokio::select! {
            ended = &mut producing => break ended,
            _ = tick.tick() => {
                bar.set(sent.get());
                bar.say(sent.said());
            }
        }
    };
    bar.finish(sent.get());
    ended.with_context(|| format!("produce {}", setup.app.name))?;
    eprintln!("{}: {} records sent", setup.app.name, sent.get());
    Ok(())
}
