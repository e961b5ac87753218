use std::io::IsTerminal;
use std::path::Path;

use anyhow::{Context, Result, bail};
use millstream_config::Origin;
use millstream_engine::Pipeline;
use millstream_sources::{masked, probe};
use millstream_topic::Topic;
use serde::Serialize;

use crate::{App, Feed, Places, Setup};

/// What was looked at, and how it is.
#[derive(Debug, Serialize)]
struct Finding {
    what: String,
    ok: bool,
    told: String,
}

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
        Err(error) => vec![finding("settings", Err(error))],
        Ok(setup) => look(&setup).await,
    };
    if json {
        println!("{}", serde_json::json!({ "app": app.name, "findings": findings }));
    } else {
        findings.iter().for_each(print);
    }
    match findings.iter().filter(|finding| !finding.ok).count() {
        0 => Ok(()),
        1 => bail!("1 thing has to be put right first; see above"),
        bad => bail!("{bad} things have to be put right first; see above"),
    }
}

async fn look(setup: &Setup) -> Vec<Finding> {
    let planned = setup.pipelines.iter().map(Pipeline::id).collect::<Vec<_>>();
    let mut findings = vec![finding("pipelines", Ok(planned.join(", ")))];
    for topic in setup.app.topics {
        findings.push(finding(&format!("topic {}", topic.name), reach(setup, topic).await));
    }
    for Feed { url, instead } in (setup.app.feeds)(&setup.settings) {
        let answered = match (probe(&url).await, instead) {
            (Err(error), Some(instead)) => {
                Ok(format!("{:#}; {instead}", anyhow::Error::from(error)))
            }
            (answered, _) => answered.map_err(anyhow::Error::from),
        };
        findings.push(finding(&format!("feed {}", masked(&url)), answered));
    }
    let lake = setup.stores.lake_store();
    for (what, directory) in [("tables", setup.stores.tables()), ("lake", lake.root())] {
        findings.push(finding(what, writable(directory)));
    }
    findings
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

fn writable(directory: &Path) -> Result<String> {
    let shown = directory.display();
    let probe = directory.join(format!(".check-{}", std::process::id()));
    std::fs::create_dir_all(directory)
        .and_then(|()| std::fs::write(&probe, b"check"))
        .and_then(|()| std::fs::remove_file(&probe))
        .with_context(|| format!("write to {shown}; make it writable, or choose another --data"))?;
    Ok(format!("{shown} is writable"))
}

fn finding(what: &str, told: Result<String>) -> Finding {
    match told {
        Ok(told) => Finding { what: what.to_owned(), ok: true, told },
        Err(error) => Finding { what: what.to_owned(), ok: false, told: format!("{error:#}") },
    }
}

fn print(finding: &Finding) {
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mark = match (finding.ok, colours) {
        (true, true) => "\u{1b}[32mok\u{1b}[0m  ",
        (true, false) => "ok  ",
        (false, true) => "\u{1b}[31mBAD\u{1b}[0m ",
        (false, false) => "BAD ",
    };
    println!("{mark} {}: {}", finding.what, finding.told);
}
