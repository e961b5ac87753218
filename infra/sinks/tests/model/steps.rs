//! What may happen next: one I/O of one worker, or one of the world's own steps. It follows `sinks/lake/open.rs` and
//! `sinks/lake/commit.rs` line by line; `engine/run/commit.rs` is what calls them.

use std::collections::HashSet;
use std::sync::Mutex;

use crate::state::{Budget, Code, End, Known, Phase, Put, State, Worker};
use crate::worker::{genesis, put_of};

/// How large a world is.
#[derive(Clone, Debug)]
pub struct Bounds {
    pub records: u8,
    /// The code of each worker.
    pub workers: Vec<Code>,
    /// What a worker may come back with.
    pub codes: Vec<Code>,
    /// Nobody has opened the partition yet.
    pub new: bool,
    pub budget: Budget,
    /// Tries beyond this one are not looked at: two codes may end each other's tries for ever.
    pub last_try: u8,
}

/// A rule of the protocol, to be broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    FilesBeforeEnd,
    PlanIsExclusive,
    EndIsExclusive,
    FilesAreExclusive,
    OpenPlanIsLookedFor,
    LoserDropsItsRange,
    PlanIsCompared,
    AbandonedByAnEnd,
    AbandonedIsEmptied,
    AbandonedIsFollowedByTheNextTry,
    EveryFileIsLookedAt,
    EndThatWasThereIsRead,
    GroupAfterEnd,
    ErrorIsNoLostRace,
    PositionFromTheLedger,
    /// Breaking the two below breaks no invariant: see `mutants`.
    FingerprintComparedAtOpen,
    FileThatWasThereIsCompared,
}

impl Rule {
    /// Those without which an invariant falls.
    pub const BEARING: [Self; 15] = [
        Self::FilesBeforeEnd,
        Self::PlanIsExclusive,
        Self::EndIsExclusive,
        Self::FilesAreExclusive,
        Self::OpenPlanIsLookedFor,
        Self::LoserDropsItsRange,
        Self::PlanIsCompared,
        Self::AbandonedByAnEnd,
        Self::AbandonedIsEmptied,
        Self::AbandonedIsFollowedByTheNextTry,
        Self::EveryFileIsLookedAt,
        Self::EndThatWasThereIsRead,
        Self::GroupAfterEnd,
        Self::ErrorIsNoLostRace,
        Self::PositionFromTheLedger,
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    Fine,
    /// Nothing happened, and the worker is told so or hears nothing: 409, 503, a time-out.
    Failed,
    /// It took effect, and the reply was lost.
    Lost,
    /// The worker hears nothing, and it takes effect later, at any time.
    Late,
    /// The client sent it twice: it took effect, and the answer is 412.
    Ours412,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// `choice`: which file, or where the range is closed.
    Io {
        worker: u8,
        choice: u8,
        answer: Answer,
    },
    /// Dies, and another one takes its place. One that sleeps is a worker that does nothing for long.
    Crash {
        worker: u8,
        code: Code,
    },
    /// `millstream position skip`, after which the worker is started again.
    Operator {
        worker: u8,
    },
    /// The write that nobody waits for takes effect.
    Late,
    Retention,
    Lookup,
    Reset(Option<u8>),
}

pub struct Model {
    pub bounds: Bounds,
    pub broken: Option<Rule>,
    /// Stores from which one worker alone was seen to finish.
    pub finished: Mutex<HashSet<u64>>,
}

impl Model {
    pub fn new(bounds: Bounds, broken: Option<Rule>) -> Self {
        Self { bounds, broken, finished: Mutex::default() }
    }

    pub fn breaks(&self, rule: Rule) -> bool {
        self.broken == Some(rule)
    }

    pub fn init(&self) -> State {
        let mut state = State {
            store: [].into(),
            low: 0,
            snapshot: 0,
            group: None,
            moved: false,
            workers: self.bounds.workers.iter().copied().map(Worker::new).collect(),
            late: None,
            budget: self.bounds.budget,
        };
        if !self.bounds.new {
            state.put(genesis(0), false);
            state.put(Put::End((0, 0), End::Committed), false);
        }
        state
    }

    pub fn within(&self, state: &State) -> bool {
        state.store.keys().all(|(_, attempt)| *attempt <= self.bounds.last_try)
    }

    pub fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (worker, at) in (0..).zip(&state.workers) {
            self.actions_of(state, worker, at, actions);
        }
        actions.extend(state.late.map(|_| Action::Late));
        let Budget { retention, lookups, resets, .. } = state.budget;
        if retention > 0 && state.low < self.bounds.records {
            actions.push(Action::Retention);
        }
        if lookups > 0 {
            actions.push(Action::Lookup);
        }
        if resets > 0 {
            let anything = [None, Some(0), Some(1), Some(self.bounds.records)];
            actions.extend(anything.map(Action::Reset));
        }
    }

