//! Children of this test binary are killed and must leave the log whole.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::*;

/// Tells a child its directory. Without it the children's test functions do nothing.
const DIR: &str = "MILLSTREAM_TOPIC_TEST_CHILD_DIR";

/// Runs one of the functions below in a process of its own.
fn child(name: &str, dir: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("sqlite::tests::crash::{name}"), "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let told = BufReader::new(child.stdout.take().unwrap());
    (child, told)
}

/// The next line the child told us, without what the test harness prints; `None`: it is dead.
fn told(from: &mut BufReader<ChildStdout>) -> Option<String> {
    loop {
        let mut line = String::new();
        from.read_line(&mut line).unwrap();
        // Killed in the middle of a line: it didn't tell all of it.
        let line = line.strip_suffix('\n')?;
        if let Some((_, told)) = line.split_once("told ") {
            return Some(told.to_owned());
        }
    }
}

#[tokio::test]
async fn producer_child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let log = open(Path::new(&dir));
    log.ensure(&Topic::named(TOPIC).partitions(2)).await.unwrap();
    for call in 0.. {
        let keyed = |number| Outgoing::keyed(format!("key {number}"), format!("{call}.{number}"));
        for placed in log.append(TOPIC, (0..50).map(keyed).collect()).await.unwrap() {
            println!("told {} {}", placed.partition, placed.offset);
        }
    }
}

#[tokio::test]
async fn worker_child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let mut consumer = join(&open(Path::new(&dir))).await;
    assigned(&mut consumer).await;
    println!("told ready");
    loop {
        consumer.poll(DEADLINE).await.unwrap();
    }
}

#[tokio::test]
async fn a_killed_producer_loses_nothing_it_was_told_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut ends = [0, 0];
    for round in 0..8 {
        let (mut child, mut lines) = child("producer_child", dir.path());
        let mut left = 120 * round + 1;
        while let Some(line) = told(&mut lines) {
            let (partition, offset) = line.split_once(' ').unwrap();
            let end = &mut ends[partition.parse::<usize>().unwrap()];
            let offset: i64 = offset.parse().unwrap();
            assert!(offset >= *end, "offset {offset} was given again");
            *end = offset + 1;
            left -= 1;
            if left == 0 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let log = open(dir.path());
        for (partition, (bounds, end)) in (0..).zip(bounds(&log).await.into_iter().zip(ends)) {
            assert!(bounds.end >= end, "partition {partition} ends at {bounds:?}, told {end}");
            let slice = log.read(&at(partition), 0, usize::MAX).await.unwrap();
            let offsets: Vec<_> = slice.records.iter().map(|record| record.offset).collect();
            let whole = bounds.end.min(slice.next);
            assert_eq!(offsets, (0..whole).collect::<Vec<_>>(), "partition {partition}");
        }
    }
    assert!(ends.iter().sum::<i64>() > 1_000, "too little was told: {ends:?}");
}

#[tokio::test]
async fn a_killed_workers_place_is_taken_over() {
    let (dir, log) = log(2).await;
    let (mut child, mut lines) = child("worker_child", dir.path());
    assert_eq!(told(&mut lines).as_deref(), Some("ready"));
    let mut standing_by = join(&log).await;
    let pick = |event| if let Event::Standby(who) = event { Ok(who) } else { Err(event) };
    let who = until(&mut standing_by, "its turn", pick).await;
    assert!(who.starts_with(&format!("process {} on ", child.id())), "{who}");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(assigned(&mut standing_by).await, [at(0), at(1)]);
}
