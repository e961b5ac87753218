//! Signals end processes, so each test here runs this very file again as a process of its own.

#![cfg(test)]

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use millstream_telemetry::stop_signal;

const ROLE: &str = "MILLSTREAM_TEST_STOP";
/// The child ends by itself after this, so that a missed signal fails the test and doesn't hang it.
const DEADLINE: Duration = Duration::from_secs(20);

/// Does nothing unless one of the tests below started it.
#[tokio::test]
async fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let stop = stop_signal().expect("watch signals");
    println!("\nready");
    tokio::time::timeout(DEADLINE, stop.cancelled()).await.expect("the first signal in time");
    println!("\nstopping");
    if role == "slow" {
        tokio::time::timeout(DEADLINE, std::future::pending::<()>())
            .await
            .expect("the second signal in time");
    }
}

struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(role: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("own path"))
            .args(["--exact", "child", "--nocapture"])
            .env(ROLE, role)
            .stdout(Stdio::piped())
            .spawn()
            .expect("start");
        let lines = BufReader::new(child.stdout.take().expect("pipe")).lines();
        let mut process = Self { child, lines };
        process.wait_for("ready");
        process
    }

    fn wait_for(&mut self, word: &str) {
        let said = self.lines.by_ref().map_while(Result::ok).any(|line| line == word);
        assert!(said, "the child never said {word:?}");
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().expect("run kill").success());
    }

    fn code(mut self) -> Option<i32> {
        self.child.wait().expect("wait").code()
    }
}

#[test]
fn the_first_signal_cancels_the_token() {
    for name in ["INT", "TERM"] {
        let mut process = Process::start("prompt");
        process.signal(name);
        process.wait_for("stopping");
        assert_eq!(process.code(), Some(0), "{name}");
    }
}

#[test]
fn the_second_signal_exits_at_once_with_its_code() {
    for (first, second, code) in [("TERM", "TERM", 143), ("TERM", "INT", 130), ("INT", "INT", 130)]
    {
        let mut process = Process::start("slow");
        process.signal(first);
        process.wait_for("stopping");
        process.signal(second);
        assert_eq!(process.code(), Some(code), "{first}, then {second}");
    }
}
