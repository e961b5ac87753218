use std::sync::Arc;
use std::time::Duration;

use super::{Memory, START_MS};
use crate::{
    Bounds, Consumer, Event, Order, Outgoing, Subscriptions, Topic, TopicPartition, Topics,
    conformance,
};

const TOPIC: &str = "t";
const GROUP: &str = "g";
const WAIT: Duration = Duration::from_millis(50);

fn at(partition: u32) -> TopicPartition {
    TopicPartition::new(TOPIC, partition)
}

async fn memory(partitions: u32) -> Memory {
    let memory = Memory::new();
    memory.ensure(&Topic::named(TOPIC).partitions(partitions)).await.unwrap();
    memory
}

async fn append(memory: &Memory, partition: u32, keys: &[&str]) {
    let keyed = |key: &&str| Outgoing {
        partition: Some(partition),
        ..Outgoing::keyed(key.to_string(), "v")
    };
    memory.append(TOPIC, keys.iter().map(keyed).collect()).await.unwrap();
}

async fn join(memory: &Memory) -> Box<dyn Consumer> {
    memory.join(GROUP, &[TOPIC.to_owned()]).await.unwrap()
}

/// A member that has started partition 0 at offset 0.
async fn started(memory: &Memory) -> Box<dyn Consumer> {
    let mut member = join(memory).await;
    assert_eq!(shown(&mut member).await, "Assigned 0");
    member.steer(Order::Seek(at(0), 0)).unwrap();
    member
}

