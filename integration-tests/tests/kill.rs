//! `kill -9` at any moment, of workers, producers and the whole demo. Afterwards every sink holds what its topic
//! says, no more and no less: by `verify`, and by a comparison of the test's own.

#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;

use integration_tests::chance::Chance;
use integration_tests::words::{self, Counts};
use integration_tests::{Data, Running, assert_exact, disk, load, number, text, users, wait};
use nix::sys::signal::Signal;
use serde_json::Value;

const KILLS: u64 = 20;

/// Starts workers of `app` and kills each, every other one only when it has committed something. `commits` tells
/// how many ranges the sink has so far.
fn kill_workers(data: &Data, app: &str, producer: &mut Running, commits: impl Fn() -> u64) {
    let mut chance = Chance::new();
    for kill in 0..KILLS {
        let before = commits();
        let mut worker = data.start(app, &["process"]);
        if kill % 2 == 0 {
            wait::pause(chance.milliseconds(0, 250));
        } else {
            wait::until("the worker commits", wait::LONG, || match commits() {
                now if now > before => Ok(()),
                now => Err(format!("{now} ranges; {worker:?}, {:?}", worker.has_ended())),
            });
            wait::pause(chance.milliseconds(0, 60));
        }
        let ended = worker.has_ended();
        assert!(ended.is_none(), "the worker ended before kill {kill}: {ended:?}");
        worker.kill_9();
        load::goes_on(producer);
    }
}

fn ranges_in(data: &Data, database: &str) -> u64 {
    let path = data.dir().join("tables").join(format!("{database}.db"));
    if !path.exists() {
        return 0;
    }
    let count = "SELECT count(*) FROM _millstream_ledger WHERE seq > 0";
    // Nothing to count while the first worker makes the tables.
    disk::open(&path).query_row(count, (), |row| row.get::<_, u32>(0)).map_or(0, u64::from)
}

fn users_in_topic(data: &Data) -> BTreeSet<[String; 3]> {
    let text = |record: disk::Stored| String::from_utf8(record.value).unwrap();
    disk::records(data, "registered_user_2")
        .into_iter()
        .map(|record| users::user(&text(record)))
        .collect()
}

fn counts_in_table(data: &Data) -> Counts {
    let rows = disk::rows(
        &disk::database(data, "wordcount"),
        r#"SELECT word, CAST(count AS TEXT) FROM "wordCount""#,
    );
    rows.into_iter().map(|[word, count]| (word, count.parse().unwrap())).collect()
}

#[test]
fn upserts_survive_kills_of_the_worker() {
    let data = Data::new().with("USERS_ROLL__EVERY_S", "0.05");
    let mut producer = data.start("users", &["produce", "--rate", "1500"]);
    kill_workers(&data, "users", &mut producer, || ranges_in(&data, "my_keyspace"));
    let sent = load::stop(producer);
    data.catch_up("users");

    let report = data.verify_one("users.details");
    assert_eq!((number(&report, "produced"), number(&report, "delivered")), (sent, sent));
    users::assert_same(&users::in_table(&data), &users_in_topic(&data));
}

#[test]
fn counters_survive_kills_of_the_worker() {
    let lines = words::lines();
    let data = Data::new().with("WORDCOUNT_ROLL__EVERY_S", "0.05");
    data.file("text.txt", lines.join("\n"));
    let mut producer =
        data.start("wordcount", &["produce", "--rate", "1500", "--file", "text.txt"]);
    kill_workers(&data, "wordcount", &mut producer, || ranges_in(&data, "wordcount"));
    let sent = load::stop(producer);
    data.catch_up("wordcount");

    let report = data.verify_one("wordcount.counts");
    assert_eq!((number(&report, "produced"), number(&report, "delivered")), (sent, sent));
    words::assert_same(&counts_in_table(&data), &words::of_passes(&lines, sent));
}