    fn actions_of(&self, state: &State, worker: u8, at: &Worker, actions: &mut Vec<Action>) {
        if state.budget.crashes > 0 {
            actions
                .extend(self.bounds.codes.iter().map(|code| Action::Crash { worker, code: *code }));
        }
        match at.phase {
            Phase::Idle | Phase::Refused => {}
            Phase::Stopped => actions.push(Action::Operator { worker }),
            _ => {
                for choice in self.choices(state, at) {
                    let io = |answer| Action::Io { worker, choice, answer };
                    actions.push(io(Answer::Fine));
                    if state.budget.faults > 0 {
                        use Answer::{Failed, Late, Lost, Ours412};
                        actions.extend([Failed, Lost, Late, Ours412].map(io));
                    }
                }
            }
        }
    }

    /// Which file the worker may take next, or where it may close its range.
    pub fn choices(&self, state: &State, worker: &Worker) -> Vec<u8> {
        match worker.phase {
            Phase::Check { left, .. } | Phase::Empty { left, .. } | Phase::Write { left, .. } => {
                (0..8).filter(|i| left & (1 << i) != 0).collect()
            }
            Phase::Read => match (worker.planned, worker.known) {
                (Some(end), _) => vec![end],
                (None, Some(known)) if self.reads(state, known) => {
                    (known.next + 1..=self.bounds.records).collect()
                }
                _ => vec![0],
            },
            _ => vec![0],
        }
    }

    fn reads(&self, state: &State, known: Known) -> bool {
        known.next >= state.low && known.next < self.bounds.records
    }

    pub fn next(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Io { worker, choice, answer } => {
                self.io(&mut next, usize::from(worker), choice, answer)?;
            }
            Action::Crash { worker, code } => {
                next.budget.crashes -= 1;
                next.workers[usize::from(worker)] = Worker::new(code);
            }
            Action::Operator { worker } => {
                next.workers[usize::from(worker)] = Worker::new(Code::Operator);
            }
            Action::Late => {
                let put = next.late.take()?;
                self.put(&mut next, put);
            }
            Action::Retention => {
                next.budget.retention -= 1;
                next.low += 1;
            }
            Action::Lookup => {
                next.budget.lookups -= 1;
                next.snapshot += 1;
            }
            Action::Reset(group) => {
                next.budget.resets -= 1;
                (next.group, next.moved) = (group, true);
            }
        }
        Some(next)
    }

    fn put(&self, state: &mut State, put: Put) -> bool {
        let replacing = match put {
            Put::Plan(..) => self.breaks(Rule::PlanIsExclusive),
            Put::End(..) => self.breaks(Rule::EndIsExclusive),
            Put::Rows(..) => self.breaks(Rule::FilesAreExclusive),
            Put::Empty(..) => true,
        };
        state.put(put, replacing)
    }

    /// `None`: the fault would make no difference.
    fn io(&self, state: &mut State, w: usize, choice: u8, answer: Answer) -> Option<()> {
        let worker = state.workers[w];
        let put = put_of(state, &worker, choice);
        state.budget.faults -= u8::from(answer != Answer::Fine);
        match (put, answer) {
            (None, Answer::Fine) => self.see(state, w, choice),
            (Some(put), Answer::Fine) => {
                let created = self.put(state, put);
                self.answered(state, w, choice, created);
            }
            (_, Answer::Failed) => {
                self.retry(state, w);
                (state.workers[w] != worker).then_some(())?;
            }
            (Some(put), Answer::Lost) => {
                self.put(state, put).then_some(())?;
                self.retry(state, w);
            }
            (Some(put), Answer::Late) => {
                let none = state.late.replace(put).is_none();
                none.then_some(())?;
                self.retry(state, w);
            }
            (Some(put), Answer::Ours412) => {
                let fresh = !matches!(put, Put::Empty(..)) && self.put(state, put);
                fresh.then_some(())?;
                self.answered(state, w, choice, false);
            }
            (None, _) => return None,
        }
        Some(())
    }

    /// After an error that may pass: the sink is asked the same again. An operator's command ends with it.
    fn retry(&self, state: &mut State, w: usize) {
        let restart = self.bounds.workers[w];
        let worker = &mut state.workers[w];
        if worker.code == Code::Operator {
            *worker = Worker::new(restart);
            return;
        }
        match worker.phase {
            Phase::Group => worker.phase = Phase::Read,
            Phase::Read => {}
            _ => match &mut worker.known {
                Some(known) if worker.draft.is_some() => {
                    known.attempt += u8::from(self.breaks(Rule::ErrorIsNoLostRace));
                    worker.phase = Phase::Plan { again: false };
                }
                _ => *worker = Worker::new(worker.code),
            },
        }
    }
}