/// The next event in short: what the tests below compare.
async fn shown(member: &mut Box<dyn Consumer>) -> String {
    let list = |all: Vec<TopicPartition>| {
        all.iter().map(|at| at.partition.to_string()).collect::<Vec<_>>().join(" ")
    };
    match member.poll(WAIT).await.unwrap() {
        Event::Assigned(all) => format!("Assigned {}", list(all)),
        Event::Revoked(all) => format!("Revoked {}", list(all)),
        Event::Lost(all) => format!("Lost {}", list(all)),
        Event::Records { records, .. } => {
            let offsets: Vec<_> = records.iter().map(|record| record.offset.to_string()).collect();
            format!("Records {}", offsets.join(" "))
        }
        Event::End { end, .. } => format!("End {end}"),
        Event::OutOfRange { asked, bounds: Bounds { low, end }, .. } => {
            format!("OutOfRange {asked} of {low}..{end}")
        }
        other => format!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn conforms() {
    let memory = Memory::new();
    conformance::backend(|| Arc::new(memory.clone()), "memory", &[]).await;
}

#[tokio::test(start_paused = true)]
async fn partitions_move_only_after_their_owner_was_told() {
    let memory = memory(2).await;
    let mut one = join(&memory).await;
    assert_eq!(shown(&mut one).await, "Assigned 0 1");
    let mut two = join(&memory).await;
    assert_eq!(shown(&mut two).await, "Idle");
    assert_eq!(shown(&mut one).await, "Revoked 1");
    assert_eq!(shown(&mut two).await, "Idle", "the loser has not polled again yet");
    assert_eq!(shown(&mut one).await, "Idle");
    assert_eq!(shown(&mut two).await, "Assigned 1");
    drop(one);
    assert_eq!(shown(&mut two).await, "Assigned 0");
}

#[tokio::test(start_paused = true)]
async fn a_stolen_partition_is_lost_and_the_next_member_has_it() {
    let memory = memory(2).await;
    let (mut one, mut two) = (join(&memory).await, join(&memory).await);
    assert_eq!(shown(&mut one).await, "Assigned 0");
    assert_eq!(shown(&mut two).await, "Assigned 1");
    memory.steal(GROUP, &at(0));
    assert_eq!(shown(&mut two).await, "Assigned 0");
    assert_eq!(shown(&mut one).await, "Lost 0");
    assert_eq!(shown(&mut one).await, "Idle");
}

#[tokio::test(start_paused = true)]
async fn an_expired_member_learns_it_and_comes_back() {
    let memory = memory(1).await;
    let mut one = started(&memory).await;
    let mut two = join(&memory).await;
    memory.expire(GROUP, memory.members(GROUP)[0]);
    assert!(one.commit(&[(at(0), 1)]).await.unwrap_err().is_retryable());
    assert_eq!(shown(&mut two).await, "Assigned 0");
    assert_eq!(shown(&mut one).await, "Lost 0");
    assert_eq!(memory.members(GROUP).len(), 2);
    assert_eq!(shown(&mut two).await, "Revoked 0", "the elder member is back");
    assert_eq!(memory.committed(GROUP, &at(0)), None);
}

#[tokio::test(start_paused = true)]
async fn retention_and_a_dropped_tail_put_a_position_out_of_range() {
    let memory = memory(1).await;
    append(&memory, 0, &["a", "b", "c", "d"]).await;
    let mut member = started(&memory).await;
    memory.truncate(&at(0), 2).unwrap();
    assert_eq!(shown(&mut member).await, "OutOfRange 0 of 2..4");
    member.steer(Order::Seek(at(0), 2)).unwrap();
    assert_eq!(shown(&mut member).await, "Records 2 3");
    memory.drop_tail(&at(0), 3).unwrap();
    assert_eq!(shown(&mut member).await, "OutOfRange 4 of 2..3");
}

#[tokio::test(start_paused = true)]
async fn absent_offsets_are_passed_over_and_count_towards_the_end() {
    let memory = memory(1).await;
    append(&memory, 0, &["a", "b", "c"]).await;
    memory.hole(&at(0), 1).unwrap();
    memory.append_absent(&at(0), 2).unwrap();
    let mut member = started(&memory).await;
    assert_eq!(shown(&mut member).await, "Records 0 2");
    assert_eq!(shown(&mut member).await, "End 5");
    memory.hole(&at(0), 5).unwrap();
    assert_eq!(shown(&mut member).await, "End 6");
    assert_eq!(shown(&mut member).await, "Idle");
    let slice = memory.read(&at(0), 3, 9).await.unwrap();
    assert_eq!((slice.records.len(), slice.next, slice.end), (0, 6, 6));
}

#[tokio::test(start_paused = true)]
async fn compaction_keeps_the_last_of_each_key() {
    let memory = memory(1).await;
    append(&memory, 0, &["a", "b", "a", "c"]).await;
    let tombstone = Outgoing { value: None, ..Outgoing::keyed("b", "") };
    memory.append(TOPIC, vec![tombstone]).await.unwrap();
    let offsets = async |memory: &Memory| -> Vec<i64> {
        let slice = memory.read(&at(0), 0, 9).await.unwrap();
        slice.records.iter().map(|record| record.offset).collect()
    };
    memory.compact(TOPIC).unwrap();
    assert_eq!(offsets(&memory).await, [2, 3, 4]);
    memory.compact_tombstones(TOPIC).unwrap();
    assert_eq!(offsets(&memory).await, [2, 3]);
    assert_eq!(memory.info(TOPIC).await.unwrap().unwrap().partitions, [Bounds { low: 0, end: 5 }]);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_partition_is_silent_until_the_next_seek() {
    let memory = memory(1).await;
    append(&memory, 0, &["a"]).await;
    let mut member = started(&memory).await;
    memory.stall(&at(0), true);
    assert_eq!(shown(&mut member).await, "Idle");
    member.steer(Order::Seek(at(0), 0)).unwrap();
    assert_eq!(shown(&mut member).await, "Records 0");
}

#[tokio::test(start_paused = true)]
async fn ordered_faults_come_and_pass() {
    let memory = memory(1).await;
    memory.fail_next(2);
    assert!(memory.info(TOPIC).await.unwrap_err().is_retryable());
    assert!(memory.append(TOPIC, vec![Outgoing::keyed("a", "1")]).await.is_err());
    memory.lose_replies(1);
    assert!(memory.append(TOPIC, vec![Outgoing::keyed("a", "2")]).await.is_err());
    let slice = memory.read(&at(0), 0, 9).await.unwrap();
    assert_eq!(slice.records.len(), 1, "the lost reply's record is there, the failed one's is not");
    assert_eq!(slice.records[0].timestamp_ms, START_MS);
}

#[tokio::test(start_paused = true)]
async fn added_partitions_and_a_recreated_topic_are_noticed() {
    let memory = memory(1).await;
    append(&memory, 0, &["a"]).await;
    let mut member = started(&memory).await;
    assert_eq!(shown(&mut member).await, "Records 0");
    memory.add_partitions(TOPIC, 2).unwrap();
    assert_eq!(shown(&mut member).await, "Assigned 1 2");
    let id = memory.info(TOPIC).await.unwrap().unwrap().id;
    memory.recreate(TOPIC).unwrap();
    assert_ne!(memory.info(TOPIC).await.unwrap().unwrap().id, id);
    assert_eq!(shown(&mut member).await, "OutOfRange 1 of 0..0");
}

#[tokio::test]
async fn what_is_not_there_is_refused() {
    let memory = memory(1).await;
    let nowhere = Outgoing { partition: Some(7), ..Outgoing::keyed("a", "1") };
    let batch = vec![Outgoing::keyed("a", "1"), nowhere];
    assert!(!memory.append(TOPIC, batch).await.unwrap_err().is_retryable());
    assert_eq!(memory.read(&at(0), 0, 9).await.unwrap().end, 0, "all of a batch or nothing");
    assert!(memory.append("nope", Vec::new()).await.is_err());
    assert!(memory.read(&at(1), 0, 9).await.is_err());
    assert!(memory.join(GROUP, &["nope".to_owned()]).await.is_err());
    assert!(memory.ensure(&Topic::named("../up")).await.is_err());
    assert!(memory.ensure(&Topic::named("none").partitions(0)).await.is_err());
}
