use std::sync::Arc;
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow::util::pretty::pretty_format_batches;
use millstream_topic::memory::Memory;
use millstream_topic::{Outgoing, Topics};

use super::*;
use crate::Json;

const PLACES: Topic =
    Topic::new("the.places").keyed_by("id").partitions(3).compacted().schema(schema);

fn schema() -> SchemaRef {
    let field = |name: &str, kind| Field::new(name, kind, name != "id");
    Arc::new(Schema::new(vec![
        field("id", DataType::Utf8),
        field("text", DataType::Utf8),
        field("n", DataType::Int64),
    ]))
}

fn put(id: &str, n: i64) -> Outgoing {
    Outgoing::keyed(id.to_owned(), format!(r#"{{"id":"{id}","text":"long","n":{n}}}"#))
}

fn delete(id: &str) -> Outgoing {
    Outgoing { key: Some(id.to_owned().into()), ..Outgoing::default() }
}

struct Stage {
    topics: Memory,
    stop: CancellationToken,
}

impl Stage {
    async fn new() -> Self {
        let topics = Memory::new();
        topics.ensure(&PLACES).await.expect("make the topic");
        Self { topics, stop: CancellationToken::new() }
    }

    fn view(&self) -> View {
        let decoder = Arc::new(Json::new(schema()));
        View::follow(
            Arc::new(self.topics.clone()),
            &PLACES,
            decoder,
            &["id", "n"],
            self.stop.clone(),
        )
    }

    async fn send(&self, records: Vec<Outgoing>) {
        self.topics.append(&PLACES.name, records).await.expect("append");
    }
}

async fn until(view: &View, what: &str, wanted: impl Fn(&ViewState) -> bool) {
    let mut changed = view.changed();
    let seen = async {
        while !wanted(&view.state()) {
            changed.changed().await.expect("the view lives");
        }
    };
    if tokio::time::timeout(Duration::from_secs(20), seen).await.is_err() {
        panic!("waited in vain for {what}; last: {:?}", view.state());
    }
}

async fn sum(view: &View) -> i64 {
    let rows = view.sql(r#"SELECT coalesce(sum(n), 0) AS n FROM "the.places""#).await.expect("ask");
    rows[0].column(0).as_primitive::<Int64Type>().value(0)
}

async fn until_sum(view: &View, wanted: i64) {
    let mut changed = view.changed();
    let seen = async {
        while sum(view).await != wanted {
            changed.changed().await.expect("the view lives");
        }
    };
    tokio::time::timeout(Duration::from_secs(20), seen).await.expect("the sum comes");
}

fn ready(state: &ViewState) -> bool {
    !state.loading
}

#[tokio::test]
async fn holds_the_newest_live_record_of_each_key() {
    let stage = Stage::new().await;
    stage.send((0..5_000).map(|n| put(&format!("k{}", n % 1_000), n)).collect()).await;
    stage.send(vec![delete("k7"), put("k8", 1_000_000), delete("unknown")]).await;
    let view = stage.view();
    assert!(view.state().loading, "nothing was read yet");
    until(&view, "the end", ready).await;
    let state = view.state();
    assert_eq!((state.rows, state.bad, state.read, state.of), (999, 0, 5_003, 5_003));
    assert_eq!(sum(&view).await, (4_000..5_000).sum::<i64>() - 4_007 - 4_008 + 1_000_000);

    let few =
        view.sql(r#"SELECT * FROM "the.places" WHERE id IN ('k7', 'k8', 'k9') ORDER BY id"#).await;
    let shown = pretty_format_batches(&few.expect("ask")).expect("text").to_string();
    assert!(shown.contains("k9") && shown.contains("1000000") && !shown.contains("k7"), "{shown}");
    assert!(!shown.contains("long"), "only the columns asked for are kept: {shown}");
}

#[tokio::test]
async fn changes_wake_and_show() {
    let stage = Stage::new().await;
    let view = stage.view();
    until(&view, "the end of nothing", ready).await;
    assert_eq!(sum(&view).await, 0);
    let mut changed = view.changed();
    changed.mark_unchanged();
    stage.send(vec![put("a", 1), put("b", 2)]).await;
    let woken = tokio::time::timeout(Duration::from_secs(10), changed.changed()).await;
    woken.expect("within the deadline").expect("the view lives");
    until(&view, "two rows", |state| state.rows == 2).await;
    assert_eq!(sum(&view).await, 3);
    stage.send(vec![delete("a"), put("b", 5)]).await;
    until_sum(&view, 5).await;
    assert_eq!(view.state().rows, 1);
}

#[tokio::test]
async fn bad_records_are_counted_and_change_nothing() {
    let stage = Stage::new().await;
    stage.send((0..50).map(|n| put(&format!("k{n}"), n)).collect()).await;
    let huge = format!(r#"{{"id":"k4","text":"{}"}}"#, "x".repeat(crate::batch::MAX_VALUE_BYTES));
    let bad = ["{", r#"{"n":1}"#, r#"{"id":"k3","n":"one"}"#, huge.as_str()];
    let bad = bad.map(|value| Outgoing::keyed("k3", value.to_owned()));
    stage.send(bad.into_iter().chain([put("k49", 0)]).collect()).await;
    let view = stage.view();
    until(&view, "the end", ready).await;
    assert_eq!((view.state().rows, view.state().bad), (50, 4));
    assert_eq!(sum(&view).await, (0..49).sum::<i64>());
}

#[tokio::test]
async fn a_topic_that_comes_goes_and_comes_again() {
    let stage = Stage { topics: Memory::new(), stop: CancellationToken::new() };
    let view = stage.view();
    until(&view, "no topic", ready).await;
    assert_eq!(view.state(), ViewState::default());
    stage.topics.ensure(&PLACES).await.expect("make the topic");
    stage.send(vec![put("a", 1), put("b", 2)]).await;
    until(&view, "two rows", |state| state.rows == 2).await;
    stage.topics.recreate(&PLACES.name).expect("recreate");
    until(&view, "nothing of the old one", |state| state.rows == 0).await;
    stage.send(vec![put("c", 7)]).await;
    until(&view, "one row", |state| state.rows == 1).await;
    assert_eq!(sum(&view).await, 7);
    // As many records as before: only the identity tells it from the one that was read.
    stage.topics.recreate(&PLACES.name).expect("recreate");
    stage.send(vec![put("c", 9)]).await;
    until_sum(&view, 9).await;
    stage.topics.delete(&PLACES.name).expect("delete");
    until(&view, "nothing", |state| state.rows == 0 && !state.loading).await;
}

#[tokio::test]
async fn partitions_that_come_later_and_a_log_that_lost_its_end() {
    let stage = Stage::new().await;
    stage.send(vec![put("a", 1)]).await;
    let view = stage.view();
    until(&view, "one row", |state| state.rows == 1).await;
    stage.topics.add_partitions(&PLACES.name, 1).expect("add");
    stage.send(vec![Outgoing { partition: Some(3), ..put("b", 2) }]).await;
    until(&view, "two rows", |state| state.rows == 2).await;
    let at = millstream_topic::TopicPartition::new(PLACES.name.clone(), 3);
    stage.topics.drop_tail(&at, 0).expect("power loss");
    until(&view, "what is left", |state| state.rows == 1).await;
    assert_eq!(sum(&view).await, 1);
}

#[tokio::test]
async fn trouble_is_told_and_what_was_read_stays() {
    let stage = Stage::new().await;
    stage.send(vec![put("a", 1)]).await;
    let view = stage.view();
    until(&view, "one row", |state| state.rows == 1).await;
    stage.topics.fail_next(3);
    until(&view, "trouble", |state| state.trouble.is_some()).await;
    let state = view.state();
    let trouble = state.trouble.expect("trouble");
    assert!(trouble.contains("the.places") && trouble.contains("a test ordered"), "{trouble}");
    assert_eq!((state.rows, sum(&view).await), (1, 1));
    until(&view, "its end", |state| state.trouble.is_none()).await;
    stage.send(vec![put("b", 2)]).await;
    until(&view, "two rows", |state| state.rows == 2).await;
}

#[tokio::test]
async fn questions_that_would_change_something_are_refused() {
    let stage = Stage::new().await;
    let view = stage.view();
    for text in [
        "CREATE TABLE t AS SELECT 1",
        r#"INSERT INTO "the.places" VALUES ('a', 1)"#,
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "SET datafusion.execution.batch_size = 1",
        r#"DROP TABLE "the.places""#,
    ] {
        assert!(view.sql(text).await.is_err(), "{text}");
    }
    let error =
        view.sql(r#"SELECT m FROM "the.places""#).await.expect_err("no such column").to_string();
    assert!(error.contains("has the columns id, n"), "{error}");
}

#[tokio::test]
async fn ends_with_its_last_clone_and_with_stop() {
    let stage = Stage::new().await;
    let view = stage.view();
    let mut changed = view.changed();
    until(&view, "the end", ready).await;
    drop(view.clone());
    stage.send(vec![put("a", 1)]).await;
    until(&view, "one row", |state| state.rows == 1).await;
    drop(view);
    let ended = tokio::time::timeout(Duration::from_secs(10), async {
        while changed.changed().await.is_ok() {}
    });
    ended.await.expect("nothing holds the view any more");

    let view = stage.view();
    until(&view, "one row", |state| state.rows == 1).await;
    stage.stop.cancel();
    assert_eq!(sum(&view).await, 1, "what was read can still be asked");
}
