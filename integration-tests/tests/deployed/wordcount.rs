//! Words on Kafka and MySQL: what the mysql client shows is what counting slowly gives.

use integration_tests::deployed::{Deployed, Servers, kills};
use integration_tests::{load, number, words};

const PIPELINE: &str = "wordcount.counts";

/// So many times the whole file, and a part of it.
fn assert_exact(words: &Deployed, sent: u64) {
    let report = words.verify_one(PIPELINE);
    assert_eq!((number(&report, "produced"), number(&report, "delivered")), (sent, sent));
    assert_eq!(words.servers.consumed("kpmg_topic").len() as u64, sent);
    let rows = words.servers.sql("wordcount", "SELECT word, count FROM `wordCount`");
    let found =
        rows.iter().map(|row| (row["word"].clone(), row["count"].parse().unwrap())).collect();
    words::assert_same(&found, &words::of_passes(&words::lines(), sent));
    println!("{sent} lines, {} words", rows.len());
}

#[test]
fn words_come_from_kafka_into_mysql_also_when_workers_are_killed() {
    let words = Deployed::new("wordcount", &Servers::shared()).set("ROLL__EVERY_S", "0.2");
    words.file("text.txt", words::lines().join("\n"));
    let once = ["produce", "--once", "--rate", "max", "--file", "text.txt"];
    words.run("wordcount", &once).succeeds();
    words.catch_up("wordcount");
    assert_exact(&words, 97);
    words.assert_healthy(&["Kafka", "MySQL", "topic kpmg_topic"]);

    let mut producer =
        words.start("wordcount", &["produce", "--rate", "100", "--file", "text.txt"]);
    kills::kill_workers(&words, &[PIPELINE], || load::goes_on(&mut producer));
    let sent = load::stop(producer);
    words.settle(&[PIPELINE]);
    assert_exact(&words, 97 + sent);
}
