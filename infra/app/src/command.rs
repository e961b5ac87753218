use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use tracing::level_filters::LevelFilter;

use crate::{App, Places, ProduceOptions, Setup, check, health, plan, process, produce, serve};

/// How long the end waits for threads when all work is done: what still has one is a look at a server that doesn't answer, and nobody waits
/// for what it sees.
const LEFT_BEHIND: Duration = Duration::from_secs(1);

#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    places: Places,
}

#[derive(Subcommand)]
enum Verb {
    /// Turn the outside into records on topics
    Produce(ProduceOptions),
    /// Work the topics off into the sinks, until Ctrl-C
    Process {
        /// Stop with success once everything in the topics is in the sinks
        #[arg(long)]
        until_caught_up: bool,
    },
    /// Show the app's pages, until Ctrl-C
    Serve {
        /// Address to listen at, in place of the one in the settings
        #[arg(long, value_name = "HOST:PORT")]
        listen: Option<SocketAddr>,
    },
    /// Show the settings, and whether all they name can be used
    Check {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Ask the app that runs here whether it is alive; for health checks
    Health,
    /// Print the way of the data
    Plan,
}

/// Runs an app's command line. Errors are printed with their causes; the exit code is 0 for success, 1 for
/// failure and 2 for a command that can't be understood.
pub fn main(app: &App) -> ExitCode {
    let cli = match Cli::from_arg_matches(&command(app).get_matches()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    match start(app, cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error:#}", app.name);
            ExitCode::FAILURE
        }
    }
}

fn command(app: &App) -> Command {
    let without_pages = app.serve.is_none();
    Cli::command()
        .name(app.name)
        .about(app.about)
        .after_help(app.examples)
        .mut_subcommand("serve", |serve| serve.hide(without_pages))
}

fn start(app: &App, cli: Cli) -> Result<()> {
    millstream_telemetry::init(LevelFilter::INFO, &[app.name])?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(run(app, cli));
    runtime.shutdown_timeout(LEFT_BEHIND);
    done
}

async fn run(app: &App, cli: Cli) -> Result<()> {
    if let Verb::Check { json } = cli.verb {
        return check::check(app, &cli.places, json).await;
    }
    if let Verb::Health = cli.verb {
        return health::health(app, &cli.places).await;
    }
    let setup = Setup::open(app, &cli.places)?;
    match cli.verb {
        Verb::Produce(options) => {
            produce::produce(&setup, options, millstream_telemetry::stop_signal()?).await
        }
        Verb::Process { until_caught_up } => {
            let stop = millstream_telemetry::stop_signal()?;
            process::process(&setup, until_caught_up, stop).await
        }
        Verb::Serve { listen } => {
            serve::serve(&setup, listen, millstream_telemetry::stop_signal()?).await
        }
        Verb::Plan => {
            print!("{}", plan::plan(&setup));
            Ok(())
        }
        Verb::Check { .. } | Verb::Health => Ok(()),
    }
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
