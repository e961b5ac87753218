use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, SchemaRef};
use async_trait::async_trait;
use millstream_engine::ledger::EntryKind;
use millstream_engine::memory_sink::MemoryTarget;
use millstream_engine::{About, Options, Roll, Sink, SinkError, Target};
use millstream_topic::dead_letter::{self, DeadLetter, Kind};
use millstream_topic::{Outgoing, Subscriptions, TopicPartition, Topics};

use crate::stage::{EVENTS, Stage, event, partition};

#[tokio::test(start_paused = true)]
async fn everything_arrives_once() {
    let stage = Stage::new().await;
    stage.topics.deliver_at_most(30);
    stage.send(0, 1_000).await;
    let totals = stage.catch_up().await.expect("catch up");
    assert_eq!((totals.delivered, totals.rows), (1_000, 1_000));
    assert!(totals.ranges >= 8, "ranges of about 120: {}", totals.ranges);
    stage.assert_exact(1_000).await;
}

#[tokio::test(start_paused = true)]
async fn a_second_start_goes_on_where_the_first_ended() {
    let stage = Stage::new().await;
    stage.send(0, 150).await;
    stage.catch_up().await.expect("first");
    stage.send(150, 400).await;
    let totals = stage.catch_up().await.expect("second");
    assert_eq!(totals.delivered, 250);
    stage.assert_exact(400).await;
    assert_eq!(stage.catch_up().await.expect("third").delivered, 0);
}

#[tokio::test(start_paused = true)]
async fn filtered_records_are_counted() {
    let stage = Stage::new().await;
    let records = (-10..20).map(event).collect();
    stage.topics.append("events", records).await.expect("append");
    let totals = stage.catch_up().await.expect("catch up");
    assert_eq!((totals.delivered, totals.filtered), (20, 10));
    stage.assert_exact(20).await;
}

