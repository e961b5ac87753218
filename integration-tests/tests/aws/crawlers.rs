//! Crawls. How one fails is in the client's own tests: this API's crawlers never do.

use std::sync::Mutex;

use millstream_aws::glue::{Crawl, Ended};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::place::Place;

impl Place {
    pub async fn crawler(&self, name: &str) -> String {
        let name = format!("{}-{name}", self.name);
        let target = format!("s3://{}/lake/", self.bucket);
        let crawler = json!({ "Name": name, "DatabaseName": self.name, "Targets": { "S3Targets": [{ "Path": target }] },
            "Role": "arn:aws:iam::000000000000:role/crawler" });
        self.call("glue", "create_crawler", crawler).await;
        name
    }
}

/// Times to try what has to come in the middle of a crawl.
pub const TRIES: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_crawl_is_waited_for_with_progress_and_one_that_runs_is_joined() {
    let place = Place::new("crawled").await;
    let name = place.crawler("one").await;
    let glue = place.catalog("").glue();
    assert_eq!(glue.crawlers().await.unwrap(), std::slice::from_ref(&name));
    let (stop, seen) = (CancellationToken::new(), Mutex::new(Vec::new()));
    let told = |crawl: &Crawl| seen.lock().unwrap().push(crawl.state.clone());
    let (first, second) =
        tokio::join!(glue.crawl(&name, &stop, &told), glue.crawl(&name, &stop, &told));
    for crawled in [first.unwrap(), second.unwrap()] {
        assert_eq!(crawled.end, Ended::Succeeded, "{crawled:?}");
    }
    let seen = seen.into_inner().unwrap();
    assert!(seen.len() >= 2 && seen.iter().all(|state| state == "RUNNING"), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crawl_is_stopped_with_whoever_waits_for_it() {
    let place = Place::new("uncrawled").await;
    let name = place.crawler("one").await;
    let glue = place.catalog("").glue();
    let mut ends = Vec::new();
    while ends.last() != Some(&Ended::Cancelled) {
        // The local API crawls for 5 s: on a busy machine it is through before the stop comes.
        assert!(ends.len() < TRIES, "{ends:?}");
        let stop = CancellationToken::new();
        ends.push(glue.crawl(&name, &stop, &|_| stop.cancel()).await.unwrap().end);
    }
    let told = place.call("glue", "get_crawler", json!({ "Name": name })).await;
    assert_eq!(told["Crawler"]["State"], "READY", "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crawler_that_is_not_there_is_told_with_where_they_are() {
    let place = Place::new("nocrawler").await;
    let stop = CancellationToken::new();
    let error =
        place.catalog("").glue().crawl("missing", &stop, &|_| {}).await.unwrap_err().to_string();
    assert!(error.contains("crawler missing") && error.contains("crawl --list"), "{error}");
}
