//! The commands' contract: what scripts and documents rely on.

#![cfg(test)]

use std::time::Duration;

use integration_tests::binaries::APPS;
use integration_tests::{Data, Running, assert_exact, number, text, wait};
use nix::sys::signal::Signal;
use serde_json::Value;

/// What each app's commands name: topics and tables.
const NAMES: [(&str, &[&str], &[&str]); 4] = [
    ("wordcount", &["kpmg_topic"], &["wordCount"]),
    ("users", &["registered_user_2"], &["user_details_5"]),
    (
        "health",
        &["patient_data", "emergency_vehicle_data"],
        &["patient_data", "emergency_vehicle_data"],
    ),
    ("weather", &["weather"], &["weather", "weather_backup"]),
];

#[test]
fn every_help_has_examples_and_every_verb_has_help() {
    let data = Data::new();
    let verbs = ["produce", "process", "check", "plan"];
    let all = ["demo", "query", "crawl", "cost", "catalog", "verify", "dlq", "position", "rebuild"];
    let binaries = APPS.iter().map(|app| (*app, &verbs[..])).chain([("millstream", &all[..])]);
    for (binary, verbs) in binaries {
        let help = data.run(binary, &["--help"]).succeeds().stdout;
        assert!(help.contains("Examples:") && help.contains(&format!("  {binary} ")), "{help}");
        assert!(help.contains("--data <DIR>") && help.contains("[default: .millstream]"), "{help}");
        for verb in verbs {
            assert!(help.contains(verb), "{help}");
            let of_verb = data.run(binary, &[verb, "--help"]).succeeds().stdout;
            assert!(of_verb.contains(&format!("Usage: {binary} {verb}")), "{of_verb}");
        }
        data.run(binary, &["--version"]).succeeds();
    }
    assert!(!data.dir().exists(), "help needs no data");
}

#[test]
fn plan_and_check_show_what_there_is() {
    for (app, topics, tables) in NAMES {
        let data = Data::new();
        let plan = data.run(app, &["plan"]).succeeds().stdout;
        for topic in topics {
            assert!(plan.contains(&format!("topic {topic} ")), "{plan}");
            assert!(plan.contains(&format!("bad records: topic {topic}.dead-letters")), "{plan}");
        }
        for table in tables {
            assert!(plan.contains(&format!("{table} in ")), "{plan}");
        }
        let shown = data.run(app, &["check"]).succeeds().stdout;
        assert!(shown.contains("roll.every_s") && shown.contains("default"), "{shown}");

        let checked = data.run(app, &["check", "--json"]).succeeds().json();
        assert_eq!(checked["app"], app, "{checked}");
        let findings = checked["findings"].as_array().unwrap();
        assert!(findings.iter().all(|finding| finding["state"] != "bad"), "{checked}");
        for topic in topics {
            let what = format!("topic {topic}");
            assert!(findings.iter().any(|finding| finding["what"] == *what), "{checked}");
        }
    }
}

#[test]
fn check_marks_a_setting_and_tells_where_it_comes_from() {
    let data = Data::new().with("USERS_PRODUCE__RATE", "7");
    let file = data.file("my.toml", "[roll]\nrecords = 5\n");
    let shown = data.run("users", &["--config", file.to_str().unwrap(), "check"]).succeeds().stdout;
    let line = |key: &str| {
        let found = shown.lines().find(|line| line.contains(key));
        found.unwrap_or_else(|| panic!("{key} in {shown}")).to_owned()
    };
    assert!(
        line("roll.records").starts_with('*') && line("roll.records").contains("my.toml:2"),
        "{shown}"
    );
    assert!(line("produce.rate").contains("USERS_PRODUCE__RATE"), "{shown}");
    assert!(line("roll.every_s").starts_with(' '), "{shown}");
}

