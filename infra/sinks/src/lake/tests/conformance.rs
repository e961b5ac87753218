//! The suite that every sink passes.

use std::sync::Arc;

use millstream_engine::conformance::{self, Fixture, PARTITION_BY};

use crate::lake::{DirStore, Format, Lake, MemoryStore};

fn in_memory(format: Format, case: &str) -> Fixture {
    Fixture::new(Lake::new(Arc::new(MemoryStore::new()), case, format, PARTITION_BY))
}

fn in_directory(format: Format, case: &str) -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(DirStore::new(directory.path().to_owned()));
    let lake = Lake::new(store, case, format, PARTITION_BY).checkpoint_every(3);
    Fixture::new(lake).holding(directory)
}

#[tokio::test]
async fn parquet_in_memory() {
    conformance::sink(&|case| in_memory(Format::Parquet, case)).await;
}

#[tokio::test]
async fn csv_in_memory() {
    conformance::sink(&|case| in_memory(Format::Csv, case)).await;
}

#[tokio::test]
async fn parquet_in_a_directory() {
    conformance::sink(&|case| in_directory(Format::Parquet, case)).await;
}

#[tokio::test]
async fn csv_in_a_directory() {
    conformance::sink(&|case| in_directory(Format::Csv, case)).await;
}

#[tokio::test]
async fn without_partitions_and_sorted() {
    let make = |case: &str| {
        let store = Arc::new(MemoryStore::new());
        Fixture::new(Lake::new(store, case, Format::Parquet, &[]).sorted_by(&["name", "id"]))
    };
    conformance::sink(&make).await;
}
