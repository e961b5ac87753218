use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use millstream_engine::{Happening, What};
use millstream_topic::{Backend, TopicPartition, sqlite::SqliteLog};
use serde_json::{Value, json};

use crate::stage::*;

const VIEW: &str = "/api/v1/pipelines/weather.table";
const PAGE: &str = "/pipelines/weather.table";
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn happening(at_ms: i64, what: What, why: &str) -> Happening {
    Happening { at_ms, what, partitions: vec!["weather-0".into()], why: why.into() }
}

fn whys(view: &Value) -> Vec<&str> {
    let all = view["happenings"].as_array().expect("happenings");
    all.iter().map(|one| one["why"].as_str().expect("why")).collect()
}

/// Keys of records that aren't samples.
async fn keys(topics: &dyn Backend) -> BTreeSet<String> {
    let at = TopicPartition::new("millstream.history", 0);
    let slice = topics.read(&at, 0, 1_000).await.expect("read");
    let keys = slice.records.iter().filter_map(|record| record.key.as_deref());
    let keys = keys.map(|key| String::from_utf8_lossy(key).into_owned());
    keys.filter(|key| key.starts_with("told/")).collect()
}

#[tokio::test]
async fn the_timeline_survives_workers_and_restarts() {
    let dir = tempfile::tempdir().expect("directory");
    let open = || -> std::sync::Arc<dyn Backend> {
        std::sync::Arc::new(SqliteLog::open(dir.path()).expect("log"))
    };
    let topics = open();
    let first = Telling::start(&topics, worker("a-1", "ant"), plan(), working(&[(0, 100, 150)]));
    let site = Site::start(&topics, None).await;
    site.overview("it", |now| now["totals"]["workers"] == 1).await;
    let live = site.json(VIEW).await;
    assert_eq!(whys(&live).len(), 1, "what is told now and kept is shown once: {live}");
    // In its last moment.
    let drained = happening(now_ms(), What::Revoked, "the worker ends");
    first.status.send_modify(|status| status.happenings.push(drained));
    first.end().await;
    site.overview("nobody", |now| now["totals"]["workers"] == 0).await;
    site.close().await;
    drop(topics);

    let topics = open();
    let again = Site::start(&topics, None).await;
    let now = again.overview("it again", |now| now["totals"]["idle"] == 1).await;
    assert_eq!((&now["totals"]["pipelines"], &now["totals"]["workers"]), (&json!(1), &json!(0)));
    assert_eq!(now["pipelines"][0]["state"]["is"], "nobody");
    assert_eq!(now["pipelines"][0]["plan"]["topic"], "weather");
    let overview = again.page("/").await;
    assert!(overview.contains("nobody works on it") && overview.contains("1 idle"), "{overview}");
    let view = again.json(VIEW).await;
    assert_eq!(whys(&view), ["the worker ends", "the group gave them to this worker"]);
    assert_eq!(view["happenings"][0]["there"], false);
    let page = again.page(PAGE).await;
    for words in ["nobody works on it", "its last worker told of it", "revoked", "the worker ends"]
    {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("/workers/a-1"), "no link to a page that is missing: {page}");

    let second = Telling::start(&topics, worker("b-2", "bee"), plan(), working(&[(0, 120, 150)]));
    again.overview("the heir", |now| now["totals"]["idle"] == 0).await;
    let view = again.json(VIEW).await;
    assert_eq!((&view["state"]["is"], whys(&view).len()), (&json!("running"), 3), "{view}");
    let page = again.page(PAGE).await;
    assert!(page.contains("/workers/b-2") && page.contains("a-1"), "{page}");
    second.end().await;
    let keys = keys(topics.as_ref()).await;
    assert_eq!(keys.len(), 2, "one for each worker, however often it tells: {keys:?}");
    again.close().await;
}

#[tokio::test]
async fn a_pipeline_of_which_samples_are_left_is_shown() {
    let topics = memory();
    let now = now_ms();
    for back in 1..=3 {
        let at = now - back * 10_000;
        let sample = json!({ "pipeline": "weather.table", "first": "weather-0", "at_ms": at, "rate": 7.5, "lag": 1234 });
        let key = format!("weather.table/weather-0/{}", at / 10_000 % 2160);
        put(&topics, "millstream.history", &key, &sample).await;
    }
    let site = Site::start(&topics, None).await;
    site.overview("it", |now| now["totals"]["idle"] == 1).await;
    let view = site.json(VIEW).await;
    assert_eq!(view["history"].as_array().expect("history").len(), 3);
    assert_eq!(view["plan"]["pipeline"], "table");
    let page = site.page(PAGE).await;
    assert!(page.contains("c-line") && page.contains("1,234 events waited then"), "{page}");
    site.close().await;
}

#[tokio::test]
async fn what_happened_on_another_day_says_which() {
    let topics = memory();
    let at_ms = now_ms() - 3 * DAY_MS;
    let past = |pipeline: &str, at_ms: i64| {
        let plan = json!({ "app": "weather", "pipeline": pipeline, "topic": "weather" });
        let what = happening(at_ms, What::Stopped, "its counts were made by other code");
        json!({ "worker": worker("old-1", "ant"), "plan": plan, "told_at_ms": at_ms, "happenings": [what] })
    };
    let put = async |key: &str, value: &Value| put(&topics, "millstream.history", key, value).await;
    put("told/weather.table/5", &past("table", at_ms)).await;
    // Forgotten, and of another pipeline than its key says.
    put("told/weather.renamed/5", &past("renamed", now_ms() - 8 * DAY_MS)).await;
    put("told/weather.table/6", &past("other", now_ms())).await;
    let site = Site::start(&topics, None).await;
    let loaded = |now: &Value| now["reading"]["loaded"] == true && now["totals"]["pipelines"] == 1;
    let now = site.overview("it alone", loaded).await;
    assert_eq!(
        (&now["reading"]["bad"], &now["pipelines"][0]["id"]),
        (&json!(1), &json!("weather.table"))
    );
    let page = site.page(PAGE).await;
    let at = DateTime::<Utc>::from_timestamp_millis(at_ms).expect("a time");
    let shown = at.format("%Y-%m-%d %H:%M:%S UTC").to_string();
    assert!(page.contains(&shown), "{shown}: {page}");
    site.close().await;
}
