use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use millstream_engine::SinkError;

use super::store::{Listed, Put, Store, Stored, check_path};

/// Called before each I/O with the operation ("put", "get", "list", "remove") and its path; the I/O waits for what it
/// returns. A future that never ends is a worker that hangs.
pub type Hook = Arc<dyn Fn(&str, &str) -> BoxFuture<'static, ()> + Send + Sync>;

/// A lake in memory, for tests and the simulation. Clones share objects and faults; [`MemoryStore::client`]
/// shares the objects only.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    objects: Arc<Mutex<BTreeMap<String, Bytes>>>,
    faults: Faults,
}

impl MemoryStore {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another worker's way to the same objects, with faults of its own.
    pub fn client(&self) -> Self {
        Self { objects: self.objects.clone(), faults: Faults::default() }
    }

    /// What goes wrong on this way to the objects.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// All objects as they are now.
    pub fn snapshot(&self) -> BTreeMap<String, Bytes> {
        self.objects().clone()
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place_object(&self, path: &str, bytes: Bytes, how: Put) -> Stored {
        let mut objects = self.objects();
        if how == Put::IfAbsent && objects.contains_key(path) {
            return Stored::Exists;
        }
        objects.insert(path.to_owned(), bytes);
        Stored::Created
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn put(&self, path: &str, bytes: Bytes, how: Put) -> Result<Stored, SinkError> {
        check_path(path)?;
        let reply = self.faults.before("put", path).await?;
        let stored = self.place_object(path, bytes, how);
        reply.deliver(stored)
    }

    async fn get(&self, path: &str) -> Result<Option<Bytes>, SinkError> {
        check_path(path)?;
        let reply = self.faults.before("get", path).await?;
        let found = self.objects().get(path).cloned();
        reply.deliver(found)
    }

    async fn list(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        max: usize,
    ) -> Result<Vec<Listed>, SinkError> {
        check_path(prefix.trim_end_matches('/'))?;
        let reply = self.faults.before("list", prefix).await?;
        let start_after = start_after.unwrap_or_default();
        let found = self
            .objects()
            .range(prefix.to_owned()..)
            .take_while(|(path, _)| path.starts_with(prefix))
            .filter(|(path, _)| path.as_str() > start_after)
            .take(max)
            .map(|(path, bytes)| Listed { path: path.clone(), size: bytes.len() as u64 })
            .collect();
        reply.deliver(found)
    }

    async fn remove(&self, path: &str) -> Result<(), SinkError> {
        check_path(path)?;
        let reply = self.faults.before("remove", path).await?;
        self.objects().remove(path);
        reply.deliver(())
    }

    fn place(&self) -> String {
        "memory://".into()
    }
}

/// Faults to come, in this order: `fail_next`, then `lose_reply_next`.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<Pending>>);

#[derive(Default)]
struct Pending {
    fail: usize,
    lose: usize,
    hook: Option<Hook>,
}

impl Faults {
    /// The next `n` operations do nothing and answer `Unavailable`.
    pub fn fail_next(&self, n: usize) {
        self.pending().fail = n;
    }

    /// The next `n` operations take effect and answer `Unavailable`.
    pub fn lose_reply_next(&self, n: usize) {
        self.pending().lose = n;
    }

    /// Calls `hook` before each operation from now on; `None`: no more.
    pub fn set_hook(&self, hook: Option<Hook>) {
        self.pending().hook = hook;
    }

    /// To be called by a store before an operation; the answer goes through the returned reply.
    pub async fn before(&self, operation: &'static str, path: &str) -> Result<Reply, SinkError> {
        let hook = self.pending().hook.clone();
        if let Some(hook) = hook {
            hook(operation, path).await;
        }
        let mut pending = self.pending();
        if pending.fail > 0 {
            pending.fail -= 1;
            return Err(SinkError::unavailable(
                format!("{operation} {path}"),
                "a fault was ordered",
            ));
        }
        let lost = pending.lose > 0;
        pending.lose -= usize::from(lost);
        Ok(Reply { lost, doing: format!("{operation} {path}") })
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pending { fail, lose, hook } = &*self.pending();
        write!(f, "Faults {{ fail: {fail}, lose: {lose}, hook: {} }}", hook.is_some())
    }
}

/// What becomes of an operation's answer.
#[derive(Debug)]
pub struct Reply {
    lost: bool,
    doing: String,
}

impl Reply {
    /// The answer, or `Unavailable` where it is to be lost.
    pub fn deliver<T>(self, answer: T) -> Result<T, SinkError> {
        if self.lost {
            return Err(SinkError::unavailable(self.doing, "the reply was lost on order"));
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::store_conformance;

    #[tokio::test]
    async fn passes_the_suite() {
        store_conformance::store(Arc::new(MemoryStore::new())).await;
    }

    #[tokio::test]
    async fn faults_come_as_ordered() {
        let store = MemoryStore::new();
        store.faults().fail_next(1);
        store.faults().lose_reply_next(1);
        let put = || store.put("a/b", Bytes::from_static(b"x"), Put::IfAbsent);
        assert!(put().await.unwrap_err().is_retryable());
        assert!(store.snapshot().is_empty(), "failed: no effect");
        assert!(put().await.unwrap_err().is_retryable());
        assert_eq!(store.snapshot().len(), 1, "lost reply: the effect is there");
        assert_eq!(put().await.unwrap(), Stored::Exists);
    }
}
