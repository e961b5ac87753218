//! An index is built anew while it is searched, by three workers, and loaded with as many rows as there are recalls.

use std::sync::Arc;
use std::time::{Duration, Instant};

use integration_tests::stack;
use millstream_engine::{Options, Pipeline, Roll, Status, SystemClock, Target, World, run};
use millstream_sinks::opensearch::{OpenSearchReader, OpenSearchTarget};
use millstream_sinks::search::conformance::{PIPELINE, RECALLS, rows};
use millstream_sinks::search::{Index, IndexState, Query, SearchError, Searcher};
use millstream_topic::memory::Memory;
use millstream_topic::{Outgoing, Topic, Topics};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::place::{Place, curl, rows_by_curl};

const TOPIC: Topic =
    Topic::new("recalls").keyed_by("number").partitions(3).schema(rows::schema).compacted();
/// For what takes a minute at most; machines that run tests are slow at times.
const PATIENCE: Duration = Duration::from_secs(300);
const COLUMNS: &str = "SELECT number, firm, product, class, \"date\", codes FROM recalls";

fn record(n: usize) -> Outgoing {
    let text = "sterile single use infusion pump set with a tube, ";
    let product = format!("Pump {n}, {}", text.repeat(12));
    let firm = format!("Firm {}", n % 700);
    let value = serde_json::json!({
        "number": format!("Z-{n:05}"), "firm": firm, "product": product, "class": "Class II", "date": "20240101",
    });
    Outgoing::keyed(format!("Z-{n:05}"), value.to_string())
}

struct Working {
    stop: CancellationToken,
    task: JoinHandle<()>,
    _status: watch::Receiver<Status>,
}

/// A worker with all three partitions, rolling often.
fn start(topics: &Memory, target: OpenSearchTarget) -> Working {
    let pipeline = Pipeline::from("app", "search", &TOPIC)
        .sql(COLUMNS)
        .unwrap()
        .into(Arc::new(target))
        .roll(Roll::every(Duration::from_millis(300)));
    let world = World { topics: Arc::new(topics.clone()), clock: Arc::new(SystemClock), seed: 7 };
    let stop = CancellationToken::new();
    let (status, watched) = watch::channel(Status::default());
    let work = run(pipeline, world, Options::default(), stop.clone(), status);
    let task = tokio::spawn(async move {
        work.await.expect("the worker goes on");
    });
    Working { stop, task, _status: watched }
}

