//! Other programs that do the same work, installed and started by `scripts/bench-peers`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};

use crate::measure::Gone;
use crate::tree;
use crate::ways::Route;

/// Spark works the topic off.
pub fn spark(work: &str, route: &Route, topic: &str) -> Result<Gone> {
    let done = match work {
        "parquet" => route.out.join("vitals/_spark_metadata/0"),
        _ => route.out.join("counts/_SUCCESS"),
    };
    let used = tree::measure(command(&["spark", work], route, topic)?, &done)?;
    Ok(Gone { first_output: used.first_output, used: Some(used), ..Gone::default() })
}

/// Kafka Connect writes each record's text as a line: no parsing, no Parquet, not exactly once.
pub fn connect(events: u64, route: &Route, topic: &str) -> Result<Gone> {
    let lines = route.out.join("lines");
    let command = command(&["connect"], route, topic)?;
    let start = SystemTime::now();
    let used = tree::measure(command, &lines)?;
    let written = fs::read(&lines).context("read the lines")?;
    let written = written.iter().filter(|byte| **byte == b'\n').count() as u64;
    ensure!(written == events, "Kafka Connect wrote {written} of {events} lines");
    // It is watched for a while after its last line.
    let last = fs::metadata(&lines).and_then(|lines| lines.modified());
    let took = last.context("look at the lines")?.duration_since(start).context("ask the clock")?;
    let first_output = used.first_output;
    Ok(Gone { first_output, used: Some(used), took: Some(took), ..Gone::default() })
}

/// Flink or Bento works the vitals off, to Parquet by date.
pub fn to_parquet(peer: &str, route: &Route, topic: &str) -> Result<Gone> {
    let rows = route.out.join("vitals");
    let command = command(&[peer], route, topic)?;
    let start = SystemTime::now();
    let used = tree::measure(command, &rows)?;
    // Bento waits for a while whether more comes. Flink's rows are there for others when its job has ended.
    let took = match peer {
        "bento" => Some(newest(&rows)?.duration_since(start).context("ask the clock")?),
        _ => None,
    };
    Ok(Gone { used: Some(used), took, ..Gone::default() })
}

/// When the last file below a directory was written.
fn newest(directory: &Path) -> Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    for entry in fs::read_dir(directory).with_context(|| format!("read {}", directory.display()))? {
        let entry = entry?;
        let written = if entry.file_type()?.is_dir() {
            self::newest(&entry.path())?
        } else {
            entry.metadata()?.modified()?
        };
        newest = newest.max(written);
    }
    Ok(newest)
}

/// Installs them; tells which, with their versions.
pub fn install() -> Result<String> {
    let installed = script()?.arg("install").stderr(Stdio::inherit()).output();
    let installed = installed.context("start scripts/bench-peers")?;
    ensure!(installed.status.success(), "scripts/bench-peers failed: say --no-peers to go without");
    Ok(String::from_utf8_lossy(&installed.stdout).trim().to_owned())
}

/// Has the script run one of them over the topic.
fn command(what: &[&str], route: &Route, topic: &str) -> Result<Command> {
    let Some(brokers) = route.brokers() else { bail!("{} reads from Kafka only", what.join(" ")) };
    let out = route.out.to_str().context("a directory's name that is no text")?;
    let mut command = script()?;
    command.args(what).args([brokers, topic, out]);
    Ok(command)
}

fn script() -> Result<Command> {
    Ok(Command::new(root()?.join("scripts/bench-peers")))
}

/// The project's directory, where `make bench` starts us; else the one we were built in.
pub fn root() -> Result<PathBuf> {
    let here = std::env::current_dir().context("find the current directory")?;
    if here.join("scripts/bench-peers").is_file() {
        return Ok(here);
    }
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    built.map(Path::to_owned).context("find the project's directory")
}
