//! One refresh at a time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use millstream_topic::{
    Backend, Consumer, Outgoing, Placed, Slice, Subscriptions, Topic, TopicError, TopicInfo,
    TopicPartition, Topics,
};
use recalls::feed_state;
use recalls::refresh::Options;
use recalls::round::Ended;
use tokio_util::sync::CancellationToken;

use crate::server::{Reply, Server, feed, recalls};
use crate::world::{World, open, sent};

const LATE: Duration = Duration::from_millis(300);

#[tokio::test]
async fn two_at_once_never_overlap() {
    let server = Server::start(Reply::Late(LATE, feed(&recalls(0..30)))).await;
    let world = World::at(&server.url, &[]);
    // As another process would have it: the same directory, opened anew.
    let other = World {
        setup: open(world.directory.path(), &[("feed.url", server.url.as_str().into())]),
        directory: tempfile::tempdir().unwrap(),
    };
    // Named otherwise, so that each is bound to look for itself.
    let with = |world: &World, at: &str| {
        let url = server.url.replace("/feed", &format!("/{at}"));
        world.refresher(Options { url: Some(url), ..Options::default() })
    };
    let stop = CancellationToken::new();
    let (a, b, c) = (with(&world, "a"), with(&world, "b"), with(&other, "c"));
    let ends = tokio::join!(a.once(&stop), b.once(&stop), c.once(&stop), a.once(&stop));
    let ends = [ends.0, ends.1, ends.2, ends.3].map(Result::unwrap);
    let new = ends.iter().filter(|end| **end == sent(30, 0, 0)).count();
    assert_eq!(new, 1, "{ends:?}");
    assert_eq!(server.most.load(Ordering::SeqCst), 1, "one was at it at a time");
    assert_eq!(world.records("devices").await.len(), 30);
}

#[tokio::test]
async fn who_waited_for_the_same_refresh_does_not_repeat_it() {
    let server = Server::start(Reply::Late(LATE, feed(&recalls(0..30)))).await;
    let world = World::at(&server.url, &[]);
    let stop = CancellationToken::new();
    let (a, b) = (world.refresher(Options::default()), world.refresher(Options::default()));
    let (a, b) = tokio::join!(a.once(&stop), b.once(&stop));
    let mut ends = [a.unwrap(), b.unwrap()];
    ends.sort_by_key(|end| *end == Ended::SomebodyElse);
    assert_eq!(ends, [sent(30, 0, 0), Ended::SomebodyElse]);
    assert_eq!(server.calls.load(Ordering::SeqCst), 1);
}

/// Takes its time to take what is told of the feed.
#[derive(Debug)]
struct SlowToTell(Arc<dyn Backend>);

#[async_trait]
impl Topics for SlowToTell {
    async fn ensure(&self, topic: &Topic) -> Result<TopicInfo, TopicError> {
        self.0.ensure(topic).await
    }
    async fn info(&self, name: &str) -> Result<Option<TopicInfo>, TopicError> {
        self.0.info(name).await
    }
    async fn append(&self, topic: &str, records: Vec<Outgoing>) -> Result<Vec<Placed>, TopicError> {
        if topic == "recalls.feed" {
            tokio::time::sleep(Duration::from_millis(1_500)).await;
        }
        self.0.append(topic, records).await
    }
}

#[async_trait]
impl Subscriptions for SlowToTell {
    async fn join(&self, group: &str, topics: &[String]) -> Result<Box<dyn Consumer>, TopicError> {
        self.0.join(group, topics).await
    }
    async fn read(&self, at: &TopicPartition, from: i64, max: usize) -> Result<Slice, TopicError> {
        self.0.read(at, from, max).await
    }
}

#[tokio::test]
async fn the_turn_is_passed_on_when_the_end_is_told() {
    let server = Server::start(Reply::Late(LATE, feed(&recalls(0..30)))).await;
    let mut world = World::at(&server.url, &[]);
    world.setup.topics = Arc::new(SlowToTell(world.setup.topics.clone()));
    let stop = CancellationToken::new();
    let (a, b) = (world.refresher(Options::default()), world.refresher(Options::default()));
    let (a, b) = tokio::join!(a.once(&stop), b.once(&stop));
    let mut ends = [a.unwrap(), b.unwrap()];
    ends.sort_by_key(|end| *end == Ended::SomebodyElse);
    assert_eq!(ends, [sent(30, 0, 0), Ended::SomebodyElse]);
    assert_eq!(server.calls.load(Ordering::SeqCst), 1, "who waited saw the end");
    assert!(!world.state().await.is_busy());
}

#[tokio::test]
async fn it_refreshes_when_due_and_when_asked_and_tells_of_it() {
    let server = Server::start(Reply::Bytes(feed(&recalls(0..30)))).await;
    let world = World::at(&server.url, &[]);
    let stop = CancellationToken::new();
    let mut states = feed_state::watch(world.setup.topics.clone(), stop.clone()).await;
    let refresher = world.refresher(Options::default());
    let running = tokio::spawn(refresher.clone().run(stop.clone()));
    let mut refreshed = async |records: u64| {
        let told = states.wait_for(|state| {
            state.as_ref().is_some_and(|state| state.total == records && !state.is_busy())
        });
        let told = tokio::time::timeout(Duration::from_secs(20), told).await;
        assert!(told.expect("in time").is_ok());
    };
    refreshed(30).await;
    server.says(Reply::Bytes(feed(&recalls(0..31))));
    refresher.request();
    refreshed(31).await;
    assert_eq!(server.calls.load(Ordering::SeqCst), 2, "the next one is due in an hour");
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), running).await.expect("in time").unwrap().unwrap();

    // Started again, it knows that nothing is due.
    let again = CancellationToken::new();
    let running = tokio::spawn(world.refresher(Options::default()).run(again.clone()));
    tokio::time::sleep(Duration::from_millis(500)).await;
    again.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(server.calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_stop_ends_it_and_is_no_trouble() {
    let server = Server::start(Reply::Drip).await;
    let world =
        World::at(&server.url, &[("feed.idle_s", 60.0.into()), ("feed.download_s", 60.0.into())]);
    let stop = CancellationToken::new();
    let refresher = world.refresher(Options::default());
    let started = Instant::now();
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(refresher.once(&stop), stopping);
    assert_eq!(ended.unwrap(), Ended::Stopped);
    assert!(started.elapsed() < Duration::from_secs(5));
    let state = world.state().await;
    assert!(state.trouble.is_none() && !state.is_busy(), "{state:?}");
}
