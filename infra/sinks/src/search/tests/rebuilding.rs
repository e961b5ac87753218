//! New builds beside the one that is served; following; locks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_engine::{Options, Outcome, Pipeline, Roll, Sink, Status, SystemClock, Target, run};
use millstream_topic::memory::Memory;
use millstream_topic::{Outgoing, Topic, Topics};
use tokio_util::sync::CancellationToken;

use super::world::{PIPELINE, RECALLS, World, assignment, put, range, rows, schema};
use super::*;
use crate::search::builds::{Build, Place};

const A: [&str; 6] = ["Z-1", "Acme", "Pump", "Class I", "20200101", ""];
const B: [&str; 6] = ["Z-2", "Beta", "Stent", "Class II", "20200102", ""];
const C: [&str; 6] = ["Z-3", "Gamma", "Lead", "Class II", "20200103", ""];

/// The same index with other fields.
fn other() -> Index {
    const FIELDS: &[Field] = &[
        Field { column: "number", kind: Kind::Id, suggest: true },
        Field { column: "firm", kind: Kind::Text { boost: 3.0 }, suggest: false },
        Field { column: "codes", kind: Kind::Facet, suggest: false },
    ];
    Index { fields: FIELDS, ..RECALLS }
}

async fn state(world: &World) -> IndexState {
    world.reader().state().await.unwrap()
}

fn ready(rows: usize, rebuilding: bool) -> IndexState {
    IndexState::Ready { rows, rebuilding }
}

async fn total(reader: &SearchReader, text: &str) -> usize {
    let query = Query { text: text.to_owned(), limit: 1, ..Query::default() };
    reader.search(&query).await.unwrap().total
}

/// An index of A and B that is ready, and its worker.
async fn filled(world: &World) -> Box<dyn Sink> {
    let mut sink = world.sink().await;
    put(&mut sink, 0, vec![rows(&[A], 1)], vec![]).await;
    sink.reaches("suite_topic", &[2]).await.unwrap();
    assert!(matches!(state(world).await, IndexState::Loading { rows: 1, .. }));
    put(&mut sink, 0, vec![rows(&[B], 2)], vec![]).await;
    assert_eq!(state(world).await, ready(2, false));
    sink
}

#[tokio::test]
async fn another_declaration_is_built_beside_what_is_served() {
    let mut world = World::new();
    let mut older = filled(&world).await;
    let reader = world.reader();
    assert_eq!(total(&reader, "acme").await, 1);

    world.index = other();
    // Connecting alone, as `verify` does, changes nothing.
    let mut newer = world.sink().await;
    assert_eq!((state(&world).await, world.builds().len()), (ready(2, false), 1));
    put(&mut newer, 0, vec![rows(&[A], 1)], vec![]).await;
    newer.reaches("suite_topic", &[2]).await.unwrap();
    assert_eq!((state(&world).await, world.builds().len()), (ready(2, true), 2));
    assert_eq!(total(&world.reader(), "beta").await, 1, "the old one is served");

    let ours = assignment(0);
    let late = range(&put_entry(&mut newer).await, vec![rows(&[C], 9)], vec![]);
    assert_eq!(older.commit(&ours, &late).await.unwrap(), Outcome::Superseded);
    let refused = older.open(&ours).await.unwrap_err();
    assert!(!refused.is_retryable() && refused.to_string().contains("older"), "{refused}");

    put(&mut newer, 0, vec![rows(&[B], 2)], vec![]).await;
    assert_eq!((state(&world).await, world.builds().len()), (ready(2, false), 1));
    assert_eq!(world.scan().await.unwrap(), ["Z-1=Acme", "Z-2=Beta"]);
    let by_codes = Query { facets: vec!["codes".to_owned()], ..Query::default() };
    assert_eq!(world.reader().search(&by_codes).await.unwrap().total, 2);
    until("the reader of the old one follows", || total_is(&reader, "beta", 1)).await;
}

async fn put_entry(sink: &mut Box<dyn Sink>) -> millstream_engine::ledger::Entry {
    sink.open(&assignment(0)).await.unwrap().entry().clone()
}

