//! An app whose lake is a bucket: worked on by three processes that are killed again and again, asked with SQL, and read
//! by PyArrow.

use std::sync::Arc;

use integration_tests::binaries::APPS;
use integration_tests::chance::Chance;
use integration_tests::stack::{self, Server};
use integration_tests::{Data, Running, disk, number, text, wait};
use millstream_sinks::lake::Store;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::place::Place;

const KILLS: usize = 21;
const WORKERS: usize = 3;
const TABLES: [&str; 2] = ["patient_data", "emergency_vehicle_data"];

/// All apps keep their lake in the bucket; credentials and endpoint come as AWS's own clients take them.
fn data(place: &Place, server: &Server) -> Data {
    let lake = format!("s3://{}/lake?create=on&timeout=10", place.bucket);
    let mut data = Data::new().with("HEALTH_ROLL__EVERY_S", "0.1");
    data = data.with("HEALTH_SIMULATE__STEP_MS", "120000");
    for app in APPS {
        data = data.with(&format!("{}_STORES__LAKE", app.to_uppercase()), &lake);
    }
    for (name, value) in stack::s3_environment(server) {
        data = data.with(&name, &value);
    }
    data
}

/// Ranges that are in the lake's ledgers.
fn ranges(store: &Arc<dyn Store>) -> usize {
    let listed = stack::block_on(store.list("_millstream/", None, usize::MAX)).expect("list");
    listed.iter().filter(|object| object.path.ends_with(".end")).count()
}

/// Kills one of the workers and starts another in its place, every other time after something was committed.
fn kill_workers(data: &Data, store: &Arc<dyn Store>) -> Vec<Running> {
    let mut chance = Chance::new();
    let mut workers: Vec<_> = (0..WORKERS).map(|_| data.start("health", &["process"])).collect();
    for kill in 0..KILLS {
        let before = ranges(store);
        if kill % 2 == 0 {
            wait::pause(chance.milliseconds(0, 400));
        } else {
            wait::until("a worker commits", wait::LONG, || match ranges(store) {
                now if now > before => Ok(()),
                now => Err(format!("{now} ranges; {workers:?}")),
            });
        }
        let mut worker = workers.swap_remove(chance.number(0, WORKERS as u64) as usize);
        let ended = worker.has_ended();
        assert!(ended.is_none(), "the worker ended before kill {kill}: {ended:?}");
        worker.kill_9();
        workers.push(data.start("health", &["process"]));
    }
    workers
}

/// Ids of what the topic holds, sorted.
fn sent(data: &Data, topic: &str) -> Vec<String> {
    let id = |record: &disk::Stored| {
        text(&serde_json::from_slice::<Value>(&record.value).expect("JSON"), "id").to_owned()
    };
    let mut ids: Vec<_> = disk::records(data, topic).iter().map(id).collect();
    ids.sort();
    ids
}

#[test]
fn a_lake_in_a_bucket_survives_kills_of_three_workers() {
    let server = stack::block_on(stack::s3());
    let place = Place::on(server, "kills");
    let data = data(&place, server);
    let store: Arc<dyn Store> = Arc::new(place.open(&place.server, "lake", "create=on"));
    let producer = data.start("health", &["produce", "--rate", "1000"]);
    let workers = kill_workers(&data, &store);
    producer.signal(Signal::SIGTERM);
    producer.ends_within(wait::LONG).succeeds();
    for worker in workers {
        worker.signal(Signal::SIGTERM);
        worker.ends_within(wait::LONG).succeeds();
    }
    data.catch_up("health");

    let produced: u64 = data.verify().iter().map(|report| number(report, "produced")).sum();
    let environment = stack::s3_environment(server);
    let mut all = 0;
    for table in TABLES {
        let sent = sent(&data, table);
        all += sent.len() as u64;
        // Some columns of all files, and what their footers say about a part of them.
        let rows = data.query(&format!("SELECT id FROM {table} ORDER BY id"));
        let queried: Vec<&str> = rows.iter().map(|row| text(row, "id")).collect();
        assert!(queried == sent, "{table}: {} queried, {} sent", queried.len(), sent.len());
        let one = &sent[sent.len() / 2];
        let rows = data.query(&format!("SELECT * FROM {table} WHERE id = '{one}'"));
        assert_eq!(rows.len(), 1, "{table}: {rows:?}");
        // A reader of the bucket knows nothing of plans that were given up.
        let rows =
            stack::parquet::rows(&format!("s3://{}/lake/{table}", place.bucket), &environment);
        let mut read: Vec<&str> = rows.iter().map(|row| text(row, "id")).collect();
        read.sort_unstable();
        assert!(read == sent, "{table}: {} in files, {} sent", read.len(), sent.len());
    }
    println!("{KILLS} kills, {all} records, {} ranges", ranges(&store));
    assert!(all == produced && all > 0, "{all} in topics, {produced} verified");
}