/// A first look that falls between an index and its shard is told to try again; who was answered once always is.
async fn until_answered(reader: &OpenSearchReader) {
    let began = Instant::now();
    while let Err(error) = reader.state().await {
        let is_being_made = matches!(error, SearchError::Unavailable { .. });
        assert!(is_being_made && began.elapsed() < PATIENCE, "ask for the state: {error:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn until_ready(reader: &OpenSearchReader, rows: usize, within: Duration) -> Duration {
    let began = Instant::now();
    loop {
        let state = reader.state().await.expect("ask for the state");
        if state == (IndexState::Ready { rows, rebuilding: false }) {
            return began.elapsed();
        }
        assert!(began.elapsed() < within, "not within {within:?}; last seen: {state:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_thousand_rows_are_found_soon_and_a_rebuild_hides_none() {
    const ROWS: usize = 40_000;
    let place = Place::new("load").await;
    let topics = Memory::new();
    topics.ensure(&TOPIC).await.unwrap();
    for chunk in 0..ROWS / 5_000 {
        let records = (chunk * 5_000..(chunk + 1) * 5_000).map(record).collect();
        topics.append("recalls", records).await.unwrap();
    }
    let index = Index { name: "recalls", ..RECALLS };
    let target = || OpenSearchTarget::new(place.open(), &index, None);
    let reader = OpenSearchReader::new(place.open(), &index);
    let working = start(&topics, target().keep_replaced_for(Duration::from_secs(2)));
    until_answered(&reader).await;
    let took = until_ready(&reader, ROWS, PATIENCE).await;
    // Of that the server takes six or seven seconds on two processors of its own once it is warm; the rest is
    // unoptimised code, and what else is at work. That is why no time is asserted but the deadline.
    let code = if cfg!(debug_assertions) { "unoptimised" } else { "optimised" };
    println!("{ROWS} rows were found after {took:?} by {code} code");
    deep_pages_fit(&reader, ROWS).await;

    // Nothing more comes: the worker has no commit by which it would notice.
    let before = builds(&place).await;
    let asked = Instant::now();
    target().rebuild().unwrap();
    let mut searches = 0;
    loop {
        let found = reader.search(&Query { text: "pump".to_owned(), ..Query::default() }).await;
        assert_eq!(found.expect("it is searched all the time").total, ROWS);
        searches += 1;
        let now = builds(&place).await;
        if now.len() == 1 && now != before {
            break;
        }
        assert!(asked.elapsed() < PATIENCE, "not rebuilt: {now:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("rebuilt after {:?}, while {searches} searches were answered", asked.elapsed());
    working.stop.cancel();
    working.task.await.unwrap();
    let seen = rows_by_curl(stack::opensearch().await, &format!("{}recalls", place.prefix)).await;
    assert_eq!(seen.len(), 10_000, "a page of curl's");
    assert!(seen.values().all(|row| row["class"] == "Class II"));
}

/// The server is told to find nothing new by itself: what a build holds is to be found when it takes another one's place.
#[tokio::test(flavor = "multi_thread")]
async fn a_build_is_served_once_all_that_is_in_it_is_found() {
    let place = Place::new("found").await;
    let index = Index { name: "recalls", ..RECALLS };
    let target = OpenSearchTarget::new(place.open(), &index, None);
    let mut sink = target.connect(PIPELINE, &rows::schema()).await.unwrap();
    let row = || vec![rows::rows(&[["Z-1", "Acme", "", "", "", ""]], 1)];
    rows::put(&mut sink, 0, row(), vec![]).await;
    sink.reaches(&rows::assignment(0).at.topic, &[1]).await.unwrap();
    target.rebuild().unwrap();
    rows::opened(&mut sink, 0).await;
    let next = format!("{}recalls-2", place.prefix);
    let settings = r#"{"index": {"refresh_interval": -1}}"#;
    let server = stack::opensearch().await;
    let set = curl(server, "PUT", &format!("{next}/_settings"), settings).await;
    assert_eq!(set["acknowledged"], true, "{set}");
    rows::put(&mut sink, 0, row(), vec![]).await;
    assert_eq!(served(&place).await, [next]);
    let reader = OpenSearchReader::new(place.open(), &index);
    assert_eq!(reader.search(&Query::default()).await.unwrap().total, 1);
    assert_eq!(reader.state().await.unwrap(), IndexState::Ready { rows: 1, rebuilding: false });
}

async fn builds(place: &Place) -> Vec<String> {
    let path = format!("{}recalls-*?filter_path=*.settings.index.uuid", place.prefix);
    let found = curl(stack::opensearch().await, "GET", &path, "").await;
    found.as_object().map(|found| found.keys().cloned().collect()).unwrap_or_default()
}

/// All of it in pages, as an export reads it, and the last page by itself.
async fn deep_pages_fit(reader: &OpenSearchReader, rows: usize) {
    const PAGE: usize = 4_000;
    let sort = millstream_sinks::search::Sort::Az("number".to_owned());
    let mut query = Query { sort, limit: PAGE, ..Query::default() };
    let mut last = String::new();
    let mut read = 0;
    while read < rows {
        let found = reader.search(&Query { offset: read, ..query.clone() }).await.unwrap();
        for hit in &found.hits {
            assert!(hit.key > last, "{} after {last}", hit.key);
            last.clone_from(&hit.key);
        }
        assert_eq!((found.total, found.hits.len()), (rows, PAGE.min(rows - read)));
        query.within = found.snapshot;
        read += found.hits.len();
    }
    let alone = Query { offset: rows - 3, limit: 10, text: "sterile".to_owned(), ..query };
    let found = reader.search(&alone).await.unwrap();
    let keys: Vec<_> = found.hits.iter().map(|hit| hit.key.as_str()).collect();
    assert_eq!(keys, ["Z-39997", "Z-39998", "Z-39999"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_workers_that_share_an_index_build_it_anew_together() {
    let place = Place::new("three").await;
    let topics = Memory::new();
    topics.ensure(&TOPIC).await.unwrap();
    topics.append("recalls", (0..300).map(record).collect()).await.unwrap();
    let index = Index { name: "recalls", ..RECALLS };
    let target = || OpenSearchTarget::new(place.open(), &index, None);
    let workers: Vec<_> = (0..3).map(|_| start(&topics, target())).collect();
    let reader = OpenSearchReader::new(place.open(), &index);
    until_answered(&reader).await;
    until_ready(&reader, 300, PATIENCE).await;
    let before = served(&place).await;
    target().rebuild().unwrap();
    let began = Instant::now();
    while served(&place).await == before {
        assert!(began.elapsed() < PATIENCE, "the new build isn't served");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("three workers made the switch after {:?}", began.elapsed());
    until_ready(&reader, 300, PATIENCE).await;
    for working in workers {
        working.stop.cancel();
        working.task.await.unwrap();
    }
}

async fn served(place: &Place) -> Vec<String> {
    let path = format!("_alias/{}recalls", place.prefix);
    let found = curl(stack::opensearch().await, "GET", &path, "").await;
    found.as_object().map(|found| found.keys().cloned().collect()).unwrap_or_default()
}
