//! What readers see, and what they are told when it is not what was committed.

use std::sync::Arc;

use millstream_engine::{SinkError, Target};

use super::world::{PIPELINE, TABLE, Worker, lake, stores};
use crate::lake::{Format, MemoryStore, Put, Store, committed_files, tables};

async fn scan(store: &Arc<dyn Store>) -> Result<usize, SinkError> {
    let mut rows = 0;
    let mut visit = |batch: arrow::array::RecordBatch| {
        rows += batch.num_rows();
        Ok(())
    };
    lake(store.clone(), Format::Parquet).scan(PIPELINE, &mut visit).await?;
    Ok(rows)
}

async fn filled(store: &Arc<dyn Store>) {
    let worker = Worker { format: Format::Parquet, ..Worker::new(store.clone(), "a", 3) };
    worker.work(6).await;
}

#[tokio::test]
async fn files_are_listed_with_what_a_query_engine_wants() {
    for (store, _held) in stores() {
        assert!(committed_files(&*store, TABLE).await.unwrap().is_empty());
        filled(&store).await;
        let files = committed_files(&*store, TABLE).await.unwrap();
        let rows: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.rows)).collect();
        let expected = [
            ("rows/day=a%3A0/numbers-0-0-2.1.0.parquet", 2),
            ("rows/day=a%3A1/numbers-0-0-2.1.0.parquet", 1),
            ("rows/day=a%3A0/numbers-0-3-5.2.0.parquet", 1),
            ("rows/day=a%3A1/numbers-0-3-5.2.0.parquet", 2),
        ];
        assert_eq!(rows, expected);
        assert_eq!(files[0].partition_values, [("day".to_owned(), "a:0".to_owned())]);
        assert_eq!(files[0].format, Format::Parquet);
        for file in &files {
            let listed = store.list(&file.path, None, 1).await.unwrap();
            assert_eq!(listed[0].size, file.bytes);
        }
        assert_eq!(tables(&*store).await.unwrap().len(), 1);
        // Somebody else's file in the table's directory is nobody's row.
        store.put("rows/day=a%3A0/stray.parquet", "x".into(), Put::IfAbsent).await.unwrap();
        assert_eq!(scan(&store).await.unwrap(), 6);
    }
}

#[tokio::test]
async fn missing_truncated_and_changed_files_are_named() {
    let objects = MemoryStore::new();
    let store: Arc<dyn Store> = Arc::new(objects.clone());
    filled(&store).await;
    let path = "rows/day=a%3A1/numbers-0-3-5.2.0.parquet";
    let whole = store.get(path).await.unwrap().unwrap();
    let mut changed = whole.to_vec();
    changed[10] ^= 1;
    for (bytes, word) in [(whole.slice(..20), "20 bytes"), (changed.into(), "checksum")] {
        store.put(path, bytes, Put::Overwrite).await.unwrap();
        let error = scan(&store).await.unwrap_err().to_string();
        assert!(error.contains(path) && error.contains(word), "{error}");
    }
    let copy: Arc<dyn Store> = Arc::new(MemoryStore::new());
    for (key, bytes) in objects.snapshot().into_iter().filter(|(key, _)| key != path) {
        copy.put(&key, bytes, Put::IfAbsent).await.unwrap();
    }
    let error = scan(&copy).await.unwrap_err().to_string();
    assert!(
        error.contains(path) && error.contains("missing") && error.contains("backup"),
        "{error}"
    );
}

#[tokio::test]
async fn a_damaged_ledger_is_named() {
    let objects = MemoryStore::new();
    let store: Arc<dyn Store> = Arc::new(objects);
    filled(&store).await;
    let key = "_millstream/app.rows/numbers/0/00000000000000000002.0.plan";
    store.put(key, "{}".into(), Put::Overwrite).await.unwrap();
    let sink = Worker { format: Format::Parquet, ..Worker::new(store.clone(), "a", 3) };
    let error = sink.connect().await.open(&super::world::assignment("a")).await.unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains(key), "{error}");
}
