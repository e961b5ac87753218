//! A seed means the same every time, or no failure could be looked at twice.

use crate::mutants::Mutant;
use crate::play::play;
use crate::schedule::{Kind, Schedule};

#[test]
fn a_seed_is_played_the_same_every_time() {
    let mut different = 0;
    let mut hashes = std::collections::BTreeSet::new();
    for seed in 0..60 {
        let schedule = Schedule::of(seed);
        let [one, two] = [0, 1].map(|_| play(&schedule, Mutant::None).told);
        hashes.insert(one.hash);
        if (one.hash, one.ios) != (two.hash, two.ios) {
            different += 1;
            println!("{schedule}{} steps, {} the second time", one.ios, two.ios);
            let differs = one.lines.iter().zip(&two.lines).find(|(one, two)| one != two);
            println!("first difference, with MILLSTREAM_TRACE=1: {differs:?}");
        }
    }
    assert_eq!(different, 0, "seeds that were played in two ways");
    assert_eq!(hashes.len(), 60, "each seed is a schedule of its own");
}

#[test]
fn every_kind_of_sink_has_its_share() {
    let share = |kind| (0..1_000).filter(|seed| Kind::of(*seed) == kind).count();
    let kinds = [Kind::LakeCsv, Kind::LakeParquet, Kind::Append, Kind::Upsert, Kind::Count];
    assert_eq!(kinds.map(share), [340, 10, 150, 250, 250]);
}
