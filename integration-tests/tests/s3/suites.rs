//! The suites that directories pass, passed by a bucket.

use std::sync::Arc;

use millstream_engine::conformance::{self, Fixture, PARTITION_BY};
use millstream_sinks::lake::{Format, Lake, Store, store_conformance};

use crate::place::Place;

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_passes_the_suite_of_stores() {
    let place = Place::new("suite").await;
    store_conformance::store(place.store()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_passes_it_and_keeps_to_itself() {
    let place = Place::new("prefix").await;
    for (prefix, options) in [("a", "create=on&uploads=2"), ("a/b.c", "create=on&checksum=off")] {
        let store: Arc<dyn Store> = Arc::new(place.open(&place.server, prefix, options));
        assert_eq!(store.place(), format!("s3://{}/{prefix}", place.bucket));
        store_conformance::store(store).await;
    }
    let whole = place.open(&place.server, "", "");
    assert_eq!(whole.get("a/t/new").await.unwrap(), Some("4".into()));
    assert_eq!(whole.get("a/b.c/t/new").await.unwrap(), Some("4".into()));
    assert_eq!(whole.get("t/new").await.unwrap(), None);
}

async fn passes(format: Format) {
    let place = Place::new("sinks").await;
    let make = |case: &str| {
        let store = place.open(&place.server, case, "create=on");
        Fixture::new(Lake::new(Arc::new(store), case, format, PARTITION_BY).checkpoint_every(3))
    };
    conformance::sink(&make).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_in_a_bucket_passes_the_suite_of_sinks_in_parquet() {
    passes(Format::Parquet).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_in_a_bucket_passes_the_suite_of_sinks_in_csv() {
    passes(Format::Csv).await;
}
