use std::sync::Arc;

use integration_tests::stack;
use millstream_engine::conformance::{self, Fixture};
use millstream_sinks::cassandra::CassandraTable;

use crate::world::Place;

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite() {
    let place = Arc::new(Place::new().await);
    conformance::sink(&|case| {
        // Cassandra's names have 48 letters.
        let table = &case[..case.len().min(48)];
        let Place { server, keyspace } = place.as_ref();
        let key = conformance::UPSERT_KEY;
        Fixture::new(CassandraTable::upsert(server.clone(), keyspace, table, key))
    })
    .await;
    let applying = conformance::CASES.len();
    assert!(applying >= 27, "the suite has shrunk: {applying}");
    let said = stack::cassandra()
        .await
        .exec(&[
            "cqlsh",
            "-e",
            &format!("SELECT table_name FROM {}.millstream_owner", place.keyspace),
        ])
        .await;
    assert!(said.contains("the_highest_version_wins"), "the cases ran on the server: {said}");
}
