use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::metadata::MetadataPartition;

use super::access::Rights;
use super::asker::Asker;
use super::described;
use super::errors::{Doing, code, is_unknown, remedy};
use super::looker::Looker;
use super::quiet::Plain;
use super::settings::LARGEST_RECORD;
use crate::{Bounds, Cleanup, Topic, TopicError, TopicInfo, UNKNOWN_ID};

/// How long one question to the cluster may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

pub(super) type Admin = AdminClient<Plain>;

/// Creates the topic unless it is there.
pub(super) async fn create(
    admin: &Admin,
    doing: &Doing,
    topic: &Topic,
    replication: i32,
) -> Result<(), TopicError> {
    let partitions = i32::try_from(topic.partitions).unwrap_or(i32::MAX);
    let mut new = NewTopic::new(&topic.name, partitions, TopicReplication::Fixed(replication))
        .set("cleanup.policy", policy(topic.cleanup))
        .set("max.message.bytes", LARGEST_RECORD);
    if replication >= 3 {
        // A record counts as written when a second broker has it, and one broker may be away.
        new = new.set("min.insync.replicas", "2");
    }
    let made = admin.create_topics([&new], &options()).await.map_err(|e| doing.failed(e))?;
    match made.into_iter().next() {
        Some(Err((_, code))) if code != Code::TopicAlreadyExists => {
            Err(doing.failed(KafkaError::AdminOp(code)))
        }
        _ => Ok(()),
    }
}

/// Kafka's word for it.
pub(super) fn policy(cleanup: Cleanup) -> &'static str {
    match cleanup {
        Cleanup::Delete => "delete",
        Cleanup::Compact => "compact",
    }
}

/// How many partitions there are, and the number of a broker that knows them (-1: none leads any);
/// `None`: there is no such topic. Blocks.
pub(super) fn partitions(looker: &Looker, topic: &str) -> Result<Option<(u32, i32)>, TopicError> {
    let doing = looking(looker, topic);
    let metadata = looker.ask(&doing, |client, time| client.fetch_metadata(Some(topic), time))?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
        return Ok(None);
    };
    match found.error().map(Code::from) {
        None => {
            let leader = found.partitions().iter().map(MetadataPartition::leader).max();
            Ok(Some((found.partitions().len() as u32, leader.unwrap_or(-1))))
        }
        Some(code) if is_unknown(code) => Ok(None),
        Some(code) => Err(doing.failed(KafkaError::MetadataFetch(code))),
    }
}

/// Which partitions lack a leader or replicas, in words; `None`: none do, or nobody tells. Blocks for a moment.
pub(super) fn away(looker: &Looker, topic: &str) -> Option<String> {
    let metadata = looker.client().fetch_metadata(Some(topic), PATIENCE / 5).ok()?;
    let found = metadata.topics().first()?;
    let lacking = found.partitions().iter().filter_map(|partition| {
        let (number, leader) = (partition.id(), partition.leader());
        let (there, all) = (partition.isr().len(), partition.replicas().len());
        match leader < 0 {
            true => Some(format!("partition {number} has no leader")),
            false if there < all => {
                Some(format!("partition {number} has {there} of {all} replicas in sync"))
            }
            false => None,
        }
    });
    let lacking: Vec<_> = lacking.collect();
    (!lacking.is_empty()).then(|| format!("{} (see min.insync.replicas)", lacking.join(", ")))
}

/// The topic as it is, but for its clean-up, and the number of a broker that knows it. The end of a
/// partition is where a reader of committed records gets to: the last stable offset. Blocks.
pub(super) fn look(looker: &Looker, topic: &str) -> Result<Option<(TopicInfo, i32)>, TopicError> {
    let Some((count, broker)) = partitions(looker, topic)? else { return Ok(None) };
    let doing = looking(looker, topic).listed();
    let mut bounds = Vec::with_capacity(count as usize);
    for partition in 0..count as i32 {
        let (low, end) =
            looker.ask(&doing, |client, time| client.fetch_watermarks(topic, partition, time))?;
        bounds.push(Bounds { low, end });
    }
    // A position holds both, so that a broker that is slow to tell isn't taken for one that has none.
    let described = looker
        .describe(&doing, |client, time| described::topic(client, topic, broker, false, time))?;
    let no_cluster = || KafkaError::MetadataFetch(Code::OperationTimedOut);
    let cluster =
        looker.ask(&doing, |client, time| client.fetch_cluster_id(time).ok_or_else(no_cluster))?;
    let info = TopicInfo {
        name: topic.to_owned(),
        id: described.id.unwrap_or_else(|| UNKNOWN_ID.to_owned()),
        cluster,
        cleanup: Cleanup::Delete,
        partitions: bounds,
    };
    Ok(Some((info, broker)))
}

/// What the brokers do with the topic's old records. Brokers that don't know the question count as deleting; who may
/// not ask it is refused, since tombstones would be taken for poison.
pub(super) async fn cleanup(
    admin: &Admin,
    asker: &Arc<Asker>,
    topic: &str,
    broker: i32,
) -> Result<Cleanup, TopicError> {
    let doing =
        Doing::new(format!("look at topic {topic}"), asker, Rights::configs(topic)).listed();
    let asked = [ResourceSpecifier::Topic(topic)];
    let options = options().broker_id((broker >= 0).then_some(broker));
    let answer = match admin.describe_configs(asked.iter(), &options).await {
        Ok(answers) => answers.into_iter().next(),
        Err(error) => Some(Err(code(&error).unwrap_or(Code::Fail))),
    };
    let policy = match answer {
        Some(Ok(config)) => config.get("cleanup.policy").and_then(|entry| entry.value.clone()),
        Some(Err(code))
            if remedy(code).is_none()
                || is_unknown(code)
                || code == Code::TopicAuthorizationFailed =>
        {
            return Err(doing.failed(KafkaError::AdminOp(code)));
        }
        _ => None,
    };
    let compacted = policy.is_some_and(|policy| policy.contains("compact"));
    Ok(if compacted { Cleanup::Compact } else { Cleanup::Delete })
}

pub(super) fn looking(looker: &Looker, topic: &str) -> Doing {
    Doing::new(format!("look at topic {topic}"), looker.asker(), Rights::describe(topic))
}

pub(super) fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}
