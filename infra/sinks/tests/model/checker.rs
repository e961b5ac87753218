//! Visits every state that can be reached, nearest first, and keeps the shortest way to what must not be.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Write;
use std::hash::{Hash, Hasher};

use crate::invariants::Property;
use crate::state::State;
use crate::steps::{Action, Model};

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    /// Different states.
    pub states: usize,
    /// Steps from the beginning to the furthest one.
    pub depth: usize,
    /// By property: the shortest way to a state where it does not hold, or does for the first time.
    pub failed: BTreeMap<&'static str, Vec<Action>>,
    pub reached: BTreeMap<&'static str, Vec<Action>>,
}

/// A state is known by its hash (64 bits: of a million states two are taken for one once in 10^7 runs), and by the
/// step that led to it.
type Seen = HashMap<u64, Option<(u64, Action)>>;

/// `at_first`: stops at the first failure.
pub fn check(model: &Model, properties: &[&Property], at_first: bool) -> Report {
    let mut report = Report::default();
    let (mut seen, mut queue, mut actions) = (Seen::new(), VecDeque::new(), vec![]);
    let init = model.init();
    seen.insert(hash(&init), None);
    queue.push_back((init, 0));
    while let Some((state, depth)) = queue.pop_front() {
        let id = hash(&state);
        report.depth = depth;
        judge(model, properties, &state, id, &seen, &mut report);
        if at_first && !report.failed.is_empty() {
            break;
        }
        actions.clear();
        model.actions(&state, &mut actions);
        for action in &actions {
            let next = model.next(&state, *action).filter(|next| model.within(next));
            let Some(next) = next else { continue };
            if let std::collections::hash_map::Entry::Vacant(entry) = seen.entry(hash(&next)) {
                entry.insert(Some((id, *action)));
                queue.push_back((next, depth + 1));
            }
        }
    }
    report.states = seen.len();
    report
}

fn judge(
    model: &Model,
    properties: &[&Property],
    state: &State,
    id: u64,
    seen: &Seen,
    report: &mut Report,
) {
    for property in properties {
        let found = if property.always { &mut report.failed } else { &mut report.reached };
        if !found.contains_key(property.name) && (property.holds)(model, state) != property.always {
            found.insert(property.name, way_to(id, seen));
        }
    }
}

fn way_to(mut id: u64, seen: &Seen) -> Vec<Action> {
    let mut way = vec![];
    while let Some(Some((before, action))) = seen.get(&id) {
        way.push(*action);
        id = *before;
    }
    way.reverse();
    way
}

fn hash(state: &State) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

/// The way as a story: who does which I/O, with what answer, and what it has in its mind then.
pub fn tell(model: &Model, way: &[Action]) -> String {
    let (mut state, mut told) = (model.init(), String::new());
    for (n, action) in (1..).zip(way) {
        let doing = match action {
            Action::Io { worker, .. } => {
                format!(" {:?}", state.workers[usize::from(*worker)].phase)
            }
            _ => String::new(),
        };
        let Some(next) = model.next(&state, *action) else { break };
        let _ = writeln!(told, "{n:3} {action:?}{doing}");
        state = next;
    }
    let _ = write!(told, "    {:#?}", state.store);
    told
}
