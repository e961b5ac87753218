//! Servers that stop for a minute in the middle of a load, and start again: nothing is lost or doubled, workers keep to
//! their memory, and the console tells what can't go on.

#![cfg(test)]

use integration_tests::deployed::outage::{Watched, stop_for_a_minute};
use integration_tests::deployed::{Deployed, Servers, as_row, assert_same};
use integration_tests::feed::Feed;
use integration_tests::users::user;
use integration_tests::{Running, http, load, number, text, words};

/// An app under load, and the pipeline that is watched.
struct Load {
    on: Deployed,
    pipeline: &'static str,
    producer: Running,
    worker: Running,
}

impl Load {
    fn start(on: Deployed, pipeline: &'static str, produce: &[&str]) -> Self {
        let app = pipeline.split('.').next().unwrap();
        let on = on.set("ROLL__EVERY_S", "0.5");
        let producer = on.start(app, &[&["produce"], produce].concat());
        let worker = on.start(app, &["process"]);
        Self { on, pipeline, producer, worker }
    }

    fn watched(&mut self) -> Watched<'_> {
        Watched { pipeline: self.pipeline, worker: &mut self.worker }
    }

    /// Ends it, has what is left worked off, and compares.
    fn assert_exact(self) {
        let Self { on, pipeline, producer, worker } = self;
        let sent = load::stop(producer);
        load::end(worker);
        on.settle(&[pipeline]);
        match pipeline {
            "users.details" => assert_users(&on, sent),
            "wordcount.counts" => assert_words(&on, sent),
            "health.patients" => assert_health(&on, sent),
            _ => assert_recalls(&on, sent),
        }
        println!("{pipeline}: {sent} records, all there, once");
    }
}

fn words_of(line: usize) -> String {
    format!("Line {line}: the mill grinds, DIE Mühle mahlt, η μύλος {}", line % 7)
}

/// So many recalls that one refresh, at its pace, lasts longer than the test.
fn feed() -> Feed {
    Feed::of(20_000)
}

fn loads(servers: &std::sync::Arc<Servers>, console: &str) -> Vec<Load> {
    let on = |app| Deployed::new(app, servers);
    let users = on("users").set("CONSOLE__LISTEN", console);
    let words = on("wordcount");
    words.file("text.txt", (0..97).map(words_of).collect::<Vec<_>>().join("\n"));
    let health = on("health").set("SIMULATE__STEP_MS", "120000");
    // Its snapshots lie on this machine: without S3 there would be no load to watch.
    let recalls = on("recalls").set("STORES__LAKE", "file://lake");
    let zip = recalls.root().join("feed.zip");
    feed().write(&zip);
    vec![
        Load::start(users, "users.details", &["--rate", "60"]),
        Load::start(words, "wordcount.counts", &["--rate", "60", "--file", "text.txt"]),
        Load::start(health, "health.patients", &["--rate", "20"]),
        Load::start(recalls, "recalls.search", &["--rate", "15", "--file", zip.to_str().unwrap()]),
    ]
}

/// All that the topic holds was delivered, and it holds what was sent. It may hold more: a producer whose append nobody
/// answered appends again.
fn assert_delivered(on: &Deployed, pipeline: &str, sent: u64, in_topic: usize) {
    assert!(in_topic as u64 >= sent, "{pipeline}: {in_topic} of {sent}");
    let report = on.verify_one(pipeline);
    let numbers = (number(&report, "produced"), number(&report, "delivered"));
    assert_eq!(numbers, (in_topic as u64, in_topic as u64), "{report}");
}

fn assert_users(users: &Deployed, sent: u64) {
    let records = users.servers.consumed("registered_user_2");
    assert_delivered(users, "users.details", sent, records.len());
    let mut expected: Vec<_> =
        records.iter().map(|record| user(record.value.as_deref().unwrap())).collect();
    let rows = users.servers.cql("SELECT JSON name, address, date FROM my_keyspace.user_details_5");
    let columns = ["name", "address", "date"];
    let mut found: Vec<_> =
        rows.iter().map(|row| columns.map(|column| row[column].clone())).collect();
    // The same user again is the same row.
    expected.sort();
    expected.dedup();
    found.sort();
    assert!(expected == found, "{} rows and not {}", found.len(), expected.len());
}

