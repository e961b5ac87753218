use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use millstream_console::PipelinePlan;
use millstream_engine::{Happening, State, What};
use millstream_topic::Backend;
use serde_json::json;

use crate::stage::*;

/// For working on the pages: `cargo test -p millstream-console -- --ignored look` serves made-up workers for
/// ten minutes at 127.0.0.1:9190.
#[tokio::test]
#[ignore = "serves for a person to look at"]
async fn look() {
    let topics = memory();
    put_history(&topics).await;
    let mut told = Vec::new();
    for (number, host) in [(1, "mill-01.example"), (2, "mill-02.example"), (3, "mill-02.example")] {
        let mine =
            worker(&format!("{}-{}-{number}a4f20", host.replace('.', "-"), 4000 + number), host);
        let from = (number - 1) * 2;
        let mut status = working(&[(from, 120_000, 122_000), (from + 1, 98_000, 98_100)]);
        status.happenings.push(Happening {
            at_ms: now_ms() - 20_000 * i64::from(number),
            what: What::Revoked,
            partitions: vec!["weather-5".into(), "weather-6".into()],
            why: "the group gives them to another worker".into(),
        });
        told.push(Telling::start(&topics, mine, plan(), status));
    }
    let lake = PipelinePlan {
        app: "users".into(),
        pipeline: "lake".into(),
        topic: "users".into(),
        sql: None,
        transform: "as it is".into(),
        sink: "users in lake/users (Parquet)".into(),
        keeping: "every event".into(),
        ..plan()
    };
    let mut stuck = working(&[(0, 10, 2_000)]);
    let why = "topic users was deleted and recreated, or lives in another cluster; bring the topic back, or adopt it";
    stuck.state = State::Stopped(why.into());
    stuck.partitions[0].state = stuck.state.clone();
    stuck.partitions[0].topic = "users".into();
    let mut other = worker("mill-01-example-777-beefed", "mill-01.example");
    other.app = "users".into();
    let _stuck = Telling::start(&topics, other, lake, stuck);
    let index = PipelinePlan {
        app: "recalls".into(),
        pipeline: "index".into(),
        topic: "devices".into(),
        sink: "recalls in tantivy://search".into(),
        ..plan()
    };
    let silent = worker("mill-03-example-99-c0ffee", "mill-03.example");
    tell(&topics, &silent, &index, &working(&[(0, 39_000, 40_000)]), 95_000).await;
    let _site = Site::at((Ipv4Addr::LOCALHOST, 9190).into(), &topics, None).await;
    work(&told).await;
}

async fn put_history(topics: &Arc<dyn Backend>) {
    let step = now_ms() / 10_000 * 10_000;
    for back in 1..1_500_i64 {
        let at = step - back * 10_000;
        let wave = 400.0 + 300.0 * (back as f64 / 40.0).sin() + (back * 7919 % 97) as f64;
        for (pipeline, share) in
            [("weather.table", 1.0), ("users.lake", 0.4), ("recalls.index", 0.05)]
        {
            let sample = json!({ "pipeline": pipeline, "first": "x-0", "at_ms": at, "rate": wave * share,
                "lag": back * 7919 % 4000, "dead_letters": u32::from(back % 60 == 0) });
            put(
                topics,
                "millstream.history",
                &format!("{pipeline}/x-0/{}", at / 10_000 % 2160),
                &sample,
            )
            .await;
        }
    }
}

async fn work(told: &[Telling]) {
    for turn in 0..6_000_i64 {
        for telling in told {
            telling.status.send_modify(|status| {
                for at in &mut status.partitions {
                    at.end += 40 + turn % 7;
                    at.next = at.end;
                    at.position = if turn % 70 == 0 { at.end } else { at.position };
                    at.roll_at_ms = Some(now_ms() + (70 - turn % 70) * 100);
                    status.totals.delivered += 40;
                    status.totals.rows += 40;
                }
            });
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
