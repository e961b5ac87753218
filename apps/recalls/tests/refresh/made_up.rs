//! Without network: recalls are made up, say so, and never take a real one's place.

use std::sync::Mutex;

use millstream_config::Value;
use recalls::refresh::Options;
use recalls::round::Ended;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::server::{Reply, Server, feed, recalls};
use crate::world::{World, sent};

static NOTICES: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn generating() -> [(&'static str, Value); 1] {
    [("feed.when_unreachable", "generate".into())]
}

/// A URL where nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}/feed.zip", listener.local_addr().unwrap())
}

#[tokio::test]
async fn they_say_so_and_give_way_to_real_ones() {
    let mut world = World::at(&nobody().await, &generating());
    let refresher = world.refresher(Options {
        notice: |line| NOTICES.lock().unwrap().push(line.to_owned()),
        ..Options::default()
    });
    assert_eq!(refresher.once(&CancellationToken::new()).await.unwrap(), sent(60, 0, 0));
    assert!(NOTICES.lock().unwrap().iter().any(|line| line.contains("MADE UP")));
    let state = world.state().await;
    assert!(
        state.made_up && state.source.contains("made up") && state.trouble.is_none(),
        "{state:?}"
    );
    assert!(state.etag.is_some(), "they came as real ones do");
    assert_eq!(world.table().await.len(), 60);
    assert_eq!(world.refresh().await.unwrap(), Ended::Unchanged);

    let server = Server::start(Reply::Bytes(feed(&recalls(9_000..9_005)))).await;
    world.setup.settings.set("feed.url", server.url.as_str()).unwrap();
    assert_eq!(
        world.refresh().await.unwrap(),
        sent(5, 0, 60),
        "all of them go, whatever the limit"
    );
    let state = world.state().await;
    assert!(!state.made_up && !state.source.contains("made up"), "{state:?}");
    assert_eq!(world.table().await.len(), 5);
}

#[tokio::test]
async fn they_never_take_the_place_of_real_ones() {
    let server = Server::start(Reply::Bytes(feed(&recalls(0..5)))).await;
    let mut world = World::at(&server.url, &generating());
    assert_eq!(world.refresh().await.unwrap(), sent(5, 0, 0));
    world.setup.settings.set("feed.url", nobody().await.as_str()).unwrap();
    let error = format!("{:#}", world.refresh().await.unwrap_err());
    assert!(error.contains("not replaced by made-up ones"), "{error}");
    let state = world.state().await;
    assert!(!state.made_up && state.total == 5, "{state:?}");
    assert!(state.trouble.unwrap().what.contains("not replaced"), "told on the page");
    assert_eq!(world.table().await.len(), 5);

    // Not even where the state was lost.
    let log = world.directory.path().join("log");
    for file in std::fs::read_dir(log).unwrap().map(|file| file.unwrap().path()) {
        if file.file_name().unwrap().to_str().unwrap().starts_with("recalls.feed.db") {
            std::fs::remove_file(file).unwrap();
        }
    }
    let set = [("feed.url", Value::from(nobody().await)), generating()[0].clone()];
    let setup = crate::world::open(world.directory.path(), &set);
    let world = World { setup, directory: world.directory };
    assert_eq!(world.state().await.refreshed_at, None);
    assert!(world.refresh().await.is_err());
    assert_eq!(world.table().await.len(), 5);
}

#[tokio::test]
async fn who_answers_badly_is_no_reason_to_make_them_up() {
    let server = Server::start(Reply::Status(500)).await;
    let world = World::at(&server.url, &generating());
    assert!(world.refresh().await.is_err());
    assert!(!world.state().await.made_up);
    assert!(world.records("devices").await.is_empty());
}

#[tokio::test]
async fn neither_is_a_feed_that_was_named_or_a_setting_that_says_fail() {
    let url = nobody().await;
    let world = World::at(&url, &generating());
    let options = Options { url: Some(url.clone()), ..Options::default() };
    assert!(world.refresher(options).once(&CancellationToken::new()).await.is_err());
    let failing = World::at(&url, &[]);
    assert!(failing.refresh().await.is_err());
    for world in [world, failing] {
        assert!(world.records("devices").await.is_empty());
        assert!(world.state().await.trouble.is_some());
    }
}

#[tokio::test]
async fn a_strangers_record_neither_stops_them_nor_stays() {
    let world = World::at(&nobody().await, &generating());
    assert_eq!(world.refresh().await.unwrap(), sent(60, 0, 0));
    let broken = millstream_topic::Outgoing::keyed("this is no recall", "broken on purpose");
    world.setup.topics.append("devices", vec![broken]).await.unwrap();
    world
        .setup
        .topics
        .append("recalls.feed", vec![millstream_topic::Outgoing::keyed("feed", "{}")])
        .await
        .unwrap();
    assert_eq!(world.refresh().await.unwrap(), sent(0, 0, 1), "it is cleared away");
}
