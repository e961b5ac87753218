use std::time::Duration;

use millstream_engine::{Options, Status, What};
use millstream_topic::{Event, Subscriptions};

use crate::stage::{Stage, Worker, partition};

#[tokio::test(start_paused = true)]
async fn case_7_join_leave_and_crash() {
    let stage = Stage::new().await;
    let mut first = stage.worker();
    stage.send(0, 300).await;
    first.until("records", |status| status.totals.events() > 0).await;
    let mut second = stage.worker();
    stage.send(300, 600).await;
    second.until("a share", |status| !status.partitions.is_empty()).await;
    let third = stage.worker();
    stage.send(600, 900).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    second.kill().await;
    stage.send(900, 1_200).await;
    first.end().await.expect("leave");
    stage.send(1_200, 1_500).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    third.end().await.expect("leave");
    stage.catch_up().await.expect("the rest");
    stage.assert_exact(1_500).await;
}

#[tokio::test(start_paused = true)]
async fn case_1_a_worker_that_lost_its_partitions_without_knowing() {
    let stage = Stage::new().await;
    let mut zombie = stage.worker();
    stage.send(0, 30).await;
    zombie.until("records held", |status| status.partitions.iter().any(|p| p.held > 0)).await;
    let mut heir = stage.worker();
    for number in [0, 1] {
        stage.topics.steal("test.events", &partition(number));
    }
    stage.send(30, 300).await;
    heir.until("work", |status| !status.partitions.is_empty()).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    zombie.end().await.expect("end");
    heir.end().await.expect("end");
    stage.catch_up().await.expect("the rest");
    stage.assert_exact(300).await;
}

#[tokio::test(start_paused = true)]
async fn two_workers_on_one_partition_never_double() {
    // Not even a group that gives everything to everybody breaks the sink's fence.
    let stage = Stage::new().await;
    let mut other = Stage::with(stage.target.clone()).await;
    other.topics = stage.topics.clone();
    other.world = stage.world.clone();
    other.pipeline = other.pipeline.group("another.group");
    stage.send(0, 50).await;
    let (one, two) = (stage.worker(), other.worker());
    for round in 1..40 {
        stage.send(round * 50, round * 50 + 50).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    one.end().await.expect("end");
    two.end().await.expect("end");
    stage.catch_up().await.expect("the rest");
    stage.assert_exact(2_000).await;
}

#[tokio::test(start_paused = true)]
async fn what_happens_to_partitions_is_told() {
    let stage = Stage::new().await;
    let mut first = stage.worker();
    stage.send(0, 300).await;
    first.until_delivered(300).await;
    let mut second = stage.worker();
    second.until("a share", |status| !status.partitions.is_empty()).await;
    let happened = |status: &Status, what| status.happenings.iter().any(|one| one.what == what);
    first.until("the share given up", |status| happened(status, What::Revoked)).await;
    let told = first.status.borrow().clone();
    assert!(happened(&told, What::Assigned), "{told:#?}");
    let all = ["events-0", "events-1", "events.replay.test.events-0"];
    assert_eq!(told.happenings[0].partitions, all);
    assert!(told.batches.count > 0 && told.batches.count == told.totals.ranges, "{told:#?}");
    stage.send(300, 310).await;
    second
        .until("an open range", |status| status.partitions.iter().any(|at| at.roll_at_ms.is_some()))
        .await;
    let told = second.status.borrow().clone();
    assert!(told.partitions.iter().all(|at| at.next >= at.position), "{told:#?}");
    first.end().await.expect("end");
    second.end().await.expect("end");
}

const UNTIL_CAUGHT_UP: fn() -> Options = || Options { until_caught_up: true, ..Options::default() };

/// It goes on for as long as somebody else has what isn't in the sink.
async fn goes_on(worker: &Worker) {
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!worker.has_ended(), "{:#?}", *worker.status.borrow());
}

#[tokio::test(start_paused = true)]
async fn caught_up_means_the_partitions_of_a_dead_member_too() {
    let stage = Stage::new().await;
    stage.send(0, 300).await;
    let names = ["events".to_owned()];
    let mut dead = stage.topics.join("test.events", &names).await.expect("join");
    let mut worker = stage.worker_with(UNTIL_CAUGHT_UP());
    worker.until("the share left", |status| !status.partitions.is_empty()).await;
    let has = dead.poll(Duration::from_secs(1)).await.expect("poll");
    assert!(
        matches!(&has, Event::Assigned(some) if some.iter().any(|at| at.topic == "events")),
        "{has:?}"
    );
    goes_on(&worker).await;
    // The group notices.
    drop(dead);
    worker.ends().await.expect("the rest");
    stage.assert_exact(300).await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_given_nothing_ends_when_the_others_are_done() {
    let stage = Stage::new().await;
    let busy: Vec<_> = (0..4).map(|_| stage.worker()).collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    stage.send(0, 300).await;
    let left_over = stage.worker_with(UNTIL_CAUGHT_UP());
    left_over.ends().await.expect("nothing to do");
    stage.assert_exact(300).await;
    for worker in busy {
        worker.end().await.expect("end");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_never_rests_does_not_keep_who_is_done() {
    let stage = Stage::new().await;
    let busy = stage.worker();
    stage.send(0, 300).await;
    let done = stage.worker_with(UNTIL_CAUGHT_UP());
    let dripping = async {
        for number in 300.. {
            stage.send(number, number + 1).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    tokio::select! {
        ended = done.ends() => {
            ended.expect("done with what there was");
        }
        () = dripping => {}
    }
    busy.end().await.expect("end");
}