#[tokio::test]
async fn an_operator_may_ask_for_a_new_build() {
    let world = World::new();
    let mut sink = filled(&world).await;
    world.target(None).rebuild().unwrap();
    let ours = assignment(0);
    let after = range(&put_entry_of(&mut sink).await, vec![rows(&[C], 3)], vec![]);
    assert_eq!(sink.commit(&ours, &after).await.unwrap(), Outcome::Superseded);
    assert_eq!(put_entry(&mut sink).await.seq, 0, "counted from the beginning");
    sink.reaches("suite_topic", &[3]).await.unwrap();
    assert_eq!(state(&world).await, ready(2, true));
    put(&mut sink, 0, vec![rows(&[A, B], 1)], vec![]).await;
    assert_eq!(total(&world.reader(), "").await, 2);
    put(&mut sink, 0, vec![rows(&[C], 3)], vec![]).await;
    assert_eq!((state(&world).await, world.builds().len()), (ready(3, false), 1));

    // A worker that starts takes the wish up as well, and one that died in the middle goes on.
    world.target(None).rebuild().unwrap();
    let mut started = world.sink().await;
    put(&mut started, 0, vec![rows(&[A], 1)], vec![]).await;
    let mut again = world.sink().await;
    assert_eq!(put_entry(&mut again).await.seq, 1);
    assert_eq!(state(&world).await, ready(3, true));
}

/// The last entry by the ledger: opening would take the operator's wish up.
async fn put_entry_of(sink: &mut Box<dyn Sink>) -> millstream_engine::ledger::Entry {
    sink.ledger(&assignment(0).at, 0, usize::MAX).await.unwrap().pop().unwrap()
}

#[tokio::test]
async fn a_switch_that_was_cut_short_is_finished() {
    let world = World::new();
    let mut sink = filled(&world).await;
    let place = world.directory.path().join("recalls");
    let current = std::fs::read(place.join("current")).unwrap();
    // As if somebody had died between naming the build as current and taking its other name away.
    std::fs::write(place.join("next"), current).unwrap();
    assert_eq!(state(&world).await, ready(2, false));
    put(&mut sink, 0, vec![rows(&[C], 3)], vec![]).await;
    assert_eq!(state(&world).await, ready(3, false));
}

/// What a worker leaves that dies after it called the next build ready, and before it serves it.
async fn ready_but_not_served(world: &World) {
    let mut sink = filled(world).await;
    world.target(None).rebuild().unwrap();
    // So far away that this worker itself doesn't make the switch.
    sink.reaches("suite_topic", &[9]).await.unwrap();
    put(&mut sink, 0, vec![rows(&[A, B], 1)], vec![]).await;
    let place = Place::new(world.directory.path(), "recalls");
    let next = place.next().unwrap().unwrap();
    assert!(!next.build.ready);
    place.describe(&next.id, &Build { ready: true, ..next.build }).unwrap();
    assert_eq!((state(world).await, world.builds().len()), (ready(2, true), 2));
}

#[tokio::test]
async fn a_ready_build_is_served_after_a_crash_before_the_switch() {
    let world = World::new();
    ready_but_not_served(&world).await;
    let mut started = world.sink().await;
    started.open(&assignment(0)).await.unwrap();
    started.reaches("suite_topic", &[2]).await.unwrap();
    assert_eq!((state(&world).await, world.builds().len()), (ready(2, false), 1));

    let world = World::new();
    ready_but_not_served(&world).await;
    put(&mut world.sink().await, 0, vec![rows(&[C], 3)], vec![]).await;
    assert_eq!((state(&world).await, world.builds().len()), (ready(3, false), 1));
}

#[tokio::test]
async fn a_name_that_cant_be_read_costs_no_build() {
    let world = World::new();
    filled(&world).await;
    let place = Place::new(world.directory.path(), "recalls");
    let served = place.current().unwrap().unwrap();
    let file = world.directory.path().join("recalls/current");
    // No UTF-8: an error of reading, as a disk may give one.
    std::fs::write(&file, [0xff]).unwrap();
    let next = place.begin(served.build.clone()).unwrap();
    place.fill_next(&next.id).unwrap();
    assert_eq!(world.builds(), [served.id.clone(), next.id.clone()]);
    assert!(place.next().is_err() && place.target().is_err(), "nobody knows which one is served");

    std::fs::write(&file, &served.id).unwrap();
    assert_eq!(place.next().unwrap().map(|named| named.id), Some(next.id));
    assert_eq!(total(&world.reader(), "").await, 2);
}

