//! Seeds that found something wrong, which stays found. Other rules in `schedule` make them other schedules: what was
//! found is a test of its own besides, where the code is.

use crate::mutants::Mutant;
use crate::play::play;
use crate::schedule::Schedule;
use crate::schedules::show;

fn passes(seed: u64) {
    let schedule = Schedule::of(seed);
    let outcome = play(&schedule, Mutant::None);
    if !outcome.problems.is_empty() {
        show(&schedule, &outcome);
    }
    assert_eq!(outcome.problems, Vec::<String>::new());
}

/// Records came, and another worker had them in the sink, between the look at the topic and the look at the sink: the
/// position seemed to lie beyond the topic's end, and the partition stopped as if its log were damaged.
#[test]
fn a_position_that_another_worker_moved_meanwhile_is_no_damaged_log() {
    [915, 1610].into_iter().for_each(passes);
}
