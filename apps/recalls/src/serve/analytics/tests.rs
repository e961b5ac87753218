use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use futures::StreamExt;
use maud::html;
use millstream_engine::Json;
use millstream_topic::memory::Memory;
use millstream_topic::{Outgoing, Topics};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::figures::{Figures, NOT_GIVEN, OTHER};
use super::*;
use crate::event::schema;
use crate::feed_state::{Phase, Trouble};
use crate::pipeline::DEVICES;

const HOSTILE: &str = "<script>window.hacked=1</script>\" onload=x";
const FORMULA: &str = "=HYPERLINK(\"x\")";

struct Stage {
    topics: Memory,
    view: View,
    feed: watch::Sender<Option<FeedState>>,
    router: Router,
    stop: CancellationToken,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }
}

impl Stage {
    /// With these recalls, all of them read.
    async fn with(recalls: Vec<Value>) -> Self {
        let topics = Memory::new();
        topics.ensure(&DEVICES).await.expect("make the topic");
        let stage = Self::over(topics);
        stage.send(recalls).await;
        stage.until_read().await;
        stage
    }

    fn over(topics: Memory) -> Self {
        let stop = CancellationToken::new();
        let decoder = Arc::new(Json::new(schema()));
        let view = View::follow(Arc::new(topics.clone()), &DEVICES, decoder, COLUMNS, stop.clone());
        let (feed, watched) = watch::channel(None);
        let shell = Shell { site: "Recalls", nav: &[("/analytics", "Analytics")], head: html! {} };
        let every = Duration::from_secs(3600);
        let router = router(shell, view.clone(), watched, every, stop.clone());
        Self { topics, view, feed, router, stop }
    }

    async fn send(&self, recalls: Vec<Value>) {
        let records = recalls.into_iter().map(|recall| {
            let key = recall["recall_number"].as_str().expect("a number").to_owned();
            Outgoing::keyed(key, recall.to_string())
        });
        self.topics.append(&DEVICES.name, records.collect()).await.expect("append");
    }

    /// Waits until the view has read what is in the topic now.
    async fn until_read(&self) {
        let mut changed = self.view.changed();
        let info = self.topics.info(&DEVICES.name).await.expect("look").expect("the topic");
        let keys = info.partitions.iter().map(|bounds| bounds.end).sum::<i64>() as usize;
        let read = async {
            while self.view.state().loading || self.view.state().rows != keys {
                changed.changed().await.expect("the view lives");
            }
        };
        tokio::time::timeout(Duration::from_secs(20), read)
            .await
            .expect("the view reads the topic");
    }

    async fn figures(&self) -> Figures {
        let today = chrono::NaiveDate::from_ymd_opt(2026, 4, 2).expect("a day");
        Figures::ask(&self.view, today).await.expect("figures")
    }

    async fn get(&self, path: &str) -> Answer {
        let response = self.ask(path).await;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = to_bytes(response.into_body(), 16 << 20).await.expect("a body").to_vec();
        Answer { status, headers, body }
    }

