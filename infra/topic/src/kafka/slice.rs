use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::access::Rights;
use super::asker::Asker;
use super::errors::{Doing, code, remedy};
use super::quiet::{heard_error, heard_line, log_line};
use super::topics::PATIENCE;
use crate::{Record, Slice, TopicError, TopicPartition};

pub(super) type Reader = BaseConsumer<ReaderContext>;

/// Nothing to be told to a reader but its log lines.
#[derive(Debug)]
pub(super) struct ReaderContext(pub(super) Arc<Asker>);

impl ClientContext for ReaderContext {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        heard_line(&self.0, facility, message);
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        heard_error(&self.0, &error, reason);
    }
}

impl ConsumerContext for ReaderContext {}

/// Reads what is there of a partition, without a group. Blocks, for at most [`PATIENCE`] after the
/// last record that came.
pub(super) fn read(
    reader: &Reader,
    at: &TopicPartition,
    from: i64,
    max: usize,
) -> Result<Slice, TopicError> {
    let asker = &reader.context().0;
    let what = Doing::new(format!("read {at}"), asker, Rights::read(&at.topic));
    let doing = |error| what.failed(error);
    let (low, end) =
        reader.fetch_watermarks(&at.topic, at.partition as i32, PATIENCE).map_err(doing)?;
    let start = from.max(low);
    let mut slice = Slice { records: Vec::new(), next: start, end };
    if start >= end || max == 0 {
        return Ok(slice);
    }
    reader.assign(&list(at, start)).map_err(doing)?;
    let filled = fill(reader, max, &mut slice);
    // Lets go of what was fetched ahead, so that the next reader finds nothing of it.
    let released = reader.unassign();
    filled.and(released).map_err(doing)?;
    asker.fine();
    Ok(slice)
}

/// Reads on until `max` records or the end are there.
fn fill(reader: &Reader, max: usize, slice: &mut Slice) -> Result<(), KafkaError> {
    let mut deadline = Instant::now() + PATIENCE;
    let mut trouble = Code::OperationTimedOut;
    while slice.records.len() < max && slice.next < slice.end {
        match reader.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                // Something of the assignment before would be below.
                if message.offset() >= slice.next {
                    slice.next = message.offset() + 1;
                    slice.records.push(record(&message, Bytes::copy_from_slice));
                    deadline = Instant::now() + PATIENCE;
                }
            }
            // Everything before the end as it was at the start was delivered; what is missing is absent.
            Some(Err(KafkaError::PartitionEOF(_))) => slice.next = slice.next.max(slice.end),
            Some(Err(error)) => match code(&error) {
                // Retention took what was asked for; the next try begins further on.
                Some(Code::AutoOffsetReset) => return Err(error),
                // librdkafka looks for its group's coordinator, which nobody here needs.
                Some(Code::GroupAuthorizationFailed) => {}
                Some(code) if remedy(code).is_some() => return Err(error),
                code => trouble = code.unwrap_or(trouble),
            },
            None => slice.next = slice.next.max(position(reader)),
        }
        if Instant::now() >= deadline {
            // What came is an answer; only nothing at all isn't.
            return match slice.records.is_empty() {
                true => Err(KafkaError::MessageConsumption(trouble)),
                false => Ok(()),
            };
        }
    }
    Ok(())
}

/// Where the one assigned partition stands: behind control records too, which are never delivered.
fn position(reader: &Reader) -> i64 {
    let Ok(positions) = reader.position() else { return 0 };
    let elements = positions.elements();
    match elements.first().map(TopicPartitionListElem::offset) {
        Some(Offset::Offset(offset)) => offset,
        _ => 0,
    }
}

/// One partition with an offset, as librdkafka wants it.
pub(super) fn list(at: &TopicPartition, offset: i64) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(1);
    let mut one = list.add_partition(&at.topic, at.partition as i32);
    // Fails for negative offsets only, of which there are none.
    if let Err(error) = one.set_offset(Offset::Offset(offset.max(0))) {
        tracing::debug!(%error, offset, "set an offset");
    }
    list
}

/// A copy of the message, in our words; `keep` copies key and value.
pub(super) fn record(
    message: &BorrowedMessage<'_>,
    mut keep: impl FnMut(&[u8]) -> Bytes,
) -> Record {
    let headers = message.headers().map(|headers| {
        let owned = headers.iter().map(|header| {
            (header.key.to_owned(), Bytes::copy_from_slice(header.value.unwrap_or_default()))
        });
        owned.collect()
    });
    Record {
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or_default(),
        key: message.key().map(&mut keep),
        value: message.payload().map(&mut keep),
        headers: headers.unwrap_or_default(),
    }
}
