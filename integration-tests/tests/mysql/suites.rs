//! The suite that every sink passes.

use millstream_engine::conformance::{self, CASES, COUNT, COUNT_KEY, Fixture, UPSERT_KEY};
use millstream_sinks::mysql::MysqlTable;

use crate::place::Place;

on_both!(passes_the_suite_when_upserting, passes_the_suite_when_counting);

async fn passes_the_suite_when_upserting(place: Place<'_>) {
    assert_eq!(CASES.len(), 28, "say so in the report");
    let (server, database) = (place.mysql_server(), place.database.clone());
    conformance::sink(&|case| {
        Fixture::new(MysqlTable::upsert(server.clone(), &database, case, UPSERT_KEY))
    })
    .await;
}

async fn passes_the_suite_when_counting(place: Place<'_>) {
    let (server, database) = (place.mysql_server(), place.database.clone());
    conformance::sink(&|case| {
        Fixture::new(MysqlTable::count(server.clone(), &database, case, COUNT_KEY, COUNT))
    })
    .await;
}
