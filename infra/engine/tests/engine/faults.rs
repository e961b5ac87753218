use std::time::Duration;

use millstream_engine::memory_sink::MemoryTarget;
use millstream_engine::{Options, State, What};
use millstream_topic::{Outgoing, Subscriptions, Topics};

use crate::stage::{Stage, event, partition};

#[tokio::test(start_paused = true)]
async fn case_13_the_sink_is_down_for_minutes() {
    let stage = Stage::new().await;
    let mut worker = stage.worker();
    stage.send(0, 50).await;
    worker.until_delivered(50).await;
    stage.target.fail_next(usize::MAX);
    stage.send(50, 20_000).await;
    worker.until("retrying", |status| matches!(status.state, State::Retrying(_))).await;
    tokio::time::sleep(Duration::from_secs(180)).await;
    let held: usize = worker.status.borrow().partitions.iter().map(|p| p.held).sum();
    assert!(held < 1 << 20, "reading paused: {held} bytes held");
    assert!(worker.status.borrow().totals.retries > 10);
    stage.target.fail_next(0);
    worker.until_delivered(20_000).await;
    worker.end().await.expect("end");
    stage.assert_exact(20_000).await;
}

#[tokio::test(start_paused = true)]
async fn case_24_lost_replies_are_found_out() {
    let stage = Stage::new().await;
    let mut worker = stage.worker();
    for round in 0..20 {
        stage.target.lose_reply_next(1 + round % 3);
        stage.send(round as i64 * 50, round as i64 * 50 + 50).await;
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    worker.until("no lag", |status| status.lag() == 0).await;
    worker.end().await.expect("end");
    stage.assert_exact(1_000).await;
}

#[tokio::test(start_paused = true)]
async fn the_topics_are_down_for_a_while() {
    let stage = Stage::new().await;
    stage.send(0, 100).await;
    let mut worker = stage.worker();
    worker.until_delivered(100).await;
    stage.topics.fail_next(20);
    tokio::time::sleep(Duration::from_secs(120)).await;
    stage.send(100, 200).await;
    worker.until_delivered(200).await;
    worker.end().await.expect("end");
    stage.assert_exact(200).await;
}

#[tokio::test(start_paused = true)]
async fn topics_that_went_away_without_a_word_are_noticed() {
    let stage = Stage::new().await;
    stage.send(0, 100).await;
    let mut worker = stage.worker();
    worker.until_delivered(100).await;
    stage.topics.go_away(true);
    let retries = |status: &millstream_engine::Status| match &status.state {
        State::Retrying(why) => why.contains("nobody answers"),
        _ => false,
    };
    worker.until("trouble", retries).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let status = worker.status.borrow().clone();
    assert!(retries(&status), "{status:#?}");
    let told = |status: &millstream_engine::Status, what| {
        status.happenings.iter().filter(|one| one.what == what).count()
    };
    assert_eq!(told(&status, What::Retrying), 1, "told once: {status:#?}");
    stage.topics.go_away(false);
    stage.send(100, 200).await;
    worker.until_delivered(200).await;
    worker.until("recovery", |status| status.state == State::Running).await;
    assert_eq!(told(&worker.status.borrow(), What::Recovered), 1);
    worker.end().await.expect("end");
    stage.assert_exact(200).await;
}

#[tokio::test(start_paused = true)]
async fn dead_letters_are_written_before_the_range_counts() {
    let stage = Stage::new().await;
    stage.send(0, 10).await;
    stage.send_raw(b"poison").await;
    // Whatever fails first or last, the letters the ledger lists are there.
    for failures in 0..30 {
        let worker = stage.worker();
        stage.topics.fail_next(failures % 4);
        stage.topics.lose_replies(failures % 3);
        tokio::time::sleep(Duration::from_millis(u64::from(failures) * 300)).await;
        worker.kill().await;
        stage.topics.fail_next(0);
        stage.topics.lose_replies(0);
        stage.send_raw(b"more poison").await;
    }
    stage.catch_up().await.expect("catch up");
    let report = stage.verify().await;
    assert!(report.is_exact() && report.dead_lettered == 31, "{report:#?}");
}

#[tokio::test(start_paused = true)]
async fn case_3_and_7_killed_at_any_moment() {
    let stage = Stage::new().await;
    for round in 0..60_i64 {
        stage.send(round * 40, round * 40 + 40).await;
        let worker = stage.worker();
        tokio::time::sleep(Duration::from_millis(137 * (round as u64 % 50))).await;
        worker.kill().await;
    }
    stage.catch_up().await.expect("catch up");
    stage.assert_exact(2_400).await;
}

#[tokio::test(start_paused = true)]
async fn case_8_a_silent_partition_is_started_again() {
    let stage = Stage::new().await;
    let mut worker = stage.worker();
    stage.send(0, 50).await;
    worker.until_delivered(50).await;
    for number in [0, 1] {
        stage.topics.stall(&partition(number), true);
    }
    stage.send(50, 100).await;
    worker.until_delivered(100).await;
    assert!(worker.status.borrow().totals.restarts >= 1, "the watchdog did it");
    worker.end().await.expect("end");
    stage.assert_exact(100).await;
}

#[tokio::test(start_paused = true)]
async fn case_9_offsets_dropped_by_retention_stop_that_partition() {
    let stage = Stage::new().await;
    stage.send(0, 100).await;
    stage.catch_up().await.expect("first");
    stage.send(100, 200).await;
    let end = end_of(&stage, 0).await;
    stage.topics.truncate(&partition(0), end - 5).expect("truncate");
    let mut worker = stage.worker();
    worker.until_stopped("dropped by retention").await;
    worker.until_stopped("position skip test.events events 0 --from").await;
    // The other one goes on.
    let caught_up = |status: &millstream_engine::Status| {
        status.partitions.iter().any(|p| p.partition == 1 && p.position > 0 && p.lag() == 0)
    };
    worker.until("partition 1 without lag", caught_up).await;
    worker.end().await.expect("end");
}

#[tokio::test(start_paused = true)]
async fn case_10_a_recreated_topic_is_refused() {
    let stage = Stage::new().await;
    stage.send(0, 100).await;
    stage.catch_up().await.expect("first");
    stage.topics.recreate("events").expect("recreate");
    stage.send(0, 500).await;
    let error = stage.catch_up().await.expect_err("refused").to_string();
    assert!(error.contains("recreated") && error.contains("adopt-topic"), "{error}");
    assert_eq!(stage.numbers().len(), 100, "nothing was taken from it");
}

#[tokio::test(start_paused = true)]
async fn case_10_also_while_the_worker_runs() {
    let stage = Stage::new().await;
    stage.send(0, 100).await;
    let mut worker = stage.worker();
    worker.until_delivered(100).await;
    stage.topics.recreate("events").expect("recreate");
    stage.send(0, 500).await;
    worker.until_stopped("recreated").await;
    worker.end().await.expect("end");
    assert_eq!(stage.numbers().len(), 100);
}

#[tokio::test(start_paused = true)]
async fn case_21_a_compacted_away_last_record_is_no_recreated_topic() {
    let stage = Stage::compacted(MemoryTarget::upsert("t", &["id"])).await;
    stage.send(0, 100).await;
    stage.catch_up().await.expect("first");
    // The same keys again: compaction leaves nothing of what the positions point at.
    let positions = [end_of(&stage, 0).await, end_of(&stage, 1).await];
    stage.send(0, 100).await;
    stage.topics.compact("events").expect("compact");
    for (number, next) in (0..).zip(positions) {
        let left = stage.topics.read(&partition(number), next - 1, 1).await.expect("read");
        assert!(left.records.iter().all(|record| record.offset >= next), "the last record is gone");
    }
    let totals = stage.catch_up().await.expect("the topic is the same one");
    assert_eq!(totals.delivered, 100);

    // The last records of all are tombstones, and they go too: nothing is left to read behind the positions.
    let gone = (0..100).map(|n| Outgoing { value: None, ..event(n) }).collect();
    stage.topics.append("events", gone).await.expect("append");
    assert_eq!(stage.catch_up().await.expect("tombstones").tombstones, 100);
    stage.topics.compact_tombstones("events").expect("compact");
    stage.catch_up().await.expect("an empty topic is still the same one");
    stage.send(0, 3).await;
    stage.catch_up().await.expect("and goes on");
    assert_eq!(stage.numbers(), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn case_20_a_log_that_ends_before_the_position_stops() {
    let stage = Stage::new().await;
    stage.send(0, 100).await;
    stage.catch_up().await.expect("first");
    let end = end_of(&stage, 0).await;
    stage.topics.drop_tail(&partition(0), end - 3).expect("drop");
    let error = stage.catch_up().await.expect_err("refused").to_string();
    assert!(error.contains(&format!("its position is {end}")), "{error}");

    // Even if other records have taken their place meanwhile.
    stage.send(1_000, 1_100).await;
    let error = stage.catch_up().await.expect_err("refused").to_string();
    assert!(error.contains("not the one that was worked off"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_refusing_sink_stops_the_partition_until_it_does_not() {
    let stage = Stage::new().await;
    stage.send(0, 10).await;
    stage.target.refuse_next();
    let mut worker = stage.worker_with(Options::default());
    worker.until_stopped("the test said so").await;
    worker.until_delivered(10).await;
    worker.end().await.expect("end");
    stage.assert_exact(10).await;
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_begins_anew_gets_what_idle_partitions_hold() {
    let stage = Stage::with(MemoryTarget::upsert("events", &["id"])).await;
    let mut worker = stage.worker();
    stage.send(0, 100).await;
    worker.until_delivered(100).await;
    stage.target.begin_anew();
    // Only one partition gets a record, and so only one commit is superseded.
    stage.send(100, 101).await;
    worker.until_delivered(201).await;
    worker.end().await.expect("end");
    stage.assert_exact(101).await;
}

async fn end_of(stage: &Stage, number: usize) -> i64 {
    use millstream_topic::Topics;
    let info = stage.topics.info("events").await.expect("info").expect("topic");
    info.partitions[number].end
}
