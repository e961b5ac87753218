//! Mistakes of a user: each ends with a message that names the key or path and what to do, and never with a panic.
//! Settings files with mistakes are in `tests/mistakes/`.

#![cfg(test)]

use std::net::TcpListener;
use std::process::Command;

use integration_tests::{Data, Ran, Running, binaries, wait};

/// Runs an app with one of the files.
fn with(file: &str, app: &str, verb: &[&str]) -> Ran {
    let path = format!("{}/tests/mistakes/{file}.toml", env!("CARGO_MANIFEST_DIR"));
    let data = Data::new();
    let ran = data.run(app, &[&["--config", path.as_str()], verb].concat());
    assert!(!data.dir().join("log").join("registered_user_2.db").exists(), "it began all the same");
    ran
}

#[test]
fn settings_that_are_wrong_are_refused_by_every_verb() {
    let cases: [(&str, &[&str]); 6] = [
        ("unknown_key", &["unknown_key.toml:2", "roll.evry_s", "did you mean `roll.every_s`"]),
        ("unknown_section", &["unknown_section.toml:2", "rolls", "`roll`"]),
        (
            "wrong_type",
            &["wrong_type.toml:2", "roll.records = \"many\"", "expected a whole number, as in"],
        ),
        ("out_of_range", &["out_of_range.toml:2", "roll.every_s = 0", "from 0.01 to 86400"]),
        ("no_toml", &["no_toml.toml:1"]),
        (
            "several_at_once",
            &["3 problems", "several_at_once.toml:2: rol", "roll.records", "roll.bytes_mb"],
        ),
    ];
    for (file, words) in cases {
        for verb in ["produce", "process", "check", "plan"] {
            with(file, "users", &[verb]).fails_with(words);
        }
    }
}

#[test]
fn settings_of_the_environment_are_checked_like_a_file() {
    let data = Data::new().with("WEATHER_POLL__EVRY_S", "3").with("WEATHER_POLL__CITIES", "Paris");
    data.run("weather", &["check"]).fails_with(&[
        "2 problems",
        "WEATHER_POLL__EVRY_S",
        "did you mean WEATHER_POLL__EVERY_S",
        "poll.cities",
    ]);
}

#[test]
fn files_that_are_missing_are_named() {
    let data = Data::new();
    let words = ["nowhere.toml", "give `--config` a file that can be read"];
    data.run("users", &["--config", "nowhere.toml", "check"]).fails_with(&words);
    data.run("millstream", &["--config", "users=nowhere.toml", "demo"]).fails_with(&words);
    data.run("wordcount", &["produce", "--once", "--file", "nowhere.txt"])
        .fails_with(&["nowhere.txt", "--file"]);
    data.run("wordcount", &["plan"]).succeeds();
    data.run("millstream", &["query", "@nowhere.sql"]).fails_with(&["nowhere.sql"]);
}

#[test]
fn a_port_in_use_is_named_with_its_key() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let address = format!("127.0.0.1:{port}");
    for (app, variable, key) in [
        ("health", "HEALTH_SIMULATE__PORT", "[simulate] port"),
        ("weather", "WEATHER_STAND_IN__PORT", "[stand_in] port"),
    ] {
        let data = Data::new().with(variable, &port);
        data.run(app, &["produce", "--once"]).fails_with(&[&address, key, "in use", "0 for any"]);
    }
}

#[test]
fn a_directory_that_cannot_be_written_to_is_named() {
    // A regular file where a directory would be: root may write everywhere else.
    let data = Data::new();
    data.file("data", "I am no directory");
    let at = data.dir().display().to_string();
    for verb in ["produce", "process", "check", "plan"] {
        data.run("users", &[verb]).fails_with(&[&at, "--data"]);
    }
    data.run("millstream", &["demo"]).fails_with(&[&at, "--data"]);
    let below = data.file("f", "").join("x").display().to_string();
    let mut command = Command::new(binaries::path("users"));
    command.args(["process", "--data", &below]);
    Running::start(command).ends_within(wait::LONG).fails_with(&[&below, "--data"]);
}

