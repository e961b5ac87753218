use anyhow::{Result, bail};
use futures::future::join_all;
use millstream_app::progress::Bars;
use millstream_aws::AwsError;
use millstream_aws::glue::{Crawl, Crawled, Ended, Glue};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::apps::Where;
use crate::catalog::Aws;
use crate::show::{say, table};

pub const EXAMPLES: &str = "\
Examples:
  millstream crawl                                  all crawlers of the catalog's database
  millstream crawl --database millstream --list     which there are
  millstream crawl millstream-recalls_snapshots     this one
Ctrl-C stops the crawlers that were started.";

#[derive(clap::Args)]
pub struct Options {
    /// Crawlers; without any, all of the database
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Only tell which there are
    #[arg(long)]
    list: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    aws: Aws,
}

/// Runs crawlers to their ends. `false`: one of them did not succeed.
pub async fn crawl(place: &Where, options: &Options) -> Result<bool> {
    let glue = options.aws.open(place)?.glue();
    let names =
        if options.names.is_empty() { glue.crawlers().await? } else { options.names.clone() };
    if options.list {
        names.iter().for_each(|name| say!("{name}"));
        return Ok(true);
    }
    if names.is_empty() {
        bail!(
            "database {} has no crawlers: Terraform makes them (terraform/modules/catalog), or name another one by --database",
            glue.database()
        );
    }
    let stop = millstream_telemetry::stop_signal()?;
    let crawled = run(&glue, &names, &stop).await?;
    let well = crawled.iter().all(|one| one.end == Ended::Succeeded);
    if options.json {
        let crawlers: Vec<_> = crawled.iter().map(plain).collect();
        say!("{}", json!({ "succeeded": well, "database": glue.database(), "crawlers": crawlers }));
    } else {
        show(&crawled);
    }
    Ok(well)
}

async fn run(
    glue: &Glue,
    names: &[String],
    stop: &CancellationToken,
) -> Result<Vec<Crawled>, AwsError> {
    let bars = Bars::new();
    let crawls = names.iter().map(|name| {
        let bar = bars.working(name);
        bar.say("starting".to_owned());
        async move {
            let told = |crawl: &Crawl| {
                bar.say(format!("{} for {} s", crawl.state.to_lowercase(), crawl.took.as_secs()));
            };
            let ended = glue.crawl(name, stop, &told).await;
            bar.clear();
            ended
        }
    });
    // All to their ends, also where one can't be asked for.
    join_all(crawls).await.into_iter().collect()
}

fn show(crawled: &[Crawled]) {
    let line = |one: &Crawled| {
        vec![
            one.crawler.clone(),
            word(&one.end).to_owned(),
            one.took.as_secs().to_string(),
            one.tables_created.to_string(),
            one.tables_updated.to_string(),
        ]
    };
    let lines: Vec<_> = crawled.iter().map(line).collect();
    let header = ["crawler", "end", "seconds", "tables created", "tables updated"];
    say!("{}", table(&header, &lines).trim_end());
    for one in crawled {
        if let Ended::Failed { why, remedy } = &one.end {
            say!("{} failed: {why}\n  {remedy}", one.crawler);
        }
    }
}

fn plain(one: &Crawled) -> Value {
    let (why, remedy) = match &one.end {
        Ended::Failed { why, remedy } => (Some(why), Some(remedy)),
        _ => (None, None),
    };
    json!({
        "crawler": one.crawler, "end": word(&one.end), "seconds": one.took.as_secs_f64(), "why": why, "remedy": remedy,
        "tables_created": one.tables_created, "tables_updated": one.tables_updated,
    })
}

fn word(end: &Ended) -> &'static str {
    match end {
        Ended::Succeeded => "succeeded",
        Ended::Cancelled => "cancelled",
        Ended::Failed { .. } => "failed",
    }
}
