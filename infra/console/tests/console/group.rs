use std::net::Ipv4Addr;

use millstream_engine::{State, Totals};
use millstream_topic::{TopicPartition, Topics, memory::Memory, sqlite::SqliteLog};
use serde_json::json;

use crate::stage::*;

#[tokio::test]
async fn workers_of_two_hosts_come_and_go() {
    let dir = tempfile::tempdir().expect("directory");
    let topics: std::sync::Arc<dyn millstream_topic::Backend> =
        std::sync::Arc::new(SqliteLog::open(dir.path()).expect("log"));
    let one = Telling::start(&topics, worker("a-1", "ant"), plan(), working(&[(0, 100, 150)]));
    let two = Telling::start(&topics, worker("b-2", "bee"), plan(), working(&[(1, 30, 31)]));
    let site = Site::start(&topics, None).await;
    let both = site.overview("both", |now| now["totals"]["workers"] == 2).await;
    assert_eq!(both["totals"]["hosts"], 2);
    assert_eq!(both["pipelines"][0]["lag"], 51);
    assert_eq!(both["pipelines"][0]["workers"], json!(["a-1", "b-2"]));
    let page = site.page("/").await;
    for host in ["ant", "bee"] {
        assert!(page.contains(&format!("<h3>{host}")), "{page}");
    }
    two.end().await;
    let left = site.overview("one", |now| now["totals"]["workers"] == 1).await;
    assert_eq!(left["workers"][0]["host"], "ant");
    assert_eq!(left["pipelines"][0]["lag"], 50);
    assert!(!site.page("/").await.contains("bee"));
    let (status, gone) = site.get("/workers/b-2").await;
    assert_eq!(status, 404);
    assert!(gone.contains("No worker tells of worker b-2"), "{gone}");
    one.end().await;
    site.overview("none", |now| now["totals"]["workers"] == 0).await;
    site.close().await;
}

#[tokio::test]
async fn a_worker_that_was_killed_is_silent_and_its_heir_counts() {
    let topics = memory();
    let (dead, heir) = (worker("dead-1", "ant"), worker("heir-2", "bee"));
    tell(&topics, &dead, &plan(), &working(&[(0, 100, 900), (1, 5, 7)]), 20_000).await;
    let heir = Telling::start(&topics, heir, plan(), working(&[(0, 120, 150)]));
    let site = Site::start(&topics, None).await;
    let now = site.overview("both", |now| now["totals"]["workers"] == 2).await;
    assert_eq!(now["totals"]["silent"], 1);
    assert_eq!(now["workers"][0]["state"]["is"], "silent");
    assert!(now["workers"][0]["silent_ms"].as_i64().expect("silence") >= 15_000);
    // Partition 0 went to the heir; nobody has partition 1.
    let view = site.json("/api/v1/pipelines/weather.table").await;
    assert_eq!(view["by_partition"][0]["worker"], "heir-2");
    assert_eq!(view["by_partition"][0]["lag"], 30);
    assert_eq!(view["by_partition"][1]["state"]["is"], "silent");
    assert_eq!(view["state"]["is"], "silent");
    heir.kill().await;
    site.close().await;
}