fn assert_words(words: &Deployed, sent: u64) {
    let records = words.servers.consumed("kpmg_topic");
    assert_delivered(words, "wordcount.counts", sent, records.len());
    let line = |value: &Option<String>| {
        let event = serde_json::from_str(value.as_deref().unwrap()).expect("JSON");
        text(&event, "text").to_owned()
    };
    let lines: Vec<_> = records.iter().map(|record| line(&record.value)).collect();
    let rows = words.servers.sql("wordcount", "SELECT word, count FROM `wordCount`");
    let found =
        rows.iter().map(|row| (row["word"].clone(), row["count"].parse().unwrap())).collect();
    words::assert_same(&found, &words::count(&lines.join("\n")));
}

fn assert_health(health: &Deployed, sent: u64) {
    let records = health.servers.consumed("patient_data");
    let id = |value: &Option<String>| {
        let event = serde_json::from_str(value.as_deref().unwrap()).expect("JSON");
        text(&event, "id").to_owned()
    };
    let vehicles = health.servers.consumed("emergency_vehicle_data").len();
    assert!(
        (records.len() + vehicles) as u64 >= sent,
        "{} and {vehicles} of {sent}",
        records.len()
    );
    let mut expected: Vec<_> = records.iter().map(|record| id(&record.value)).collect();
    let rows = health.servers.parquet("patient_data");
    let mut found: Vec<_> = rows.iter().map(|row| row["id"].clone()).collect();
    expected.sort();
    found.sort();
    assert!(expected == found, "{} rows and not {}", found.len(), expected.len());
    health.verify_one("health.patients");
}

fn assert_recalls(recalls: &Deployed, sent: u64) {
    recalls.verify_one("recalls.search");
    let numbers = recalls.servers.consumed("devices").into_iter().filter_map(|record| record.key);
    let numbers: std::collections::BTreeSet<_> = numbers.collect();
    assert!(numbers.len() as u64 >= sent, "{} of {sent}", numbers.len());
    let records = feed().records;
    let sent = records.iter().filter(|record| numbers.contains(text(record, "recall_number")));
    let sent: Vec<_> = sent.map(as_row).collect();
    let columns =
        "recall_number, recalling_firm, product_description, code_info, state, report_date";
    assert_same("the index", columns, &sent, &recalls.servers.documents("recalls"));
    let select = format!("SELECT JSON {columns} FROM recalls.enforcement");
    assert_same("the table", columns, &sent, &recalls.servers.cql(&select));
}

#[test]
fn a_minute_without_a_server_loses_nothing() {
    let started = std::time::Instant::now();
    let servers = Servers::start();
    let console = http::free_address();
    let mut loads = loads(&servers, &console);
    all_go_on(&loads);
    // All stores at the same time, each app without its own; then what they all share.
    let stores = [&servers.cassandra, &servers.mysql, &servers.s3, &servers.opensearch];
    println!("{:?}: all apps are at work", started.elapsed());
    for away in [&stores[..], &[&servers.kafka]] {
        let mut watched: Vec<_> = loads.iter_mut().map(Load::watched).collect();
        stop_for_a_minute(away, &mut watched, &console);
        // Twice, so that what is worked off was sent afterwards.
        all_go_on(&loads);
        all_go_on(&loads);
        println!("{:?}: and go on", started.elapsed());
    }
    std::thread::scope(|scope| {
        for load in loads {
            scope.spawn(move || load.assert_exact());
        }
    });
}

/// Panics with what the one that doesn't go on said itself.
fn all_go_on(loads: &[Load]) {
    std::thread::scope(|scope| {
        let waits: Vec<_> = loads
            .iter()
            .map(|load| (load, scope.spawn(|| load.on.goes_on(load.pipeline))))
            .collect();
        for (load, wait) in waits {
            if let Err(panic) = wait.join() {
                eprintln!("{}:\n{:?}\n{:?}", load.pipeline, load.producer, load.worker);
                std::panic::resume_unwind(panic);
            }
        }
    });
}
