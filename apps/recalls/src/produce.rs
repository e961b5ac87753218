//! Keeps the topic as the feed is, once or until stopped.

use anyhow::{Result, bail};
use futures::future::{BoxFuture, FutureExt};
use millstream_app::Produce;

use crate::refresh::{Options, Refresher};

/// See [`millstream_app::App::produce`].
pub fn produce(task: Produce) -> BoxFuture<'static, Result<()>> {
    run(task).boxed()
}

async fn run(task: Produce) -> Result<()> {
    if task.options.limit == Some(0) {
        bail!("--limit 0 asks for nothing; leave it out, or give a number above 0");
    }
    let options = Options {
        url: task.options.url.clone(),
        file: task.options.file.clone(),
        pace: task.pace()?,
        limit: task.options.limit,
        sent: task.sent.clone(),
        notice: task.notice,
    };
    let refresher = Refresher::with(&task.settings, task.topics.clone(), &task.stores, options)?;
    if task.options.once || task.options.limit.is_some() {
        return refresher.once(&task.stop).await.map(|_| ());
    }
    // Whoever starts it wants the recalls now, however new they are.
    refresher.request();
    refresher.run(task.stop).await
}
