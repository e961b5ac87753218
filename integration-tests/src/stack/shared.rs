use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Servers that tests of one program share while any of them runs: the last one to end takes them along.
pub struct Shared<T>(Mutex<Weak<T>>);

impl<T> Shared<T> {
    #[allow(clippy::new_without_default, reason = "for a static")]
    pub const fn new() -> Self {
        Self(Mutex::new(Weak::new()))
    }

    /// Those that are there, else what `start` gives.
    pub fn get(&self, start: impl FnOnce() -> Arc<T>) -> Arc<T> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let servers = start();
            *shared = Arc::downgrade(&servers);
            servers
        })
    }
}
