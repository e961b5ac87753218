//! The lake's range protocol, checked by stateright: the same states, the same invariants, the same broken rules.
//!
//! `cargo test --manifest-path infra/sinks/tests/model/stateright/Cargo.toml`
#![cfg(test)]

#[path = "../checker.rs"]
mod checker;
#[path = "../invariants.rs"]
mod invariants;
#[path = "../scenarios.rs"]
mod scenarios;
#[path = "../state.rs"]
mod state;
#[path = "../steps.rs"]
mod steps;
#[path = "../worker.rs"]
mod worker;

use stateright::{Checker, HasDiscoveries, Model as _, Property};

use crate::invariants::INVARIANTS;
use crate::state::State;
use crate::steps::{Action, Model, Rule};

struct Checked(Model);

fn holds<const I: usize>(checked: &Checked, state: &State) -> bool {
    (INVARIANTS[I].holds)(&checked.0, state)
}

impl stateright::Model for Checked {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.0.init()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.0.actions(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        self.0.next(state, action)
    }

    fn within_boundary(&self, state: &State) -> bool {
        self.0.within(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let holds: [fn(&Self, &State) -> bool; INVARIANTS.len()] = [
            holds::<0>, holds::<1>, holds::<2>, holds::<3>, holds::<4>, holds::<5>, holds::<6>,
            holds::<7>, holds::<8>, holds::<9>,
        ];
        INVARIANTS.iter().zip(holds).map(|(of, holds)| Property::always(of.name, holds)).collect()
    }
}

#[test]
fn stateright_sees_the_same_states_and_no_failure() {
    for scenario in scenarios::all() {
        let ours = checker::check(&Model::new(scenario.bounds.clone(), None), &[], false);
        let theirs = Checked(Model::new(scenario.bounds, None)).checker().spawn_bfs().join();
        println!("{}: {} states", scenario.name, theirs.unique_state_count());
        assert_eq!(theirs.unique_state_count(), ours.states, "{}", scenario.name);
        theirs.assert_properties();
    }
}

#[test]
fn stateright_finds_every_broken_rule() {
    for rule in Rule::BEARING {
        let found = scenarios::all().into_iter().find_map(|scenario| {
            let checker = Checked(Model::new(scenario.bounds, Some(rule))).checker();
            let checker = checker.finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
            let (property, way) = checker.discoveries().into_iter().next()?;
            Some((scenario.name, property, way.into_actions().len()))
        });
        let (scenario, property, steps) = found.expect("a broken rule is found out");
        println!("without {rule:?} \"{property}\" fails, in {scenario} after {steps} steps");
    }
}
