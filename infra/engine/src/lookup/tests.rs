use std::collections::VecDeque;
use std::sync::Mutex;

use arrow::array::{Int64Array, StringArray};
use arrow::datatypes::{Field, Schema};

use super::*;
use crate::world::SystemClock;

/// Gives one answer after the other, and then the last one.
#[derive(Debug, Default)]
struct Answers(Mutex<VecDeque<Option<Vec<Option<&'static str>>>>>);

#[async_trait]
impl LookupSource for Answers {
    fn place(&self) -> String {
        "people in a test".to_owned()
    }

    async fn read(&self, _: &SchemaRef, _: Limits) -> Result<Vec<RecordBatch>, LookupError> {
        let mut left = self.0.lock().unwrap();
        let answer = if left.len() > 1 { left.pop_front() } else { left.front().cloned() };
        match answer.flatten() {
            Some(keys) => Ok(vec![rows(&keys)]),
            None => Err(LookupError::unavailable("read people in a test", "down")),
        }
    }
}

fn columns() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("who", DataType::Utf8, true),
        Field::new("age", DataType::Int64, true),
    ]))
}

fn rows(keys: &[Option<&str>]) -> RecordBatch {
    let ages: Int64Array = (0..keys.len() as i64).map(|n| Some(n + 30)).collect();
    let keys = StringArray::from(keys.to_vec());
    RecordBatch::try_new(columns(), vec![Arc::new(keys), Arc::new(ages)]).unwrap()
}

fn lookup(answers: &[Option<&[&'static str]>]) -> Lookup {
    let answer = |keys: &&[&'static str]| keys.iter().map(|key| Some(*key)).collect();
    let answers = answers.iter().map(|keys| keys.as_ref().map(answer)).collect();
    Lookup::new("people", "who", columns(), Arc::new(Answers(Mutex::new(answers))))
        .every(Duration::from_secs(60))
}

async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_table_is_missing_fresh_then_stale() {
    let lookup = lookup(&[Some(&["a", "b"])]);
    let told = lookup.status().told();
    assert_eq!(told, "lookup people: not read yet from people in a test; partitions wait for it");
    lookup.refresh(1_795_257_065_000).await.unwrap();
    assert_eq!(lookup.status().told(), "lookup people: as of 2026-11-21 10:31:05 UTC, 2 rows");
    assert!(lookup.is_usable());
    pass(121).await;
    assert_eq!(lookup.status().state, Freshness::Stale);
    assert!(
        lookup
            .status()
            .told()
            .contains("stale since 2026-11-21 10:31:05 UTC, 2 rows; partitions wait")
    );
    assert!(!lookup.is_usable() && !lookup.is_hopeless());
}

#[tokio::test(start_paused = true)]
async fn a_stale_one_may_be_used_until_it_is_too_old() {
    let max_age = Duration::from_secs(600);
    let lookup = lookup(&[Some(&["a"]), None]).when_stale(WhenStale::Use { max_age });
    lookup.refresh(0).await.unwrap();
    pass(300).await;
    lookup.refresh(1).await.unwrap_err();
    let status = lookup.status();
    assert!(status.state == Freshness::Stale && !status.waits && lookup.is_usable());
    assert_eq!(status.failed.as_deref(), Some("read people in a test: down"));
    pass(301).await;
    assert!(lookup.status().waits && !lookup.is_usable());
}

#[tokio::test(start_paused = true)]
async fn repeated_keys_are_refused_and_the_rows_before_stay() {
    let lookup = lookup(&[Some(&["a", "b"]), Some(&["a", "b", "a"]), Some(&["c"])]);
    lookup.refresh(1).await.unwrap();
    let error = lookup.refresh(2).await.unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains("1 rows repeat a key"), "{error}");
    let status = lookup.status();
    assert_eq!((status.rows, status.as_of_ms), (2, Some(1)));
    assert!(status.failed.is_some_and(|why| why.contains("rows read before stay")));
    lookup.refresh(3).await.unwrap();
    assert_eq!((lookup.status().rows, lookup.status().failed), (1, None));
}

#[tokio::test(start_paused = true)]
async fn repeated_keys_of_a_table_never_read_are_for_somebody() {
    let lookup = lookup(&[Some(&["a", "a"])]);
    lookup.refresh(1).await.unwrap_err();
    assert!(lookup.is_hopeless() && lookup.snapshot().is_none());
}

#[test]
fn a_table_over_the_limits_is_refused() {
    for limits in [Limits { rows: 1, bytes: 1 << 20 }, Limits { rows: 9, bytes: 10 }] {
        let lookup = lookup(&[]).limits(limits);
        let error = lookup.take(&[rows(&[Some("a"), Some("b")])], 1).unwrap_err();
        assert!(error.to_string().contains("over the limits"), "{error}");
        assert!(lookup.snapshot().is_none());
    }
}

#[test]
fn a_row_without_a_key_is_never_found() {
    let lookup = lookup(&[]);
    lookup.take(&[rows(&[None, Some("a"), None])], 1).unwrap();
    let snapshot = lookup.snapshot().unwrap();
    let keys: arrow::array::ArrayRef =
        Arc::new(StringArray::from(vec![None, Some("a"), Some("z")]));
    let found = snapshot.find(&keys).unwrap();
    assert_eq!(found.iter().collect::<Vec<_>>(), [None, Some(1), None]);
}

#[test]
fn what_is_in_it_is_not_shown() {
    let lookup = lookup(&[]);
    lookup.take(&[rows(&[Some("private")])], 1).unwrap();
    let shown = format!("{lookup:?} {:?} {}", lookup.snapshot(), lookup.status().told());
    assert!(!shown.contains("private"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn it_is_read_again_and_again_and_sooner_after_a_fault() {
    let lookup = Arc::new(lookup(&[None, None, Some(&["a"]), Some(&["a", "b"]), Some(&["c"])]));
    let keeping = tokio::spawn(keep(lookup.clone(), Arc::new(SystemClock), 7));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(lookup.status().rows, 1, "two faults cost less than a second");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(lookup.status().rows, 2);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(lookup.status().rows, 1);
    keeping.abort();
}
