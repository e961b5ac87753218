//! All apps' producers and workers in one process, then everything that was said to be promised is looked at.

mod parts;
mod summary;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use millstream_app::progress::Bars;
use millstream_app::{Produce, ProduceOptions, Rate, Sent, Setup, process};
use millstream_engine::verify::Report;
use millstream_topic::Outgoing;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::apps::Where;
use crate::show::say;
use crate::verify;
use parts::Part;

/// What no decoder takes.
const BROKEN: &[u8] = b"this record is broken on purpose";

#[derive(clap::Args)]
pub struct Options {
    /// End after the summary (until there is a page to look at, the demo always does)
    #[arg(long)]
    exit: bool,
    /// Print one JSON object as the last line in place of the tables
    #[arg(long)]
    json: bool,
    /// Go on producing until Ctrl-C in place of a bounded run
    #[arg(long)]
    endless: bool,
}

/// Runs the demo. `false`: something was lost, doubled or is at odds.
pub async fn demo(place: &Where, options: &Options) -> Result<bool> {
    let started = Instant::now();
    let stop = millstream_telemetry::stop_signal()?;
    let parts = parts::open(place)?;
    let bars = Bars::new();
    bars.println(&format!(
        "Millstream's demo: {} apps on the embedded log, data in {}",
        parts.len(),
        place.data.display()
    ));
    produce_and_process(&parts, options, &stop, &bars).await?;
    let setups: Vec<Setup> = parts.into_iter().map(|part| part.setup).collect();
    // Ctrl-C ends the producing, not the promise: what is in the topics is brought to its sinks.
    for setup in &setups {
        catch_up(setup).await.with_context(|| format!("finish {}", setup.app.name))?;
    }
    let reports = verify::reports(&setups, &[]).await?;
    let seen = summary::Seen { setups: &setups, reports: &reports, took: started.elapsed() };
    if options.json {
        say!("{}", seen.as_json().await?);
    } else {
        seen.print().await?;
    }
    Ok(reports.iter().all(Report::is_exact))
}

async fn produce_and_process(
    parts: &[Part],
    options: &Options,
    stop: &CancellationToken,
    bars: &Bars,
) -> Result<()> {
    let produced = CancellationToken::new();
    let mut work = JoinSet::new();
    let mut watching = JoinSet::new();
    let mut producing = JoinSet::new();
    for part in parts {
        let sent = Sent::default();
        let limit = (!options.endless).then_some(part.records);
        watching.spawn(follow(
            bars.clone(),
            part.setup.app.name,
            limit,
            sent.clone(),
            produced.clone(),
        ));
        producing.spawn(produce(part.setup.clone(), limit, sent, stop.clone()));
        for running in process::start(&part.setup, false, &produced, &mut work) {
            watching.spawn(bars.follow(running.status));
        }
    }
    let mut ended = Ok(());
    while let Some(one) = producing.join_next().await {
        ended = ended.and(one.context("run a producer").flatten());
    }
    produced.cancel();
    process::join(work, &produced, true).await?;
    while watching.join_next().await.is_some() {}
    ended
}

async fn produce(
    setup: Setup,
    limit: Option<u64>,
    sent: Sent,
    stop: CancellationToken,
) -> Result<()> {
    let given = Produce {
        settings: setup.settings.clone(),
        topics: setup.topics.clone(),
        options: ProduceOptions { rate: Some(Rate::Max), limit, ..ProduceOptions::default() },
        stop,
        sent,
        notice: |_| {},
    };
    (setup.app.produce)(given).await.with_context(|| format!("produce {}", setup.app.name))?;
    for topic in setup.app.topics {
        let broken = Outgoing { value: Some(BROKEN.into()), ..Outgoing::default() };
        let doing = || format!("send one broken record to {}", topic.name);
        setup.topics.ensure(topic).await.with_context(doing)?;
        setup.topics.append(&topic.name, vec![broken]).await.with_context(doing)?;
    }
    Ok(())
}

async fn follow(
    bars: Bars,
    app: &'static str,
    limit: Option<u64>,
    sent: Sent,
    until: CancellationToken,
) {
    let bar = bars.produced(app, limit);
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    while !until.is_cancelled() {
        tick.tick().await;
        bar.set(sent.get());
    }
    bar.finish(sent.get());
}

async fn catch_up(setup: &Setup) -> Result<()> {
    let stop = CancellationToken::new();
    let mut work = JoinSet::new();
    let running = Arc::new(process::start(setup, true, &stop, &mut work));
    process::join(work, &stop, true).await?;
    drop(running);
    Ok(())
}
