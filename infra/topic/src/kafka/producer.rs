use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::future_producer::DeliveryFuture;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use tokio::time::sleep;

use super::access::Rights;
use super::asker::Asker;
use super::brokers::Brokers;
use super::errors::{Doing, is_unknown, told};
use super::quiet::Quiet;
use super::settings::Settings;
use super::topics::PATIENCE;
use crate::{Outgoing, Placed, TopicError};

/// How long to wait before trying again when the producer's queue is full.
const FULL: Duration = Duration::from_millis(5);
/// How often a topic that a broker knows may be unknown to the producer, which hears of it a moment later.
const ASK: u32 = 100;

/// Appends. Clones share their connections.
#[derive(Clone)]
pub(super) struct Sender {
    client: FutureProducer<Quiet>,
    brokers: Arc<Brokers>,
}

impl Sender {
    pub(super) fn new(settings: &Settings) -> Result<Self, TopicError> {
        let quiet = Quiet::new(settings.asker().clone());
        let brokers = quiet.brokers.clone();
        let client = FutureProducer::from_config_and_context(&settings.producer(), quiet)
            .map_err(|error| told("set up the producer", error))?;
        Ok(Self { client, brokers })
    }

    /// Whether it can't be used any more: after a fatal error (its sequence numbers went lost, say), or without brokers.
    pub(super) fn is_spent(&self) -> bool {
        self.client.client().fatal_error().is_some() || self.brokers.are_lost()
    }
}

/// Sends all records and waits for every delivery. After the first one that isn't taken, no further
/// ones are sent. A record that was there already when its reply was lost has the offset -1.
pub(super) async fn append(
    Sender { client: producer, .. }: &Sender,
    asker: &Arc<Asker>,
    topic: &str,
    records: Vec<Outgoing>,
) -> Result<Vec<Placed>, TopicError> {
    let mut sent = Vec::with_capacity(records.len());
    let mut failed = None;
    for record in &records {
        match send(producer, topic, record).await {
            Ok(delivery) => sent.push(delivery),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    let mut placed = Vec::with_capacity(sent.len());
    for delivery in sent {
        match delivery.await {
            Ok(Ok(at)) => placed.push(Placed { partition: at.partition as u32, offset: at.offset }),
            Ok(Err((error, _))) => failed = failed.or(Some(error)),
            Err(_) => failed = failed.or(Some(KafkaError::Canceled)),
        }
    }
    let Some(error) = failed else {
        asker.fine();
        return Ok(placed);
    };
    let doing = Doing::new(format!("append to topic {topic}"), asker, Rights::write(topic));
    // Who may write nothing gets no producer number; the records then are told to be purged, and no more.
    let error = match producer.client().fatal_error() {
        Some((code @ Code::ClusterAuthorizationFailed, _)) => KafkaError::MessageProduction(code),
        _ => error,
    };
    Err(doing.failed(error))
}

/// Puts one record into the producer's queue, waiting while that is full.
async fn send(
    producer: &FutureProducer<Quiet>,
    topic: &str,
    record: &Outgoing,
) -> Result<DeliveryFuture, KafkaError> {
    let mut message = FutureRecord {
        topic,
        partition: record.partition.map(|partition| partition as i32),
        payload: record.value.as_deref(),
        key: record.key.as_deref(),
        timestamp: record.timestamp_ms,
        headers: headers(record),
    };
    let mut asked = 0;
    loop {
        match producer.send_result(message) {
            Ok(delivery) => return Ok(delivery),
            Err((KafkaError::MessageProduction(Code::QueueFull), back)) => message = back,
            // Of a topic that was deleted and made anew it may know the first half only.
            Err((KafkaError::MessageProduction(code), back)) if is_unknown(code) => {
                if asked >= ASK || !is_there(producer, topic).await {
                    return Err(KafkaError::MessageProduction(code));
                }
                asked += 1;
                message = back;
            }
            Err((error, _)) => return Err(error),
        }
        sleep(FULL).await;
    }
}

/// Has the producer ask the brokers for the topic anew, and tells whether it is one.
async fn is_there(producer: &FutureProducer<Quiet>, topic: &str) -> bool {
    let (producer, topic) = (producer.clone(), topic.to_owned());
    let look = move || {
        let metadata = producer.client().fetch_metadata(Some(&topic), PATIENCE);
        metadata.is_ok_and(|found| found.topics().iter().any(|topic| topic.error().is_none()))
    };
    tokio::task::spawn_blocking(look).await.unwrap_or(false)
}

fn headers(record: &Outgoing) -> Option<OwnedHeaders> {
    if record.headers.is_empty() {
        return None;
    }
    let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
    for (key, value) in &record.headers {
        headers = headers.insert(Header { key, value: Some(&value[..]) });
    }
    Some(headers)
}
