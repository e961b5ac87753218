//! The run: servers, topics, then every way in turns, each in a process of its own.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::machine::Machine;
use crate::measure::Measured;
use crate::report::{Report, Taken, markdown};
use crate::servers::Server;
use crate::ways::Way;
use crate::work::Work;
use crate::{Args, docs, engine, peers};

/// Measures, and prints the result.
pub fn run(args: &Args) -> Result<()> {
    let ways = chosen(args)?;
    let installed = match ways.iter().any(|way| way.is_peer()) {
        true => peers::install()?,
        false => String::new(),
    };
    let machine = Machine::look(&installed);
    let place = tempfile::tempdir_in(&args.dir).context("make a directory for the run")?;
    // Of servers that live as long as the run, on loopback.
    let password = format!("{:032x}", rand::random::<u128>());
    let servers = Servers::start(args, &ways, place.path(), password)?;
    let works: BTreeSet<Work> = ways.iter().map(|way| way.work()).collect();
    for work in works {
        eprintln!("bench: {} events for {}", work.events(args.events), work.name());
        let name = work.name();
        servers.start_again(args, &["generate", name, &servers.topics], &[])?;
    }
    let mut taken = Vec::new();
    for round in 1..=args.rounds {
        // Each time another first: what one leaves a server to do falls into another's time.
        for way in ways.iter().cycle().skip(round as usize).take(ways.len()) {
            let one = servers.measure(args, *way, &place.path().join("out"))?;
            check(&one.measured, args.events, &taken)?;
            let (title, work) = (way.title(), way.work().name());
            let seconds = one.measured.seconds;
            eprintln!("bench: round {round}: {work}: {title}: {seconds:.2} s");
            taken.push(one);
        }
    }
    let report = Report::of(&taken, args.events, args.rounds, machine)?;
    if let Some(path) = &args.docs {
        docs::write(path, &report)?;
    }
    let text = match args.json {
        true => serde_json::to_string(&report)? + "\n",
        false => markdown(&report),
    };
    std::io::stdout().write_all(text.as_bytes()).context("print")
}

/// Those that were asked for, else all that can be gone.
fn chosen(args: &Args) -> Result<Vec<Way>> {
    if let Some(way) = args.ways.iter().find(|way| args.embedded && way.needs_kafka()) {
        bail!("{} can't be gone on the embedded log", way.title());
    }
    let all = Way::ALL.into_iter().filter(|way| match args.ways.is_empty() {
        true => {
            !(args.no_peers && way.is_peer()
                || args.no_latency && (way.work().is_latency() || way.work() == Work::Verify)
                || args.embedded && way.needs_kafka())
        }
        false => args.ways.contains(way),
    });
    Ok(all.collect())
}

/// What all ways share.
struct Servers {
    topics: String,
    password: String,
    kafka: Option<Server>,
    cassandra: Option<Server>,
    mysql: Option<Server>,
}

impl Servers {
    fn start(args: &Args, ways: &[Way], place: &Path, password: String) -> Result<Self> {
        let wanted = |name| ways.iter().any(|way| way.server() == Some(name));
        let mut kafka = None;
        let topics = match &args.kafka {
            Some(brokers) => format!("kafka://{brokers}"),
            None if args.embedded => {
                format!("sqlite://{}", place.join("log").display())
            }
            None => {
                eprintln!("bench: starting Kafka");
                format!("kafka://{}", kafka.insert(Server::kafka()?).address())
            }
        };
        let cassandra = wanted("cassandra").then(Server::cassandra).transpose()?;
        let mysql = wanted("mysql").then(|| Server::mysql(&password)).transpose()?;
        Ok(Self { topics, password, kafka, cassandra, mysql })
    }

    fn measure(&self, args: &Args, way: Way, out: &Path) -> Result<Taken> {
        let name = serde_json::to_value(way)?;
        let name = name.as_str().context("a way has a name")?;
        let tables = match way.server() {
            Some("cassandra") => {
                self.cassandra.as_ref().map(|at| format!("cassandra://{}", at.address()))
            }
            Some(_) => self.mysql.as_ref().map(|at| format!("mysql://root@{}", at.address())),
            None => None,
        };
        let tables = tables.unwrap_or_default();
        let before = self.kafka.as_ref().map(Server::cpu_seconds);
        let asked = ["measure", name, &self.topics, "--tables", &tables];
        let json = self.start_again(args, &asked, &[out])?;
        let after = self.kafka.as_ref().map(Server::cpu_seconds);
        if out.exists() {
            std::fs::remove_dir_all(out).context("remove what was written")?;
        }
        let measured = serde_json::from_slice(&json).context("read what a way took")?;
        let broker_cpu_seconds = before.zip(after).map(|(before, after)| after - before);
        Ok(Taken { measured, broker_cpu_seconds })
    }

    /// Runs this program in a process of its own and returns what it printed.
    fn start_again(&self, args: &Args, asked: &[&str], paths: &[&Path]) -> Result<Vec<u8>> {
        let program = std::env::current_exe().context("find this program")?;
        let mut command = Command::new(program);
        command.args(["--events", &args.events.to_string()]).args(asked).args(paths);
        command.env(engine::PASSWORD, &self.password).stderr(Stdio::inherit());
        let output = command.output().context("start this program again")?;
        ensure!(output.status.success(), "{} failed: {}", asked.join(" "), output.status);
        Ok(output.stdout)
    }
}

/// All events, and the same rows as everybody else who did this work.
fn check(one: &Measured, events: u64, others: &[Taken]) -> Result<()> {
    let (title, wanted) = (one.way.title(), one.way.work().events(events));
    ensure!(one.events == wanted, "{title} saw {} of {wanted} events", one.events);
    let rows = one.written.rows;
    let whole = match one.way.work() {
        _ if !one.way.writes() => true,
        Work::Parquet | Work::Wide | Work::Start | Work::One | Work::Two | Work::Four => {
            rows == wanted
        }
        Work::Upsert | Work::Wordcount | Work::Verify | Work::Latency | Work::LatencyFast => {
            rows > 0
        }
    };
    ensure!(whole, "{title} wrote {rows} rows of {wanted} events");
    let mut others = others.iter().map(|other| &other.measured);
    let other = others.find(|other| {
        other.way.work() == one.way.work() && one.written.rows > 0 && other.written.rows > 0
    });
    if let Some(other) = other {
        let (ours, theirs) = (one.written, other.written);
        let whose = other.way.title();
        ensure!(ours.same_rows(&theirs), "{title} wrote {ours:?}, {whose} {theirs:?}");
    }
    Ok(())
}