#[test]
fn the_lake_survives_kills_of_the_worker() {
    // A reading each two minutes of simulated time: each range has files of several dates.
    let data =
        Data::new().with("HEALTH_ROLL__EVERY_S", "0.05").with("HEALTH_SIMULATE__STEP_MS", "120000");
    let lake = data.dir().join("lake");
    let mut producer = data.start("health", &["produce", "--rate", "1500"]);
    let ranges = || disk::files(&lake.join("_millstream"), "end").len() as u64;
    kill_workers(&data, "health", &mut producer, ranges);
    let sent = load::stop(producer);
    data.catch_up("health");

    let produced: u64 = data.verify().iter().map(|report| number(report, "produced")).sum();
    assert_eq!(produced, sent);
    for table in ["patient_data", "emergency_vehicle_data"] {
        let mut sent: Vec<String> = disk::records(&data, table)
            .iter()
            .map(|record| {
                text(&serde_json::from_slice::<Value>(&record.value).unwrap(), "id").to_owned()
            })
            .collect();
        sent.sort();
        let rows = data.query(&format!("SELECT id FROM {table} ORDER BY id"));
        let queried: Vec<&str> = rows.iter().map(|row| text(row, "id")).collect();
        assert!(queried == sent, "{table}: {} queried, {} sent", queried.len(), sent.len());
        // A reader of the directory alone knows nothing of plans that were given up.
        let mut read = disk::parquet_texts(&lake.join(table), "id");
        read.sort();
        assert!(read == sent, "{table}: {} in files, {} sent", read.len(), sent.len());
    }
}

#[test]
fn topics_survive_kills_of_their_producer() {
    let data =
        Data::new().with("USERS_ROLL__EVERY_S", "0.1").with("WORDCOUNT_ROLL__EVERY_S", "0.1");
    let mut chance = Chance::new();
    let (users, counts) =
        (data.start("users", &["process"]), data.start("wordcount", &["process"]));
    let records = |topic: &str| {
        let is_there = disk::topic_path(&data, topic).exists();
        if is_there { disk::records(&data, topic).len() } else { 0 }
    };
    let mut last = [0; 2];
    for round in 0..8 {
        for (n, (app, topic)) in
            [("users", "registered_user_2"), ("wordcount", "kpmg_topic")].into_iter().enumerate()
        {
            let producer = data.start(app, &["produce", "--rate", "3000"]);
            // In every other round it has begun to write, however slow the machine is.
            if round % 2 == 1 {
                wait::until("it writes", wait::LONG, || match records(topic) {
                    now if now > last[n] => Ok(()),
                    now => Err(format!("{now} records; {producer:?}")),
                });
            }
            wait::pause(chance.milliseconds(30, 400));
            producer.kill_9();
            // Readable at once, and never fewer than before.
            let now = records(topic);
            assert!(now >= last[n], "{topic}: {now} records after {}", last[n]);
            last[n] = now;
        }
    }
    assert!(last.iter().all(|records| *records > 0), "nothing was produced: {last:?}");
    for worker in [users, counts] {
        worker.signal(Signal::SIGTERM);
        worker.ends_within(wait::LONG).succeeds();
    }
    // A restart of everything: what was there is there still, and work goes on behind it.
    for app in ["users", "wordcount"] {
        data.run(app, &["produce", "--once", "--rate", "max", "--limit", "100"]).succeeds();
        data.catch_up(app);
    }
    let produced: Vec<u64> =
        data.verify().iter().map(|report| number(report, "produced")).collect();
    assert_eq!(produced, [last[1] as u64 + 100, last[0] as u64 + 100]);
    users::assert_same(&users::in_table(&data), &users_in_topic(&data));
    let texts = disk::records(&data, "kpmg_topic").into_iter().map(|record| {
        let event: Value = serde_json::from_slice(&record.value).unwrap();
        text(&event, "text").to_owned()
    });
    let expected = words::count(&texts.collect::<Vec<_>>().join("\n"));
    words::assert_same(&counts_in_table(&data), &expected);
}

#[test]
fn the_demo_survives_a_kill_of_itself() {
    let data = Data::new();
    let mut chance = Chance::new();
    let demo = data.start("millstream", &["demo", "--endless"]);
    wait::until("the demo has written something", wait::LONG, || {
        let there = fs::metadata(data.dir().join("tables/my_keyspace.db")).is_ok();
        if there { Ok(()) } else { Err(format!("{demo:?}")) }
    });
    wait::pause(chance.milliseconds(0, 4_000));
    demo.kill_9();

    let ended = data.run("millstream", &["demo", "--exit", "--json"]).succeeds().json();
    assert!(number(&ended, "events") > 100_000, "{ended}");
    let pipelines = ended["pipelines"].as_array().unwrap();
    assert_eq!(pipelines.len(), 8, "{ended}");
    for report in pipelines {
        assert_exact(report);
        assert!(number(report, "dead_lettered") >= 1, "{report}");
    }
    data.verify();
}
