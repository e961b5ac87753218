//! Polls the weather and sends what is new.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::future::{BoxFuture, FutureExt};
use millstream_app::Produce;
use millstream_config::Secret;
use millstream_sources::{Outlet, Poll};
use millstream_topic::Outgoing;
use serde::Deserialize;
use serde_json::Value;

use crate::pipeline::WEATHER;
use crate::stand_in;

/// The variable of the environment that holds the key.
pub const KEY: &str = "OPENWEATHER_API_KEY";

#[derive(Deserialize)]
struct PollSection {
    base_url: String,
    cities: Vec<NonZeroU32>,
    every_s: NonZeroU32,
    calls_per_minute: NonZeroU32,
}

/// See [`millstream_app::App::produce`].
pub fn produce(task: Produce) -> BoxFuture<'static, Result<()>> {
    async { run(task, key(std::env::var(KEY).unwrap_or_default())?).await }.boxed()
}

/// The key as the variable has it; an empty one is none.
pub fn key(variable: String) -> Result<Secret> {
    let key = variable.trim();
    if !key.chars().all(|c| c.is_ascii_alphanumeric()) {
        bail!("read {KEY}: a key has letters and digits only; copy it anew, or unset it");
    }
    Ok(Secret::new(key))
}

/// Polls and sends until stopped, or `--once`, or `--limit`.
pub async fn run(task: Produce, key: Secret) -> Result<()> {
    if task.options.file.is_some() {
        bail!(
            "weather polls a server and reads no file; leave out --file, or name a server by --url"
        );
    }
    let section: PollSection = task.settings.section("poll")?;
    if section.cities.is_empty() {
        bail!("[poll] cities names none; give OpenWeather's ids of one or more cities");
    }
    let mut poll = poll(&task, &section, &key).await?;
    let mut outlet = task.outlet(&WEATHER, task.pace()?).await?;
    let result = send_new(&mut poll, &mut outlet, &section.cities).await;
    // Also after an error: what was polled before it counts.
    outlet.flush().await.context("send the last observations")?;
    result
}

/// Of OpenWeather's API when there is a key, of the server of `--url` with or without one, else of the
/// stand-in server.
async fn poll(task: &Produce, section: &PollSection, key: &Secret) -> Result<Poll> {
    let base = match &task.options.url {
        Some(url) => url.clone(),
        None if key.is_empty() => stand_in::start(task).await?,
        None => section.base_url.clone(),
    };
    let appid = if key.is_empty() { String::new() } else { format!("&appid={}", key.expose()) };
    let base = base.trim_end_matches('/');
    let urls = section.cities.iter().map(|id| format!("{base}/data/2.5/weather?id={id}{appid}"));
    // The stand-in server has no allowance to keep to: there, --rate alone decides.
    let fast = task.options.url.is_none() && key.is_empty() && task.options.rate.is_some();
    let every = if fast { 0 } else { section.every_s.get() };
    let poll = Poll::new(urls, Duration::from_secs(every.into()), task.stop.clone())
        .context("poll [poll] base_url, or --url")?
        .remedy(format!("set {KEY} to a valid key, and check [poll] cities"));
    let poll = if fast { poll } else { poll.calls_per_minute(section.calls_per_minute.get()) };
    // With a limit, the limit is what ends it.
    Ok(if task.options.once && task.options.limit.is_none() { poll.rounds(1) } else { poll })
}

async fn send_new(poll: &mut Poll, outlet: &mut Outlet, cities: &[NonZeroU32]) -> Result<()> {
    let mut latest = HashMap::new();
    while let Some(answer) = poll.next().await.context("poll the weather")? {
        let city = cities[answer.which].get();
        if is_newer(&mut latest, city, &answer.json)
            && outlet.send(Outgoing::keyed(city.to_string(), answer.body)).await?.is_break()
        {
            break;
        }
    }
    Ok(())
}

/// Whether the observation's `dt` is later than the last one's of its city. An answer without `dt` passes, for
/// the pipelines to dead-letter where it can be seen.
fn is_newer(latest: &mut HashMap<u32, i64>, city: u32, observation: &Value) -> bool {
    let Some(dt) = observation.get("dt").and_then(Value::as_i64) else { return true };
    let last = latest.get(&city).copied().unwrap_or(i64::MIN);
    latest.insert(city, dt.max(last));
    dt > last
}
