//! What is to be known of a cluster before it is worked with: `millstream doctor` asks. Nothing is changed.
//!
//! # Layout
//! - `brokers`: whether they can be reached, as whom, and what they speak. `topic`: settings and rights of each topic.
//! - `group`: rights on consumer groups. `clock`: whether the clocks agree, as far as records tell.

mod brokers;
mod clock;
mod group;
mod topic;

use millstream_config::Finding;

use super::{Kafka, blocking};
use crate::{TopicError, Wanted};

/// Looks at all that is wanted; when no broker lets us in, that is all there is to say.
pub(super) async fn examine(kafka: &Kafka, wanted: &Wanted<'_>) -> Vec<Finding> {
    let (cluster, mut findings) = match brokers::look(kafka).await {
        Ok(found) => found,
        Err(error) => return vec![bad("topics.url", &error)],
    };
    for topic in wanted.topics {
        findings.extend(topic::look(kafka, &cluster, topic, wanted.roll).await);
    }
    for group in wanted.groups {
        findings.push(group::look(kafka, group).await);
    }
    findings.extend(clock::look(kafka, wanted.topics).await);
    findings
}

/// An error, as something found.
fn bad(what: impl Into<String>, error: &TopicError) -> Finding {
    match error {
        TopicError::Refused { why, remedy, .. } => Finding::bad(what, why, remedy),
        TopicError::Unavailable { source, .. } => {
            Finding::bad(what, source.to_string(), "start the brokers, or correct topics.url")
        }
    }
}

/// Whether an operation is among those we may do; when nobody tells, it is hoped so.
fn may(may: &super::described::May, operation: &str) -> bool {
    may.as_ref().is_none_or(|may| {
        may.iter().any(|told| told.replace('_', "").eq_ignore_ascii_case(operation))
    })
}
