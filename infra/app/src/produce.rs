use std::time::Duration;

use anyhow::Result;
use tokio_util::sync::CancellationToken;

use crate::progress::Bars;
use crate::supervised::supervised;
use crate::{ProduceOptions, Sent, Setup};

/// Runs the app's producer until it ends or `stop`, and shows how much it sent.
pub async fn produce(
    setup: &Setup,
    options: ProduceOptions,
    stop: CancellationToken,
) -> Result<()> {
    let sent = Sent::default();
    let bars = Bars::new();
    let bar = bars.produced(setup.app.name, options.limit);
    let producing = setup.produce(options, sent.clone(), stop.clone(), |line| eprintln!("{line}"));
    let line = || format!("{} records sent {}", sent.get(), sent.said());
    // Up as soon as its settings are known to be good: topics that can't be reached are tried until they can.
    let producing = supervised(producing, std::future::ready(()), &stop, line);
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
    ended?;
    eprintln!("{}: {} records sent", setup.app.name, sent.get());
    Ok(())
}
