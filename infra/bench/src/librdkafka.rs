//! Reading with nothing but librdkafka: no group, no thread of our own, one `poll` a message. (Its call that takes many
//! messages at once has no safe binding.)

use std::time::Duration;

use anyhow::{Context, Result, bail};
use millstream_topic::TopicInfo;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// Gives every value of the topic, from its beginning to its end.
pub fn read(
    servers: &str,
    topic: &TopicInfo,
    name: &str,
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<u64> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", "bench-by-hand")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        // One second by default, which a fast reader spends waiting.
        .set("fetch.queue.backoff.ms", "1")
        .set("queued.max.messages.kbytes", "16384")
        .create()
        .context("make a consumer")?;
    let mut list = TopicPartitionList::new();
    for partition in 0..topic.partitions.len() {
        let partition = i32::try_from(partition)?;
        list.add_partition_offset(name, partition, Offset::Beginning)?;
    }
    consumer.assign(&list).context("take all partitions")?;
    let (mut left, mut events) = (topic.partitions.len(), 0);
    while left > 0 {
        match consumer.poll(Duration::from_secs(30)) {
            Some(Ok(message)) => {
                events += 1;
                take(message.payload().unwrap_or_default())?;
            }
            Some(Err(KafkaError::PartitionEOF(_))) => left -= 1,
            Some(Err(error)) => return Err(error).context("read"),
            None => bail!("the broker is silent for 30 s"),
        }
    }
    Ok(events)
}
