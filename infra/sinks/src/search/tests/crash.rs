//! Workers that are killed, and writers that end between writing and committing.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use millstream_engine::Target;

use super::world::{PIPELINE, RECALLS, World, assignment, put, range, rows, schema};
use super::*;
use crate::search::builds::Place;
use crate::search::changes::Changes;
use crate::search::session::{self, Session};

/// Tells a child its directory. Without it the child's test function does nothing.
const DIR: &str = "MILLSTREAM_SEARCH_TEST_CHILD_DIR";
const KILLS: u64 = 6;

fn number(offset: i64) -> String {
    format!("Z-{offset:06}")
}

/// Commits ranges of a few rows, whose keys are their offsets, until it is killed.
#[tokio::test]
async fn worker_child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let target = SearchTarget::new(Path::new(&dir), &RECALLS, None);
    let mut sink = target.connect(PIPELINE, &schema()).await.unwrap();
    loop {
        let after = sink.open(&assignment(0)).await.unwrap().entry().clone();
        let count = 1 + after.seq % 40;
        let numbers: Vec<_> = (0..count).map(|n| number(after.next() + n as i64)).collect();
        let made: Vec<_> =
            numbers.iter().map(|number| [number.as_str(), "Acme", "Pump", "", "", ""]).collect();
        let range = range(&after, vec![rows(&made, after.next() + 1)], vec![]);
        sink.commit(&assignment(0), &range).await.unwrap();
        println!("told {}", range.entry.next());
    }
}

#[tokio::test]
async fn a_killed_worker_loses_and_doubles_nothing() {
    let world = World::new();
    let mut answered = 0;
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "search::tests::crash::worker_child", "--nocapture"])
            .env(DIR, world.directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let told = |line: String| line.split_once("told ").and_then(|(_, n)| n.parse().ok());
        answered = lines.by_ref().find_map(|line| told(line.unwrap())).unwrap_or(answered);
        tokio::time::sleep(Duration::from_millis(7 * kill * kill)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        answered = lines.filter_map(|line| told(line.ok()?)).last().unwrap_or(answered);

        let mut sink = world.sink().await;
        let last = sink.open(&assignment(0)).await.unwrap().entry().clone();
        assert!(last.next() >= answered, "what was answered is there");
        let expected: Vec<_> =
            (0..last.next()).map(|offset| format!("{}=Acme", number(offset))).collect();
        assert_eq!(world.scan().await.unwrap(), expected, "kill {kill}");
        let ledger = sink.ledger(&assignment(0).at, 0, usize::MAX).await.unwrap();
        assert_eq!(ledger.len() as u64, last.seq + 1);
        assert!(ledger.windows(2).all(|pair| pair[0].next() == pair[1].start));
    }
    assert!(answered > 0);
}

#[tokio::test]
async fn what_was_written_and_not_committed_never_was() {
    let world = World::new();
    let mut sink = world.sink().await;
    let entry = put(&mut sink, 0, vec![rows(&[["Z-1", "Acme", "", "", "", ""]], 1)], vec![]).await;
    let place = Place::new(world.directory.path(), RECALLS.name);
    {
        let target = place.target().unwrap().unwrap();
        let store = session::open(&place.build_path(&target.id)).unwrap();
        let mut session = Session::begin(store, &RECALLS, &target.build, 1).unwrap();
        let lost = range(&entry, vec![rows(&[["Z-1", "Lost", "", "", "", ""]], 2)], vec![]);
        session.apply(&Changes::of(&RECALLS, &lost.rows, &[]).unwrap()).unwrap();
        session.advance(&assignment(0).at, &lost.entry).unwrap();
    }
    assert_eq!(sink.open(&assignment(0)).await.unwrap().entry(), &entry);
    assert_eq!(world.scan().await.unwrap(), ["Z-1=Acme"]);
    put(&mut sink, 0, vec![rows(&[["Z-1", "Beta", "", "", "", ""]], 2)], vec![]).await;
    assert_eq!(world.scan().await.unwrap(), ["Z-1=Beta"]);
    assert_eq!(sink.ledger(&assignment(0).at, 0, 9).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_build_that_was_never_named_is_tidied_away() {
    let world = World::new();
    let place = world.directory.path().join(RECALLS.name);
    std::fs::create_dir_all(place.join("1700000000000")).unwrap();
    let mut sink = world.sink().await;
    put(&mut sink, 0, vec![rows(&[["Z-1", "Acme", "", "", "", ""]], 1)], vec![]).await;
    assert_eq!(world.builds().len(), 1);
}