/// So many recalls from `from` on, as records.
fn records(from: usize, count: usize) -> Vec<Outgoing> {
    let record = |n| Outgoing::keyed(format!("Z-{n}"), format!(r#"{{"number":"Z-{n}"}}"#));
    (from..from + count).map(record).collect()
}

fn served(world: &World) -> String {
    Place::new(world.directory.path(), "recalls").current().unwrap().unwrap().id
}

#[tokio::test]
async fn a_rebuild_reaches_partitions_that_get_no_records() {
    const TOPIC: Topic =
        Topic::new("recalls").keyed_by("number").partitions(3).schema(schema).compacted();
    let world = World::new();
    let topics = Memory::new();
    topics.ensure(&TOPIC).await.unwrap();
    topics.append("recalls", records(0, 30)).await.unwrap();
    let ends = topics.info("recalls").await.unwrap().unwrap().partitions;
    assert!(ends.iter().all(|bounds| bounds.end > 0), "each partition has some: {ends:?}");
    let pipeline = Pipeline::from("app", "search", &TOPIC)
        .sql("SELECT number, firm, product, class, \"date\", codes FROM recalls")
        .unwrap()
        .into(Arc::new(world.target(None)))
        .roll(Roll::every(Duration::from_millis(20)));
    let around = millstream_engine::World {
        topics: Arc::new(topics.clone()),
        clock: Arc::new(SystemClock),
        seed: 7,
    };
    let stop = CancellationToken::new();
    let (status, _watched) = tokio::sync::watch::channel(Status::default());
    let work = run(pipeline, around, Options::default(), stop.clone(), status);
    let worker = tokio::spawn(work);
    until("the first build is whole", async || state(&world).await == ready(30, false)).await;
    let first = world.builds();

    world.target(None).rebuild().unwrap();
    topics.append("recalls", records(30, 1)).await.unwrap();
    until("the new one is", async || state(&world).await == ready(31, false)).await;
    assert!(!first.contains(&served(&world)), "it took the old one's place");
    // Removed after the switch, which readers see at once.
    until("the old one is gone", async || world.builds() == [served(&world)]).await;
    stop.cancel();
    worker.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_column_that_goes_takes_a_new_build() {
    let world = World::new();
    filled(&world).await;
    let fewer = std::sync::Arc::new(schema().project(&[0, 1, 2, 3, 4]).unwrap());
    let missing = world.target(None).connect(PIPELINE, &fewer).await.err().unwrap();
    assert!(missing.to_string().contains("codes"), "a column that is searched: {missing}");
    let mut world = world;
    const FIELDS: &[Field] = &[Field { column: "number", kind: Kind::Id, suggest: true }];
    world.index = Index { fields: FIELDS, ..RECALLS };
    let mut sink = world.target(None).connect(PIPELINE, &fewer).await.unwrap();
    assert_eq!(put_entry(&mut sink).await.seq, 0);
    assert_eq!(state(&world).await, ready(2, true));
}

async fn total_is(reader: &SearchReader, text: &str, wanted: usize) -> bool {
    total(reader, text).await == wanted
}

/// Panics unless it becomes true within the second that readers are promised, and some for a busy machine.
async fn until<F: Future<Output = bool>>(what: &str, mut is: impl FnMut() -> F) {
    let since = Instant::now();
    while !is().await {
        assert!(since.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn readers_follow_what_is_committed() {
    let world = World::new();
    let reader = world.reader();
    assert_eq!(reader.state().await.unwrap(), IndexState::Missing);
    let mut sink = filled(&world).await;
    until("rows are found", || total_is(&reader, "beta", 1)).await;
    until("and suggested", async || reader.suggest("bet", 8).await.unwrap().len() == 1).await;
    put(&mut sink, 0, vec![rows(&[["Z-2", "Delta", "", "", "", ""]], 3)], vec![]).await;
    until("the new name is found", || total_is(&reader, "delta", 1)).await;
    until("the old one isn't suggested", async || {
        reader.suggest("bet", 8).await.unwrap().is_empty()
    })
    .await;
    std::fs::remove_dir_all(world.directory.path().join("recalls")).unwrap();
    until("it is gone", async || reader.state().await.unwrap() == IndexState::Missing).await;
}

#[tokio::test]
async fn writers_wait_for_one_another() {
    let world = World::new();
    let mut sink = filled(&world).await;
    let place = Place::new(world.directory.path(), "recalls");
    let lock = place.lock().unwrap();
    let release = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(lock);
    });
    put(&mut sink, 0, vec![rows(&[C], 3)], vec![]).await;
    assert!(release.is_finished(), "it waited");
}

#[tokio::test]
async fn what_is_broken_is_told_with_a_remedy() {
    let world = World::new();
    let mut sink = filled(&world).await;
    let place = world.directory.path().join("recalls");
    let meta = place.join(world.builds().pop().unwrap()).join("meta.json");
    std::fs::write(meta, "{}").unwrap();
    let error = sink.open(&assignment(0)).await.unwrap_err();
    let text = error.to_string();
    assert!(!error.is_retryable() && text.contains("built anew"), "{text}");
    assert!(world.reader().state().await.is_err());
    std::fs::remove_dir_all(place).unwrap();
    let mut sink = world.sink().await;
    assert_eq!(put_entry(&mut sink).await.seq, 0);
}
