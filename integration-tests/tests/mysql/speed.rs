//! How fast, roughly; fails only where something is badly wrong.

use std::time::Instant;

use millstream_sinks::mysql::MysqlTable;

use crate::events::{assignment, connect, last, range_of};
use crate::place::Place;

/// Much less than any machine does.
const SLOWEST: f64 = 1_000.0;
const ROWS: i64 = 20_000;

on_both!(rows_go_in_by_the_thousand);

async fn rows_go_in_by_the_thousand(place: Place<'_>) {
    let keys: Vec<_> = (0..ROWS).map(|n| format!("key {n:06}")).collect();
    for (what, table) in [("counts", place.count("words")), ("upserts", place.upsert("users"))] {
        for way in ["new", "there"] {
            let rate = rate(&table, &keys).await;
            println!("{} {what}, keys {way}: {rate:.0} rows/s", place.server.name);
            assert!(rate > SLOWEST, "{what}: {rate:.0} rows/s");
        }
    }
}

async fn rate(table: &MysqlTable, keys: &[String]) -> f64 {
    let mut sink = connect(table).await;
    let after = last(&mut sink, 0).await;
    let version = 1 + after.next();
    let rows: Vec<_> = keys.iter().map(|key| (key.as_str(), 1, version)).collect();
    let range = range_of(&after, ROWS, &rows);
    let began = Instant::now();
    sink.commit(&assignment(0), &range).await.unwrap();
    ROWS as f64 / began.elapsed().as_secs_f64()
}
