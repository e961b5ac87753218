//! Each rule of the protocol broken on purpose: the checker has to find out. A model that can't fail proves nothing.

use crate::checker::{check, tell};
use crate::invariants::{INVARIANTS, Property};
use crate::scenarios;
use crate::steps::{Model, Rule};

/// The first scenario in which the property fails, and after how many steps.
fn failure(rule: Rule, property: &Property) -> Option<(&'static str, usize)> {
    scenarios::all().into_iter().find_map(|scenario| {
        let model = Model::new(scenario.bounds, Some(rule));
        let report = check(&model, &[property], true);
        let way = report.failed.get(property.name)?;
        if std::env::var_os("MILLSTREAM_MODEL_WAYS").is_some() {
            println!("without {rule:?}, in {}: {}", scenario.name, tell(&model, way));
        }
        Some((scenario.name, way.len()))
    })
}

fn is_found(rule: Rule, name: &str) {
    let property = INVARIANTS.iter().find(|property| property.name == name).unwrap();
    let (scenario, steps) = failure(rule, property).expect("a broken rule is found out");
    println!("without {rule:?} \"{name}\" fails, in {scenario} after {steps} steps");
}

macro_rules! found {
    ($($test:ident: $rule:ident => $property:literal;)*) => {
        $(
            #[test]
            fn $test() {
                is_found(Rule::$rule, $property);
            }
        )*

        #[test]
        fn each_rule_is_broken() {
            assert_eq!([$(Rule::$rule),*], Rule::BEARING);
        }
    };
}

found! {
    files_after_the_end: FilesBeforeEnd => "a committed range's files are there as planned";
    a_plan_that_overwrites: PlanIsExclusive => "a committed range's files are there as planned";
    an_end_that_overwrites: EndIsExclusive => "no worker believes in what is not committed";
    files_that_overwrite: FilesAreExclusive => "no row is in two files of the directory";
    no_look_for_an_open_plan: OpenPlanIsLookedFor => "any worker alone comes to the end, with every record once";
    a_loser_that_goes_on: LoserDropsItsRange => "a committed range's files are there as planned";
    their_plan_taken_for_ours: PlanIsCompared => "a committed range's files are there as planned";
    a_try_left_without_an_end: AbandonedByAnEnd => "a committed range's files are there as planned";
    a_try_left_with_its_rows: AbandonedIsEmptied => "no row is in two files of the directory";
    the_same_try_again: AbandonedIsFollowedByTheNextTry => "any worker alone comes to the end, with every record once";
    one_file_stands_for_all: EveryFileIsLookedAt => "a committed range's files are there as planned";
    an_end_taken_for_ours: EndThatWasThereIsRead => "no worker believes in what is not committed";
    the_group_before_the_end: GroupAfterEnd => "the group's offset is not beyond the position";
    a_lost_reply_taken_for_a_lost_race: ErrorIsNoLostRace => "no offset is in two committed ranges";
    the_groups_offset_as_position: PositionFromTheLedger => "the ledger is contiguous, and each plan names the try before";
}

/// Two rules are a second lock on the same door. The fingerprint, compared at `open`: a plan of other code would be read
/// again, found to differ and be abandoned then (`LakeSink::plan`). A file that was there, compared: one that is not
/// ours was emptied after an end, which our own end then finds. They guard against what the model leaves out: a code
/// that makes other bytes under the same plan, and files that no worker wrote.
#[test]
fn two_rules_are_held_twice() {
    for rule in [Rule::FingerprintComparedAtOpen, Rule::FileThatWasThereIsCompared] {
        let small = ["faults", "deaths", "codes", "faults_and_codes"];
        let scenarios = scenarios::all().into_iter().filter(|s| small.contains(&s.name));
        for scenario in scenarios {
            let model = Model::new(scenario.bounds, Some(rule));
            let failed = check(&model, &INVARIANTS.iter().collect::<Vec<_>>(), true).failed;
            assert!(failed.is_empty(), "{rule:?} in {}: {:?}", scenario.name, failed.keys());
        }
    }
}