#[tokio::test]
async fn a_worker_silent_for_a_day_is_taken_back_for_it() {
    let topics = memory();
    tell(&topics, &worker("old-1", "ant"), &plan(), &working(&[(0, 1, 2)]), 25 * 60 * 60 * 1000)
        .await;
    let site = Site::start(&topics, None).await;
    let at = TopicPartition::new("millstream.status", 0);
    within("the tombstone", async {
        loop {
            let slice = topics.read(&at, 0, 100).await.expect("read");
            if slice.records.iter().any(|record| record.value.is_none()) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    site.overview("nobody", |now| now["totals"]["workers"] == 0).await;
    site.close().await;
}

#[tokio::test]
async fn what_changes_is_told_within_seconds_and_the_drain_too() {
    let topics = memory();
    let telling = Telling::start(&topics, worker("a-1", "ant"), plan(), working(&[(0, 100, 150)]));
    let site = Site::start(&topics, None).await;
    site.overview("it", |now| now["totals"]["lag"] == 50).await;
    telling.status.send_modify(|status| {
        status.partitions[0].position = 150;
        status.state = State::Retrying("open table weather: disk full".into());
        status.totals = Totals { retries: 4, ..status.totals };
    });
    let now = site.overview("the change", |now| now["totals"]["lag"] == 0).await;
    assert_eq!(
        now["pipelines"][0]["state"],
        json!({ "is": "retrying", "why": "open table weather: disk full" })
    );
    assert_eq!(now["pipelines"][0]["retries"], 4);
    telling.end().await;
    site.close().await;
}

#[tokio::test]
async fn history_survives_the_server() {
    let topics = memory();
    let telling = Telling::start(&topics, worker("a-1", "ant"), plan(), working(&[(0, 100, 150)]));
    let step = now_ms() / 10_000 * 10_000;
    for back in 1..=30 {
        let at = step - back * 10_000;
        let sample = json!({ "pipeline": "weather.table", "first": "weather-0", "at_ms": at, "rate": 7.5, "lag": back });
        let key = format!("weather.table/weather-0/{}", at / 10_000 % 2160);
        put(&topics, "millstream.history", &key, &sample).await;
    }
    let site = Site::start(&topics, None).await;
    site.overview("it", |now| now["totals"]["workers"] == 1).await;
    site.close().await;
    let again = Site::start(&topics, None).await;
    again
        .overview("it again", |now| {
            now["totals"]["workers"] == 1 && now["reading"]["loaded"] == true
        })
        .await;
    let view = again.json("/api/v1/pipelines/weather.table").await;
    let history = view["history"].as_array().expect("history");
    assert!(history.len() >= 30, "{}", history.len());
    assert_eq!((&history[0]["events_per_s"], &history[0]["lag"]), (&json!(7.5), &json!(30)));
    let page = again.page("/pipelines/weather.table").await;
    assert!(page.contains("c-line"), "a chart is drawn: {page}");
    // The worker takes a sample of its own every 10 s.
    let own = |_, text: &str| {
        serde_json::from_str::<serde_json::Value>(text).is_ok_and(|view| {
            view["history"].as_array().is_some_and(|all| all.iter().any(|point| point["lag"] == 50))
        })
    };
    again.until("/api/v1/pipelines/weather.table", "a sample", own).await;
    telling.end().await;
    again.close().await;
}

#[tokio::test]
async fn a_topic_that_fails_or_is_made_anew_disturbs_nobody() {
    let memory = Memory::new();
    let topics = <dyn millstream_topic::Backend>::shared(memory.clone());
    memory.fail_next(3);
    let telling = Telling::start(&topics, worker("a-1", "ant"), plan(), working(&[(0, 100, 150)]));
    let site = Site::start(&topics, None).await;
    site.overview("it, in the end", |now| now["totals"]["workers"] == 1).await;
    memory.recreate("millstream.status").expect("recreate");
    telling.status.send_modify(|status| status.partitions[0].position = 140);
    site.overview("it, anew", |now| now["totals"]["lag"] == 10).await;
    memory.delete("millstream.status").expect("delete");
    telling.status.send_modify(|status| status.partitions[0].position = 145);
    site.overview("it, once more", |now| now["totals"]["lag"] == 5).await;
    let info = memory.info("millstream.status").await.expect("info").expect("there");
    assert_eq!(info.partitions.len(), 1);
    telling.end().await;
    site.close().await;
}

#[tokio::test]
async fn records_of_others_are_counted_and_shown() {
    let topics = memory();
    put(&topics, "millstream.status", "a", &json!("what is this")).await;
    put(&topics, "millstream.status", "b", &json!({ "worker": { "id": "another" } })).await;
    put(
        &topics,
        "millstream.status",
        "c",
        &json!({ "worker": { "id": "c" }, "later": [1], "pipelines": [{}] }),
    )
    .await;
    let site = Site::at((Ipv4Addr::LOCALHOST, 0).into(), &topics, None).await;
    let now = site.overview("them", |now| now["totals"]["workers"] == 1).await;
    assert_eq!(now["reading"]["bad"], 2);
    assert!(
        site.page("/").await.contains("couldn't be understood")
            || site.page("/").await.contains("couldn’t")
    );
    site.close().await;
}
