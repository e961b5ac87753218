//! Ways without the engine.

use std::time::Duration;

use anyhow::{Result, anyhow, bail, ensure};
use millstream_engine::{CHUNK_RECORDS, Decoder, Json};
use millstream_topic::{Backend, Event, Order, Record, Topic};

use crate::by_hand::Loop;
use crate::librdkafka;
use crate::measure::Gone;
use crate::ways::{Route, look};

pub async fn raw(route: &Route, topic: &Topic) -> Result<Gone> {
    let Some(brokers) = route.brokers() else { bail!("librdkafka reads from Kafka only") };
    let info = look(&*route.open()?, topic).await?;
    let mut bytes = 0;
    let events = librdkafka::read(brokers, &info, &topic.name, |value| {
        bytes += value.len();
        Ok(())
    })?;
    ensure!(bytes > 0, "the topic is empty");
    Ok(Gone::of(events))
}

pub async fn consume(topics: &dyn Backend, topic: &Topic) -> Result<Gone> {
    let (mut events, mut bytes) = (0, 0);
    each_slice(topics, topic, |records| {
        events += records.len() as u64;
        bytes += records.iter().map(Record::size).sum::<usize>();
        Ok(())
    })
    .await?;
    ensure!(bytes > 0, "the topic is empty");
    Ok(Gone::of(events))
}

pub async fn decode(topics: &dyn Backend, topic: &Topic) -> Result<Gone> {
    let decoder = Json::new((topic.schema)());
    let mut rows = 0;
    let mut work = |records: &mut Vec<Record>| {
        let values: Vec<&[u8]> = records.iter().filter_map(|r| r.value.as_deref()).collect();
        let decoded = decoder.decode(&values).map_err(|why| anyhow!("decode: {why}"))?;
        rows += decoded.batch.num_rows() as u64;
        records.clear();
        anyhow::Ok(())
    };
    let mut pending = Vec::with_capacity(CHUNK_RECORDS);
    each_slice(topics, topic, |records| {
        pending.extend(records);
        if pending.len() >= CHUNK_RECORDS { work(&mut pending) } else { Ok(()) }
    })
    .await?;
    work(&mut pending)?;
    Ok(Gone::of(rows))
}

pub async fn limit(route: &Route, topic: &Topic) -> Result<Gone> {
    let mut by_hand = Loop::new(&route.out);
    let topics = route.open()?;
    if let Some(brokers) = route.brokers() {
        let info = look(&*topics, topic).await?;
        librdkafka::read(brokers, &info, &topic.name, |value| by_hand.take(value))?;
    } else {
        each_slice(&*topics, topic, |records| {
            let mut values = records.iter().filter_map(|record| record.value.as_deref());
            values.try_for_each(|value| by_hand.take(value))
        })
        .await?;
    }
    Ok(Gone::of(by_hand.finish()?))
}

/// Reads the topic to its end as the only member of a group, from its beginning.
async fn each_slice(
    topics: &dyn Backend,
    topic: &Topic,
    mut work: impl FnMut(Vec<Record>) -> Result<()>,
) -> Result<()> {
    let info = look(topics, topic).await?;
    let mut left = info.partitions.iter().filter(|bounds| bounds.low < bounds.end).count();
    let group = format!("bench.loop-{}", std::process::id());
    let mut consumer = topics.join(&group, &[topic.name.to_string()]).await?;
    while left > 0 {
        match consumer.poll(Duration::from_secs(1)).await? {
            Event::Assigned(partitions) => {
                for at in partitions {
                    consumer.steer(Order::Seek(at, 0))?;
                }
            }
            Event::Records { at, records, .. } => {
                let end = info.partitions.get(at.partition as usize).map_or(0, |bounds| bounds.end);
                left -= usize::from(records.last().is_some_and(|last| last.offset + 1 == end));
                work(records)?;
            }
            _ => {}
        }
    }
    Ok(())
}
