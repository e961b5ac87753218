//! The commands, as a person runs them.

use std::time::Instant;

use integration_tests::{Data, text, wait};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::athena::{LONG_QUERY, assert_cancelled};
use crate::crawlers;
use crate::lake::written;
use crate::place::Place;

/// `millstream query` by an engine, as JSON.
fn ask(data: &Data, engine: &str, sql: &str) -> Vec<Value> {
    let ran =
        data.run("millstream", &["query", "--engine", engine, "--format", "json", sql]).succeeds();
    match ran.json() {
        Value::Array(rows) => rows,
        other => panic!("an array of rows: {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_sql_gives_the_same_output_by_both_engines() {
    let place = Place::new("engines").await;
    let data = written(&place, 2_500).await;
    for sql in [
        "SELECT count(*) AS n, min(heart_rate) AS low, max(oxygen_saturation) AS high FROM patient_data",
        "SELECT patient_id, count(*) AS n FROM patient_data WHERE emergency_alert GROUP BY patient_id ORDER BY n DESC, patient_id",
        "SELECT id, ts, latitude, sex, date FROM patient_data ORDER BY id LIMIT 20",
        "SELECT vehicle_type, count(*) AS n FROM emergency_vehicle_data GROUP BY vehicle_type ORDER BY vehicle_type",
    ] {
        assert_eq!(ask(&data, "athena", sql), ask(&data, "local", sql), "{sql}");
    }
    for format in ["table", "csv"] {
        let sql =
            "SELECT patient_id, heart_rate, emergency_alert FROM patient_data ORDER BY id LIMIT 5";
        let by = |engine| {
            data.run("millstream", &["query", "--engine", engine, "--format", format, sql])
                .succeeds()
        };
        let (athena, local) = (by("athena"), by("local"));
        assert_eq!(athena.stdout, local.stdout);
        assert_eq!(local.stderr, "");
        let bill = athena.stderr;
        for part in ["scanned ", " in ", "about $0.00005", "us-east-1"] {
            assert!(bill.contains(part), "{bill}");
        }
        assert!(!bill.contains('\u{1b}'), "no colours but on a terminal: {bill}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn database_and_workgroup_come_from_the_command_line_or_the_environment() {
    let place = Place::new("named").await;
    let data = place.data();
    let sql = "SELECT 1 AS n";
    let run = |data: &Data, more: &[&str]| {
        data.run(
            "millstream",
            &[&["query", "--engine", "athena", "--format", "csv"][..], more, &[sql]].concat(),
        )
    };
    assert_eq!(run(&data, &[]).succeeds().stdout, "n\n1\n");
    run(&data, &["--workgroup", "nobodys"]).fails_with(&["nobodys", "--workgroup"]);
    let data = data.with("MILLSTREAM_CATALOG", "").with("MILLSTREAM_DATABASE", &place.name);
    // Athena's own workgroup has no place for results here.
    run(&data, &[]).fails_with(&["workgroup primary", "place for results"]);
    assert_eq!(run(&data, &["--workgroup", &place.name]).succeeds().stdout, "n\n1\n");
    let data = data.with("MILLSTREAM_WORKGROUP", &place.name);
    assert_eq!(run(&data, &[]).succeeds().stdout, "n\n1\n");
    let data = data.with("MILLSTREAM_DATABASE", "");
    let settled =
        place.data().with("MILLSTREAM_CATALOG", "").with("HEALTH_STORES__CATALOG", &place.url(""));
    assert_eq!(run(&settled, &[]).succeeds().stdout, "n\n1\n", "by an app's settings");
    run(&data, &[]).fails_with(&["no catalog is named", "--database", "terraform output"]);
    run(&data, &["--catalog", "glue://x?regoin=y"])
        .fails_with(&["MILLSTREAM_CATALOG", "\"region\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_cancels_a_query() {
    let place = Place::new("ctrlc").await;
    let data = place.data();
    let running = data.start("millstream", &["query", "--engine", "athena", LONG_QUERY]);
    let listed = async || {
        let asked = json!({ "WorkGroup": place.name });
        place.call("athena", "list_query_executions", asked).await["QueryExecutionIds"].clone()
    };
    tokio::time::timeout(wait::LONG, async { while listed().await == json!([]) {} })
        .await
        .expect("the query is started");
    running.signal(Signal::SIGINT);
    running.ends_within(wait::LONG).fails_with(&["stopped"]);
    assert_cancelled(&place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_one_message_without_a_backtrace() {
    let place = Place::new("messages").await;
    let data = place.data();
    let run = |sql: &str| data.run("millstream", &["query", "--engine", "athena", sql]);
    let ran =
        run("SELECT * FROM nothere").fails_with(&["nothere", &place.name, "millstream crawl"]);
    assert_eq!(ran.stdout, "");
    run("SELEC 1").fails_with(&["SELEC", "correct the query"]);
    let nobody = place.data().with("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
    let ran = nobody.run("millstream", &["query", "--engine", "athena", "SELECT 1"]);
    ran.fails_with(&["run the query in Athena's workgroup", "endpoint"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn crawl_runs_all_of_the_database_and_tells_how_each_ended() {
    let place = Place::new("crawls").await;
    let data = place.data();
    data.run("millstream", &["crawl"]).fails_with(&["has no crawlers", "Terraform"]);
    let names = [place.crawler("one").await, place.crawler("two").await];
    let listed = data.run("millstream", &["crawl", "--list"]).succeeds().stdout;
    assert_eq!(listed.lines().collect::<Vec<_>>(), names);
    let told = data.run("millstream", &["crawl", "--json"]).succeeds().json();
    assert_eq!((&told["succeeded"], &told["database"]), (&json!(true), &json!(place.name)));
    let crawlers = told["crawlers"].as_array().unwrap();
    let ends: Vec<_> =
        crawlers.iter().map(|one| (text(one, "crawler"), text(one, "end"))).collect();
    assert_eq!(ends, [(names[0].as_str(), "succeeded"), (names[1].as_str(), "succeeded")]);
    let shown = data.run("millstream", &["crawl", &names[0]]).succeeds().stdout;
    assert!(
        shown.contains(&names[0]) && shown.contains("succeeded") && !shown.contains(&names[1]),
        "{shown}"
    );
    data.run("millstream", &["crawl", "missing"]).fails_with(&["crawler missing", "--list"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_stops_crawlers() {
    let place = Place::new("uncrawls").await;
    let name = place.crawler("one").await;
    let data = place.data();
    let state = async || {
        place.call("glue", "get_crawler", json!({ "Name": name })).await["Crawler"]["State"].clone()
    };
    let interrupted = async || {
        let mut running = data.start("millstream", &["crawl", "--json"]);
        let started = Instant::now();
        while state().await != "RUNNING" {
            if let Some(ran) = running.has_ended() {
                return ran;
            }
            assert!(started.elapsed() < wait::LONG, "{running:?}");
        }
        running.signal(Signal::SIGINT);
        running.ends_within(wait::LONG)
    };
    let mut ran = interrupted().await;
    for _ in 1..crawlers::TRIES {
        // The local API crawls for 5 s: on a busy machine it is through before somebody has stopped it.
        if ran.code == Some(0) {
            ran = interrupted().await;
        }
    }
    assert_eq!(
        (ran.code, &ran.json()["crawlers"][0]["end"]),
        (Some(1), &json!("cancelled")),
        "{ran:?}"
    );
    assert_eq!(state().await, "READY");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_looks_at_the_catalog_that_is_named() {
    let place = Place::new("doctored").await;
    let data = place.data();
    let findings = |data: &Data| {
        let told = data.run("millstream", &["doctor", "--json"]).json();
        told["apps"]["aws"].as_array().cloned().unwrap_or_default()
    };
    let tells = |found: &[Value], state: &str, words: &str| {
        found.iter().any(|one| one["state"] == state && one.to_string().contains(words))
    };
    let found = findings(&data);
    for (state, words) in [
        ("good", "arn:aws:"),
        ("good", "no table yet"),
        ("good", "athena-results"),
        ("good", "enforced"),
        ("good", "10.0 GB"),
        ("warning", "plain HTTP"),
        ("warning", "overwrite the lake's ledger"),
        ("warning", "versioning is off"),
    ] {
        assert!(tells(&found, state, words), "{state}: {words}: {found:#?}");
    }
    // As terraform/modules/lake has it.
    let deny = |actions: Value, condition: Value| {
        json!({ "Effect": "Deny", "Principal": "*", "Action": actions,
        "Resource": format!("arn:aws:s3:::{}/_millstream/*", place.bucket), "Condition": condition })
    };
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        deny(json!("s3:*"), json!({ "Bool": { "aws:SecureTransport": "false" } })),
        deny(json!(["s3:PutObject"]), json!({ "Null": { "s3:if-none-match": "true" } })) ] });
    let policy = json!({ "Bucket": place.bucket, "Policy": policy.to_string() });
    place.call("s3", "put_bucket_policy", policy).await;
    let versioning =
        json!({ "Bucket": place.bucket, "VersioningConfiguration": { "Status": "Enabled" } });
    place.call("s3", "put_bucket_versioning", versioning).await;
    let found = findings(&data);
    for words in ["refuses what isn't encrypted", "nobody overwrite the ledger", "versioning is on"]
    {
        assert!(tells(&found, "good", words), "{words}: {found:#?}");
    }
    let found = findings(&data.with("MILLSTREAM_CATALOG", "glue://nosuch?workgroup=nosuch"));
    assert!(
        tells(&found, "bad", "database nosuch") && tells(&found, "bad", "workgroup nosuch"),
        "{found:#?}"
    );
    let none = findings(&Data::new());
    assert!(none.is_empty(), "{none:?}");
}

#[test]
fn cost_tells_what_each_topology_takes() {
    let data = Data::new();
    let sum = |more: &[&str]| {
        let told =
            data.run("millstream", &[&["cost", "--json"][..], more].concat()).succeeds().json();
        let items = told["items"].as_array().unwrap().clone();
        let sum: f64 = items.iter().map(|item| item["month"].as_f64().unwrap()).sum();
        let month = told["month"].as_f64().unwrap();
        assert!((month - sum).abs() < 0.01, "{told}");
        assert!(
            items.iter().all(|item| item["published"].as_str().unwrap().starts_with("https://")),
            "{told}"
        );
        month
    };
    let (single, cluster) = (sum(&[]), sum(&["--topology", "cluster"]));
    assert!(single > 100.0 && cluster > 3.0 * single, "{single}, {cluster}");
    let more = sum(&["--topology", "cluster", "--workers", "6"]);
    assert!(more > cluster + 4.0 * 80.0, "{cluster}, {more}");
    assert!(sum(&["--region", "us-east-1"]) < single);
    assert!(sum(&["--scanned-gb", "2100"]) > single + 9.99, "Athena");
    let shown = data.run("millstream", &["cost", "--topology", "cluster"]).succeeds().stdout;
    for part in [
        "3 × m6i.xlarge (cassandra)",
        "NAT gateway",
        "gp3",
        "Athena",
        "together",
        "last known in 20",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    data.run("millstream", &["cost", "--workers", "3"]).fails_with(&["--topology cluster"]);
    data.run("millstream", &["cost", "--region", "mars-1"]).fails_with(&["mars-1", "eu-central-1"]);
    data.run("millstream", &["cost", "--type", "millstream=x.big"])
        .fails_with(&["ec2 x.big", "ec2 m6i.large"]);
    data.run("millstream", &["cost", "--lake-gb=-1"]).fails_with(&["0 or more"]);
    assert!(!data.dir().exists(), "asks nobody and keeps nothing");
}

#[test]
fn help_has_examples() {
    let data = Data::new();
    for verb in ["query", "crawl", "cost"] {
        let help = data.run("millstream", &[verb, "--help"]).succeeds().stdout;
        assert!(
            help.contains("Examples:") && help.contains(&format!("  millstream {verb} ")),
            "{help}"
        );
    }
}
