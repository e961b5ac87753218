//! Feed trouble: each is told clearly, and the last good data stays.

use millstream_config::Value;

use crate::server::{Reply, Server, feed, json_of, recalls, zipped};
use crate::world::{World, sent};

/// Good data, then `reply`: the words must be told.
async fn told(set: &[(&str, Value)], reply: Reply, words: &[&str]) {
    let server = Server::start(Reply::Bytes(feed(&recalls(0..40)))).await;
    let world = World::at(&server.url, set);
    assert_eq!(world.refresh().await.unwrap(), sent(40, 0, 0));
    let good = world.state().await;

    server.says(reply);
    let error = format!("{:#}", world.refresh().await.unwrap_err());
    let state = world.state().await;
    let trouble = state.trouble.clone().expect("trouble is told");
    for word in words {
        assert!(trouble.what.contains(word), "{}\nlacks {word}", trouble.what);
        assert!(error.contains(word), "{error}\nlacks {word}");
    }
    assert!(!trouble.what.contains("s3cret"), "{}", trouble.what);
    assert_eq!(trouble.tries, 1);
    assert!(!state.is_busy() && state.checked_at > good.checked_at, "{state:?}");
    assert_eq!((state.refreshed_at, state.total), (good.refreshed_at, 40));
    assert_eq!(world.records("devices").await.len(), 40, "nothing was sent");

    assert!(world.refresh().await.is_err());
    assert_eq!(world.state().await.trouble.expect("still").tries, 2);

    server.says(Reply::Bytes(feed(&recalls(0..41))));
    assert_eq!(world.refresh().await.unwrap(), sent(1, 0, 0), "the next good feed is taken");
    assert_eq!(world.state().await.trouble, None);
    assert_eq!(world.table().await.len(), 41);
}

#[tokio::test]
async fn a_truncated_zip() {
    let mut zip = feed(&recalls(0..500));
    zip.truncate(zip.len() / 2);
    told(&[], Reply::Bytes(zip), &["the zip is broken or cut short", "stays in use"]).await;
}

#[tokio::test]
async fn wrong_json() {
    let zip = zipped(b"{\"meta\": {}, \"results\": [{\"recall_number\": \"Z-1\"}, oops]}");
    told(&[], Reply::Bytes(zip), &["it is not JSON"]).await;
}

#[tokio::test]
async fn another_json() {
    let error = Reply::Bytes(b"{\"error\": {\"code\": \"NOT_FOUND\"}}".to_vec());
    told(&[], error, &["it has no `results`"]).await;
}

#[tokio::test]
async fn http_500() {
    told(&[], Reply::Status(500), &["GET http://127.0.0.1", "answered 500"]).await;
}

#[tokio::test]
async fn http_404() {
    told(&[], Reply::Status(404), &["answered 404", "check the feed's URL"]).await;
}

#[tokio::test]
async fn a_slow_drip() {
    let quick = [("feed.download_s", 0.8.into())];
    told(&quick, Reply::Drip, &["too slow: it took more than 800ms"]).await;
}

#[tokio::test]
async fn another_total_than_there_are() {
    let zip = zipped(&json_of(&recalls(0..39), 40));
    told(&[], Reply::Bytes(zip), &["it says it has 40 records, and has 39"]).await;
}

#[tokio::test]
async fn most_are_gone() {
    let words = ["it lacks 21 of 40 recalls, more than 50 %", "max_gone_percent"];
    told(&[], Reply::Bytes(feed(&recalls(0..19))), &words).await;
    told(&[], Reply::Bytes(feed(&[])), &["it lacks 40 of 40"]).await;
}

/// Of a feed that isn't accepted, nothing becomes a dead letter.
#[tokio::test]
async fn a_renamed_column() {
    let mut renamed = recalls(0..40);
    for record in &mut renamed {
        let number = record["recall_number"].take();
        record["number"] = number;
    }
    let server = Server::start(Reply::Bytes(feed(&recalls(0..40)))).await;
    let world = World::at(&server.url, &[]);
    world.refresh().await.unwrap();
    server.says(Reply::Bytes(feed(&renamed)));
    for _ in 0..2 {
        let error = format!("{:#}", world.refresh().await.unwrap_err());
        assert!(error.contains("it lacks 40 of 40 recalls"), "{error}");
    }
    assert_eq!(world.records("devices.dead-letters").await.len(), 0);
}

#[tokio::test]
async fn so_many_gone_as_are_allowed() {
    let server = Server::start(Reply::Bytes(feed(&recalls(0..40)))).await;
    let world = World::at(&server.url, &[]);
    world.refresh().await.unwrap();
    server.says(Reply::Bytes(feed(&recalls(0..20))));
    assert_eq!(world.refresh().await.unwrap(), sent(0, 0, 20));
}

#[tokio::test]
async fn a_zip_bomb() {
    let mut records = recalls(0..2);
    records[1]["code_info"] = "a".repeat(900_000).into();
    let records: Vec<_> = std::iter::repeat_n(records[1].clone(), 20).collect();
    told(&[], Reply::Bytes(feed(&records)), &["zip bomb"]).await;
    let small = [("feed.max_json_mb", 1.into())];
    told(&small, Reply::Bytes(feed(&records)), &["more than 1048576 bytes"]).await;
}

#[tokio::test]
async fn a_download_that_is_too_long() {
    let small = [("feed.max_download_mb", 1.into())];
    told(&small, Reply::Bytes(vec![b'P'; 1_100_000]), &["more than 1048576 bytes"]).await;
}

#[tokio::test]
async fn trouble_is_told_while_it_is_tried_again() {
    let server = Server::start(Reply::Status(503)).await;
    let world = World::at(&server.url, &[("feed.tries", 20.into())]);
    let (refreshed, told) = tokio::join!(world.refresh(), async {
        let told = async {
            loop {
                let state = world.state().await;
                if let Some(trouble) = state.trouble.clone().filter(|_| state.is_busy()) {
                    return trouble;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        let told = tokio::time::timeout(std::time::Duration::from_secs(60), told).await;
        server.says(Reply::Bytes(feed(&recalls(0..3))));
        told.expect("trouble is told in time")
    });
    assert!(told.what.contains("503") && told.what.contains("tried again"), "{told:?}");
    assert_eq!(refreshed.unwrap(), sent(3, 0, 0));
}
