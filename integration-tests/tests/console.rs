//! The workers' console in a real browser, while workers come and go.

#![cfg(test)]

use integration_tests::{Browser, Data, Running, http, wait};
use nix::sys::signal::Signal;
use serde_json::Value;

const SETTINGS: [(&str, &str); 2] =
    [("USERS_ROLL__EVERY_S", "0.5"), ("USERS_GENERATE__COUNT", "2000")];

/// A worker that shows the console, on a data directory of its own.
struct Console {
    worker: Running,
    root: String,
    data: Data,
}

impl Console {
    fn new() -> Self {
        let address = http::free_address();
        let data = SETTINGS.iter().fold(Data::new(), |data, (name, value)| data.with(name, value));
        let data = data.with("USERS_CONSOLE__LISTEN", &address);
        data.run("users", &["produce", "--once", "--rate", "max"]).succeeds();
        let worker = data.start("users", &["process"]);
        let root = format!("http://{address}");
        wait::until("the console is up", wait::LONG, || {
            let answer = http::try_get(&format!("{root}/readyz"))?;
            if answer.status == 200 { Ok(()) } else { Err(answer.text()) }
        });
        Self { worker, root, data }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.root)
    }
}

/// Waits until the overview names these workers and no other ones.
#[track_caller]
fn wait_for_workers(browser: &Browser, workers: &[&Running]) {
    let mut expected: Vec<_> =
        workers.iter().map(|worker| format!("users · {}", worker.id())).collect();
    expected.sort();
    browser.wait_until("the overview names the workers", || {
        let mut named = browser.texts(".workers a");
        named.sort();
        if named == expected { Ok(()) } else { Err(format!("{named:?} and not {expected:?}")) }
    });
    browser.wait_for_text(".stats dd", |text| text == workers.len().to_string());
}

#[test]
fn workers_are_seen_joining_and_leaving() {
    let console = Console::new();
    let browser = Browser::new();
    browser.goto(&console.url("/"));
    wait_for_workers(&browser, &[&console.worker]);
    browser.script("window.marked = true", Vec::new());

    let second = console.data.start("users", &["process"]);
    wait_for_workers(&browser, &[&console.worker, &second]);
    second.signal(Signal::SIGTERM);
    let gone = second.id();
    second.ends_within(wait::LONG).succeeds();
    // Who can't take back his word within two seconds is shown as silent.
    browser.wait_until("the second one is shown as gone", || {
        let rows = browser.texts(".workers li");
        let name = format!("users · {gone}");
        let row = rows.iter().find(|row| row.contains(&name));
        if row.is_none_or(|row| row.contains("last heard of")) {
            Ok(())
        } else {
            Err(format!("{rows:?}"))
        }
    });

    let marked = browser.script("return window.marked ?? null", Vec::new());
    assert_eq!(marked, Value::Bool(true), "loaded anew");
    assert_eq!(browser.logged(), Vec::<String>::new());
}

#[test]
fn positions_move_while_the_page_is_open() {
    let console = Console::new();
    let browser = Browser::new();
    browser.goto(&console.url("/pipelines/users.details"));
    browser.wait_for_text(".stats", |text| text.contains("2,000"));
    console.data.run("users", &["produce", "--once", "--rate", "max"]).succeeds();
    browser.wait_for_text(".stats", |text| text.contains("4,000"));
    browser.wait_for_text(".timeline", |text| text.contains("assigned"));
    assert_eq!(browser.logged(), Vec::<String>::new());
}

#[test]
fn every_page_of_the_console_is_sound() {
    let console = Console::new();
    let browser = Browser::new();
    browser.goto(&console.url("/"));
    browser.wait_for_text("main", |text| text.contains("users.details"));
    browser.assert_sound("console-overview");
    for (name, link) in [("pipeline", "a[href*='/pipelines/']"), ("worker", "a[href*='/workers/']")]
    {
        browser.goto(&console.url("/"));
        browser.wait_for(link);
        browser.follow(link, &format!("/{name}s/"));
        browser.wait_for("h1");
        browser.assert_sound(&format!("console-{name}"));
    }
    browser.goto(&console.url("/nowhere"));
    let wrong = browser.wrong("console-lost");
    let wrong: Vec<_> =
        wrong.iter().filter(|line| !line.contains("the server responded with")).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
