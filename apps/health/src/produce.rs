//! Makes the table of patients where it is missing, polls the two feeds and sends on what they answer, each to its topic.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::future::{BoxFuture, FutureExt, try_join_all};
use millstream_app::Produce;
use millstream_sources::{Outlet, Pace, Poll};

use crate::event::{demographics_schema, records};
use crate::pipeline::{DEMOGRAPHICS, EMERGENCY_VEHICLE_DATA, PATIENT_DATA, TOPICS};
use crate::settings::Feeds;
use crate::simulator;

/// See [`millstream_app::App::produce`].
pub fn produce(task: Produce) -> BoxFuture<'static, Result<()>> {
    run(task).boxed()
}

async fn run(task: Produce) -> Result<()> {
    if task.options.url.is_some() || task.options.file.is_some() {
        bail!(
            "health has two feeds, so --url and --file don't say which one they stand for; \
             set [feeds] patients_url and vehicles_url instead"
        );
    }
    let (name, key) = DEMOGRAPHICS;
    task.fill(name, key, demographics_schema(), include_str!("../demographics.csv")).await?;
    let Feeds { patients_url, vehicles_url, every_s } = task.settings.section("feeds")?;
    let left = AtomicI64::new(task.options.limit.map_or(i64::MAX, |limit| limit as i64));
    if patients_url.is_empty() && vehicles_url.is_empty() {
        return simulated(&task, &left).await;
    }
    // Apart, so that an outage of one feed doesn't hold up the other one.
    let feeds = TOPICS.iter().zip([patients_url, vehicles_url]).map(async |(topic, url)| {
        let every = Duration::from_secs(every_s.get().into());
        let poll = Poll::new([url], every, task.stop.clone())
            .context("set [feeds] patients_url and vehicles_url both, or none for the simulator")?
            .remedy("check [feeds] patients_url and vehicles_url");
        let poll = if task.options.once { poll.rounds(1) } else { poll };
        feed(poll, vec![task.outlet(topic, Pace::Max).await?], &left).await
    });
    try_join_all(feeds).await.map(|_| ())
}

async fn simulated(task: &Produce, left: &AtomicI64) -> Result<()> {
    let pace = task.pace()?;
    let poll = simulator::start(task, pace).await?;
    let mut patients = task.outlet(&PATIENT_DATA, pace).await?;
    if task.options.once {
        patients = patients.limit(Some(task.settings.section("simulate.count")?));
    }
    let vehicles = task.outlet(&EMERGENCY_VEHICLE_DATA, Pace::Max).await?;
    feed(poll, vec![patients, vehicles], left).await
}

/// Sends what is polled until there is no more, the stop, an outlet's limit, or `left` records in all.
/// The answers of the poll's n-th URL go to the n-th outlet.
async fn feed(mut poll: Poll, mut outlets: Vec<Outlet>, left: &AtomicI64) -> Result<()> {
    let result = send_all(&mut poll, &mut outlets, left).await;
    // Also after an error: what was polled before it counts.
    for outlet in &mut outlets {
        outlet.flush().await.context("send the last events")?;
    }
    result
}

async fn send_all(poll: &mut Poll, outlets: &mut [Outlet], left: &AtomicI64) -> Result<()> {
    while let Some(answer) = poll.next().await.context("poll the feeds")? {
        for record in records(&answer.body)? {
            let left = left.fetch_sub(1, Ordering::Relaxed);
            if left < 1 || outlets[answer.which].send(record).await?.is_break() || left == 1 {
                return Ok(());
            }
        }
    }
    Ok(())
}
