//! Where to tell is in the environment of a process, so each test here runs this very file again as a process of its own.

#![cfg(test)]

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use millstream_telemetry::Supervisor;

const ROLE: &str = "MILLSTREAM_TEST_SUPERVISOR";
/// Nothing that is waited for takes so long.
const DEADLINE: Duration = Duration::from_secs(20);

/// Does nothing unless one of the tests below started it.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let Some(mut supervisor) = Supervisor::here() else {
        println!("\nnobody");
        return;
    };
    if role == "every" {
        println!("\nevery {} ms", supervisor.every().as_millis());
        return;
    }
    supervisor.ready();
    supervisor.beat("running,\nlag 7");
    supervisor.beat("running,\nlag 7");
    supervisor.beat("caught up");
    supervisor.stopping();
}

fn start(role: &str, environment: &[(&str, String)]) -> Child {
    Command::new(std::env::current_exe().expect("own path"))
        .args(["--exact", "child", "--nocapture"])
        .env_remove("NOTIFY_SOCKET")
        .env(ROLE, role)
        .envs(environment.iter().map(|(name, value)| (*name, value)))
        .stdout(Stdio::piped())
        .spawn()
        .expect("start")
}

/// What the child printed.
fn printed(role: &str, environment: &[(&str, String)]) -> String {
    let output = start(role, environment).wait_with_output().expect("wait");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// A place for a socket.
fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("make a directory");
    let path = directory.path().join("notify");
    (directory, path)
}

fn heard(socket: &UnixDatagram, count: usize) -> Vec<String> {
    socket.set_read_timeout(Some(DEADLINE)).expect("set the deadline");
    let mut told = Vec::new();
    for _ in 0..count {
        let mut buffer = [0; 1024];
        let read = socket.recv(&mut buffer).expect("hear from the child in time");
        told.push(String::from_utf8_lossy(&buffer[..read]).trim_end().to_owned());
    }
    told
}

#[test]
fn the_service_manager_hears_of_start_life_standing_and_end() {
    let (_kept, path) = place();
    let socket = UnixDatagram::bind(&path).expect("listen");
    let mut child = start("all", &[("NOTIFY_SOCKET", path.display().to_string())]);
    let told = heard(&socket, 5);
    let expected = [
        "READY=1",
        "WATCHDOG=1\nSTATUS=running, lag 7",
        "WATCHDOG=1",
        "WATCHDOG=1\nSTATUS=caught up",
        "STOPPING=1",
    ];
    assert_eq!(told, expected);
    assert!(child.wait().expect("wait").success());
}

#[test]
fn nobody_is_told_where_nobody_asked() {
    assert!(printed("all", &[]).contains("nobody"));
    assert!(printed("all", &[("NOTIFY_SOCKET", String::new())]).contains("nobody"));
}

#[test]
fn a_service_manager_that_is_gone_ends_nobody() {
    let (_kept, path) = place();
    assert!(!printed("all", &[("NOTIFY_SOCKET", path.display().to_string())]).contains("nobody"));
}

#[test]
fn beats_come_thrice_within_the_watchdogs_time() {
    for (watchdog, beats) in [("3000000", "1000 ms"), ("60000000", "5000 ms"), ("", "5000 ms")] {
        let environment =
            [("NOTIFY_SOCKET", "/nowhere".to_owned()), ("WATCHDOG_USEC", watchdog.to_owned())];
        let said = printed("every", &environment);
        assert!(said.contains(&format!("every {beats}")), "{watchdog}: {said}");
    }
}
