//! What systemd hears of a process: that it is up, how it stands, that it beats, also while it waits for a server.

#![cfg(test)]

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use integration_tests::{Data, Running, wait};
use nix::sys::signal::Signal;

/// Who tells nothing for so long is hung. A process that has done its work is gone after a second, and beats until then.
const SILENCE: Duration = Duration::from_secs(5);

/// The end of systemd.
struct Supervisor {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Supervisor {
    /// Hears what `verb` of `app` tells; a beat is due every 100 ms.
    fn starts(data: &Data, app: &str, verb: &[&str]) -> (Self, Running) {
        let path = data.root().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(wait::LONG)).unwrap();
        let mut command = data.command(app, verb);
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "300000");
        (Self { socket, heard: Vec::new() }, Running::start(command))
    }

    fn hears(&mut self, what: &str) {
        let deadline = Instant::now() + wait::LONG;
        while !self.heard.iter().any(|told| told.contains(what)) {
            assert!(Instant::now() < deadline, "{what} was not told: {:?}", self.heard);
            let mut buffer = [0; 4096];
            let read = self.socket.recv(&mut buffer).expect("hear something in time");
            self.heard.push(String::from_utf8_lossy(&buffer[..read]).into_owned());
        }
    }

    /// The beats of so long a time, from now on.
    fn beats(&mut self, time: Duration) -> usize {
        self.heard.clear();
        let from = Instant::now();
        while from.elapsed() < time {
            self.hears("WATCHDOG=1");
            self.heard.retain(|told| !told.contains("WATCHDOG=1"));
            self.heard.push(String::new());
        }
        self.heard.len()
    }
}

#[test]
fn a_worker_is_up_when_it_is_at_work_tells_its_lag_and_that_it_stops() {
    let data = Data::new().with("WORDCOUNT_CONSOLE__LISTEN", "");
    data.run("wordcount", &["produce", "--once", "--limit", "100"]).succeeds();
    let (mut supervisor, worker) = Supervisor::starts(&data, "wordcount", &["process"]);
    supervisor.hears("READY=1");
    supervisor.hears("STATUS=wordcount.counts caught up");
    worker.signal(Signal::SIGTERM);
    supervisor.hears("STOPPING=1");
    assert_eq!(worker.ends_within(wait::LONG).code, Some(0));
    let order = |what: &str| supervisor.heard.iter().position(|told| told.contains(what));
    assert!(
        order("READY=1") < order("STATUS=wordcount.counts caught up"),
        "{:?}",
        supervisor.heard
    );
}

#[test]
fn one_that_waits_for_a_server_is_up_says_so_and_beats() {
    let data = Data::new()
        .with("USERS_TOPICS__URL", "kafka://127.0.0.1:9?tls=off")
        .with("USERS_CONSOLE__LISTEN", "");
    // A producer that never found its topic says so as it ends.
    let verbs = [("process", "users.details retrying: ", 0), ("produce", "0 records sent", 1)];
    for (verb, waits, code) in verbs {
        let (mut supervisor, waiting) = Supervisor::starts(&data, "users", &[verb]);
        supervisor.hears("READY=1");
        supervisor.hears(waits);
        // Ten are due; a machine that is at work elsewhere may be late with some.
        let beats = supervisor.beats(Duration::from_secs(1));
        assert!(beats >= 3, "{verb}: {beats} beats within a second");
        waiting.signal(Signal::SIGTERM);
        let ending = std::thread::spawn(move || waiting.ends_within(wait::LONG));
        supervisor.socket.set_read_timeout(Some(SILENCE)).unwrap();
        while !ending.is_finished() {
            let heard = supervisor.socket.recv(&mut [0; 4096]).is_ok();
            assert!(heard || ending.is_finished(), "{verb}: silent for {SILENCE:?} as it ends");
        }
        assert_eq!(ending.join().unwrap().code, Some(code), "{verb}");
        std::fs::remove_file(data.root().join("notify")).unwrap();
    }
}

#[test]
fn pages_are_up_when_they_can_be_opened() {
    let data = Data::new()
        .with("RECALLS_SERVE__LISTEN", "127.0.0.1:0")
        .with("RECALLS_SERVE__REFRESH", "false");
    let (mut supervisor, pages) = Supervisor::starts(&data, "recalls", &["serve"]);
    supervisor.hears("READY=1");
    supervisor.hears("STATUS=http://127.0.0.1:");
    pages.signal(Signal::SIGTERM);
    supervisor.hears("STOPPING=1");
    assert_eq!(pages.ends_within(wait::LONG).code, Some(0));
}

#[test]
fn a_setting_that_is_wrong_is_never_up() {
    let data = Data::new().with("WEATHER_ROLL__EVERY_S", "-1");
    let (supervisor, worker) = Supervisor::starts(&data, "weather", &["process"]);
    assert_eq!(worker.ends_within(wait::LONG).code, Some(1));
    supervisor.socket.set_nonblocking(true).unwrap();
    assert!(supervisor.socket.recv(&mut [0; 64]).is_err(), "it told something");
}
