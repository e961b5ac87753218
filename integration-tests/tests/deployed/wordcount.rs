//! Words on Kafka and MySQL: what the mysql client shows is what counting slowly gives.

use integration_tests::deployed::{Deployed, Servers, kills};
use integration_tests::number;
use integration_tests::words;

const PIPELINE: &str = "wordcount.counts";

/// What each pass over the file sends, line by line.
fn lines() -> Vec<String> {
    (0..97)
        .map(|n| format!("Line {n}: the mill grinds, DIE Mühle mahlt, η μύλος {}", n % 7))
        .collect()
}

/// So many times the whole file, and a part of it.
fn assert_exact(words: &Deployed, sent: u64) {
    let report = words.verify_one(PIPELINE);
    assert_eq!((number(&report, "produced"), number(&report, "delivered")), (sent, sent));
    assert_eq!(words.servers.consumed("kpmg_topic").len() as u64, sent);
    let lines = lines();
    let (passes, rest) = (sent / lines.len() as u64, sent as usize % lines.len());
    let whole = words::times(&words::count(&lines.join("\n")), passes);
    let expected = words::sum(whole, &words::count(&lines[..rest].join("\n")));
    let rows = words.servers.sql("wordcount", "SELECT word, count FROM `wordCount`");
    let found =
        rows.iter().map(|row| (row["word"].clone(), row["count"].parse().unwrap())).collect();
    words::assert_same(&found, &expected);
    println!("{sent} lines, {} words", rows.len());
}

#[test]
fn words_come_from_kafka_into_mysql_also_when_workers_are_killed() {
    let words = Deployed::new("wordcount", &Servers::shared()).set("ROLL__EVERY_S", "0.2");
    words.file("text.txt", lines().join("\n"));
    let once = ["produce", "--once", "--rate", "max", "--file", "text.txt"];
    words.run("wordcount", &once).succeeds();
    words.catch_up("wordcount");
    assert_exact(&words, 97);
    words.assert_healthy(&["Kafka", "MySQL", "topic kpmg_topic"]);

    let mut producer =
        words.start("wordcount", &["produce", "--rate", "300", "--file", "text.txt"]);
    kills::kill_workers(&words, &[PIPELINE], || kills::goes_on(&mut producer));
    let sent = kills::stop(producer);
    words.settle(&[PIPELINE]);
    assert_exact(&words, 97 + sent);
}
