use super::*;
use crate::conformance::{self, Fixture};
use crate::ledger::EntryKind;

#[tokio::test]
async fn passes_the_suite_when_appending() {
    conformance::sink(&|case| Fixture::new(MemoryTarget::append(case))).await;
}

#[tokio::test]
async fn passes_the_suite_when_upserting() {
    conformance::sink(&|case| Fixture::new(MemoryTarget::upsert(case, conformance::UPSERT_KEY)))
        .await;
}

#[tokio::test]
async fn passes_the_suite_when_counting() {
    conformance::sink(&|case| {
        Fixture::new(MemoryTarget::count(case, conformance::COUNT_KEY, conformance::COUNT))
    })
    .await;
}

async fn opened() -> (MemoryTarget, Box<dyn Sink>, Assignment, Range) {
    let target = MemoryTarget::append("events");
    let keeping = Keeping::Append;
    let mut sink = target.connect("app.events", &conformance::schema(&keeping)).await.unwrap();
    let assignment = conformance::assignment("app.events", 0);
    let genesis = sink.open(&assignment).await.unwrap().entry().clone();
    let range = conformance::range(&keeping, &assignment, &genesis, 3);
    (target, sink, assignment, range)
}

#[tokio::test]
async fn failed_calls_change_nothing() {
    let (target, mut sink, assignment, range) = opened().await;
    let before = target.snapshot();
    target.fail_next(2);
    assert!(sink.commit(&assignment, &range).await.unwrap_err().is_retryable());
    assert!(sink.open(&assignment).await.unwrap_err().is_retryable());
    assert_eq!(target.snapshot(), before);
    assert_eq!(sink.commit(&assignment, &range).await.unwrap(), Outcome::Committed);
}

#[tokio::test]
async fn a_lost_reply_hides_a_commit_that_took_effect() {
    let (target, mut sink, assignment, range) = opened().await;
    target.lose_reply_next(1);
    assert!(sink.commit(&assignment, &range).await.unwrap_err().is_retryable());
    assert_eq!(sink.commit(&assignment, &range).await.unwrap(), Outcome::Superseded);
    assert_eq!(sink.open(&assignment).await.unwrap(), Standing::At(range.entry));
    assert_eq!(target.snapshot().rows.unwrap().num_rows(), 3);
}

#[tokio::test]
async fn a_refused_call_is_refused_once() {
    let (target, mut sink, assignment, range) = opened().await;
    target.refuse_next();
    assert!(!sink.commit(&assignment, &range).await.unwrap_err().is_retryable());
    assert_eq!(sink.commit(&assignment, &range).await.unwrap(), Outcome::Committed);
}

#[tokio::test]
async fn a_plan_fixes_the_range_and_its_commit_ends_it() {
    let (target, mut sink, assignment, range) = opened().await;
    target.plan(&assignment.at, 1);
    let Standing::Planned { after, end } = sink.open(&assignment).await.unwrap() else {
        panic!("the plan is not shown");
    };
    assert_eq!((after.seq, end), (0, 1));
    assert_eq!(sink.commit(&assignment, &range).await.unwrap(), Outcome::Superseded);
    let planned = conformance::range(&Keeping::Append, &assignment, &after, 2);
    assert_eq!(sink.commit(&assignment, &planned).await.unwrap(), Outcome::Committed);
    assert_eq!(sink.open(&assignment).await.unwrap(), Standing::At(planned.entry));
}

#[tokio::test]
async fn an_operators_choice_drops_a_plan() {
    let (target, mut sink, assignment, range) = opened().await;
    target.plan(&assignment.at, 1);
    let after = sink.open(&assignment).await.unwrap().entry().clone();
    let entry = after.choice(EntryKind::AcceptChange, 1);
    let choice = Range { entry: entry.clone(), rows: Vec::new(), deletes: Vec::new() };
    assert_eq!(sink.commit(&assignment, &choice).await.unwrap(), Outcome::Committed);
    assert_eq!(sink.open(&assignment).await.unwrap(), Standing::At(entry));
    assert_eq!(
        range.entry.end, 2,
        "a longer range than the dropped plan is what the test is about"
    );
}
