//! The worlds that are gone through. Each is small, and all that can happen in it does.

use std::time::Instant;

use crate::checker::{Report, check, tell};
use crate::invariants::{INVARIANTS, Property, REACHED};
use crate::state::{Budget, Code};
use crate::steps::{Bounds, Model};

/// A world, and which of [`REACHED`] it is there for.
pub struct Scenario {
    pub name: &'static str,
    pub bounds: Bounds,
    pub reaches: &'static [usize],
}

fn small(workers: &[Code], budget: Budget) -> Bounds {
    Bounds {
        records: 2,
        workers: workers.to_vec(),
        codes: vec![Code::A],
        new: false,
        budget,
        last_try: 2,
    }
}

/// In this order mutants are looked for.
pub fn all() -> Vec<Scenario> {
    use Code::{A, B};
    // More of everything, for a machine that has the time.
    let more = u8::from(std::env::var("MILLSTREAM_MODEL").is_ok_and(|bounds| bounds == "large"));
    let none = Budget::default();
    let with = |crashes, faults| Budget { crashes, faults, ..none };
    let once = |bounds: Bounds| Bounds { codes: vec![A, B], last_try: 1, ..bounds };
    let one = |bounds: Bounds| Bounds { records: 1 + more, ..bounds };
    let all = [
        ("faults", small(&[A, A], with(0, 1 + more)), &[0, 1, 2, 6][..]),
        ("deaths", small(&[A, A], with(2 + more, more)), &[0, 1, 2, 6]),
        ("records", Bounds { records: 3 + more, ..small(&[A, A], with(more, 0)) }, &[0, 1, 2]),
        ("codes", once(small(&[A, B], with(more, 0))), &[0, 3, 5]),
        ("faults_and_codes", once(one(small(&[A, B], with(more, 1)))), &[0, 3, 5]),
        ("lookups", small(&[A, A], Budget { lookups: 1, ..with(1, more) }), &[0, 4, 5]),
        ("retention", small(&[A, A], Budget { retention: 1, ..with(more, 0) }), &[0, 7]),
        ("resets", small(&[A, A], Budget { resets: 1 + more, ..none }), &[0, 1]),
        ("three_workers", once(one(small(&[A, A, B], none))), &[0, 3]),
        ("beginning", Bounds { new: true, ..one(small(&[A, A], with(more, 1))) }, &[0]),
        ("upgrade", once(small(&[A, A], with(1, 0))), &[0, 1, 3, 8]),
    ];
    all.into_iter().map(|(name, bounds, reaches)| Scenario { name, bounds, reaches }).collect()
}

fn holds_in(name: &str) {
    let scenario = all().into_iter().find(|scenario| scenario.name == name).unwrap();
    let model = Model::new(scenario.bounds, None);
    let reached = scenario.reaches.iter().map(|i| &REACHED[*i]);
    let properties: Vec<&Property> = INVARIANTS.iter().chain(reached).collect();
    let began = Instant::now();
    let Report { states, depth, failed, reached } = check(&model, &properties, true);
    println!("{name}: {states} states, {depth} steps deep, {:.1} s", began.elapsed().as_secs_f64());
    if let Some((property, way)) = failed.first_key_value() {
        panic!("{property} fails:\n{}", tell(&model, way));
    }
    for property in scenario.reaches.iter().map(|i| REACHED[*i].name) {
        assert!(reached.contains_key(property), "never seen: {property}");
    }
}

macro_rules! holds {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            holds_in(stringify!($name));
        }
    )*};
}

holds! {
    faults deaths records codes faults_and_codes lookups retention resets three_workers beginning upgrade
}

#[test]
fn each_scenario_is_run() {
    let run = [
        "faults",
        "deaths",
        "records",
        "codes",
        "faults_and_codes",
        "lookups",
        "retention",
        "resets",
        "three_workers",
        "beginning",
        "upgrade",
    ];
    assert_eq!(all().iter().map(|scenario| scenario.name).collect::<Vec<_>>(), run);
}
