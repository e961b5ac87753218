use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use super::SqliteLog;
use crate::{
    Bounds, Consumer, Event, Order, Outgoing, Subscriptions, Topic, TopicPartition, Topics,
    conformance,
};

mod compaction;
mod crash;

const TOPIC: &str = "t";
const GROUP: &str = "app.pipeline";
const DEADLINE: Duration = Duration::from_secs(30);

fn at(partition: u32) -> TopicPartition {
    TopicPartition::new(TOPIC, partition)
}

fn open(dir: &Path) -> SqliteLog {
    SqliteLog::open(dir).unwrap()
}

/// A log with one topic of that many partitions.
async fn log(partitions: u32) -> (TempDir, SqliteLog) {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.ensure(&Topic::named(TOPIC).partitions(partitions)).await.unwrap();
    (dir, log)
}

/// `count` records for one partition, whose values tell their number.
fn numbered(partition: u32, count: usize) -> Vec<Outgoing> {
    let record = |number: usize| Outgoing {
        partition: Some(partition),
        ..Outgoing::keyed(format!("key {number}"), number.to_string())
    };
    (0..count).map(record).collect()
}

async fn bounds(log: &SqliteLog) -> Vec<Bounds> {
    log.info(TOPIC).await.unwrap().unwrap().partitions
}

async fn join(log: &SqliteLog) -> Box<dyn Consumer> {
    log.join(GROUP, &[TOPIC.to_owned()]).await.unwrap()
}

/// Polls until an event is the one waited for, and panics with the last one after the deadline.
async fn until<T>(
    consumer: &mut Box<dyn Consumer>,
    what: &str,
    pick: impl Fn(Event) -> Result<T, Event>,
) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match pick(consumer.poll(Duration::from_millis(100)).await.unwrap()) {
            Ok(found) => return found,
            Err(last) => assert!(Instant::now() < deadline, "waited for {what}, last: {last:?}"),
        }
    }
}

async fn assigned(consumer: &mut Box<dyn Consumer>) -> Vec<TopicPartition> {
    let pick = |event| if let Event::Assigned(all) = event { Ok(all) } else { Err(event) };
    until(consumer, "partitions", pick).await
}

