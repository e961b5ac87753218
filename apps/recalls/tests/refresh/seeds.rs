//! What a new index is filled with.

use std::collections::BTreeMap;

use arrow::array::AsArray;
use millstream_engine::{Pipeline, Rows};
use millstream_sinks::search::Seed;
use recalls::pipeline::{DEVICES, SEARCH_SQL};
use recalls::seed::RecallsSeed;

use crate::server::{Reply, Server, feed, recall, recalls};
use crate::world::World;

/// What is read, and the rows: number → status, year, version.
async fn seeded(world: &World) -> (Option<String>, BTreeMap<String, (String, String, i64)>) {
    let rows = Pipeline::from("recalls", "search", &DEVICES).sql(SEARCH_SQL).unwrap().rows();
    let schema = rows.schema();
    let seed = RecallsSeed::new(&world.setup.stores, rows);
    let mut read = BTreeMap::new();
    let mut visit = |Rows { batch, versions }: Rows| {
        assert_eq!(batch.schema(), schema);
        let column =
            |name| batch.column_by_name(name).unwrap().as_string_opt::<i32>().unwrap().clone();
        let (numbers, states, years) = (column("recall_number"), column("status"), column("year"));
        for row in 0..batch.num_rows() {
            let text = |column: &arrow::array::StringArray| column.value(row).to_owned();
            read.insert(text(&numbers), (text(&states), text(&years), versions.value(row)));
        }
        Ok(())
    };
    let from = seed.read(&mut visit).await.unwrap();
    (from, read)
}

#[tokio::test]
async fn the_snapshot_while_the_table_is_loading_then_the_table() {
    let server = Server::start(Reply::Bytes(feed(&recalls(0..30)))).await;
    let world = World::at(&server.url, &[]);
    assert_eq!(seeded(&world).await, (None, BTreeMap::new()));

    world.refresh().await.unwrap();
    let (from, rows) = seeded(&world).await;
    assert!(from.unwrap().starts_with("the snapshot of 20"));
    assert_eq!(rows.len(), 30);
    let (_, year, version) = &rows["Z-0007-2026"];
    assert_eq!(year, "2026");
    let oldest = world.records("devices").await.iter().map(|record| record.timestamp_ms).min();
    assert!(*version <= oldest.unwrap() * 1_000, "what was sent from it wins");

    assert_eq!(world.table().await.len(), 30);
    let mut next = recalls(1..30);
    next[0] = recall(1, "Terminated");
    server.says(Reply::Bytes(feed(&next)));
    world.refresh().await.unwrap();
    assert_eq!(world.table().await.len(), 29);
    let (from, rows) = seeded(&world).await;
    assert_eq!(from.as_deref(), Some("the table"));
    assert_eq!(rows.len(), 29);
    assert_eq!(rows["Z-0001-2026"].0, "Terminated");
    assert!(rows["Z-0001-2026"].2 > rows["Z-0002-2026"].2, "the table's own versions");
}

#[tokio::test]
async fn neither_snapshot_nor_table_of_another_topic() {
    let server = Server::start(Reply::Bytes(feed(&recalls(0..30)))).await;
    let mut world = World::at(&server.url, &[]);
    world.refresh().await.unwrap();
    assert!(seeded(&world).await.0.unwrap().starts_with("the snapshot of"));
    assert_eq!(world.table().await.len(), 30);
    world.delete_devices(&server.url);
    assert_eq!(seeded(&world).await, (None, BTreeMap::new()), "there is no topic");
    world.setup.topics.ensure(&DEVICES).await.unwrap();
    assert_eq!(seeded(&world).await, (None, BTreeMap::new()), "it is another one");

    // The table still counts the other topic; the snapshot is of this one.
    server.says(Reply::Bytes(feed(&recalls(0..20))));
    world.refresh().await.unwrap();
    let (from, rows) = seeded(&world).await;
    assert!(from.unwrap().starts_with("the snapshot of"));
    assert_eq!(rows.len(), 20);
}

#[tokio::test]
async fn no_snapshot_of_the_future_and_none_without_its_topic() {
    let server = Server::start(Reply::Bytes(feed(&recalls(0..30)))).await;
    let world = World::at(&server.url, &[]);
    world.refresh().await.unwrap();
    let directory = world.directory.path().join("lake/recalls/snapshots");
    let name = world.snapshots().remove(0);
    let mark = |name: &str| directory.join(format!("{name}.sent"));
    let ahead = "29990101T000000.000Z.csv";
    let bring = |from, to| {
        std::fs::copy(directory.join(from), directory.join(to)).unwrap();
        std::fs::remove_file(directory.join(from)).unwrap();
    };
    bring(name.as_str(), ahead);
    std::fs::copy(mark(&name), mark(ahead)).unwrap();
    assert_eq!(seeded(&world).await.0, None);
    bring(ahead, &name);
    std::fs::write(mark(&name), "30").unwrap();
    assert_eq!(seeded(&world).await.0, None, "whose it is, an old mark doesn't say");
}

#[tokio::test]
async fn no_snapshot_that_was_not_sent_to_its_end() {
    let server = Server::start(Reply::Bytes(feed(&recalls(0..30)))).await;
    let world = World::at(&server.url, &[]);
    let options = recalls::refresh::Options { limit: Some(10), ..Default::default() };
    let stop = tokio_util::sync::CancellationToken::new();
    world.refresher(options).once(&stop).await.unwrap();
    assert_eq!(world.snapshots().len(), 1);
    assert_eq!(seeded(&world).await.0, None, "the topic may never get the rest of it");
}
