use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use millstream_app::{Produce, ProduceOptions, Sent};
use millstream_topic::Outgoing;
use millstream_topic::dead_letter::DeadLetter;
use recalls::refresh::Options;
use recalls::round::Ended;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::server::{Reply, Server, feed, json_of, recall, recalls, zipped};
use crate::world::{World, sent};

#[tokio::test]
async fn exactly_what_changed_is_sent_and_table_index_and_charts_agree() {
    let server = Server::start(Reply::Bytes(feed(&recalls(0..200)))).await;
    let world = World::at(&server.url, &[]);
    assert_eq!(world.refresh().await.unwrap(), sent(200, 0, 0));
    assert_eq!(world.table().await.len(), 200);

    assert_eq!(world.refresh().await.unwrap(), sent(0, 0, 0), "unchanged, though without an ETag");
    assert_eq!(world.records("devices").await.len(), 200);

    let mut next = recalls(2..203);
    for (n, changed) in (22..).zip(&mut next[20..30]) {
        *changed = recall(n, "Terminated");
    }
    // Another order and other spacing are no changes.
    next.reverse();
    server.says(Reply::Bytes(feed(&next)));
    assert_eq!(world.refresh().await.unwrap(), sent(3, 10, 2));
    let after = world.records("devices").await;
    assert_eq!(after.len(), 215);
    let tombstones = after.iter().filter(|record| record.value.is_none());
    assert_eq!(tombstones.count(), 2);

    let expected = next.iter().map(|recall| {
        let text = |name: &str| recall[name].as_str().unwrap().to_owned();
        (text("recall_number"), text("status"))
    });
    let expected: BTreeMap<_, _> = expected.collect();
    assert_eq!(world.table().await, expected);
    let (site, _stops) = world.serve().await;
    assert_eq!(found(&site).await, expected);
    let (mut charted, until) = (chart(&site).await, Instant::now() + Duration::from_secs(20));
    while charted != counted(&expected) && Instant::now() < until {
        // The charts' view is still reading the topic.
        tokio::time::sleep(Duration::from_millis(50)).await;
        charted = chart(&site).await;
    }
    assert_eq!(charted, counted(&expected));
    let state = world.state().await;
    assert_eq!((state.new, state.changed, state.gone, state.total), (3, 10, 2, 201));
    assert_eq!(state.last_updated.as_deref(), Some("2026-04-01"));
    assert!(!state.is_busy() && !state.made_up && state.trouble.is_none(), "{state:?}");
    assert!(state.refreshed_at.is_some() && !state.source.contains("s3cret"), "{state:?}");
}

/// What the site finds: numbers with their states.
async fn found(site: &str) -> BTreeMap<String, String> {
    let found: Value =
        reqwest::get(format!("{site}/search.json")).await.unwrap().json().await.unwrap();
    let text = |recall: &Value, name: &str| recall[name].as_str().unwrap().to_owned();
    let pair = |recall: &Value| (text(recall, "recall_number"), text(recall, "status"));
    found["results"].as_array().unwrap().iter().map(pair).collect()
}

/// What the site's chart shows: states with their numbers of recalls.
async fn chart(site: &str) -> BTreeMap<String, usize> {
    let url = format!("{site}/analytics/charts/status.csv");
    let csv = reqwest::get(url).await.unwrap().text().await.unwrap();
    let lines = csv.lines().skip(1).map(|line| line.rsplit_once(',').unwrap());
    lines.map(|(state, recalls)| (state.to_owned(), recalls.parse().unwrap())).collect()
}

