use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use millstream_app::Setup;
use millstream_engine::verify::{Report, VerifyError, verify as compare};
use millstream_engine::{Pipeline, World};

use crate::apps::Where;
use crate::show::{self, say};

/// Compares sinks with topics and shows the result. `false`: something is wrong.
pub async fn verify(place: &Where, only: &[String], json: bool) -> Result<bool> {
    place.must_exist()?;
    for id in only {
        place.pipeline(id)?;
    }
    let reports = reports(&place.open_all()?, only).await?;
    let exact = reports.iter().all(Report::is_exact);
    if json {
        say!("{}", serde_json::json!({ "exact": exact, "pipelines": reports }));
        return Ok(exact);
    }
    show::out(&reconciliation(&reports));
    for report in &reports {
        for problem in &report.problems {
            say!("{}.{}: {problem}", report.app, report.pipeline);
        }
    }
    let unchecked: u64 = reports.iter().map(|report| report.unchecked).sum();
    if unchecked > 0 {
        say!(
            "{unchecked} offsets were counted by the ledgers only: their records were dropped by retention, \
             or other code made their rows"
        );
    }
    say!("{}", if exact { "exact" } else { "NOT exact" });
    Ok(exact)
}

/// The reports of every pipeline that has anything to verify: its topic is there. As many at once as there are cores.
pub async fn reports(setups: &[Setup], only: &[String]) -> Result<Vec<Report>> {
    let mut wanted = Vec::new();
    for setup in setups {
        for pipeline in &setup.pipelines {
            let world = setup.world();
            let asked = only.is_empty() || only.contains(&pipeline.id());
            if asked && is_there(pipeline, &world).await? {
                wanted.push((pipeline.clone(), world));
            }
        }
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let each = wanted.into_iter().map(|(pipeline, world)| {
        tokio::spawn(async move {
            let compared = compare(&pipeline, &world).await;
            compared.unwrap_or_else(|error| unread(&pipeline, error))
        })
    });
    // A task begins when it is asked for.
    let reports = stream::iter(each).buffered(cores).try_collect();
    reports.await.context("compare a pipeline's sink with its topics")
}

/// What couldn't be read is a finding about that pipeline; the others are looked at all the same.
fn unread(pipeline: &Pipeline, error: VerifyError) -> Report {
    Report {
        app: pipeline.app.clone(),
        pipeline: pipeline.name.clone(),
        problems: vec![format!("{:#}", anyhow::Error::from(error))],
        ..Report::default()
    }
}

async fn is_there(pipeline: &Pipeline, world: &World) -> Result<bool> {
    Ok(world.topics.info(&pipeline.topic.name).await?.is_some())
}

/// The reconciliation as a table: every offset in its bucket.
pub fn reconciliation(reports: &[Report]) -> String {
    let header = [
        "pipeline",
        "produced",
        "delivered",
        "filtered",
        "dead-lettered",
        "tombstone",
        "absent",
        "pending",
        "lost",
        "duplicated",
    ];
    let lines: Vec<_> = reports
        .iter()
        .map(|r| {
            let numbers = [
                r.produced,
                r.delivered,
                r.filtered,
                r.dead_lettered,
                r.tombstone,
                r.absent,
                r.pending,
                r.lost,
                r.duplicated,
            ];
            let name = format!("{}.{}", r.app, r.pipeline);
            [name].into_iter().chain(numbers.map(|n| n.to_string())).collect()
        })
        .collect();
    show::table(&header, &lines)
}