#[tokio::test]
async fn conforms() {
    let dir = tempfile::tempdir().unwrap();
    conformance::backend(|| Arc::new(open(dir.path())), "sqlite", &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handles_that_write_at_once_leave_no_gap_and_give_no_offset_twice() {
    let (dir, first) = log(2).await;
    let write = |writer: usize| {
        let log = open(dir.path());
        tokio::spawn(async move {
            let mut placed = Vec::new();
            for call in 0..25 {
                let record =
                    |number| Outgoing::keyed(format!("{writer} {number}"), format!("{call}"));
                placed.extend(log.append(TOPIC, (0..40).map(record).collect()).await.unwrap());
            }
            placed
        })
    };
    let writers: Vec<_> = (0..4).map(write).collect();
    let mut offsets = [Vec::new(), Vec::new()];
    for writer in writers {
        for placed in writer.await.unwrap() {
            offsets[placed.partition as usize].push(placed.offset);
        }
    }
    let ends: Vec<_> = bounds(&first).await.iter().map(|bounds| bounds.end).collect();
    for (mut offsets, end) in offsets.into_iter().zip(ends) {
        offsets.sort_unstable();
        assert_eq!(offsets, (0..end).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_made_by_many_at_once_is_one_topic() {
    let dir = tempfile::tempdir().unwrap();
    let make = |_| {
        let path = dir.path().to_owned();
        tokio::spawn(async move { open(&path).ensure(&Topic::named(TOPIC)).await.unwrap() })
    };
    let makers: Vec<_> = (0..8).map(make).collect();
    let mut infos = Vec::new();
    for maker in makers {
        infos.push(maker.await.unwrap());
    }
    assert!(infos.windows(2).all(|pair| pair[0] == pair[1]), "{infos:?}");
}

#[tokio::test]
async fn retention_moves_low_and_never_gives_an_offset_again() {
    let (_dir, log) = log(2).await;
    for _ in 0..10 {
        let records = numbered(0, 500).into_iter();
        let wide = |record| Outgoing { value: Some(vec![b'x'; 400].into()), ..record };
        log.append(TOPIC, records.map(wide).collect()).await.unwrap();
    }
    assert_eq!(log.retain(TOPIC, 1 << 30).await.unwrap(), 0, "it fits");
    let dropped = log.retain(TOPIC, 1 << 20).await.unwrap() as i64;
    assert!((1..5_000).contains(&dropped), "{dropped} offsets dropped");
    assert_eq!(bounds(&log).await, [Bounds { low: dropped, end: 5_000 }, Bounds::default()]);
    let slice = log.read(&at(0), 0, 1).await.unwrap();
    assert_eq!(slice.records[0].offset, dropped);

    let mut consumer = join(&log).await;
    assigned(&mut consumer).await;
    consumer.steer(Order::Seek(at(0), 3)).unwrap();
    let event = consumer.poll(DEADLINE).await.unwrap();
    let Event::OutOfRange { asked: 3, bounds: Bounds { low, .. }, .. } = event else {
        panic!("{event:?}")
    };
    assert_eq!(low, dropped);

    log.retain(TOPIC, 0).await.unwrap();
    assert_eq!(bounds(&log).await[0], Bounds { low: 5_000, end: 5_000 });
    let placed = log.append(TOPIC, numbered(0, 1)).await.unwrap();
    assert_eq!(placed[0].offset, 5_000);
}

#[tokio::test]
async fn added_partitions_are_noticed() {
    let (dir, log) = log(1).await;
    let mut consumer = join(&log).await;
    assert_eq!(assigned(&mut consumer).await, [at(0)]);
    open(dir.path()).add_partitions(TOPIC, 2).await.unwrap();
    let started = Instant::now();
    assert_eq!(assigned(&mut consumer).await, [at(1), at(2)]);
    assert!(started.elapsed() < DEADLINE, "took {:?}", started.elapsed());
    log.append(TOPIC, numbered(2, 3)).await.unwrap();
    consumer.steer(Order::Seek(at(2), 0)).unwrap();
    let pick = |event| if let Event::Records { at, .. } = event { Ok(at) } else { Err(event) };
    assert_eq!(until(&mut consumer, "records", pick).await, at(2));
}

#[tokio::test]
async fn a_recreated_topic_is_another_one_for_all_who_have_it_open() {
    let (dir, log) = log(2).await;
    log.append(TOPIC, numbered(0, 9)).await.unwrap();
    let mut consumer = join(&log).await;
    assigned(&mut consumer).await;
    consumer.steer(Order::Seek(at(0), 5)).unwrap();
    let before = log.info(TOPIC).await.unwrap().unwrap();

    let other = open(dir.path());
    other.delete(TOPIC).await.unwrap();
    assert_eq!(log.info(TOPIC).await.unwrap(), None);
    assert!(!log.append(TOPIC, numbered(0, 1)).await.unwrap_err().is_retryable());
    let event = consumer.poll(Duration::from_millis(50)).await.unwrap();
    assert!(matches!(event, Event::Idle), "{event:?}");
    assert!(other.delete(TOPIC).await.is_err(), "there is none to delete");

    other.ensure(&Topic::named(TOPIC).partitions(1)).await.unwrap();
    let after = log.info(TOPIC).await.unwrap().unwrap();
    assert_ne!(after.id, before.id);
    assert_eq!(after.cluster, before.cluster);
    let gone = |event| if let Event::Lost(all) = event { Ok(all) } else { Err(event) };
    assert_eq!(until(&mut consumer, "loss", gone).await, [at(1)]);
    let pick =
        |event| if let Event::OutOfRange { asked, .. } = event { Ok(asked) } else { Err(event) };
    assert_eq!(until(&mut consumer, "out of range", pick).await, 5);

    log.append(TOPIC, numbered(0, 2)).await.unwrap();
    drop((consumer, log, other));
    assert_eq!(
        bounds(&open(dir.path())).await[0].end,
        2,
        "the old file's users left the new one alone"
    );
}

#[tokio::test]
async fn what_a_half_done_creation_or_deletion_left_does_no_harm() {
    let (dir, log) = log(1).await;
    let wal = dir.path().join("t.db-wal");
    log.append(TOPIC, numbered(0, 50)).await.unwrap();
    let left = std::fs::read(&wal).unwrap();
    assert!(!left.is_empty(), "the test needs a WAL to leave behind");
    log.delete(TOPIC).await.unwrap();
    std::fs::write(&wal, left).unwrap();
    std::fs::write(dir.path().join("t.db.new"), "half a database").unwrap();
    let info = open(dir.path()).ensure(&Topic::named(TOPIC).partitions(1)).await.unwrap();
    assert_eq!(info.partitions, [Bounds::default()]);
}

#[tokio::test]
async fn partitions_take_turns() {
    let (_dir, log) = log(2).await;
    for partition in [0, 1] {
        log.append(TOPIC, numbered(partition, 9_000)).await.unwrap();
    }
    let mut consumer = join(&log).await;
    for at in assigned(&mut consumer).await {
        consumer.steer(Order::Seek(at, 0)).unwrap();
    }
    let mut turns = Vec::new();
    while turns.len() < 4 {
        let event = consumer.poll(DEADLINE).await.unwrap();
        let Event::Records { at, .. } = event else { panic!("{event:?}") };
        turns.push(at.partition);
    }
    assert_eq!(turns, [0, 1, 0, 1]);
}

#[tokio::test]
async fn committed_offsets_are_kept_per_group() {
    let (dir, log) = log(2).await;
    let mut consumer = join(&log).await;
    assigned(&mut consumer).await;
    consumer.commit(&[(at(0), 7), (at(1), 3)]).await.unwrap();
    consumer.commit(&[(at(0), 8), (TopicPartition::new("other", 0), 1)]).await.unwrap();
    let log = open(dir.path());
    assert_eq!(log.committed(TOPIC, GROUP).await.unwrap(), [(0, 8), (1, 3)]);
    assert_eq!(log.committed(TOPIC, "another").await.unwrap(), []);
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_a_remedy() {
    let (dir, log) = log(1).await;
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let nowhere = Outgoing { partition: Some(7), ..Outgoing::keyed("a", "1") };
    let mut mixed = numbered(0, 1);
    mixed.push(nowhere);
    std::fs::write(dir.path().join("junk.db"), vec![b'j'; 9_000]).unwrap();
    let errors = [
        SqliteLog::open(&file).unwrap_err(),
        log.ensure(&Topic::named("../up")).await.unwrap_err(),
        log.ensure(&Topic::named("none").partitions(0)).await.unwrap_err(),
        log.append(TOPIC, mixed).await.unwrap_err(),
        log.append("nope", numbered(0, 1)).await.unwrap_err(),
        log.read(&at(1), 0, 1).await.unwrap_err(),
        log.join("../group", &[TOPIC.to_owned()]).await.err().unwrap(),
        log.join(GROUP, &["nope".to_owned()]).await.err().unwrap(),
        log.info("junk").await.unwrap_err(),
    ];
    for error in errors {
        assert!(!error.is_retryable(), "{error:?}");
    }
    assert_eq!(bounds(&log).await[0].end, 0, "all of a batch or nothing");
}
