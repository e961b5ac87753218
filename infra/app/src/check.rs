use std::io::IsTerminal;

use anyhow::{Result, bail};
use millstream_config::{Finding, Health, Origin};
use millstream_engine::{Clock, Lookup, Pipeline, SystemClock};
use millstream_sources::{masked, probe};
use millstream_topic::{Topic, Wanted};

use crate::{App, Feed, Places, Setup};

/// Shows every setting with its origin and whether what they name can be used; fails if something can't.
pub async fn check(app: &App, places: &Places, json: bool) -> Result<()> {
    let settings = Setup::settings(app, places.config.as_deref())?;
    if !json {
        println!("settings of {} (those that differ from the defaults are marked)", app.name);
        for row in settings.rows() {
            let mark = if matches!(row.origin, Origin::Default) { " " } else { "*" };
            println!("{mark} {:24} = {:32} {}", row.key, row.value, row.origin);
        }
    }
    let findings = match Setup::with_settings(app, settings, &places.data) {
        Err(error) => vec![told("settings", Err(error))],
        Ok(setup) => examine(&setup).await,
    };
    if json {
        println!("{}", serde_json::json!({ "app": app.name, "findings": findings }));
    } else {
        findings.iter().for_each(print);
    }
    judge(&findings)
}

/// Looks at everything that the settings name: topics, feeds, stores. Changes nothing.
pub async fn examine(setup: &Setup) -> Vec<Finding> {
    let planned = setup.pipelines.iter().map(Pipeline::id).collect::<Vec<_>>();
    let mut findings = vec![Finding::good("pipelines", planned.join(", "))];
    for topic in setup.app.topics {
        findings.push(told(&format!("topic {}", topic.name), reach(setup, topic).await));
    }
    let groups: Vec<String> =
        setup.pipelines.iter().map(|pipeline| pipeline.group.clone()).collect();
    let roll = setup.pipelines.iter().map(|pipeline| pipeline.roll.every).max().unwrap_or_default();
    let wanted = Wanted { topics: setup.app.topics, groups: &groups, roll };
    findings.extend(setup.topics.examine(&wanted).await);
    for Feed { url, instead } in (setup.app.feeds)(&setup.settings) {
        let what = format!("feed {}", masked(&url));
        findings.push(match (probe(&url).await, instead) {
            (Ok(answered), _) => Finding::good(what, answered),
            (Err(error), Some(instead)) => {
                Finding::warning(what, format!("{:#}", anyhow::Error::from(error)), instead)
            }
            (Err(error), None) => told(&what, Err(error.into())),
        });
    }
    for lookup in setup.pipelines.iter().flat_map(Pipeline::lookups) {
        findings.push(read(lookup).await);
    }
    findings.extend(setup.stores.examine().await);
    findings
}

/// Reads a lookup table, which is small.
async fn read(lookup: &Lookup) -> Finding {
    let what = format!("lookup {}", lookup.name());
    match lookup.refresh(SystemClock.now_ms()).await {
        Ok(()) => {
            Finding::good(what, format!("{} rows in {}", lookup.status().rows, lookup.place()))
        }
        // Workers wait for it; the producer may be about to make it.
        Err(error) if error.is_retryable() => {
            let remedy =
                "workers wait until it can be read: make the table, or correct its settings";
            Finding::warning(what, format!("{:#}", anyhow::Error::from(error)), remedy)
        }
        Err(error) => told(&what, Err(error.into())),
    }
}

async fn reach(setup: &Setup, topic: &Topic) -> Result<String> {
    let info = setup.topics.info(&topic.name).await?;
    Ok(info.map_or_else(
        || "isn't there yet; it is made when it is first used".to_owned(),
        |info| {
            let records: i64 = info.partitions.iter().map(|bounds| bounds.end - bounds.low).sum();
            format!("{} partitions, {records} records", info.partitions.len())
        },
    ))
}

/// A good thing, or the error as a bad one.
pub fn told(what: &str, told: Result<String>) -> Finding {
    match told {
        Ok(told) => Finding::good(what, told),
        // An error says itself what to do.
        Err(error) => Finding { remedy: None, ..Finding::bad(what, format!("{error:#}"), "") },
    }
}

/// A line for a person, and one for what to do.
pub fn print(finding: &Finding) {
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let (mark, colour) = match finding.state {
        Health::Good => ("ok  ", 32),
        Health::Warning => ("warn", 33),
        Health::Bad => ("BAD ", 31),
    };
    let mark = if colours { format!("\u{1b}[{colour}m{mark}\u{1b}[0m") } else { mark.to_owned() };
    println!("{mark} {}: {}", finding.what, finding.told);
    if let Some(remedy) = &finding.remedy {
        println!("     {remedy}");
    }
}

/// Fails if something is bad.
pub fn judge(findings: &[Finding]) -> Result<()> {
    match findings.iter().filter(|finding| finding.state == Health::Bad).count() {
        0 => Ok(()),
        1 => bail!("1 thing has to be put right first; see above"),
        bad => bail!("{bad} things have to be put right first; see above"),
    }
}
