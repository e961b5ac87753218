use millstream_config::Finding;
use rdkafka::error::RDKafkaErrorCode as Code;

use super::{Kafka, bad, blocking, may};
use crate::TopicError;
use crate::kafka::access::{Rights, grant};
use crate::kafka::described;
use crate::kafka::errors::Doing;

/// Whether a consumer group can be joined.
pub(super) async fn look(kafka: &Kafka, name: &str) -> Finding {
    let what = format!("group {name}");
    let found = match describe(kafka, name.to_owned()).await {
        Ok(found) => found,
        Err(error) => return bad(what, &error),
    };
    let asker = kafka.settings.asker();
    // Brokers since 4.0 say so of a group that isn't there (yet).
    let Some(found) = found else {
        return Finding::good(what, "isn't there yet; it is made by joining");
    };
    if !may(&found.may, "Read") {
        let why = format!("{} lacks the right Read on it", asker.principal);
        return Finding::bad(what, why, grant(asker, &["Read"], "group", &[name.to_owned()]));
    }
    let by = found.kind.to_lowercase();
    match (found.state.as_str(), found.members) {
        ("Dead", _) => Finding::good(what, "isn't there yet; it is made by joining"),
        (_, 0) => Finding::good(what, "has no members just now"),
        (state, members) => {
            let plural = if members == 1 { "" } else { "s" };
            let state = state.to_lowercase();
            Finding::good(what, format!("{state}, {members} member{plural} by the {by} protocol"))
        }
    }
}

async fn describe(
    kafka: &Kafka,
    name: String,
) -> Result<Option<described::DescribedGroup>, TopicError> {
    let looker = kafka.looker()?;
    blocking(move || {
        let doing = format!("look at group {name}");
        let doing = Doing::new(doing, looker.asker(), Rights::member(&name, &[]));
        looker.describe(&doing, |client, time| match described::group(client, &name, time) {
            Err(Code::GroupIdNotFound) => Ok(None),
            found => found.map(Some),
        })
    })
    .await
}
