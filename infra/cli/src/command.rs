use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use tracing::level_filters::LevelFilter;

use crate::apps::{APPS, Where};
use crate::show::say;
use crate::{cost, crawl, declared, demo, dlq, doctor, position, query, verify};

const EXAMPLES: &str = "\
Examples:
  millstream demo                                             five apps at work, and what came of it
  millstream query 'SELECT * FROM \"wordCount\" ORDER BY count DESC LIMIT 10'
  millstream query --format csv 'SELECT * FROM weather'
  millstream query --engine athena --database millstream 'SELECT count(*) FROM patient_data'
  millstream cost --topology cluster                          what AWS takes a month
  millstream doctor                                           can every server be reached and used?
  millstream verify                                           is every sink exact?
  millstream dlq list                                         records that could not be worked off
  millstream position show                                    where every pipeline stands
  millstream rebuild recalls.search                           a new search index, beside the one that is served";

/// Streams into stores you can ask.
#[derive(Parser)]
#[command(name = "millstream", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    place: Where,
}

#[derive(Subcommand)]
enum Verb {
    /// Run all apps' producers and workers, then show what came of it
    Demo(demo::Options),
    /// Ask the lake's tables and the databases' tables, by their names, with SQL
    #[command(after_help = query::EXAMPLES)]
    Query(query::Options),
    /// Have Glue's crawlers look for partitions and columns that no worker told of; exit code 1 unless all succeed
    #[command(after_help = crawl::EXAMPLES)]
    Crawl(crawl::Options),
    /// Estimate what a topology of terraform/ costs a month
    #[command(after_help = cost::EXAMPLES)]
    Cost(cost::Options),
    /// Compare every sink with its topics; exit code 1 if anything is lost, doubled or at odds
    Verify {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
        /// Only this pipeline (`app.pipeline`); may be repeated
        #[arg(value_name = "PIPELINE")]
        only: Vec<String>,
    },
    /// Look at every server, topic and directory that the settings name, and say what to do; exit code 1 if any is bad
    Doctor {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
        /// Only this app; may be repeated
        #[arg(value_name = "APP", value_parser = clap::builder::PossibleValuesParser::new(APPS.map(|app| app.name)))]
        only: Vec<String>,
    },
    /// Print the lake's tables as Terraform declares them to Glue, or register what is in the lake already
    Catalog(declared::Options),
    /// Dead letters: records that could not be worked off
    #[command(subcommand)]
    Dlq(dlq::Verb),
    /// Where pipelines stand in their sinks, and the operator's choices
    #[command(subcommand)]
    Position(position::Verb),
    /// Have a pipeline's search index built anew; the one that is there is served meanwhile
    Rebuild {
        /// `app.pipeline`
        pipeline: String,
    },
}

pub fn start() -> Result<ExitCode> {
    let cli = Cli::parse();
    let level = match &cli.verb {
        // The demo's own lines tell what it does; its one bad record per topic is no news.
        Verb::Demo(_) => LevelFilter::ERROR,
        _ => LevelFilter::WARN,
    };
    millstream_telemetry::init(level, &[])?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(cli))
}

async fn run(cli: Cli) -> Result<ExitCode> {
    let place = &cli.place;
    let exact = match cli.verb {
        Verb::Demo(options) => demo::demo(place, &options).await?,
        Verb::Query(options) => query::query(place, &options).await.map(|()| true)?,
        Verb::Crawl(options) => crawl::crawl(place, &options).await?,
        Verb::Cost(options) => cost::cost(&options).map(|()| true)?,
        Verb::Verify { json, only } => verify::verify(place, &only, json).await?,
        Verb::Doctor { json, only } => doctor::doctor(place, &only, json).await?,
        Verb::Catalog(options) => declared::catalog(place, &options).await.map(|()| true)?,
        Verb::Dlq(verb) => dlq::dlq(place, verb).await.map(|()| true)?,
        Verb::Position(verb) => position::position(place, verb).await.map(|()| true)?,
        Verb::Rebuild { pipeline } => rebuild(place, &pipeline).map(|()| true)?,
    };
    Ok(if exact { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn rebuild(place: &Where, id: &str) -> Result<()> {
    place.must_exist()?;
    let (_, pipeline) = place.pipeline(id)?;
    pipeline.target.rebuild()?;
    let table = pipeline.target.about().table;
    say!(
        "{id} builds {table} anew, from its next commit or start on; until it is whole, the old one is served"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
