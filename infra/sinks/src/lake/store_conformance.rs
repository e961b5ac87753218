//! What every [`Store`] must do, as a suite that each one runs in its own tests. A case panics with what it expected
//! and what it saw.
//!
//! ```text
//! store_conformance::store(Arc::new(MyStore::new())).await;
//! ```

use std::fs::File;
use std::io::{self, Seek, Write};
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::store::{Put, Store, Stored};

/// Writers of one object in [`of_many_writers_one_creates`].
const WRITERS: u8 = 16;
/// Objects that they all go for, one after the other.
const RACES: usize = 10;

/// Runs every case on a store that is empty.
pub async fn store(store: Arc<dyn Store>) {
    println!("conformance of store {}", store.place());
    puts_and_gets(&*store).await;
    ranges_are_cut_at_the_end(&*store).await;
    lists_in_byte_order(&*store).await;
    long_objects_go_through_files(&*store).await;
    removes(&*store).await;
    refuses_bad_paths(&*store).await;
    of_many_writers_one_creates(store).await;
}

fn text(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

async fn puts_and_gets(store: &dyn Store) {
    assert_eq!(get(store, "t/x").await, None);
    assert_eq!(store.list("t/", None, 9).await.expect("list nothing"), vec![]);
    assert_eq!(put(store, "t/x", "1", Put::IfAbsent).await, Stored::Created);
    assert_eq!(put(store, "t/x", "2", Put::IfAbsent).await, Stored::Exists);
    assert_eq!(get(store, "t/x").await, Some(text("1")), "the first one stays");
    assert_eq!(put(store, "t/x", "333", Put::Overwrite).await, Stored::Created);
    assert_eq!(get(store, "t/x").await, Some(text("333")), "overwritten");
    assert_eq!(put(store, "t/new", "4", Put::Overwrite).await, Stored::Created);
    assert_eq!(put(store, "t/empty", "", Put::IfAbsent).await, Stored::Created);
    assert_eq!(get(store, "t/empty").await, Some(Bytes::new()));
}

async fn ranges_are_cut_at_the_end(store: &dyn Store) {
    put(store, "ranges/x", "0123456789", Put::IfAbsent).await;
    for (range, expected) in [
        (0..4, "0123"),
        (3..5, "34"),
        (8..99, "89"),
        (0..10, "0123456789"),
        (4..4, ""),
        (10..12, ""),
    ] {
        let seen = store.get_range("ranges/x", range.clone()).await.expect("read a range");
        assert_eq!(seen, Some(text(expected)), "{range:?}");
    }
    assert_eq!(store.get_range("ranges/none", 0..4).await.expect("read a range of nothing"), None);
}

/// Hive partitions have such names.
async fn lists_in_byte_order(store: &dyn Store) {
    // '-' and '.' come before '/', '0' and letters after it.
    let sorted =
        ["l/a-b/1", "l/a.c/1", "l/a/1", "l/a/2/x", "l/a/3", "l/a0", "l/b", "l/d=10%3A30/é ü+&<1>"];
    for path in sorted.iter().rev() {
        put(store, path, "xyz", Put::IfAbsent).await;
        assert_eq!(get(store, path).await, Some(text("xyz")), "{path}");
    }
    let list = async |prefix: &str, after: Option<&str>, max| -> Vec<String> {
        let found = store.list(prefix, after, max).await.expect("list");
        assert!(found.iter().all(|found| found.size == 3), "{found:?}");
        found.into_iter().map(|found| found.path).collect()
    };
    assert_eq!(list("l/", None, 99).await, sorted);
    assert_eq!(list("l/", None, 0).await, Vec::<String>::new());
    for (at, after) in sorted.iter().enumerate() {
        assert_eq!(list("l/", Some(after), 99).await, sorted[at + 1..], "after {after}");
        let two = &sorted[at + 1..sorted.len().min(at + 3)];
        assert_eq!(list("l/", Some(after), 2).await, two, "two after {after}");
    }
    assert_eq!(list("l/a", None, 99).await, sorted[..6]);
    assert_eq!(list("l/a/", None, 99).await, sorted[2..5]);
    assert_eq!(list("l/a/3", None, 99).await, sorted[4..5]);
    assert_eq!(list("l/", Some("l/a/~"), 1).await, sorted[5..6], "skips a directory");
}

async fn long_objects_go_through_files(store: &dyn Store) {
    assert!(store.open("files/x").await.expect("open nothing").is_none());
    for (bytes, how, stored) in [
        ("abc", Put::IfAbsent, Stored::Created),
        ("de", Put::IfAbsent, Stored::Exists),
        ("fgh", Put::Overwrite, Stored::Created),
    ] {
        let ended = store.put_file("files/x", file(bytes).expect("make a file"), how).await;
        assert_eq!(ended.expect("write a file"), stored, "{bytes}");
        let expected = if stored == Stored::Created { bytes } else { "abc" };
        let opened = store.open("files/x").await.expect("open").expect("an object");
        assert_eq!(io::read_to_string(opened).expect("read"), expected);
    }
}

async fn removes(store: &dyn Store) {
    put(store, "removed/x", "1", Put::IfAbsent).await;
    for _ in 0..2 {
        store.remove("removed/x").await.expect("remove");
        assert_eq!(get(store, "removed/x").await, None);
        assert_eq!(store.list("removed/", None, 9).await.expect("list"), vec![]);
    }
    assert_eq!(put(store, "removed/x", "2", Put::IfAbsent).await, Stored::Created);
}

async fn refuses_bad_paths(store: &dyn Store) {
    for path in ["", "/t", "t//x", "../x", "t/../x", "t/.hidden", "t/\0"] {
        assert!(store.put(path, text(""), Put::IfAbsent).await.is_err(), "put {path:?}");
        assert!(store.get(path).await.is_err(), "get {path:?}");
        assert!(store.remove(path).await.is_err(), "remove {path:?}");
    }
    assert!(store.list("", None, 9).await.is_err(), "an empty prefix is no path");
}

/// The fence that everything rests on.
pub async fn of_many_writers_one_creates(store: Arc<dyn Store>) {
    for race in 0..RACES {
        let path = format!("races/{race}");
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let (store, path) = (store.clone(), path.clone());
            writers.spawn(async move {
                let bytes = Bytes::from(vec![writer; 1000]);
                (writer, store.put(&path, bytes, Put::IfAbsent).await.expect("put"))
            });
        }
        let ends = writers.join_all().await;
        let winners: Vec<_> = ends.iter().filter(|(_, end)| *end == Stored::Created).collect();
        let [(winner, _)] = winners[..] else { panic!("{path}: created by {winners:?}") };
        assert_eq!(get(&*store, &path).await, Some(Bytes::from(vec![*winner; 1000])), "{path}");
    }
}

async fn put(store: &dyn Store, path: &str, bytes: &'static str, how: Put) -> Stored {
    store.put(path, text(bytes), how).await.expect("put")
}

async fn get(store: &dyn Store, path: &str) -> Option<Bytes> {
    store.get(path).await.expect("get")
}

fn file(text: &str) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}
