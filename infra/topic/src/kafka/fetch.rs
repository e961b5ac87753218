//! Telling librdkafka what to fetch, and finding out what its answers mean: rust-rdkafka gives the end of
//! a partition without the topic's name, and an offset that isn't there without topic and partition.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, RebalanceProtocol};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};
use tracing::{debug, warn};

use super::member::Member;
use super::share::Share;
use super::slice::list;
use crate::{Bounds, TopicPartition};

/// How long one question may keep the thread from polling.
const QUESTION: Duration = Duration::from_secs(1);

/// Carries out the seeks that were ordered, and pauses and resumes what has to be.
pub(super) fn settle(consumer: &BaseConsumer<Member>, share: &mut Share) {
    let mut reachable = true;
    for place in 0..share.slots.len() {
        let slot = &mut share.slots[place];
        let Some(offset) = slot.seek else { continue };
        // Asked beforehand: when librdkafka finds out, it stops fetching the partition for good.
        if reachable {
            match bounds(consumer, &slot.at) {
                Ok(found) if offset < found.low || offset > found.end => {
                    slot.seek = None;
                    let delivery = slot.miss(found);
                    share.outbox.push_back(delivery);
                    continue;
                }
                Ok(found) => slot.end = found.end,
                Err(error) => {
                    reachable = false;
                    debug!(partition = %slot.at, %error, "look up the bounds");
                }
            }
        }
        match go_to(consumer, &slot.at, offset) {
            Ok(()) => slot.seek = None,
            // Left for the next round, a moment later.
            Err(error) => debug!(partition = %slot.at, offset, %error, "seek"),
        }
    }
    set_pauses(consumer, share);
}

/// Pauses what isn't wanted and resumes what is.
pub(super) fn set_pauses(consumer: &BaseConsumer<Member>, share: &mut Share) {
    let held_back = share.held_back;
    // Asked for every record, and nearly always so.
    if share.slots.iter().all(|slot| slot.asleep == (held_back || !slot.is_active())) {
        return;
    }
    let (mut pause, mut resume) = (TopicPartitionList::new(), TopicPartitionList::new());
    for slot in &mut share.slots {
        let asleep = held_back || !slot.is_active();
        if asleep != slot.asleep {
            let list = if asleep { &mut pause } else { &mut resume };
            list.add_partition(&slot.at.topic, slot.at.partition as i32);
            slot.asleep = asleep;
        }
    }
    let paused = if pause.count() > 0 { consumer.pause(&pause) } else { Ok(()) };
    let resumed = if resume.count() > 0 { consumer.resume(&resume) } else { Ok(()) };
    if let Err(error) = paused.and(resumed) {
        warn!(%error, "pause or resume partitions");
    }
}

/// librdkafka said that some partition of that number is at its end: tells it of every one that is.
pub(super) fn tell_ends(consumer: &BaseConsumer<Member>, share: &mut Share, number: i32) {
    let candidates: Vec<usize> = (0..share.slots.len())
        .filter(|place| share.slots[*place].at.partition as i32 == number)
        .filter(|place| share.slots[*place].is_active())
        .collect();
    let positions = consumer.position().unwrap_or_else(|_| TopicPartitionList::new());
    for place in &candidates {
        let slot = &share.slots[*place];
        // Behind control and aborted records, too: those are counted, but never delivered.
        let reached = slot.next.max(position(&positions, &slot.at));
        if candidates.len() > 1 {
            match bounds(consumer, &slot.at) {
                Ok(found) if reached < found.end => continue,
                Ok(_) => {}
                Err(error) => {
                    debug!(partition = %slot.at, %error, "look up the end");
                    share.unclear_ends.insert(number);
                    continue;
                }
            }
        }
        share.flush(*place);
        let told = share.slots[*place].reach(reached);
        share.outbox.extend(told);
    }
}

/// librdkafka said that some partition doesn't have the offset it was to fetch: finds out which.
pub(super) fn tell_ranges(consumer: &BaseConsumer<Member>, share: &mut Share) {
    share.unclear_ranges = false;
    let mut found_any = false;
    for place in 0..share.slots.len() {
        let slot = &share.slots[place];
        if !slot.is_active() {
            continue;
        }
        match bounds(consumer, &slot.at) {
            Ok(found) if slot.next < found.low || slot.next > found.end => {
                found_any = true;
                share.flush(place);
                let delivery = share.slots[place].miss(found);
                share.outbox.push_back(delivery);
            }
            Ok(_) => {}
            Err(error) => {
                debug!(partition = %slot.at, %error, "look up the bounds");
                share.unclear_ranges = true;
            }
        }
    }
    if !found_any && !share.unclear_ranges {
        // It is there after all (the log was cut and grew again, say), but librdkafka has stopped
        // fetching it. Sought again, it goes on.
        for slot in share.slots.iter_mut().filter(|slot| slot.is_active()) {
            slot.seek = Some(slot.next);
        }
    }
    settle(consumer, share);
}

fn bounds(consumer: &BaseConsumer<Member>, at: &TopicPartition) -> KafkaResult<Bounds> {
    let (low, end) = consumer.fetch_watermarks(&at.topic, at.partition as i32, QUESTION)?;
    Ok(Bounds { low, end })
}

fn position(positions: &TopicPartitionList, at: &TopicPartition) -> i64 {
    match positions.find_partition(&at.topic, at.partition as i32).map(|found| found.offset()) {
        Some(Offset::Offset(offset)) => offset,
        _ => 0,
    }
}

/// Makes `offset` the next one to be fetched of a partition that is ours.
fn go_to(consumer: &BaseConsumer<Member>, at: &TopicPartition, offset: i64) -> KafkaResult<()> {
    let (topic, partition) = (&at.topic, at.partition as i32);
    let Err(error) = consumer.seek(topic, partition, Offset::Offset(offset), QUESTION) else {
        return Ok(());
    };
    // A partition that ran out of range isn't fetched any more, and can't be sought (`_STATE`): it has
    // to be handed to the fetcher anew. The group doesn't notice.
    let list = list(at, offset);
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => {
            consumer.incremental_unassign(&list)?;
            consumer.incremental_assign(&list)
        }
        RebalanceProtocol::Eager => {
            let mut all = consumer.position()?;
            all.set_partition_offset(topic, partition, Offset::Offset(offset))?;
            consumer.assign(&all)
        }
        RebalanceProtocol::None => Err(error),
    }
}
