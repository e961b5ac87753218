use millstream_console::PipelinePlan;
use millstream_engine::State;
use serde_json::Value;

use crate::stage::*;

const SCRIPT: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>";

#[tokio::test]
async fn hostile_names_are_shown_as_text() {
    let topics = memory();
    let hostile = || SCRIPT.to_owned();
    let mut told = worker(SCRIPT, SCRIPT);
    told.app = hostile();
    let plan = PipelinePlan {
        app: hostile(),
        pipeline: hostile(),
        topic: hostile(),
        decode: hostile(),
        transform: hostile(),
        sql: Some(hostile()),
        sink: hostile(),
        keeping: hostile(),
    };
    let mut status = working(&[(0, 1, 2)]);
    status.state = State::Stopped(hostile());
    status.partitions[0].topic = hostile();
    status.partitions[0].state = State::Stopped(hostile());
    status.happenings[0].why = hostile();
    status.happenings[0].partitions = vec![hostile()];
    tell(&topics, &told, &plan, &status, 0).await;
    let site = Site::start(&topics, None).await;
    let now = site.overview("it", |now| now["totals"]["workers"] == 1).await;
    let id = now["pipelines"][0]["id"].as_str().expect("id");
    let encode =
        |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02X}")).collect() };
    for path in [
        "/".to_owned(),
        format!("/pipelines/{}", encode(id)),
        format!("/workers/{}", encode(SCRIPT)),
    ] {
        let page = site.page(&path).await;
        assert!(page.contains("&lt;script&gt;alert(1)"), "{path}: {page}");
        assert!(!page.contains("<script>") && !page.contains("<img"), "{path}: {page}");
        assert!(!page.contains("style=") && !page.contains("onclick"), "{path}");
    }
    let metrics = site.page("/metrics").await;
    assert!(metrics.contains(r#"alert(1)</script>\"'>"#), "{metrics}");
    site.close().await;
}

#[tokio::test]
async fn pages_show_the_numbers_of_the_json() {
    let topics = memory();
    let status = working(&[(0, 123_456, 223_457), (1, 77, 78)]);
    tell(&topics, &worker("a-1", "ant"), &plan(), &status, 0).await;
    let site = Site::start(&topics, None).await;
    site.overview("it", |now| now["totals"]["workers"] == 1).await;
    let view = site.json("/api/v1/pipelines/weather.table").await;
    let page = site.page("/pipelines/weather.table").await;
    for at in view["by_partition"].as_array().expect("partitions") {
        for number in ["position", "end", "lag"] {
            let text = grouped(&at[number]);
            assert!(page.contains(&format!(">{text}</td>")), "{number} {text}: {page}");
        }
    }
    assert_eq!(view["lag"], 100_002);
    assert_eq!(
        (&view["events"], &view["rows"], &view["dead_letters"]),
        (&943.into(), &900.into(), &3.into())
    );
    for (label, number) in
        [("Lag", "100,002"), ("Events", "943"), ("Rows", "900"), ("Dead letters", "3")]
    {
        assert!(page.contains(&format!("<dt>{label}</dt><dd>{number}</dd>")), "{label}: {page}");
    }
    assert_eq!(view["batch_mean_ms"], 50);
    assert!(page.contains("<dd>50 ms</dd>"), "{page}");
    assert!(page.contains("SELECT name AS city"), "{page}");
    assert_eq!(
        (&view["lookups"][0]["state"], &view["lookups"][0]["rows"]),
        (&"stale".into(), &1_204.into())
    );
    for words in ["<h2>Lookup tables</h2>", "places in a test", ">stale<", "1,204", "it is down"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let overview = site.page("/").await;
    assert!(overview.contains("<dt>Lag</dt><dd>100,002</dd>"), "{overview}");
    let worker = site.json("/api/v1/workers/a-1").await;
    let shown = site.page("/workers/a-1").await;
    assert_eq!((&worker["lag"], &worker["host"]), (&100_002.into(), &"ant".into()));
    assert!(shown.contains("<dt>Lag</dt><dd>100,002</dd>"), "{shown}");
    site.close().await;
}

#[tokio::test]
async fn pages_are_kept_current() {
    let topics = memory();
    let telling = Telling::start(&topics, worker("a-1", "ant"), plan(), working(&[(0, 100, 150)]));
    let site = Site::start(&topics, None).await;
    site.overview("it", |now| now["totals"]["lag"] == 50).await;
    let mut live = site.stream("/live/pipelines/weather.table").await;
    let mut text = String::new();
    let mut wait_for = async |words: &str| {
        within(words, async {
            while !text.contains(words) {
                let piece = live.chunk().await.expect("read").expect("the stream goes on");
                text.push_str(&String::from_utf8_lossy(&piece));
            }
        })
        .await;
    };
    wait_for("event: partitions").await;
    wait_for("<dt>Lag</dt><dd>50</dd>").await;
    telling.status.send_modify(|status| status.partitions[0].position = 149);
    wait_for("<dt>Lag</dt><dd>1</dd>").await;
    let mut of_worker = site.stream("/live/workers/a-1").await;
    telling.end().await;
    wait_for("nobody works on it").await;
    let mut told = String::new();
    within("the end of the worker", async {
        while !told.contains("Nobody tells of this any more") {
            let piece = of_worker.chunk().await.expect("read").expect("the stream goes on");
            told.push_str(&String::from_utf8_lossy(&piece));
        }
    })
    .await;
    site.close().await;
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let topics = memory();
    let site = Site::start(&topics, None).await;
    site.until("/api/v1/overview", "reading", |_, text| text.contains("\"loaded\":true")).await;
    for path in [
        "/pipelines/nothing.here",
        "/workers/nobody",
        "/nothing",
        "/api/v1/pipelines/x",
        "/api/v1/workers/x",
    ] {
        let (status, text) = site.get(path).await;
        assert_eq!(status, 404, "{path}: {text}");
        assert_eq!(text.starts_with('{'), path.starts_with("/api"), "{path}: {text}");
    }
    let empty = site.page("/").await;
    assert!(empty.contains("Nobody works at the moment"), "{empty}");
    let foreign = reqwest::Client::new()
        .get(format!("http://{}/", site.address))
        .header("host", "evil.example");
    let foreign = foreign.send().await.expect("ask");
    assert_eq!(foreign.status(), 421);
    // The console has no setting for other names.
    let remedy = foreign.text().await.expect("read");
    assert!(!remedy.contains("settings") && remedy.contains("ssh -L"), "{remedy}");
    site.close().await;
}

fn grouped(number: &Value) -> String {
    millstream_web::words::grouped(number.as_i64().expect("a number"))
}
