//! Stores, sinks and topics that are broken in one way each. The simulation has to find every one of them, or it shows
//! nothing about those that are whole.

use crate::play::play;
use crate::schedule::{Kind, Schedule};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    None,
    /// A store whose create-if-absent overwrites.
    Overwrites,
    /// A store whose listings lack plans that aren't ended.
    HidesPlans,
    /// A lake that says nothing of a plan that was begun.
    ForgetsPlans,
    /// A sink that commits whatever comes, whoever was faster.
    NoFence,
    /// A sink that may write the entry and not the rows.
    TearsCommits,
    /// A member that leaves out a record.
    SkipsRecord,
}

/// How many seeds of its kind it takes until the mutant is found.
fn found_after(mutant: Mutant, kinds: &[Kind], within: usize) {
    let seeds = (0..).filter(|seed| kinds.contains(&Kind::of(*seed)));
    for (tried, seed) in seeds.take(within).enumerate() {
        let outcome = play(&Schedule::of(seed), mutant);
        if let Some(problem) = outcome.problems.first() {
            println!(
                "{mutant:?} is found after {} seeds, by seed {seed}: {problem:.200}",
                tried + 1
            );
            return;
        }
    }
    panic!("{mutant:?} was not found by {within} seeds");
}

#[test]
fn a_store_whose_fence_overwrites() {
    found_after(Mutant::Overwrites, &[Kind::LakeCsv], 200);
}

#[test]
fn a_store_that_hides_plans() {
    found_after(Mutant::HidesPlans, &[Kind::LakeCsv], 200);
}

#[test]
fn a_lake_that_forgets_plans() {
    found_after(Mutant::ForgetsPlans, &[Kind::LakeCsv], 200);
}

#[test]
fn a_sink_without_a_fence() {
    for kind in [Kind::Append, Kind::Count] {
        found_after(Mutant::NoFence, &[kind], 100);
    }
}

#[test]
fn a_sink_that_tears_commits() {
    for kind in [Kind::Append, Kind::Upsert, Kind::Count] {
        found_after(Mutant::TearsCommits, &[kind], 100);
    }
}

#[test]
fn a_member_that_skips_a_record() {
    for kind in [Kind::LakeCsv, Kind::Append, Kind::Upsert, Kind::Count] {
        found_after(Mutant::SkipsRecord, &[kind], 100);
    }
}