#[test]
fn a_store_that_cannot_be_written_to_is_found_by_check() {
    let data = Data::new();
    data.run("users", &["plan"]).succeeds();
    for (place, what) in [("tables", "BAD  tables"), ("lake", "BAD  lake")] {
        let blocked = data.dir().join(place);
        let _ = std::fs::remove_dir_all(&blocked);
        std::fs::write(&blocked, "no directory").unwrap();
        let words = [what, blocked.to_str().unwrap(), "make it writable", "--data"];
        data.run("users", &["check"]).fails_with(&words);
    }
    data.run("users", &["process", "--until-caught-up"]).fails_with(&[data
        .dir()
        .join("tables")
        .to_str()
        .unwrap()]);
}

#[test]
fn what_has_no_builds_is_not_built_anew() {
    let data = Data::new();
    data.run("recalls", &["plan"]).succeeds();
    data.run("millstream", &["rebuild", "recalls.table"]).fails_with(&[
        "build enforcement in sqlite://",
        "no builds",
        "name a new table",
    ]);
    data.run("millstream", &["rebuild", "recalls.nothing"]).fails_with(&["recalls.search"]);
    data.run("millstream", &["rebuild", "recalls.search"]).succeeds();
}

#[test]
fn sql_that_will_not_do_is_refused_when_it_is_planned() {
    let cases: [(&str, &[&str]); 3] = [
        ("malformed_sql", &["[sql] details", "SELEC"]),
        ("unknown_column_in_sql", &["[sql] details", "nam", "has the columns name, address, date"]),
        (
            "sql_that_is_not_row_wise",
            &["[sql] details", "not row-wise", "aggregates", "let the sink aggregate"],
        ),
    ];
    for (file, words) in cases {
        for verb in [&["process", "--until-caught-up"][..], &["check"], &["plan"]] {
            with(file, "users", verb).fails_with(words);
        }
    }
}

#[test]
fn a_store_nobody_knows_is_named_with_the_ones_there_are() {
    with("unknown_store", "users", &["process"]).fails_with(&["redis://somewhere", "sqlite://"]);
    let data = Data::new().with("USERS_TOPICS__URL", "amqp://somewhere");
    data.run("users", &["process"]).fails_with(&["amqp://somewhere", "sqlite://", "kafka://"]);
}

#[test]
fn what_there_is_not_is_told_with_what_there_is() {
    let data = Data::new();
    for command in
        [&["query", "SELECT 1"][..], &["verify"], &["dlq", "list"], &["position", "show"]]
    {
        let words = ["there is no data in", "--data", "millstream demo"];
        data.run("millstream", command).fails_with(&words);
    }
    data.run("wordcount", &["produce", "--once", "--rate", "max"]).succeeds();
    for command in [
        &["verify", "no.such"][..],
        &["dlq", "show", "no.such"],
        &["dlq", "replay", "no.such"],
        &["position", "show", "no.such"],
        &["position", "skip", "no.such", "t", "0", "--from", "0", "--to", "1", "--reason", "x"],
    ] {
        data.run("millstream", command).fails_with(&["\"no.such\"", "wordcount.counts"]);
    }
    data.run("millstream", &["query", "SELECT * FROM nothing"]).fails_with(&["nothing"]);
    data.run("millstream", &["query", "SELEC"]).fails_with(&["SELEC"]);
}

#[test]
fn commands_that_make_no_sense_are_explained() {
    let data = Data::new();
    data.run("users", &["produce", "--rate", "fast"]).fails_with(&["--rate", "max"]);
    data.run("users", &["produce", "--rate", "0"]).fails_with(&["--rate", "above 0"]);
    data.run("users", &["produce", "--file", "x"]).fails_with(&["leave out --file"]);
    data.run("health", &["produce", "--url", "http://h/"]).fails_with(&["patients_url"]);
    data.run("weather", &["produce", "--file", "x"]).fails_with(&["--url"]);
    data.run("wordcount", &["produce", "--url", "http://h/"]).fails_with(&["--file"]);
    data.run("users", &["proces"]).fails_with(&["process"]);
    data.run::<&str>("users", &[]).fails_with(&["Usage"]);
    data.run("millstream", &["--config", "nobody=x.toml", "verify"])
        .fails_with(&["nobody", "wordcount"]);
}
