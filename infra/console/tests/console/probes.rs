use std::collections::BTreeSet;

use millstream_console::Own;
use millstream_engine::State;
use millstream_topic::memory::Memory;

use crate::stage::*;

#[tokio::test]
async fn ready_once_the_own_pipelines_run() {
    let topics = memory();
    let own = Own::new(worker("a-1", "ant"));
    let site = Site::start(&topics, Some(&own)).await;
    assert_eq!(site.get("/healthz").await.1, "ok\n");
    let hasnt =
        |status: reqwest::StatusCode, text: &str| status == 503 && text.contains("hasn't told");
    site.until("/readyz", "503", hasnt).await;
    let mut starting = working(&[]);
    starting.state = State::Starting;
    let telling = Telling::of(&topics, own, plan(), starting);
    let is_starting = |status: reqwest::StatusCode, text: &str| {
        status == 503 && text.contains("pipeline weather.table is starting")
    };
    site.until("/readyz", "503 while it starts", is_starting).await;
    telling.status.send_replace(working(&[(0, 1, 2)]));
    let ready = site.until("/readyz", "200", |status, _| status == 200).await;
    assert_eq!(ready, r#"{"ready":true,"why":[]}"#);
    telling.status.send_modify(|status| {
        status.state = State::Stopped("its counts were made by other code".into())
    });
    let stopped =
        |status: reqwest::StatusCode, text: &str| status == 503 && text.contains("other code");
    site.until("/readyz", "503 when it stops", stopped).await;
    telling.end().await;
    site.close().await;
}

#[tokio::test]
async fn not_ready_while_the_status_topic_is_out_of_reach() {
    let memory = Memory::new();
    let topics = <dyn millstream_topic::Backend>::shared(memory.clone());
    memory.fail_next(2);
    let site = Site::start(&topics, None).await;
    let trouble =
        |status: reqwest::StatusCode, text: &str| status == 503 && text.contains("can't be read");
    site.until("/readyz", "503", trouble).await;
    assert!(site.page("/").await.contains("The status topic can't be read"));
    site.until("/readyz", "200", |status, _| status == 200).await;
    site.close().await;
}

#[tokio::test]
async fn the_own_worker_is_seen_while_no_topic_can_be_reached() {
    let memory = Memory::new();
    let topics = <dyn millstream_topic::Backend>::shared(memory.clone());
    memory.fail_next(1_000_000);
    let own = Own::new(worker("a-1", "ant"));
    let site = Site::start(&topics, Some(&own)).await;
    let mut status = working(&[(0, 1, 2)]);
    status.state = State::Retrying("look at topic weather: nobody answers".into());
    let telling = Telling::of(&topics, own, plan(), status);
    let is_told = |now: &serde_json::Value| {
        now["reading"]["trouble"].is_string()
            && now["pipelines"].to_string().contains("nobody answers")
    };
    site.overview("what goes wrong", is_told).await;
    let page = site.page("/").await;
    assert!(page.contains("The status topic can't be read") && page.contains("nobody answers"));
    memory.fail_next(0);
    telling.status.send_replace(working(&[(0, 2, 2)]));
    site.overview("recovery", |now| now["reading"]["trouble"].is_null()).await;
    telling.end().await;
    site.close().await;
}

#[tokio::test]
async fn metrics_are_lines_that_prometheus_reads() {
    let topics = memory();
    tell(&topics, &worker("a-1", "ant"), &plan(), &working(&[(0, 100, 150), (1, 5, 6)]), 0).await;
    tell(&topics, &worker("gone-2", "a \"b\" \\ c\nd"), &plan(), &working(&[]), 60_000).await;
    let site = Site::start(&topics, None).await;
    site.overview("both", |now| now["totals"]["workers"] == 2).await;
    let text = site.page("/metrics").await;
    let mut typed = BTreeSet::new();
    for line in text.lines() {
        if let Some(about) = line.strip_prefix("# TYPE ") {
            typed.insert(about.split(' ').next().expect("name").to_owned());
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        let (name, rest) = line.split_once('{').unwrap_or_else(|| panic!("no labels: {line}"));
        assert!(name.starts_with("millstream_"), "{line}");
        assert!(typed.contains(name.trim_end_matches("_total")), "{line} has no type");
        let (labels, value) = rest.rsplit_once("} ").unwrap_or_else(|| panic!("no value: {line}"));
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(labels.contains("worker=\""), "{line}");
    }
    let labels = r#"{app="weather",pipeline="table",worker="a-1",topic="weather",partition="0"}"#;
    for (name, value) in [
        ("millstream_lag", "50"),
        ("millstream_position", "100"),
        ("millstream_events_total", "100"),
        ("millstream_dead_letters_total", "1"),
        ("millstream_retries_total", "2"),
        ("millstream_batch_seconds_total", "0.2"),
        ("millstream_batches_total", "4"),
    ] {
        assert!(text.contains(&format!("{name}{labels} {value}\n")), "{name}: {text}");
    }
    assert!(
        text.contains("millstream_worker_up{app=\"weather\",host=\"ant\",worker=\"a-1\"} 1\n"),
        "{text}"
    );
    assert!(text.contains(r#"host="a \"b\" \\ c\nd",worker="gone-2"} 0"#), "{text}");
    assert!(text.ends_with("# EOF\n"));
    site.close().await;
}