fn counted(recalls: &BTreeMap<String, String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for state in recalls.values() {
        *counts.entry(state.clone()).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn a_feed_that_is_not_modified_is_neither_downloaded_nor_compared() {
    let server = Server::start(Reply::Tagged("\"v1\"", feed(&recalls(0..20)))).await;
    let mut world = World::at(&server.url, &[]);
    assert_eq!(world.refresh().await.unwrap(), sent(20, 0, 0));
    let before = world.state().await;
    assert_eq!(world.refresh().await.unwrap(), Ended::Unchanged);
    let state = world.state().await;
    assert!(state.refreshed_at > before.refreshed_at && state.total == 20, "{state:?}");
    assert_eq!(world.snapshots().len(), 1);

    // Another topic needs everything again, whatever the server has seen.
    world.delete_devices(&server.url);
    assert_eq!(world.refresh().await.unwrap(), sent(20, 0, 0));
}

/// Not the whole feed, until somebody else's record is cleared away.
#[tokio::test]
async fn a_topic_that_drifted_is_compared_again_though_the_feed_is_not_modified() {
    let server = Server::start(Reply::Tagged("\"v1\"", feed(&recalls(0..20)))).await;
    let world = World::at(&server.url, &[]);
    assert_eq!(world.refresh().await.unwrap(), sent(20, 0, 0));
    assert_eq!(world.refresh().await.unwrap(), Ended::Unchanged);
    let broken = vec![Outgoing::keyed("Z-0003-2026", "broken")];
    world.setup.topics.append("devices", broken).await.unwrap();
    assert_eq!(world.refresh().await.unwrap(), sent(0, 1, 0));
    assert_eq!(world.refresh().await.unwrap(), Ended::Unchanged);
    let other = vec![Outgoing::keyed("somebody's", "else")];
    world.setup.topics.append("devices", other).await.unwrap();
    assert_eq!(world.refresh().await.unwrap(), sent(0, 0, 1));
    assert_eq!(world.refresh().await.unwrap(), Ended::Unchanged);
}

#[tokio::test]
async fn a_number_that_comes_again_counts_once_and_the_last_one_wins() {
    let mut records = recalls(0..10);
    records.push(recall(3, "Terminated"));
    records.push(recall(4, "Ongoing"));
    let server = Server::start(Reply::Bytes(feed(&records))).await;
    let world = World::at(&server.url, &[]);
    assert_eq!(world.refresh().await.unwrap(), sent(10, 0, 0));
    let table = world.table().await;
    assert_eq!((table.len(), table["Z-0003-2026"].as_str()), (10, "Terminated"));
    let state = world.state().await;
    assert_eq!((state.passed_over, state.total), (2, 10));
    let names = world.snapshots();
    let text = std::fs::read_to_string(
        world.directory.path().join("lake/recalls/snapshots").join(&names[0]),
    );
    let mut rows = csv::Reader::from_reader(text.as_ref().unwrap().as_bytes());
    assert_eq!(rows.headers().unwrap().iter().next(), Some("recall_number"));
    let rows: Vec<_> = rows.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 10, "each once");
    assert_eq!(&rows[0][4], "Firm \"A\"\r\nof B");
    assert_eq!(world.refresh().await.unwrap(), sent(0, 0, 0));
}

#[tokio::test]
async fn what_is_no_recall_is_a_dead_letter_and_the_rest_goes_on() {
    let mut records = recalls(0..5);
    records.insert(2, json!({"event_id": "7", "city": "São Paulo"}));
    records.push(json!("text"));
    let server = Server::start(Reply::Bytes(feed(&records))).await;
    let world = World::at(&server.url, &[]);
    assert_eq!(world.refresh().await.unwrap(), sent(5, 0, 0));
    assert_eq!(world.state().await.passed_over, 2);
    let letters = world.records("devices.dead-letters").await;
    let letters: Vec<_> =
        letters.iter().map(|letter| DeadLetter::from_record(letter).unwrap()).collect();
    assert_eq!(letters.len(), 2);
    assert!(
        letters[0].reason.contains("record 2") && letters[0].reason.contains("no recall_number")
    );
    let bytes: Value = serde_json::from_slice(letters[0].value.as_ref().unwrap()).unwrap();
    assert_eq!(bytes, records[2]);
    assert!(letters[1].reason.contains("no JSON object"));
    assert_eq!(world.table().await.len(), 5);

    // Read again, the same ones are no new letters.
    records.push(json!({"recall_number": ""}));
    server.says(Reply::Bytes(feed(&records)));
    for _ in 0..2 {
        assert_eq!(world.refresh().await.unwrap(), sent(0, 0, 0));
        assert_eq!(world.state().await.passed_over, 3);
        assert_eq!(world.records("devices.dead-letters").await.len(), 3);
    }
}

#[tokio::test]
async fn a_file_is_read_as_zip_or_json() {
    let world = World::new(&[]);
    let file = world.directory.path().join("feed");
    for (bytes, expected) in
        [(json_of(&recalls(0..4), 4), sent(4, 0, 0)), (feed(&recalls(0..4)), sent(0, 0, 0))]
    {
        std::fs::write(&file, bytes).unwrap();
        let options = Options { file: Some(file.clone()), ..Options::default() };
        let ended = world.refresher(options).once(&CancellationToken::new()).await;
        assert_eq!(ended.unwrap(), expected);
    }
}

#[tokio::test]
async fn only_the_newest_snapshots_stay() {
    let server = Server::start(Reply::Bytes(Vec::new())).await;
    let world = World::at(&server.url, &[("feed.keep_snapshots", 2.into())]);
    for recalls_in_feed in 1..6 {
        server.says(Reply::Bytes(feed(&recalls(0..recalls_in_feed))));
        world.refresh().await.unwrap();
    }
    let names = world.snapshots();
    assert_eq!(names.len(), 2, "{names:?}");
    let directory = world.directory.path().join("lake/recalls/snapshots");
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 4, "with their marks");

    // Those of a clock that was ahead are not the newest, and go.
    for name in ["29990101T000000.000Z.csv", "29990102T000000.000Z.csv"] {
        std::fs::copy(directory.join(&names[1]), directory.join(name)).unwrap();
        let mark = |name: &str| directory.join(format!("{name}.sent"));
        std::fs::copy(mark(&names[1]), mark(name)).unwrap();
    }
    server.says(Reply::Bytes(feed(&recalls(0..6))));
    world.refresh().await.unwrap();
    let left = world.snapshots();
    assert_eq!((left.len(), &left[0]), (2, &names[1]), "{left:?}");
    assert!(left[1].as_str() < "2999", "the one just written stays: {left:?}");
}

/// As the command line does it.
#[tokio::test]
async fn produce_counts_what_it_sends_and_its_limit_holds() {
    let server = Server::start(Reply::Bytes(feed(&recalls(0..50)))).await;
    let world = World::new(&[]);
    for (limit, expected) in [(Some(20), 20), (None, 30)] {
        let options = ProduceOptions {
            once: true,
            url: Some(server.url.clone()),
            limit,
            ..ProduceOptions::default()
        };
        let sent = Sent::default();
        let task = Produce {
            settings: world.setup.settings.clone(),
            topics: world.setup.topics.clone(),
            stores: world.setup.stores.clone(),
            options,
            stop: CancellationToken::new(),
            sent: sent.clone(),
            notice: |_| {},
        };
        recalls::produce::produce(task).await.unwrap();
        assert_eq!(sent.get(), expected);
        assert_eq!(
            world.state().await.refreshed_at.is_some(),
            limit.is_none(),
            "only when all is there"
        );
    }
    assert_eq!(world.table().await.len(), 50);
    assert_eq!(server.calls.load(Ordering::SeqCst), 2);
    let cut = zipped(&json_of(&recalls(0..50), 50));
    assert_eq!(cut, feed(&recalls(0..50)));
}
