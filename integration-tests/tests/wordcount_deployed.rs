//! Words on Kafka and MySQL: what the mysql client shows is what counting slowly gives.

#![cfg(test)]

use std::time::Duration;

use integration_tests::deployed::{Deployed, On, kills, outage};
use integration_tests::words::{self, Counts};
use integration_tests::{http, number};

const PIPELINE: &str = "wordcount.counts";

fn deployed() -> Deployed {
    Deployed::start("wordcount", &[On::Mysql]).with("WORDCOUNT_CONSOLE__LISTEN", "")
}

fn lines() -> Vec<String> {
    (0..97)
        .map(|n| format!("Line {n}: the mill grinds, DIE Mühle mahlt, η μύλος {}", n % 7))
        .collect()
}

fn in_table(words: &Deployed) -> Counts {
    let rows = words.sql("wordcount", "SELECT word, count FROM `wordCount`");
    rows.iter().map(|row| (row["word"].clone(), row["count"].parse().unwrap())).collect()
}

/// So many times the whole file, and a part of it.
fn assert_exact(words: &Deployed, sent: u64) {
    let report = words.verify_one(PIPELINE);
    assert_eq!((number(&report, "produced"), number(&report, "delivered")), (sent, sent));
    let lines = lines();
    let (passes, rest) = (sent / lines.len() as u64, sent as usize % lines.len());
    let whole = words::times(&words::count(&lines.join("\n")), passes);
    let expected = words::sum(whole, &words::count(&lines[..rest].join("\n")));
    words::assert_same(&in_table(words), &expected);
}

#[test]
fn words_come_from_kafka_into_mysql() {
    let words = deployed();
    words.file("text.txt", lines().join("\n"));
    let once = ["produce", "--once", "--rate", "max", "--file", "text.txt"];
    words.run("wordcount", &once).succeeds();
    words.catch_up("wordcount");
    assert_exact(&words, 97);
    assert_eq!(words.consumed("kpmg_topic").len(), 97);
    let doctor = words.run("millstream", &["doctor", "wordcount"]).succeeds();
    assert!(doctor.stdout.contains("MySQL"), "{doctor:?}");
}

#[test]
fn counters_in_mysql_survive_kills_of_three_workers() {
    let words = deployed().with("WORDCOUNT_ROLL__EVERY_S", "0.2");
    words.file("text.txt", lines().join("\n"));
    let mut producer =
        words.start("wordcount", &["produce", "--rate", "800", "--file", "text.txt"]);
    kills::kill_workers(&words, "wordcount", 21, &mut producer, || words.position(PIPELINE));
    let sent = kills::stop(producer);
    words.settle("wordcount", PIPELINE);
    assert_exact(&words, sent);
}

#[test]
fn a_minute_without_mysql_loses_nothing() {
    let console = http::free_address();
    let words = deployed().with("WORDCOUNT_ROLL__EVERY_S", "0.5");
    let words = words.with("WORDCOUNT_CONSOLE__LISTEN", &console);
    words.file("text.txt", lines().join("\n"));
    let producer = words.start("wordcount", &["produce", "--rate", "500", "--file", "text.txt"]);
    let mut worker = words.start("wordcount", &["process"]);
    worker.says(&console);
    let seen = outage::stop_for(words.mysql(), Duration::from_secs(60), &mut worker, &console);
    assert!(seen.peak_mb < 700, "{seen:?}");
    let sent = kills::stop(producer);
    worker.signal(nix::sys::signal::Signal::SIGTERM);
    worker.ends_within(Duration::from_secs(30)).succeeds();
    words.settle("wordcount", PIPELINE);
    assert_exact(&words, sent);
}
