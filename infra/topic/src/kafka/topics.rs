use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::metadata::MetadataPartition;

use super::errors::{code, remedy, told};
use super::quiet::Plain;
use super::settings::LARGEST_RECORD;
use super::topic_id::topic_id;
use crate::{Bounds, Cleanup, Topic, TopicError, TopicInfo, UNKNOWN_ID};

/// How long one question to the cluster may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

pub(super) type Admin = AdminClient<Plain>;

/// Creates the topic unless it is there.
pub(super) async fn create(
    admin: &Admin,
    topic: &Topic,
    replication: i32,
) -> Result<(), TopicError> {
    let doing = || format!("create topic {}", topic.name);
    let partitions = i32::try_from(topic.partitions).unwrap_or(i32::MAX);
    let cleanup = match topic.cleanup {
        Cleanup::Delete => "delete",
        Cleanup::Compact => "compact",
    };
    let new = NewTopic::new(&topic.name, partitions, TopicReplication::Fixed(replication))
        .set("cleanup.policy", cleanup)
        .set("max.message.bytes", LARGEST_RECORD);
    let made = admin.create_topics([&new], &options()).await.map_err(|e| told(doing(), e))?;
    match made.into_iter().next() {
        Some(Err((_, code))) if code != Code::TopicAlreadyExists => {
            Err(told(doing(), KafkaError::AdminOp(code)))
        }
        _ => Ok(()),
    }
}

/// How many partitions there are, and the number of a broker that knows them (-1: none leads any);
/// `None`: there is no such topic. Blocks.
pub(super) fn partitions(admin: &Admin, topic: &str) -> Result<Option<(u32, i32)>, TopicError> {
    let doing = || format!("look at topic {topic}");
    let metadata =
        admin.inner().fetch_metadata(Some(topic), PATIENCE).map_err(|e| told(doing(), e))?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
        return Ok(None);
    };
    match found.error().map(Code::from) {
        None => {
            let leader = found.partitions().iter().map(MetadataPartition::leader).max();
            Ok(Some((found.partitions().len() as u32, leader.unwrap_or(-1))))
        }
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => Ok(None),
        Some(code) => Err(told(doing(), KafkaError::MetadataFetch(code))),
    }
}

/// The topic as it is, but for its clean-up, and the number of a broker that knows it. The end of a
/// partition is where a reader of committed records gets to: the last stable offset. Blocks.
pub(super) fn look(admin: &Admin, topic: &str) -> Result<Option<(TopicInfo, i32)>, TopicError> {
    let Some((count, broker)) = partitions(admin, topic)? else { return Ok(None) };
    let doing = || format!("look at topic {topic}");
    let mut bounds = Vec::with_capacity(count as usize);
    for partition in 0..count as i32 {
        let (low, end) = admin
            .inner()
            .fetch_watermarks(topic, partition, PATIENCE)
            .map_err(|e| told(doing(), e))?;
        bounds.push(Bounds { low, end });
    }
    let id = topic_id(admin.inner(), topic, broker, PATIENCE);
    let cluster = admin.inner().fetch_cluster_id(PATIENCE);
    let unknown = || UNKNOWN_ID.to_owned();
    let info = TopicInfo {
        name: topic.to_owned(),
        id: id.unwrap_or_else(unknown),
        cluster: cluster.unwrap_or_else(unknown),
        cleanup: Cleanup::Delete,
        partitions: bounds,
    };
    Ok(Some((info, broker)))
}

/// What the brokers do with the topic's old records. Brokers that don't tell count as deleting.
pub(super) async fn cleanup(
    admin: &Admin,
    topic: &str,
    broker: i32,
) -> Result<Cleanup, TopicError> {
    let asked = [ResourceSpecifier::Topic(topic)];
    let options = options().broker_id((broker >= 0).then_some(broker));
    let answer = match admin.describe_configs(asked.iter(), &options).await {
        Ok(answers) => answers.into_iter().next(),
        Err(error) => Some(Err(code(&error).unwrap_or(Code::Fail))),
    };
    let policy = match answer {
        Some(Ok(config)) => config.get("cleanup.policy").and_then(|entry| entry.value.clone()),
        Some(Err(code)) if remedy(code).is_none() => {
            return Err(told(format!("look at topic {topic}"), KafkaError::AdminOp(code)));
        }
        _ => None,
    };
    let compacted = policy.is_some_and(|policy| policy.contains("compact"));
    Ok(if compacted { Cleanup::Compact } else { Cleanup::Delete })
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}