#[tokio::test(start_paused = true)]
async fn case_12_poison_records_go_one_by_one() {
    let stage = Stage::new().await;
    stage.send(0, 50).await;
    let big = format!(r#"{{"id":"{}","n":1}}"#, "x".repeat(2 << 20));
    let deep = format!(r#"{{"id":"a","n":1,"x":{}"#, "[".repeat(100_000));
    let poison: [&[u8]; 8] = [
        b"{",
        b"{\"id\":\"\xff\",\"n\":1}",
        br#"{"id":"a"}"#,
        br#"{"id":"a","n":"one"}"#,
        br#"{"id":null,"n":1}"#,
        b"",
        big.as_bytes(),
        deep.as_bytes(),
    ];
    for value in poison {
        stage.send_raw(value).await;
    }
    let null = Outgoing { key: Some("k".into()), ..Outgoing::default() };
    stage.topics.append("events", vec![null]).await.expect("append");
    stage.send(50, 100).await;

    let totals = stage.catch_up().await.expect("catch up");
    assert_eq!((totals.delivered, totals.dead_lettered), (100, 9));
    stage.assert_exact(100).await;

    let name = dead_letter::topic_for("events");
    let slice = stage.topics.read(&TopicPartition::new(name, 0), 0, 100).await.expect("read");
    let letters: Vec<_> = slice
        .records
        .iter()
        .map(|record| DeadLetter::from_record(record).expect("letter"))
        .collect();
    assert_eq!(letters.len(), 9);
    for value in poison {
        assert!(letters.iter().any(|letter| letter.value.as_deref() == Some(value)), "{value:?}");
    }
    assert!(letters.iter().all(|l| l.pipeline == "test.events" && !l.reason.is_empty()));
}

/// Long ranges are worked off by several threads, stretch by stretch: what comes of them is in the records' order all the same.
#[tokio::test(start_paused = true)]
async fn stretches_that_others_work_off_come_in_their_order() {
    let mut stage = Stage::new().await;
    stage.pipeline.roll = Roll { records: 1 << 20, bytes: 1 << 30, ..stage.pipeline.roll };
    let events = 100_000;
    for part in 0..10 {
        stage.send(part * events / 10 - 7, (part + 1) * events / 10 - 7).await;
        stage.send_raw(b"{").await;
    }
    let totals = stage.catch_up().await.expect("catch up");
    assert_eq!((totals.delivered, totals.filtered, totals.dead_lettered), (99_993, 7, 10));
    assert_eq!(totals.ranges, 2, "one of each partition, of some six stretches");
    stage.assert_exact(99_993).await;

    let rows = stage.target.snapshot().rows.expect("rows");
    let numbers = rows.column_by_name("n").expect("n").as_primitive::<Int64Type>().values();
    let turns = numbers.windows(2).filter(|pair| pair[0] > pair[1]).count();
    assert!(turns <= 1, "ascending in each partition, as they were sent: {turns} turns");
    let name = dead_letter::topic_for("events");
    let slice = stage.topics.read(&TopicPartition::new(name, 0), 0, 100).await.expect("read");
    let letters =
        slice.records.iter().map(|record| DeadLetter::from_record(record).expect("letter"));
    let offsets: Vec<_> = letters.map(|letter| letter.offset).collect();
    assert_eq!(offsets.len(), 10);
    assert!(offsets.is_sorted(), "{offsets:?}");
}

/// Of records of one moment only the count makes the later one's version the larger, also across stretches.
#[tokio::test(start_paused = true)]
async fn the_last_of_equal_times_stays_whoever_worked_it_off() {
    let mut stage = Stage::with(MemoryTarget::upsert("events", &["id"])).await;
    stage.pipeline.roll = Roll { records: 1 << 20, bytes: 1 << 30, ..stage.pipeline.roll };
    let record = |n: i64| {
        let (id, timestamp_ms) = (format!("k{}", n % 5), Some(1_700_000_000_000));
        let value = format!(r#"{{"id":"{id}","n":{n}}}"#);
        Outgoing { timestamp_ms, ..Outgoing::keyed(id, value) }
    };
    stage.topics.append("events", (0..100_000).map(record).collect()).await.expect("append");
    let totals = stage.catch_up().await.expect("catch up");
    assert!(totals.ranges <= 2, "one of each partition, of several stretches");
    assert_eq!(stage.numbers(), (99_995..100_000).collect::<Vec<_>>());
    assert!(stage.verify().await.is_exact());
}

/// A table that can't hold one of the rows.
#[derive(Debug)]
struct Choosy(MemoryTarget);

#[async_trait]
impl Target for Choosy {
    fn about(&self) -> About {
        self.0.about()
    }

    fn unfit(&self, rows: &RecordBatch) -> Vec<(usize, String)> {
        let ids = rows.column_by_name("id").expect("column id").as_string::<i32>();
        let seven = |(row, id): (usize, Option<&str>)| {
            (id == Some("k7")).then(|| (row, "there can be no k7".to_owned()))
        };
        ids.iter().enumerate().filter_map(seven).collect()
    }

    async fn connect(
        &self,
        pipeline: &str,
        schema: &SchemaRef,
    ) -> Result<Box<dyn Sink>, SinkError> {
        self.0.connect(pipeline, schema).await
    }

    async fn scan(
        &self,
        pipeline: &str,
        visit: &mut (dyn FnMut(RecordBatch) -> Result<(), SinkError> + Send),
    ) -> Result<(), SinkError> {
        self.0.scan(pipeline, visit).await
    }
}

#[tokio::test(start_paused = true)]
async fn rows_that_the_sink_can_never_hold_are_dead_letters() {
    let mut stage = Stage::new().await;
    stage.pipeline.target = Arc::new(Choosy(stage.target.clone()));
    stage.send(0, 20).await;
    let totals = stage.catch_up().await.expect("catch up");
    assert_eq!((totals.delivered, totals.dead_lettered), (19, 1));
    stage.assert_exact(19).await;
    assert!(!stage.numbers().contains(&7));
    let name = dead_letter::topic_for("events");
    let slice = stage.topics.read(&TopicPartition::new(name, 0), 0, 100).await.expect("read");
    let letter = DeadLetter::from_record(&slice.records[0]).expect("letter");
    assert_eq!((letter.kind, letter.reason.as_str()), (Kind::Refused, "there can be no k7"));
}

#[tokio::test(start_paused = true)]
async fn case_6_group_offsets_do_not_matter() {
    let stage = Stage::new().await;
    stage.send(0, 100).await;
    stage.catch_up().await.expect("first");
    for (number, offset) in [(0, Some(0)), (1, None)] {
        stage.topics.reset_committed("test.events", &partition(number), offset);
    }
    stage.send(100, 120).await;
    assert_eq!(stage.catch_up().await.expect("second").delivered, 20);
    for number in [0, 1] {
        stage.topics.reset_committed("test.events", &partition(number), Some(1_000));
    }
    stage.send(120, 130).await;
    stage.catch_up().await.expect("third");
    stage.assert_exact(130).await;
}

#[tokio::test(start_paused = true)]
async fn the_group_offset_follows_the_position() {
    let stage = Stage::new().await;
    stage.send(0, 100).await;
    stage.catch_up().await.expect("catch up");
    let ends = stage.topics.info("events").await.expect("info").expect("topic").partitions;
    for (number, bounds) in ends.iter().enumerate() {
        let committed = stage.topics.committed("test.events", &partition(number as u32));
        assert_eq!(committed, Some(bounds.end));
    }
}

#[tokio::test(start_paused = true)]
async fn case_4_a_planned_range_is_done_exactly_as_planned() {
    let stage = Stage::new().await;
    stage.send(0, 200).await;
    let mut sink =
        stage.target.connect("test.events", &stage.pipeline.schema()).await.expect("sink");
    // A first worker stands somewhere and has planned a range of 7 offsets; ours would roll at 100.
    let mut worker = stage.worker();
    worker.until_delivered(200).await;
    worker.kill().await;
    stage.send(200, 400).await;
    let last = sink.ledger(&partition(0), 0, 100).await.expect("ledger").pop().expect("entry");
    stage.target.plan(&partition(0), last.end + 7);
    stage.catch_up().await.expect("catch up");
    let after = sink.ledger(&partition(0), last.seq + 1, 1).await.expect("ledger").remove(0);
    assert_eq!((after.start, after.end), (last.end + 1, last.end + 7));
    stage.assert_exact(400).await;
}

#[tokio::test(start_paused = true)]
async fn case_16_an_idle_topic_still_rolls_on_time() {
    let stage = Stage::new().await;
    let mut worker = stage.worker();
    worker.until("the partitions", |status| status.partitions.len() >= 2).await;
    stage.send(0, 3).await;
    let sent = tokio::time::Instant::now();
    worker.until_delivered(3).await;
    let took = sent.elapsed();
    assert!(took >= Duration::from_secs(4) && took < Duration::from_secs(6), "{took:?}");
    worker.end().await.expect("end");
    stage.assert_exact(3).await;
}

#[tokio::test(start_paused = true)]
async fn a_range_that_is_due_soon_is_closed_with_one_that_is_due() {
    let stage = Stage::new().await;
    let mut worker = stage.worker();
    worker.until("partitions", |status| status.partitions.len() >= 2).await;
    // A tenth of the 5 s is 500 ms.
    for (apart_ms, before, together) in [(300, 0, 2), (900, 2, 3)] {
        for (partition, n) in [(0, before), (1, before + 1)] {
            let record = Outgoing { partition: Some(partition), ..event(n) };
            stage.topics.append("events", vec![record]).await.expect("append");
            tokio::time::sleep(Duration::from_millis(apart_ms)).await;
        }
        worker.until_delivered(before as u64 + 1).await;
        let delivered = worker.status.borrow().totals.events();
        assert_eq!(
            delivered, together,
            "when the first of two is due, the other {apart_ms} ms later"
        );
    }
    worker.until_delivered(4).await;
    worker.end().await.expect("drain");
    stage.assert_exact(4).await;
}

#[tokio::test(start_paused = true)]
async fn case_17_offsets_without_records_are_absent() {
    let stage = Stage::new().await;
    stage.send(0, 10).await;
    for number in [0, 1] {
        stage.topics.append_absent(&partition(number), 1).expect("a marker in the middle");
    }
    stage.send(10, 20).await;
    for number in [0, 1] {
        stage.topics.append_absent(&partition(number), 2).expect("markers as the last offsets");
    }
    let totals = stage.catch_up().await.expect("lag reaches 0");
    assert_eq!((totals.delivered, totals.absent), (20, 6));
    stage.assert_exact(20).await;
}

#[tokio::test(start_paused = true)]
async fn case_18_a_stop_commits_what_is_open() {
    let stage = Stage::new().await;
    let mut worker = stage.worker();
    stage.send(0, 40).await;
    worker.until("records held", |status| status.partitions.iter().any(|p| p.held > 0)).await;
    let asked = tokio::time::Instant::now();
    let totals = worker.end().await.expect("end");
    assert!(asked.elapsed() < Duration::from_secs(10));
    assert!(totals.delivered > 0, "drained");
    stage.catch_up().await.expect("the rest");
    stage.assert_exact(40).await;
}

#[tokio::test(start_paused = true)]
async fn counters_and_upserts_verify_too() {
    for target in [MemoryTarget::upsert("t", &["id"]), MemoryTarget::count("t", &["id"], "n")] {
        let stage = Stage::with(target).await;
        for _ in 0..3 {
            stage.send(0, 60).await;
        }
        stage.catch_up().await.expect("catch up");
        let report = stage.verify().await;
        assert!(report.is_exact(), "{report:#?}");
        assert_eq!((report.produced, report.delivered), (180, 180));
        assert_eq!(stage.numbers().len(), 60);
    }
}

#[tokio::test(start_paused = true)]
async fn verify_finds_what_was_lost_and_doubled() {
    for target in [
        MemoryTarget::append("t"),
        MemoryTarget::upsert("t", &["id"]),
        MemoryTarget::count("t", &["id"], "n"),
    ] {
        let stage = Stage::with(target).await;
        stage.send(1, 60).await;
        stage.catch_up().await.expect("catch up");
        // The same ledger over other contents: none of its rows is in the topic.
        let other = Stage::with(stage.target.clone()).await;
        other.send(1_001, 1_060).await;
        let report = other.verify().await;
        assert!(report.lost > 0 && report.duplicated > 0, "{report:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn replayed_dead_letters_come_through_the_pipelines_own_topic() {
    let stage = Stage::new().await;
    stage.send(0, 5).await;
    stage.catch_up().await.expect("first");
    let topic = stage.pipeline.replay_topic();
    stage.topics.ensure(&topic).await.expect("make");
    stage.topics.append(&topic.name, vec![event(99)]).await.expect("append");
    stage.catch_up().await.expect("second");
    stage.assert_exact(6).await;
    assert!(stage.numbers().contains(&99));
}

#[tokio::test(start_paused = true)]
async fn an_operators_skip_counts_as_absent() {
    let stage = Stage::new().await;
    stage.send(0, 100).await;
    stage.catch_up().await.expect("first");
    let mut sink =
        stage.target.connect("test.events", &stage.pipeline.schema()).await.expect("sink");
    let ledger = sink.ledger(&partition(0), 0, 100).await.expect("ledger");
    assert_eq!(ledger.first().map(|entry| &entry.kind), Some(&EntryKind::Genesis));
    assert!(ledger.windows(2).all(|pair| pair[1].start == pair[0].end + 1));
    assert_eq!(EVENTS.partitions, 2);
}

#[tokio::test(start_paused = true)]
async fn memory_stays_within_its_bound() {
    let stage = Stage::new().await;
    stage.send(0, 5_000).await;
    let options = Options { until_caught_up: true, memory: 4_000, ..Options::default() };
    let mut worker = stage.worker_with(options);
    stage.topics.deliver_at_most(20);
    worker.until_delivered(5_000).await;
    stage.assert_exact(5_000).await;
}

#[tokio::test(start_paused = true)]
async fn verify_knows_that_compaction_takes_records_that_were_worked_off() {
    let stage = Stage::compacted(MemoryTarget::upsert("t", &["id"])).await;
    for _ in 0..3 {
        stage.send(0, 60).await;
    }
    stage.catch_up().await.expect("catch up");
    stage.topics.compact("events").expect("compact");
    let report = stage.verify().await;
    assert!(report.is_exact(), "{report:#?}");
    assert_eq!((report.delivered, report.absent, stage.numbers().len()), (180, 0, 60));
}
