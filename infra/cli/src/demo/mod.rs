//! All apps' producers and workers in one process; everything that was said to be promised is looked at; then the
//! apps go on at a gentle pace behind their pages.

mod pages;
mod parts;
mod stay;
mod summary;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use millstream_app::process::Running;
use millstream_app::progress::Bars;
use millstream_app::{ProduceOptions, Sent, Setup, console, process};
use millstream_engine::verify::Report;
use millstream_topic::{Cleanup, Outgoing};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::apps::Where;
use crate::show::say;
use crate::verify;
use pages::Pages;
use parts::Part;

/// What no decoder takes.
const BROKEN: &[u8] = b"this record is broken on purpose";

#[derive(clap::Args)]
pub struct Options {
    /// End after the summary, and show no pages
    #[arg(long)]
    exit: bool,
    /// Print one JSON object as the last line in place of the tables
    #[arg(long)]
    json: bool,
    /// Go on producing as fast as it goes until Ctrl-C, then show the summary
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
    let pages = if options.exit { None } else { Some(Pages::start(&parts, &bars).await?) };
    produce_and_process(&parts, options, &stop, &bars).await?;
    if stop.is_cancelled() && !options.endless {
        if let Some(pages) = pages {
            pages.close().await?;
        }
        eprintln!("Stopped before everything was worked off. `millstream demo` goes on from here.");
        return Ok(true);
    }
    // Of an endless run Ctrl-C ends the producing, not the promise: what is in the topics is brought to its sinks.
    for part in &parts {
        catch_up(&part.setup).await.with_context(|| format!("finish {}", part.setup.app.name))?;
    }
    let setups: Vec<Setup> = parts.iter().map(|part| part.setup.clone()).collect();
    let reports = verify::reports(&setups, &[]).await?;
    let seen = summary::Seen { setups: &setups, reports: &reports, took: started.elapsed() };
    if options.json {
        say!("{}", seen.as_json().await?);
    } else {
        seen.print().await?;
    }
    if let Some(pages) = pages {
        if !options.endless {
            stay::until_stopped(&parts, &pages, &stop).await?;
        }
        pages.close().await?;
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
    let mut at_work = Vec::new();
    for part in parts {
        let sent = Sent::default();
        let asked = part.asked(options.endless);
        let limit = asked.limit;
        watching.spawn(follow(
            bars.clone(),
            part.setup.app.name,
            limit,
            sent.clone(),
            produced.clone(),
        ));
        producing.spawn(produce(part.setup.clone(), asked, sent, stop.clone()));
        let running = process::start(&part.setup, false, &produced, &mut work);
        for pipeline in &running {
            watching.spawn(bars.follow(pipeline.status.clone()));
        }
        at_work.extend(running);
    }
    let telling = report(parts, at_work, &produced);
    let mut ended = Ok(());
    while let Some(one) = producing.join_next().await {
        ended = ended.and(one.context("run a producer").flatten());
    }
    produced.cancel();
    process::join(work, &produced, true).await?;
    while watching.join_next().await.is_some() {}
    // It has nothing to tell but what was told.
    let _ = telling.await;
    ended
}

/// Lets the console know what this process works on.
fn report(parts: &[Part], at_work: Vec<Running>, stop: &CancellationToken) -> JoinHandle<()> {
    let topics = parts[0].setup.topics.clone();
    console::report("demo", topics, at_work, stop.clone())
}

async fn produce(
    setup: Setup,
    options: ProduceOptions,
    sent: Sent,
    stop: CancellationToken,
) -> Result<()> {
    setup.produce(options, sent, stop, |line| Bars::new().println(line)).await?;
    let topics: BTreeMap<_, _> =
        setup.pipelines.iter().map(|pipeline| (&pipeline.topic.name, &pipeline.topic)).collect();
    for topic in topics.into_values() {
        // A compacted topic takes no record without a key.
        let key = (topic.cleanup == Cleanup::Compact).then(|| BROKEN.into());
        let broken = Outgoing { key, value: Some(BROKEN.into()), ..Outgoing::default() };
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
