use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::{Ran, Running, binaries, wait};

/// A data directory that goes with the test, and the settings its commands run by.
pub struct Data {
    root: TempDir,
    settings: Vec<(String, String)>,
}

impl Data {
    #[allow(clippy::new_without_default, reason = "makes a directory")]
    pub fn new() -> Self {
        Self { root: TempDir::new().expect("make a directory"), settings: Vec::new() }
    }

    /// A variable of the environment for all commands.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What `--data` names.
    pub fn dir(&self) -> PathBuf {
        self.root.path().join("data")
    }

    /// Where commands run.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Writes a file beside the data.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.root.path().join(name);
        std::fs::write(&path, content).expect("write a file");
        path
    }

    /// A command of ours on this data directory, its outcome not depending on who runs the test.
    pub fn command<S: AsRef<OsStr>>(&self, program: &str, arguments: &[S]) -> Command {
        let mut command = Command::new(binaries::path(program));
        command.current_dir(self.root.path()).arg("--data").arg(self.dir()).args(arguments);
        command.env_remove("MILLSTREAM_DATA").env_remove("OPENWEATHER_API_KEY");
        command.env_remove("RUST_LOG").env_remove("RUST_BACKTRACE").env("NO_COLOR", "1");
        command.envs(self.settings.iter().cloned());
        command
    }

    pub fn start<S: AsRef<OsStr>>(&self, program: &str, arguments: &[S]) -> Running {
        Running::start(self.command(program, arguments))
    }

    /// Runs a command to its end.
    pub fn run<S: AsRef<OsStr>>(&self, program: &str, arguments: &[S]) -> Ran {
        self.start(program, arguments).ends_within(wait::LONG)
    }

    /// Everything in the topics into the sinks.
    #[track_caller]
    pub fn catch_up(&self, app: &str) -> Ran {
        self.run(app, &["process", "--until-caught-up"]).succeeds()
    }

    /// How far a pipeline's sink is: the sum of its partitions' positions. What was said instead, if none was told.
    pub fn position(&self, pipeline: &str) -> Result<u64, String> {
        let ran = self.run("millstream", &["position", "show", "--json", pipeline]);
        let lines = ran.stdout.lines();
        let lines = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let positions: Vec<_> = lines.filter_map(|line| line["position"].as_u64()).collect();
        if positions.is_empty() { Err(format!("{ran:?}")) } else { Ok(positions.iter().sum()) }
    }

    /// Asks with SQL, by `millstream query --format json`.
    #[track_caller]
    pub fn query(&self, sql: &str) -> Vec<Value> {
        match self.run("millstream", &["query", "--format", "json", sql]).succeeds().json() {
            Value::Array(rows) => rows,
            other => panic!("an array of rows: {other}"),
        }
    }

    /// The reports of `millstream verify`, which has to find everything exact. Checked again here: every
    /// offset is in one bucket, and nothing is left over.
    #[track_caller]
    pub fn verify(&self) -> Vec<Value> {
        let report = self.run("millstream", &["verify", "--json"]).succeeds().json();
        assert_eq!(report["exact"], true, "{report}");
        let pipelines = report["pipelines"].as_array().expect("pipelines").clone();
        pipelines.iter().for_each(assert_exact);
        pipelines
    }

    /// The report of one pipeline, as [`Data::verify`].
    #[track_caller]
    pub fn verify_one(&self, id: &str) -> Value {
        let reports = self.verify();
        let named =
            |report: &&Value| format!("{}.{}", text(report, "app"), text(report, "pipeline")) == id;
        reports.iter().find(named).unwrap_or_else(|| panic!("{id} in {reports:?}")).clone()
    }
}

/// Nothing lost, nothing duplicated, nothing pending: every offset in exactly one bucket.
#[track_caller]
pub fn assert_exact(report: &Value) {
    let buckets = ["delivered", "filtered", "dead_lettered", "tombstone", "absent"];
    let sum: u64 = buckets.iter().map(|bucket| number(report, bucket)).sum();
    assert_eq!(number(report, "produced"), sum, "{report}");
    assert_eq!((number(report, "lost"), number(report, "duplicated")), (0, 0), "{report}");
}

#[track_caller]
pub fn number(row: &Value, field: &str) -> u64 {
    row[field].as_u64().unwrap_or_else(|| panic!("a number {field:?} in {row}"))
}

#[track_caller]
pub fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap_or_else(|| panic!("a text {field:?} in {row}"))
}
