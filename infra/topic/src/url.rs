use std::path::Path;
use std::sync::Arc;

use crate::{Backend, TopicError, kafka::Kafka, sqlite::SqliteLog};

/// Opens the topics a URL names: `kafka://host:port[,host:port…]`, or `sqlite://directory`, the embedded
/// log (a relative directory is meant from `base`).
pub fn open(url: &str, base: &Path) -> Result<Arc<dyn Backend>, TopicError> {
    if let Some(servers) = url.strip_prefix("kafka://") {
        return Ok(Arc::new(Kafka::connect(servers)?));
    }
    if let Some(directory) = url.strip_prefix("sqlite://") {
        return Ok(Arc::new(SqliteLog::open(&base.join(directory))?));
    }
    Err(TopicError::refused(
        format!("open topics {url:?}"),
        "this is neither kafka://host:port nor sqlite://directory",
        "correct `topics.url`",
    ))
}
