use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;
use millstream_engine::SinkError;

/// Where a lake's objects are kept: a directory, memory, later S3.
///
/// Paths are relative, parts divided by `/`. An object is seen whole or not at all, and a write that
/// was answered survives a power loss.
#[async_trait]
pub trait Store: Send + Sync + Debug {
    /// Writes an object. `Put::IfAbsent` is the fence everything rests on: of several writers exactly one
    /// is answered `Created`.
    async fn put(&self, path: &str, bytes: Bytes, how: Put) -> Result<Stored, SinkError>;

    /// The object, `None` if there is none.
    async fn get(&self, path: &str) -> Result<Option<Bytes>, SinkError>;

    /// At most `max` objects whose path begins with `prefix` and comes after `start_after`, in byte order of
    /// the paths. Objects written meanwhile may be missing.
    async fn list(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        max: usize,
    ) -> Result<Vec<Listed>, SinkError>;

    /// Where it is, for people to read: no secrets.
    fn place(&self) -> String {
        format!("{self:?}")
    }
}

/// What becomes of an object that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It stays as it is.
    IfAbsent,
    /// It is replaced. Only for emptying the files of abandoned tries.
    Overwrite,
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The object holds these bytes.
    Created,
    /// It was there already (`Put::IfAbsent` only); possibly from a lost reply of ours.
    Exists,
}

/// One object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub path: String,
    /// Bytes.
    pub size: u64,
}

/// Refuses paths that would leave the store, or that its listings would not show (parts with a leading dot).
pub(super) fn check_path(path: &str) -> Result<(), SinkError> {
    let fine = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains('\0');
    if path.split('/').all(fine) {
        return Ok(());
    }
    Err(SinkError::refused(
        format!("use path {path:?} of the lake"),
        "its parts must not be empty or begin with a dot",
        "rename the table or the columns it is partitioned by",
    ))
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;

    /// What every store must do; each one's tests call it.
    pub(in crate::lake) async fn keeps_the_contract(store: &dyn Store) {
        let text = |text: &'static str| Bytes::from_static(text.as_bytes());
        assert_eq!(store.get("t/x").await.unwrap(), None);
        assert_eq!(store.list("t/", None, 9).await.unwrap(), vec![]);
        assert_eq!(store.put("t/x", text("1"), Put::IfAbsent).await.unwrap(), Stored::Created);
        assert_eq!(store.put("t/x", text("2"), Put::IfAbsent).await.unwrap(), Stored::Exists);
        assert_eq!(store.get("t/x").await.unwrap(), Some(text("1")));
        assert_eq!(store.put("t/x", text("333"), Put::Overwrite).await.unwrap(), Stored::Created);
        assert_eq!(store.get("t/x").await.unwrap(), Some(text("333")));
        assert_eq!(store.put("t/new", text("4"), Put::Overwrite).await.unwrap(), Stored::Created);
        lists_in_byte_order(store).await;
        for path in ["", "/t", "t//x", "../x", "t/../x", "t/.hidden", "t/\0"] {
            assert!(store.put(path, text(""), Put::IfAbsent).await.is_err(), "{path:?}");
            assert!(store.get(path).await.is_err(), "{path:?}");
        }
    }

    async fn lists_in_byte_order(store: &dyn Store) {
        // '-' and '.' come before '/', '0' and letters after it.
        let sorted = ["l/a-b/1", "l/a.c/1", "l/a/1", "l/a/2/x", "l/a/3", "l/a0", "l/b"];
        for path in sorted.iter().rev() {
            store.put(path, Bytes::from_static(b"xyz"), Put::IfAbsent).await.unwrap();
        }
        let list = async |prefix: &str, after: Option<&str>, max| -> Vec<String> {
            let found = store.list(prefix, after, max).await.unwrap();
            assert!(found.iter().all(|found| found.size == 3));
            found.into_iter().map(|found| found.path).collect()
        };
        assert_eq!(list("l/", None, 99).await, sorted);
        for (at, after) in sorted.iter().enumerate() {
            assert_eq!(list("l/", Some(after), 99).await, sorted[at + 1..], "after {after}");
            assert_eq!(list("l/", Some(after), 2).await, sorted[at + 1..sorted.len().min(at + 3)]);
        }
        assert_eq!(list("l/a", None, 99).await, sorted[..6]);
        assert_eq!(list("l/a/", None, 99).await, sorted[2..5]);
        assert_eq!(list("l/a/3", None, 99).await, sorted[4..5]);
        assert_eq!(list("l/", Some("l/a/~"), 1).await, sorted[5..6], "skips a directory");
    }

    pub(in crate::lake) async fn of_many_writers_one_creates(store: Arc<dyn Store>) {
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..16_u8 {
            let store = store.clone();
            writers.spawn(async move {
                let bytes = Bytes::from(vec![writer; 1000]);
                (writer, store.put("r/x", bytes, Put::IfAbsent).await.unwrap())
            });
        }
        let ends = writers.join_all().await;
        let winners: Vec<_> = ends.iter().filter(|(_, end)| *end == Stored::Created).collect();
        assert_eq!(winners.len(), 1);
        let kept = store.get("r/x").await.unwrap().unwrap();
        assert_eq!(kept, vec![winners[0].0; 1000]);
    }
}