#[test]
fn once_and_until_caught_up_end_with_everything_in_the_sinks() {
    let data = Data::new();
    let book = data.file("book.txt", "to be or not to be\n");
    for app in APPS {
        let mut produce = vec!["produce", "--once", "--rate", "max"];
        if app == "wordcount" {
            produce.extend(["--file", book.to_str().unwrap()]);
        }
        data.run(app, &produce).succeeds();
        data.catch_up(app);
        // There is nothing left to do, and that is no error.
        data.catch_up(app);
    }
    let positions = data.run("millstream", &["position", "show", "--json"]).succeeds().json_lines();
    assert!(positions.iter().all(|at| number(at, "lag") == 0), "{positions:?}");
    assert!(positions.iter().any(|at| number(at, "position") > 1_000), "{positions:?}");

    let reports = data.verify();
    let produced = |id: &str| {
        let (app, pipeline) = id.split_once('.').unwrap();
        let report = reports.iter().find(|r| r["app"] == app && r["pipeline"] == pipeline);
        number(report.unwrap_or_else(|| panic!("{id} in {reports:?}")), "produced")
    };
    assert_eq!(
        ["wordcount.counts", "users.details", "health.patients", "weather.table", "weather.backup"]
            .map(produced),
        [1, 10_000, 10_000, 3, 3]
    );
    let counts = data.query(r#"SELECT word, count FROM "wordCount" ORDER BY word"#);
    let counts: Vec<_> =
        counts.iter().map(|row| (text(row, "word"), number(row, "count"))).collect();
    assert_eq!(counts, [("be", 2), ("not", 1), ("or", 1), ("to", 2)]);
}

#[test]
fn the_first_line_of_weather_without_a_key_says_so() {
    let said = Data::new().run("weather", &["produce", "--once"]).succeeds().stderr;
    let first = said.lines().next().unwrap_or_default();
    assert!(
        first.contains("OPENWEATHER_API_KEY is not set") && first.contains("stand-in"),
        "{said}"
    );
}

#[test]
fn the_demo_ends_with_an_object_and_its_tables_can_be_asked() {
    let data = Data::new();
    let ended = data.run("millstream", &["demo", "--exit", "--json"]).succeeds().json();
    assert_eq!(ended["apps"], serde_json::json!(APPS), "{ended}");
    assert!(number(&ended, "events") > 100_000, "{ended}");
    let pipelines = ended["pipelines"].as_array().unwrap();
    let ids: Vec<_> =
        pipelines.iter().map(|r| format!("{}.{}", text(r, "app"), text(r, "pipeline"))).collect();
    let all = [
        "wordcount.counts",
        "users.details",
        "health.patients",
        "health.vehicles",
        "weather.table",
        "weather.backup",
        "recalls.table",
        "recalls.search",
    ];
    assert_eq!(ids, all);
    for report in pipelines {
        assert_exact(report);
        assert_eq!(number(report, "dead_lettered"), 1, "{report}");
    }
    let letters = data.run("millstream", &["dlq", "list", "--json"]).succeeds().json_lines();
    let pairs: Vec<_> =
        letters.iter().map(|line| (text(line, "pipeline"), number(line, "count"))).collect();
    let mut expected = all.map(|id| (id, 1));
    expected.sort_unstable();
    assert_eq!(pairs, expected);
    ask_all_tables(&data);
}

/// In each format, each table gives as many rows as it says it has.
fn ask_all_tables(data: &Data) {
    for table in [
        r#""wordCount""#,
        "wordCount",
        "weather",
        "weather.weather",
        "patient_data",
        "lake.patient_data",
        "emergency_vehicle_data",
        "user_details_5",
        "my_keyspace.user_details_5",
        "weather_backup",
        "enforcement",
        "recalls.enforcement",
    ] {
        let count = number(&data.query(&format!("SELECT count(*) AS n FROM {table}"))[0], "n");
        assert!(count > 0, "{table}");
        let sql = format!("SELECT * FROM {table} LIMIT 3");
        let rows = count.min(3) as usize;
        let json = data.query(&sql);
        assert_eq!(json.len(), rows, "{table}: {json:?}");
        assert!(json.iter().all(Value::is_object), "{table}: {json:?}");
        let as_csv = data.run("millstream", &["query", "--format", "csv", &sql]).succeeds().stdout;
        let header: Vec<_> = as_csv.lines().next().unwrap().split(',').collect();
        assert!(header.iter().all(|column| json[0].get(column).is_some()), "{table}: {header:?}");
        let as_table = data.run("millstream", &["query", &sql]).succeeds().stdout;
        assert!(
            as_table.starts_with("+--") && as_table.contains(&format!("| {}", header[0])),
            "{as_table}"
        );
    }
    // A reader that goes away early is no failure.
    let none = data.query("SELECT * FROM weather WHERE city = 'Nowhere'");
    assert!(none.is_empty(), "{none:?}");
}

#[test]
fn sigterm_ends_a_worker_with_success_and_another_takes_over() {
    let data = Data::new().with("USERS_ROLL__EVERY_S", "60");
    let first = data.start("users", &["process"]);
    let lock = data.dir().join("log/spark-streaming-notes.group.lock");
    // Who holds the group's place says so in its file.
    let works = |worker: &Running| {
        let id = format!("process {} ", worker.id());
        wait::until("the worker has the group's place", wait::LONG, || {
            let holder = std::fs::read_to_string(&lock).unwrap_or_default();
            if holder.starts_with(&id) { Ok(()) } else { Err(format!("{holder:?}; {worker:?}")) }
        });
    };
    works(&first);
    let mut second = data.start("users", &["process"]);
    second.says("standing by");
    data.run("users", &["produce", "--rate", "max", "--limit", "500"]).succeeds();
    // It rolls once a minute, or when it is told to stop.
    assert_eq!(committed(&data), 0, "rolled before its time");
    first.signal(Signal::SIGTERM);
    first.ends_within(Duration::from_secs(10)).succeeds();
    works(&second);
    data.run("users", &["produce", "--rate", "max", "--limit", "500"]).succeeds();
    second.signal(Signal::SIGINT);
    second.ends_within(Duration::from_secs(10)).succeeds();
    data.catch_up("users");
    assert_eq!(number(&data.verify_one("users.details"), "delivered"), 1_000);
}

fn committed(data: &Data) -> u64 {
    let lines = data.run("millstream", &["position", "show", "users.details", "--json"]).succeeds();
    lines.json_lines().iter().map(|at| number(at, "position")).sum()
}

#[test]
fn a_second_worker_works_when_the_first_is_killed() {
    let data = Data::new().with("USERS_ROLL__EVERY_S", "0.1");
    let first = data.start("users", &["process"]);
    let mut second = data.start("users", &["process"]);
    let mut third = data.start("users", &["process"]);
    data.run("users", &["produce", "--rate", "max", "--limit", "500"]).succeeds();
    reaches(&data, 500);
    first.kill_9();
    data.run("users", &["produce", "--rate", "max", "--limit", "500"]).succeeds();
    reaches(&data, 1_000);
    for worker in [&mut second, &mut third] {
        assert!(worker.has_ended().is_none(), "{worker:?}");
        worker.signal(Signal::SIGTERM);
    }
    second.ends_within(Duration::from_secs(10)).succeeds();
    third.ends_within(Duration::from_secs(10)).succeeds();
    assert_eq!(number(&data.verify_one("users.details"), "delivered"), 1_000);
}

fn reaches(data: &Data, records: u64) {
    wait::until("all is committed", wait::LONG, || match committed(data) {
        now if now == records => Ok(()),
        now => Err(format!("{now} of {records}")),
    });
}

#[test]
fn many_commands_use_one_directory_at_once() {
    let data =
        Data::new().with("USERS_ROLL__EVERY_S", "0.1").with("WORDCOUNT_ROLL__EVERY_S", "0.1");
    let endless = [("users", "process"), ("users", "process"), ("wordcount", "process")];
    let workers: Vec<_> = endless.iter().map(|(app, verb)| data.start(app, &[verb])).collect();
    let produce = ["produce", "--rate", "max", "--limit", "3000"];
    let producers: Vec<_> =
        ["users", "users", "wordcount", "wordcount"].map(|app| data.start(app, &produce)).into();
    for _ in 0..3 {
        // In the middle of it all: what is pending is neither lost nor too much.
        let verified = data.run("millstream", &["verify", "--json"]).json();
        for report in verified["pipelines"].as_array().unwrap() {
            assert_eq!((number(report, "lost"), number(report, "duplicated")), (0, 0), "{report}");
        }
        data.run("users", &["check"]).succeeds();
        data.run("millstream", &["position", "show"]).succeeds();
    }
    for producer in producers {
        producer.ends_within(wait::LONG).succeeds();
    }
    for worker in workers {
        worker.signal(Signal::SIGTERM);
        worker.ends_within(Duration::from_secs(10)).succeeds();
    }
    data.catch_up("users");
    data.catch_up("wordcount");
    for id in ["users.details", "wordcount.counts"] {
        assert_eq!(number(&data.verify_one(id), "delivered"), 6_000, "{id}");
    }
}