    async fn ask(&self, path: &str) -> Response {
        let request = Request::get(path).body(Body::empty()).expect(path);
        self.router.clone().oneshot(request).await.expect("an answer")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn recall(number: &str, class: &str, status: &str, firm: &str, state: &str, begun: &str) -> Value {
    json!({"recall_number": number, "classification": class, "status": status, "recalling_firm": firm, "state": state,
           "country": "United States", "recall_initiation_date": begun, "report_date": "20260401",
           "initial_firm_notification": "Letter"})
}

fn dozen() -> Vec<Value> {
    let mut recalls: Vec<_> = (0..8)
        .map(|n| {
            let class = ["Class II", "Class I"][usize::from(n % 4 == 0)];
            recall(&format!("Z-{n:04}-2026"), class, "Ongoing", "Acme", "CA", "20260115")
        })
        .collect();
    recalls.push(recall("Z-0008-2026", "Class III", "Terminated", HOSTILE, "NY", "20251130"));
    recalls.push(recall("Z-0009-2026", "Class III", "Terminated", FORMULA, "ny", "99991231"));
    recalls.push(json!({"recall_number": "Z-0010-2026", "classification": " ", "status": "N/A", "country": "Canada",
                        "recalling_firm": "n/a", "report_date": "20260228", "recall_initiation_date": "soon"}));
    recalls.push(json!({"recall_number": "Z-0011-2026"}));
    recalls
}

fn counts(list: &[(&str, i64)]) -> Vec<figures::Count> {
    list.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect()
}

#[tokio::test]
async fn figures_agree_with_the_topic() {
    let stage = Stage::with(dozen()).await;
    let figures = stage.figures().await;
    assert_eq!((figures.total, figures.ongoing, figures.class_one, figures.firms), (12, 8, 2, 3));
    assert_eq!(figures.newest.as_deref(), Some("20260401"));
    let classes = [("Class I", 2), ("Class II", 6), ("Class III", 2), (NOT_GIVEN, 2)];
    assert_eq!(figures.classification, counts(&classes));
    assert_eq!(figures.status, counts(&[("Ongoing", 8), (NOT_GIVEN, 2), ("Terminated", 2)]));
    assert_eq!(figures.notification, counts(&[("Letter", 10), (NOT_GIVEN, 2)]));
    let months = [("2025-11", 1), ("2025-12", 0), ("2026-01", 8), ("2026-02", 1)];
    assert_eq!(figures.months, counts(&months));
    assert_eq!(figures.top_firms, counts(&[("Acme", 8), (HOSTILE, 1), (FORMULA, 1)]));
    assert_eq!(figures.states, counts(&[("CA", 8), ("NY", 2)]));
    assert_eq!(figures.countries, counts(&[("Canada", 1), (NOT_GIVEN, 1)]));

    // One is gone, one has changed its class.
    let gone = Outgoing { key: Some("Z-0008-2026".into()), ..Outgoing::default() };
    stage.topics.append(&DEVICES.name, vec![gone]).await.expect("append");
    stage.send(vec![recall("Z-0001-2026", "Class I", "Completed", "Acme", "CA", "20260115")]).await;
    let mut changed = stage.view.changed();
    let seen = async {
        while stage.figures().await.ongoing == 8 || stage.view.state().rows != 11 {
            changed.changed().await.expect("the view lives");
        }
    };
    tokio::time::timeout(Duration::from_secs(20), seen).await.expect("the change is read");
    let figures = stage.figures().await;
    assert_eq!((figures.total, figures.ongoing, figures.class_one), (11, 7, 3));
}

#[tokio::test]
async fn firms_are_counted_by_the_name_that_is_searched_for() {
    let firms = ["Acme", "Acme ", "Acme", " n/a "].into_iter().enumerate();
    let recalls =
        firms.map(|(n, firm)| recall(&format!("Z-{n}"), "Class I", "x", firm, " CA", "20260115"));
    let figures = Stage::with(recalls.collect()).await.figures().await;
    assert_eq!(figures.top_firms, counts(&[("Acme", 2), ("Acme ", 1)]));
    assert_eq!(figures.states, counts(&[("CA", 4)]));
}

#[tokio::test]
async fn long_tails_come_together() {
    let firms = (0..40).map(|n| {
        recall(&format!("Z-{n}"), &format!("Class {n}"), "x", &format!("Firm {n:02}"), "CA", "")
    });
    let figures = Stage::with(firms.collect()).await.figures().await;
    assert_eq!((figures.total, figures.firms, figures.top_firms.len()), (40, 40, 15));
    assert_eq!(figures.classification.len(), 13);
    assert_eq!(figures.classification.iter().map(|(_, n)| n).sum::<i64>(), 40);
    assert!(
        figures.classification.contains(&(OTHER.to_owned(), 28)),
        "{:?}",
        figures.classification
    );
    assert_eq!(
        figures.months,
        counts(&[("2026-04", 40)]),
        "by the report where no beginning is known"
    );
}

#[tokio::test]
async fn the_page_shows_all_as_text() {
    let stage = Stage::with(dozen()).await;
    let page = stage.get("/analytics").await;
    let text = page.text();
    assert_eq!(page.status, StatusCode::OK);
    assert!(!text.contains("<script>window") && !text.contains("\" onload"), "{text}");
    assert!(text.contains("&lt;script&gt;window.hacked=1&lt;/script&gt;"), "the firm is named");
    for plan in &charts::PLANS {
        for wanted in [
            format!("<h2>{}</h2>", plan.title),
            format!("data-event=\"{}\"", plan.name),
            format!("/analytics/charts/{}.png", plan.name),
            format!("/analytics/charts/{}.csv", plan.name),
        ] {
            assert!(text.contains(&wanted), "{wanted}");
        }
    }
    for link in [
        "/search?classification=Class+II\"",
        "/search?status=Terminated\"",
        "/search?state=CA\"",
        "/search?recalling_firm=Acme\"",
        "/search?year=2026\"",
        "/search?recalling_firm=%3Cscript%3E",
    ] {
        assert!(text.contains(link), "{link}");
    }
    assert!(!text.contains("=Not+given"), "nothing to be found under that");
    assert!(text.contains("1 April 2026") && text.contains("data-live=\"/analytics/events\""));
    assert!(text.matches("<svg").count() >= charts::PLANS.len());
}

#[tokio::test]
async fn each_state_is_told() {
    let stage = Stage::with(Vec::new()).await;
    let text = stage.get("/analytics").await.text().to_owned();
    assert!(
        text.contains("There are no recalls here yet") && text.contains("Nothing to show yet"),
        "{text}"
    );

    let trouble = Trouble { at: Utc::now(), what: "HTTP 500 <b>".into(), tries: 3 };
    let refreshed_at = Some(Utc::now() - chrono::TimeDelta::hours(5));
    stage.feed.send_replace(Some(FeedState {
        trouble: Some(trouble),
        refreshed_at,
        ..FeedState::default()
    }));
    let text = stage.get("/analytics").await.text().to_owned();
    assert!(text.contains("HTTP 500 &lt;b&gt;") && text.contains("5 h 0 min ago"), "{text}");
    let phase = Phase::Downloading { bytes: 5_000_000, of: Some(10_000_000) };
    stage.feed.send_replace(Some(FeedState {
        phase,
        told_at: Some(Utc::now()),
        ..FeedState::default()
    }));
    assert!(stage.get("/analytics").await.text().contains("5.0 MB of 10.0 MB"));

    stage.topics.fail_next(1_000_000);
    let mut changed = stage.view.changed();
    let told = async {
        while stage.view.state().trouble.is_none() {
            changed.changed().await.expect("the view lives");
        }
    };
    tokio::time::timeout(Duration::from_secs(20), told).await.expect("trouble");
    let text = stage.get("/analytics").await.text().to_owned();
    assert!(
        text.contains("can&#39;t be read just now") || text.contains("can't be read just now"),
        "{text}"
    );

    let topics = Memory::new();
    topics.fail_next(1_000_000);
    let text = Stage::over(topics).get("/analytics").await.text().to_owned();
    assert!(text.contains("Looking for the recalls"), "{text}");
}

#[tokio::test]
async fn charts_change_while_the_page_is_open() {
    let stage = Stage::with(dozen()).await;
    let response = stage.ask("/analytics/events").await;
    assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
    let mut body = response.into_body().into_data_stream();
    let mut told = String::new();
    let mut until = async |wanted: &dyn Fn(&str) -> bool| {
        let seen = async {
            while !wanted(&told) {
                let piece = body.next().await.expect("the stream goes on").expect("a piece");
                told.push_str(std::str::from_utf8(&piece).expect("UTF-8"));
            }
        };
        tokio::time::timeout(Duration::from_secs(20), seen).await.expect("told in time");
        std::mem::take(&mut told)
    };
    let last = charts::PLANS[charts::PLANS.len() - 1].name;
    let ends = |event: String| move |told: &str| told.split("\n\n").any(|one| one.contains(&event));
    let first = until(&ends(format!("event: {last}\n"))).await;
    assert!(first.contains("event: classification\n") && first.contains("event: summary\n"));
    assert!(first.contains("Class II: 6 recalls"), "{first}");

    stage.send(vec![recall("Z-0100-2026", "Class II", "Ongoing", "Acme", "CA", "20260115")]).await;
    let then = until(&|told: &str| told.contains("Class II: 7 recalls")).await;
    assert!(!then.contains("Class II: 6 recalls"), "{then}");
    stage.stop.cancel();
    let ended = async { while body.next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(5), ended)
        .await
        .expect("the stream ends with the site");
}

#[tokio::test]
async fn pictures_and_figures_to_take_along() {
    let stage = Stage::with(dozen()).await;
    let kind = |answer: &Answer| answer.headers[CONTENT_TYPE].to_str().expect("text").to_owned();
    for plan in &charts::PLANS {
        let png = stage.get(&format!("/analytics/charts/{}.png", plan.name)).await;
        assert_eq!(
            (png.status, kind(&png).as_str(), &png.body[..8]),
            (StatusCode::OK, "image/png", &b"\x89PNG\r\n\x1a\n"[..])
        );
        assert!(png.body.len() > 4_000, "{}: {} bytes", plan.name, png.body.len());
        let svg = stage.get(&format!("/analytics/charts/{}.svg", plan.name)).await;
        assert_eq!(kind(&svg), "image/svg+xml");
        assert!(
            svg.text().starts_with("<svg xmlns")
                && svg.text().contains("<style>")
                && !svg.text().contains("<script")
        );
        assert!(
            svg.headers[CONTENT_DISPOSITION]
                .to_str()
                .expect("text")
                .contains(&format!("recalls-{}.svg", plan.name))
        );
    }
    let sheet = stage.get("/static/output.png").await;
    assert_eq!((kind(&sheet).as_str(), &sheet.body[1..4]), ("image/png", &b"PNG"[..]));
    assert!(sheet.body.len() > 40_000, "{} bytes", sheet.body.len());
    assert_eq!(stage.get("/static/output.png").await.body, sheet.body);

    let csv = stage.get("/analytics/charts/firms.csv").await;
    assert!(kind(&csv).starts_with("text/csv"));
    let text = csv.text();
    assert!(text.starts_with("Firm,Recalls\r\nAcme,8\r\n"), "{text}");
    assert!(text.contains("\"'=HYPERLINK(\"\"x\"\")\",1\r\n"), "{text}");
    for path in ["firms", "firms.exe", "nothing.png", "..png", "%2e%2e%2fmod.rs", "countries.png"] {
        let answer = stage.get(&format!("/analytics/charts/{path}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(answer.text().contains("links to all charts"), "{path}");
    }
}

#[test]
fn shares_are_told() {
    assert_eq!(page::share(1, 3), "33.3 %");
    assert_eq!(page::share(1, 0), "–");
}
