//! What must hold in every state that can be reached, and what must be reached in some.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use crate::state::{Budget, Code, End, File, Key, Kind, Phase, Plan, State, Worker};
use crate::steps::{Action, Answer, Model};

/// A sentence about states.
pub struct Property {
    pub name: &'static str,
    /// Holds in every state; otherwise in one at least, or the model would be empty talk.
    pub always: bool,
    pub holds: fn(&Model, &State) -> bool,
}

const fn always(name: &'static str, holds: fn(&Model, &State) -> bool) -> Property {
    Property { name, always: true, holds }
}

const fn sometimes(name: &'static str, holds: fn(&Model, &State) -> bool) -> Property {
    Property { name, always: false, holds }
}

pub const INVARIANTS: [Property; 10] = [
    always("no offset is in two committed ranges", |_, state| offsets_once(state)),
    always("no row is in two files of the directory", |_, state| rows_once(state)),
    always("a committed range's files are there as planned", |_, state| files_as_planned(state)),
    always("the ledger is contiguous, and each plan names the try before", |_, state| {
        chained(state)
    }),
    always("a try ends in one way only", |_, state| one_end(state)),
    always("a try is followed only once it was abandoned and emptied", |_, state| followed(state)),
    always("no worker believes in what is not committed", |_, state| believed(state)),
    always("the group's offset is not beyond the position", |_, state| group(state)),
    always("nobody is refused", |_, state| !has(state, |phase| *phase == Phase::Refused)),
    always("any worker alone comes to the end, with every record once", can_finish),
];

/// The parts of the protocol that a scenario has to have seen.
pub const REACHED: [Property; 9] = [
    sometimes("all is done", |model, state| complete(model, state) && idle(state)),
    sometimes("a planned range is read again", |_, state| {
        state.workers.iter().any(|worker| worker.planned.is_some())
    }),
    sometimes("somebody else's range is committed without reading", |_, state| {
        has(state, |phase| matches!(phase, Phase::Settle { at, end: End::Committed } if at.0 > 0))
    }),
    sometimes("a try of other code is abandoned", |_, state| {
        has(state, |phase| matches!(phase, Phase::Settle { end: End::Abandoned, .. }))
    }),
    sometimes("a try that reads differently is abandoned", |_, state| {
        has(state, |phase| matches!(phase, Phase::GiveUp { .. }))
    }),
    sometimes("a file in the way is explained", |_, state| {
        has(state, |phase| matches!(phase, Phase::Explain { .. }))
    }),
    sometimes("a worker finds another end than its own", |_, state| {
        has(state, |phase| matches!(phase, Phase::SeeEnd { .. }))
    }),
    sometimes("an operator gives up what retention took", |_, state| {
        state.committed().iter().any(|(_, plan)| plan.kind == Kind::Skip)
    }),
    sometimes("two codes have made ranges of one ledger", |_, state| {
        let by = |code| {
            state
                .committed()
                .iter()
                .any(|(_, plan)| plan.kind == Kind::Range && plan.by.code == code)
        };
        by(Code::A) && by(Code::B)
    }),
];

fn has(state: &State, is: fn(&Phase) -> bool) -> bool {
    state.workers.iter().any(|worker| is(&worker.phase))
}

fn idle(state: &State) -> bool {
    state.workers.iter().all(|worker| worker.phase == Phase::Idle)
}

fn offsets_once(state: &State) -> bool {
    let mut seen = 0_u32;
    state
        .committed()
        .iter()
        .flat_map(|(_, plan)| plan.start..plan.next)
        .all(|n| first(&mut seen, n))
}

/// Whether `n` was not seen yet; now it is.
fn first(seen: &mut u32, n: u8) -> bool {
    let new = *seen & (1 << n) == 0;
    *seen |= 1 << n;
    new
}

