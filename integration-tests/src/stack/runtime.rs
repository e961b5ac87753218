//! Tests come and go with runtimes of their own; connections to the engine outlive them on this one.

use std::future::Future;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("make a runtime")
    })
}

/// Runs on the stack's runtime; a panic there is a panic here.
pub(super) async fn there<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match runtime().spawn(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// For tests without a runtime of their own.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    runtime().block_on(work)
}
