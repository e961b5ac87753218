use std::path::Path;
use std::sync::Arc;

use millstream_config::{Endpoint, Secret};

use crate::kafka::Kafka;
use crate::sqlite::SqliteLog;
use crate::{Backend, TopicError};

/// Where brokers listen if nobody says otherwise.
const KAFKA_PORT: u16 = 9092;

/// Opens the topics that `topics.url` names: `kafka://[user@]host[:port][,…]?option=value` (see [`Kafka::open`]; `password`
/// is the user's, `settings` are `name=value` for librdkafka), or `sqlite://directory`, the embedded log (a relative
/// directory is meant from `base`). Nothing is contacted yet.
///
/// # Errors
/// Refused when the URL, an option or a setting is not to be understood.
pub fn open(
    url: &str,
    password: Secret,
    settings: &[String],
    base: &Path,
) -> Result<Arc<dyn Backend>, TopicError> {
    if url.starts_with("kafka://") {
        let url = Endpoint::parse("topics.url", url, password, KAFKA_PORT)?;
        return Ok(Arc::new(Kafka::open(url, settings)?));
    }
    if let Some(directory) = url.strip_prefix("sqlite://") {
        if let Some(setting) = settings.first() {
            return Err(TopicError::refused(
                "read topics.settings",
                format!("{setting:?} is of no use to the embedded log"),
                "remove it, or name a Kafka cluster in `topics.url`",
            ));
        }
        return Ok(Arc::new(SqliteLog::open(&base.join(directory))?));
    }
    Err(TopicError::refused(
        format!("open topics {url:?}"),
        "this is neither kafka://host:port nor sqlite://directory",
        "correct `topics.url`",
    ))
}