/// Also before their commit: who reads the directory sees files as they come.
fn rows_once(state: &State) -> bool {
    let mut seen = 0;
    for (name, file) in state.store.values().flat_map(|at| &at.files) {
        if let File::Rows(by) = file {
            let mut rows =
                (name.start..name.next).filter(|n| crate::state::hive(by.code, *n) == name.hive);
            if !rows.all(|n| first(&mut seen, n)) {
                return false;
            }
        }
    }
    true
}

fn files_as_planned(state: &State) -> bool {
    let there = |(key, plan): &(Key, Plan)| {
        let files = (0..plan.hives().len() as u8).map(|i| state.file(*key, plan.name(i)));
        files.into_iter().all(|file| file == Some(File::Rows(plan.by)))
    };
    state.committed().iter().all(there)
}

fn chained(state: &State) -> bool {
    let committed = state.committed();
    let follows = |pair: &[(Key, Plan)]| {
        let [((seq, attempt), before), ((next, _), plan)] = pair else { return false };
        *next == seq + 1 && plan.start == before.next && plan.after == *attempt
    };
    committed.first().is_none_or(|((seq, _), _)| *seq == 0) && committed.windows(2).all(follows)
}

fn one_end(state: &State) -> bool {
    state.store.values().all(|at| at.end == at.first_end)
}

fn followed(state: &State) -> bool {
    let is_settled = |(seq, attempt): &Key| {
        let Some(before) = attempt.checked_sub(1).and_then(|try_| state.store.get(&(*seq, try_)))
        else {
            return *attempt == 0;
        };
        let files = (0..before.plan.map_or(0, |plan| plan.hives().len() as u8))
            .map(|i| before.plan.and_then(|plan| before.files.get(&plan.name(i))));
        before.end == Some(End::Abandoned)
            && files.into_iter().all(|file| file == Some(&File::Empty))
    };
    state.store.iter().filter(|(_, at)| at.plan.is_some()).all(|(key, _)| is_settled(key))
}

fn believed(state: &State) -> bool {
    state.workers.iter().filter_map(|worker| worker.known).all(|known| {
        let key = (known.seq, known.after);
        state.end(key) == Some(End::Committed)
            && state.plan(key).is_some_and(|plan| plan.next == known.next)
    })
}

fn group(state: &State) -> bool {
    state.moved || state.group.is_none_or(|group| group <= state.position())
}

/// Every record is in the ledger, from the genesis on.
fn complete(model: &Model, state: &State) -> bool {
    offsets_once(state)
        && chained(state)
        && files_as_planned(state)
        && state.position() == model.bounds.records
}

/// From here a new worker of any code, which rolls as it likes, comes to the end with nobody's help but the operator's.
/// It starts from the store alone, so each store is tried once.
fn can_finish(model: &Model, state: &State) -> bool {
    if idle(state) && state.late.is_none() && !complete(model, state) {
        return false;
    }
    let mut hasher = DefaultHasher::new();
    (&state.store, state.low).hash(&mut hasher);
    let store = hasher.finish();
    let Ok(mut finished) = model.finished.lock() else { return false };
    if !finished.insert(store) {
        return true;
    }
    drop(finished);
    model
        .bounds
        .codes
        .iter()
        .all(|code| [0, usize::MAX].into_iter().all(|roll| finishes(model, state, *code, roll)))
}

fn finishes(model: &Model, state: &State, code: Code, roll: usize) -> bool {
    let workers = vec![Worker::new(code)];
    let mut state = State { workers, late: None, budget: Budget::default(), ..state.clone() };
    for _ in 0..200 {
        let worker = state.workers[0];
        let choices = model.choices(&state, &worker);
        let choice = choices[roll.min(choices.len() - 1)];
        let action = match worker.phase {
            Phase::Idle => return complete(model, &state),
            Phase::Stopped => Action::Operator { worker: 0 },
            _ => Action::Io { worker: 0, choice, answer: Answer::Fine },
        };
        let Some(next) = model.next(&state, action) else { return false };
        state = next;
    }
    false
}
