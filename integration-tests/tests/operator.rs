//! What an operator does: finds damage, looks at dead letters and sends them in again, decides about positions.

#![cfg(test)]

use std::fs;

use integration_tests::{Data, Running, disk, number, text, wait};
use serde_json::Value;

/// `verify` has to find `id` wrong, and nothing else. Its report.
#[track_caller]
fn finds_wrong(data: &Data, id: &str) -> Value {
    let ran = data.run("millstream", &["verify", "--json"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let found = ran.json();
    assert_eq!(found["exact"], false, "{found}");
    let pipelines = found["pipelines"].as_array().unwrap();
    let is_bad = |report: &&Value| {
        let problems = report["problems"].as_array().unwrap();
        number(report, "lost") + number(report, "duplicated") > 0 || !problems.is_empty()
    };
    let bad: Vec<_> = pipelines.iter().filter(is_bad).collect();
    assert_eq!(bad.len(), 1, "{found}");
    assert_eq!(format!("{}.{}", text(bad[0], "app"), text(bad[0], "pipeline")), id, "{found}");
    let told = data.run("millstream", &["verify"]);
    assert!(told.code == Some(1) && told.stdout.contains("NOT exact"), "{told:?}");
    bad[0].clone()
}

fn produced(app: &str, limit: &str) -> Data {
    let data = Data::new();
    data.run(app, &["produce", "--rate", "max", "--limit", limit]).succeeds();
    data.catch_up(app);
    data.verify();
    data
}

#[test]
fn verify_finds_a_row_that_was_deleted_and_one_that_was_put_in() {
    let data = produced("users", "300");
    let tables = disk::database(&data, "my_keyspace");
    tables
        .execute(
            "DELETE FROM user_details_5 WHERE name = (SELECT min(name) FROM user_details_5)",
            (),
        )
        .unwrap();
    let report = finds_wrong(&data, "users.details");
    assert!(number(&report, "lost") >= 1 && number(&report, "duplicated") == 0, "{report}");

    tables
        .execute("INSERT INTO user_details_5 VALUES ('Nobody', 'Nowhere', '1999', 1)", ())
        .unwrap();
    let report = finds_wrong(&data, "users.details");
    assert!(number(&report, "lost") >= 1 && number(&report, "duplicated") == 1, "{report}");
}

#[test]
fn verify_finds_a_count_that_was_changed() {
    let data = produced("wordcount", "300");
    let tables = disk::database(&data, "wordcount");
    let add = |n: i64| {
        let sql = r#"UPDATE "wordCount" SET count = count + ? WHERE word = 'the'"#;
        assert_eq!(tables.execute(sql, [n]).unwrap(), 1);
    };
    add(3);
    assert_eq!(number(&finds_wrong(&data, "wordcount.counts"), "duplicated"), 3);
    add(-5);
    assert_eq!(number(&finds_wrong(&data, "wordcount.counts"), "lost"), 2);
    add(2);
    data.verify();
}

#[test]
fn verify_finds_a_file_that_is_gone_and_one_that_was_changed() {
    let data = produced("health", "500");
    let file = disk::files(&data.dir().join("lake/patient_data"), "parquet").swap_remove(0);
    let kept = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    let verify = || data.run("millstream", &["verify"]);
    let name = file.file_name().unwrap().to_str().unwrap();
    verify().fails_with(&["health.patients", name, "it is missing", "restore the file"]);
    fs::write(&file, &kept[..kept.len() / 2]).unwrap();
    verify().fails_with(&["health.patients", name, "were committed", "restore the file"]);
    let mut changed = kept.clone();
    changed[kept.len() / 2] ^= 1;
    fs::write(&file, &changed).unwrap();
    verify().fails_with(&["health.patients", name, "checksum", "restore the file"]);
    fs::write(&file, &kept).unwrap();
    data.verify();
}

#[test]
fn verify_finds_a_ledger_that_lost_an_entry() {
    let data = produced("users", "300");
    let delete = "DELETE FROM _millstream_ledger WHERE partition = 1 AND seq = 1 AND topic = 'registered_user_2'";
    assert_eq!(disk::database(&data, "my_keyspace").execute(delete, ()).unwrap(), 1);
    finds_wrong(&data, "users.details");
}

/// `(which, value)` of a pipeline's dead letters.
fn letters(data: &Data) -> Vec<(String, Value)> {
    let shown = data.run("millstream", &["dlq", "show", "wordcount.counts", "--json"]).succeeds();
    let one = |line: Value| (text(&line, "which").to_owned(), line["value"].clone());
    shown.json_lines().into_iter().map(one).collect()
}

#[test]
fn dead_letters_are_listed_shown_and_sent_in_again_once() {
    let data = Data::new();
    data.file("bad.txt", b"good line\nbad \xff line\nanother \xfe\n");
    data.run("wordcount", &["produce", "--once", "--file", "bad.txt"]).succeeds();
    data.catch_up("wordcount");
    let first = letters(&data);
    assert_eq!(first.len(), 2, "{first:?}");
    let listed = data.run("millstream", &["dlq", "list"]).succeeds().stdout;
    assert!(listed.contains("wordcount.counts") && listed.contains("kpmg_topic"), "{listed}");

    let replay = |arguments: &[&str]| {
        data.run("millstream", &[&["dlq", "replay", "wordcount.counts"], arguments].concat())
    };
    replay(&["--only", "kpmg_topic-0@999"])
        .fails_with(&["kpmg_topic-0@999", "dlq show wordcount.counts"]);
    let said = replay(&["--only", &first[0].0]).succeeds().stdout;
    assert!(said.starts_with("1 sent in again"), "{said}");
    assert!(replay(&[]).succeeds().stdout.starts_with("1 sent in again"), "the other one");
    assert!(replay(&[]).succeeds().stdout.starts_with("0 sent in again"), "each once");

    // They are as bad as before: dead again, each with its bytes, and nothing else is touched.
    data.catch_up("wordcount");
    let again = letters(&data);
    assert_eq!(again.len(), 4, "{again:?}");
    let replayed: Vec<_> = again
        .iter()
        .filter(|(which, _)| which.starts_with("kpmg_topic.replay.wordcount.counts-"))
        .collect();
    assert_eq!(replayed.len(), 2, "{again:?}");
    assert!(
        first.iter().all(|(_, value)| replayed.iter().any(|(_, other)| other == value)),
        "{again:?}"
    );
    let report = data.verify_one("wordcount.counts");
    assert_eq!(
        (number(&report, "delivered"), number(&report, "dead_lettered")),
        (1, 4),
        "{report}"
    );
}

#[test]
fn what_died_of_a_mistake_in_the_sql_is_delivered_by_a_replay_after_its_correction() {
    // Users of one year divide by zero.
    let mistaken = "SELECT name, address, CASE WHEN date = '2001' THEN CAST(1 / (CAST(date AS INT) - 2001) AS VARCHAR) \
                    ELSE date END AS date FROM registered_user_2";
    let data = Data::new();
    data.run("users", &["produce", "--rate", "max", "--limit", "1000"]).succeeds();
    let mut wrong = data.command("users", &["process", "--until-caught-up"]);
    wrong.env("USERS_SQL__DETAILS", mistaken);
    Running::start(wrong).ends_within(wait::LONG).succeeds();
    let rows = |more: &str| {
        let sql = format!("SELECT name, address, date FROM user_details_5 {more}");
        disk::rows::<3>(&disk::database(&data, "my_keyspace"), &sql).len()
    };
    let there = rows("");
    assert!(there < 1_000 && rows("WHERE date = '2001'") == 0, "{there} rows");

    let said = data.run("millstream", &["dlq", "replay", "users.details"]).succeeds().stdout;
    assert!(said.starts_with(&format!("{} sent in again", 1_000 - there)), "{said}");
    data.catch_up("users");
    assert_eq!((rows(""), rows("WHERE date = '2001'")), (1_000, 1_000 - there));
    data.verify();
}

fn position(data: &Data, partition: u64) -> Value {
    let shown =
        data.run("millstream", &["position", "show", "wordcount.counts", "--json"]).succeeds();
    let here = |at: &Value| at["topic"] == "kpmg_topic" && at["partition"] == partition;
    shown.json_lines().into_iter().find(here).unwrap()
}

#[test]
fn offsets_can_be_given_up_and_count_as_absent() {
    let data = produced("wordcount", "100");
    // Without keys, partitions take turns: some of these come into the first one.
    data.run("wordcount", &["produce", "--rate", "max", "--limit", "1000"]).succeeds();
    let at = position(&data, 0);
    let (next, end) = (number(&at, "position"), number(&at, "end"));
    assert!(end - next >= 10, "{at}");
    let skip = |from: u64, to: u64| {
        let (from, to) = (from.to_string(), to.to_string());
        let skip = [
            "position",
            "skip",
            "wordcount.counts",
            "kpmg_topic",
            "0",
            "--reason",
            "poisoned by hand",
        ];
        data.run("millstream", &[&skip[..], &["--from", &from, "--to", &to]].concat())
    };
    skip(next + 1, next + 3).fails_with(&[&format!("--from {next}")]);
    skip(next, next - 1).fails_with(&["--to"]);
    skip(next, next + 9).succeeds();
    assert_eq!(position(&data, 0)["last_entry"], "skip: poisoned by hand");
    data.catch_up("wordcount");
    let report = data.verify_one("wordcount.counts");
    assert_eq!((number(&report, "absent"), number(&report, "delivered")), (10, 1_090), "{report}");
}

#[test]
fn a_change_can_be_accepted() {
    let data = produced("wordcount", "100");
    let accept = ["position", "accept-change", "wordcount.counts", "kpmg_topic", "0"];
    let said = data.run("millstream", &accept).succeeds().stdout;
    assert!(said.contains("kpmg_topic-0 goes on at"), "{said}");
    assert_eq!(position(&data, 0)["last_entry"], "accept-change");
    data.run("wordcount", &["produce", "--rate", "max", "--limit", "100"]).succeeds();
    data.catch_up("wordcount");
    assert_eq!(number(&data.verify_one("wordcount.counts"), "delivered"), 200);
    let wrong = ["position", "accept-change", "wordcount.counts", "kpmg_topic", "7"];
    data.run("millstream", &wrong).fails_with(&["kpmg_topic-7"]);
}

#[test]
fn a_recreated_topic_stops_the_worker_until_it_is_adopted() {
    for (app, topic, ids) in [
        ("users", "registered_user_2", &["users.details"][..]),
        ("weather", "weather", &["weather.table", "weather.backup"]),
    ] {
        let data = produced(app, "200");
        let path = disk::topic_path(&data, topic);
        for ending in ["db", "db-wal", "db-shm"] {
            // The latter two go with the last connection.
            let _ = fs::remove_file(path.with_extension(ending));
        }
        data.run(app, &["produce", "--rate", "max", "--limit", "150"]).succeeds();
        data.run(app, &["process", "--until-caught-up"]).fails_with(&[
            topic,
            "recreated",
            &format!("millstream position adopt-topic {} {topic}", ids[0]),
        ]);
        let partitions = data.run(app, &["check"]).succeeds().stdout;
        let partitions = if app == "users" {
            4
        } else {
            assert!(partitions.contains("3 partitions"));
            3
        };
        for id in ids {
            for partition in 0..partitions {
                let adopt = ["position", "adopt-topic", id, topic, &partition.to_string()];
                let said = data.run("millstream", &adopt).succeeds().stdout;
                assert!(said.contains("goes on at 0 (adopt-topic)"), "{said}");
            }
        }
        data.catch_up(app);
        let shown = data.run("millstream", &["position", "show", "--json"]).succeeds().json_lines();
        assert!(shown.iter().all(|at| number(at, "lag") == 0), "{shown:?}");
        data.run("millstream", &["verify", "--json"]).succeeds();
    }
}
