//! What every [`Backend`] must do, as named cases. A backend's own tests call [`backend`].
//!
//! # Layout
//! - `member`: drives a consumer and keeps account of what it was told.
//! - `topics`: cases of making topics, appending and reading without a group.
//! - `members`: cases of groups.
#![allow(clippy::expect_used, reason = "a suite's way to fail is to panic and say at what")]

mod member;
mod members;
mod topics;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::{Backend, Outgoing, Placed, Topic, TopicInfo, TopicPartition};

/// How long a group may take to hand out its partitions, and anything else that must come.
const DEADLINE: Duration = Duration::from_secs(30);
/// How long nothing must come where nothing may come.
const QUIET: Duration = Duration::from_millis(400);

/// Where the cases run.
pub struct Place<'a> {
    /// A further handle to the same topics.
    make: &'a dyn Fn() -> Arc<dyn Backend>,
    prefix: String,
}

type Run = for<'a> fn(&'a Place<'a>) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// One case: what it shows, and how.
pub struct Case {
    pub name: &'static str,
    run: Run,
}

macro_rules! cases {
    ($($module:ident :: $name:ident),* $(,)?) => {
        vec![$(Case { name: stringify!($name), run: |place| Box::pin($module::$name(place)) }),*]
    };
}

/// All cases, in the order they run.
pub fn cases() -> Vec<Case> {
    cases![
        topics::ensure_leaves_an_existing_topic_as_it_is,
        topics::an_unknown_topic_has_no_info,
        topics::offsets_count_up_and_a_key_keeps_its_partition,
        topics::keyless_records_go_where_they_are_told_or_anywhere,
        topics::what_is_written_is_read,
        topics::a_partition_keeps_the_order,
        topics::read_starts_anywhere,
        topics::a_compacted_topic_takes_tombstones_and_refuses_records_without_key,
        members::nothing_comes_before_the_seek,
        members::the_end_is_told_each_time_it_is_reached,
        members::a_paused_partition_is_silent,
        members::a_seek_back_delivers_again,
        members::a_commit_is_taken_and_the_member_can_come_back,
        members::a_second_member_takes_over,
        members::every_group_gets_everything,
        members::another_handles_records_arrive_soon,
        members::an_offset_beyond_the_end_is_out_of_range,
        members::many_records_come_exactly_once,
    ]
}

/// Runs all cases but those `left_out` (name and reason) and panics at the first that fails. `make`
/// gives a new handle to the same topics at each call; all topics and groups are named `prefix…`,
/// which must not have been used there before.
pub async fn backend(
    make: impl Fn() -> Arc<dyn Backend>,
    prefix: &str,
    left_out: &[(&str, &str)],
) -> usize {
    let cases = cases();
    for (name, _) in left_out {
        assert!(
            cases.iter().any(|case| case.name == *name),
            "there is no case {name} to leave out"
        );
    }
    let mut ran = 0;
    for case in cases {
        if let Some((name, reason)) = left_out.iter().find(|(name, _)| *name == case.name) {
            eprintln!("conformance: {name} is left out: {reason}");
            continue;
        }
        eprintln!("conformance: {}", case.name);
        (case.run)(&Place { make: &make, prefix: format!("{prefix}{ran}") }).await;
        ran += 1;
    }
    ran
}

impl Place<'_> {
    fn open(&self) -> Arc<dyn Backend> {
        (self.make)()
    }

    fn topic_name(&self) -> String {
        format!("{}.topic", self.prefix)
    }

    /// This case's group, told apart by `which` when it needs several.
    fn group(&self, which: &str) -> String {
        format!("{}.group{which}", self.prefix)
    }

    fn at(&self, partition: u32) -> TopicPartition {
        TopicPartition::new(self.topic_name(), partition)
    }

    /// This case's topic, made, and a handle to it.
    async fn topic(&self, partitions: u32) -> Arc<dyn Backend> {
        let backend = self.open();
        let topic = Topic::named(self.topic_name()).partitions(partitions);
        let info = backend.ensure(&topic).await.expect("create the case's topic");
        assert_eq!(info.partitions.len(), partitions as usize, "partitions of a new topic");
        backend
    }

    async fn info(&self, backend: &Arc<dyn Backend>) -> TopicInfo {
        let info = backend.info(&self.topic_name()).await.expect("look at the case's topic");
        info.expect("the case's topic is there")
    }

    /// Appends to one partition `count` records whose values tell their number, from `first` on.
    async fn append(
        &self,
        backend: &Arc<dyn Backend>,
        partition: u32,
        first: usize,
        count: usize,
    ) -> Vec<Placed> {
        let numbered = |number: usize| Outgoing {
            partition: Some(partition),
            ..Outgoing::keyed(format!("key {number}"), number.to_string())
        };
        let records = (first..first + count).map(numbered).collect();
        backend.append(&self.topic_name(), records).await.expect("append to the case's topic")
    }
}

/// The value `append` gave the record of that number.
fn value(number: usize) -> Option<Bytes> {
    Some(Bytes::from(number.to_string()))
}
