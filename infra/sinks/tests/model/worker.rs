//! A worker's own steps: what it does with each answer, as `find_standing` and `commit_after` do.

use crate::state::{
    Code, Draft, End, File, Key, Kind, Known, Maker, Phase, Plan, Put, State, Then, Worker,
};
use crate::steps::{Model, Rule};

impl Model {
    /// A write was answered.
    pub fn answered(&self, state: &mut State, w: usize, choice: u8, created: bool) {
        let worker = &mut state.workers[w];
        match worker.phase {
            Phase::Empty { at, plan, left, then } => {
                self.empty(worker, at, plan, left & !(1 << choice), then);
            }
            Phase::Plan { again } => match (created, mine(worker)) {
                (true, Some(mine)) => self.write(state, w, mine, again),
                _ => worker.phase = Phase::SeePlan { again },
            },
            Phase::GiveUp { plan } if created => {
                self.empty(worker, next_key(worker), plan, plan.all(), Then::Plan)
            }
            Phase::GiveUp { plan } => worker.phase = Phase::SeeGivenUp { plan },
            Phase::Write { plan, attempt, left } if created => {
                self.written(state, w, plan, attempt, left & !(1 << choice));
            }
            Phase::Write { plan, attempt, left } => {
                worker.phase = Phase::Compare { plan, attempt, left, file: choice };
            }
            Phase::End { plan, attempt } if created => {
                self.ended(state, w, plan, attempt, End::Committed)
            }
            Phase::End { plan, attempt } => worker.phase = Phase::SeeEnd { plan, attempt },
            // What was there doesn't matter: the next look tells.
            _ => *worker = Worker::new(worker.code),
        }
    }

    /// Something was read.
    pub fn see(&self, state: &mut State, w: usize, choice: u8) {
        let worker = state.workers[w];
        let next = worker.known.map_or((0, 0), |known| (known.seq + 1, known.attempt));
        match worker.phase {
            Phase::Look => self.look(state, w),
            Phase::Check { at, plan, left } => self.check(state, w, (at, plan, left), choice),
            Phase::Read => self.read(state, w, choice),
            Phase::SeePlan { again } => {
                let theirs = state.plan((next.0, next.1 + u8::from(again)));
                self.see_plan(state, w, theirs, again);
            }
            Phase::SeeGivenUp { plan } => match state.end(next) {
                Some(End::Committed) => self.superseded(state, w),
                _ => self.empty(&mut state.workers[w], next, plan, plan.all(), Then::Plan),
            },
            Phase::Compare { plan, attempt, left, file } => {
                let there = state.file((next.0, attempt), plan.name(file));
                let same = there == worker.draft.map(|draft| File::Rows(draft.by));
                if same || self.breaks(Rule::FileThatWasThereIsCompared) {
                    self.written(state, w, plan, attempt, left & !(1 << file));
                } else {
                    state.workers[w].phase = Phase::Explain { attempt };
                }
            }
            Phase::Explain { attempt } => match state.end((next.0, attempt)) {
                Some(End::Abandoned) => self.superseded(state, w),
                _ => state.workers[w].phase = Phase::Refused,
            },
            Phase::SeeEnd { plan, attempt } => {
                let end = state.end((next.0, attempt)).unwrap_or(End::Committed);
                self.ended(state, w, plan, attempt, end);
            }
            Phase::Group => {
                (state.group, state.moved) = (worker.known.map(|known| known.next), false);
                state.workers[w].phase = Phase::Read;
            }
            _ => {}
        }
    }

    /// `History::newest`, and what `find_standing` makes of it.
    fn look(&self, state: &mut State, w: usize) {
        let mut tries = state.store.iter().filter(|(_, at)| at.plan.is_some() || at.end.is_some());
        let Some((&at, newest)) = tries.next_back() else {
            state.workers[w].phase = Phase::Genesis;
            return;
        };
        let (plan, end) = (newest.plan, newest.end);
        let worker = &mut state.workers[w];
        match (plan, end) {
            (Some(plan), Some(End::Committed)) => stands(worker, after(at, plan)),
            (Some(plan), None) if !self.breaks(Rule::OpenPlanIsLookedFor) => {
                worker.phase = Phase::Check { at, plan, left: plan.all() };
                if plan.all() == 0 {
                    worker.phase = Phase::Settle { at, end: End::Committed };
                }
            }
            (Some(plan), _) => {
                let Some(known) = before(state, at, plan) else {
                    state.workers[w].phase = Phase::Refused;
                    return;
                };
                let same = end.is_none() || self.breaks(Rule::AbandonedIsFollowedByTheNextTry);
                let attempt = if end.is_none() { 0 } else { at.1 + u8::from(!same) };
                let then = Then::Open(Known { attempt, ..known });
                let left = if end.is_none() { 0 } else { plan.all() };
                self.empty(&mut state.workers[w], at, plan, left, then);
            }
            (None, _) => worker.phase = Phase::Refused,
        }
    }

    fn check(&self, state: &mut State, w: usize, (at, plan, left): (Key, Plan, u8), file: u8) {
        let worker = state.workers[w];
        let there = matches!(state.file(at, plan.name(file)), Some(File::Rows(_)));
        let left = left & !(1 << file);
        state.workers[w].phase = match there {
            true if left == 0 || self.breaks(Rule::EveryFileIsLookedAt) => {
                Phase::Settle { at, end: End::Committed }
            }
            true => Phase::Check { at, plan, left },
            false
                if plan.by.code == worker.code || self.breaks(Rule::FingerprintComparedAtOpen) =>
            {
                let Some(known) = before(state, at, plan) else { return };
                stands(&mut state.workers[w], Known { attempt: at.1, left_to_us: true, ..known });
                state.workers[w].planned = Some(plan.next);
                return;
            }
            false if self.breaks(Rule::AbandonedByAnEnd) => {
                let Some(known) = before(state, at, plan) else { return };
                let then = Then::Open(Known { attempt: at.1 + 1, ..known });
                return self.empty(&mut state.workers[w], at, plan, plan.all(), then);
            }
            false => Phase::Settle { at, end: End::Abandoned },
        };
    }

    /// Fetches up to `end`, where the range is closed.
    fn read(&self, state: &mut State, w: usize, end: u8) {
        let (low, records) = (state.low, self.bounds.records);
        let worker = &mut state.workers[w];
        let Some(known) = &mut worker.known else { return };
        if self.breaks(Rule::PositionFromTheLedger) {
            known.next = state.group.unwrap_or(low);
        }
        let next = known.next;
        let end = end.max(next + 1);
        if worker.code == Code::Operator {
            // The command names what retention took; where there is nothing, it says so.
            let by = Maker { code: Code::Operator, snapshot: 0 };
            worker.draft = Some(Draft { next: low, kind: Kind::Skip, by });
            worker.phase = Phase::Plan { again: false };
            if next >= low {
                *worker = Worker::new(self.bounds.workers[w]);
            }
        } else if next >= records {
            worker.phase = Phase::Idle;
        } else if next < low {
            worker.phase = Phase::Stopped;
        } else {
            let by = Maker { code: worker.code, snapshot: state.snapshot };
            worker.draft = Some(Draft { next: end, kind: Kind::Range, by });
            worker.phase = Phase::Plan { again: false };
        }
    }

    /// Another plan was there.
    fn see_plan(&self, state: &mut State, w: usize, theirs: Option<Plan>, again: bool) {
        let worker = &mut state.workers[w];
        let (Some(mine), Some(theirs), Some(known)) = (mine(worker), theirs, worker.known) else {
            worker.phase = Phase::Refused;
            return;
        };
        if self.breaks(Rule::LoserDropsItsRange) {
            return self.write(state, w, mine, again);
        }
        let taken = self.breaks(Rule::PlanIsCompared) && theirs.next == mine.next;
        if theirs == mine || taken {
            return self.write(state, w, theirs, again);
        }
        let same_range = (theirs.start, theirs.next) == (mine.start, mine.next);
        if again || !known.left_to_us || !(mine.kind == Kind::Skip || same_range) {
            return self.superseded(state, w);
        }
        worker.phase = Phase::GiveUp { plan: theirs };
    }

    fn write(&self, state: &mut State, w: usize, plan: Plan, again: bool) {
        let worker = &mut state.workers[w];
        let Some(known) = worker.known else { return };
        let attempt = known.attempt + u8::from(again);
        if self.breaks(Rule::FilesBeforeEnd) {
            worker.phase = Phase::End { plan, attempt };
        } else {
            self.written(state, w, plan, attempt, plan.all());
        }
    }

    /// `left`: files still to be written.
    fn written(&self, state: &mut State, w: usize, plan: Plan, attempt: u8, left: u8) {
        let worker = &mut state.workers[w];
        if left > 0 {
            worker.phase = Phase::Write { plan, attempt, left };
        } else if self.breaks(Rule::FilesBeforeEnd) {
            committed(worker, plan, attempt, self.bounds.workers[w]);
        } else {
            worker.phase = Phase::End { plan, attempt };
            if self.breaks(Rule::GroupAfterEnd) {
                state.group = Some(plan.next);
            }
        }
    }

    fn ended(&self, state: &mut State, w: usize, plan: Plan, attempt: u8, end: End) {
        if end == End::Abandoned && !self.breaks(Rule::EndThatWasThereIsRead) {
            return self.superseded(state, w);
        }
        if self.breaks(Rule::FilesBeforeEnd) && plan.all() > 0 {
            state.workers[w].phase = Phase::Write { plan, attempt, left: plan.all() };
            return;
        }
        committed(&mut state.workers[w], plan, attempt, self.bounds.workers[w]);
    }

    fn empty(&self, worker: &mut Worker, at: Key, plan: Plan, left: u8, then: Then) {
        if left > 0 && !self.breaks(Rule::AbandonedIsEmptied) {
            worker.phase = Phase::Empty { at, plan, left, then };
            return;
        }
        match then {
            Then::Open(known) => stands(worker, known),
            Then::Plan => worker.phase = Phase::Plan { again: true },
        }
    }

    /// Drops the range and opens again; an operator's command ends.
    fn superseded(&self, state: &mut State, w: usize) {
        let worker = &mut state.workers[w];
        let operator = worker.code == Code::Operator;
        *worker = Worker::new(if operator { self.bounds.workers[w] } else { worker.code });
    }
}

/// The next write, where one is next.
pub fn put_of(state: &State, worker: &Worker, choice: u8) -> Option<Put> {
    let (seq, attempt) = next_key(worker);
    Some(match worker.phase {
        Phase::Genesis => genesis(state.low),
        Phase::Settle { at, end } => Put::End(at, end),
        Phase::Empty { at, plan, .. } => Put::Empty(at, plan.name(choice)),
        Phase::Plan { again } => Put::Plan((seq, attempt + u8::from(again)), mine(worker)?),
        Phase::GiveUp { .. } => Put::End((seq, attempt), End::Abandoned),
        Phase::Write { plan, attempt, .. } => {
            Put::Rows((seq, attempt), plan.name(choice), worker.draft?.by)
        }
        Phase::End { attempt, .. } => Put::End((seq, attempt), End::Committed),
        _ => return None,
    })
}

/// The try that the worker is at.
fn next_key(worker: &Worker) -> Key {
    worker.known.map_or((0, 0), |known| (known.seq + 1, known.attempt))
}

/// The plan that the worker's draft makes.
fn mine(worker: &Worker) -> Option<Plan> {
    let (Known { next: start, after, .. }, Draft { next, kind, by }) =
        (worker.known?, worker.draft?);
    Some(Plan { start, next, after, kind, by })
}

pub fn genesis(low: u8) -> Put {
    let by = Maker { code: Code::A, snapshot: 0 };
    Put::Plan((0, 0), Plan { start: low, next: low, after: 0, kind: Kind::Genesis, by })
}

fn after((seq, attempt): Key, plan: Plan) -> Known {
    Known { seq, next: plan.next, after: attempt, attempt: 0, left_to_us: false }
}

/// What was committed before an open try.
fn before(state: &State, (seq, _): Key, plan: Plan) -> Option<Known> {
    let at = (seq.checked_sub(1)?, plan.after);
    Some(after(at, state.plan(at)?))
}

/// `open` is answered.
fn stands(worker: &mut Worker, known: Known) {
    *worker = Worker { known: Some(known), phase: Phase::Read, ..Worker::new(worker.code) };
}

/// `commit` is answered; an operator's command ends.
fn committed(worker: &mut Worker, plan: Plan, attempt: u8, restart: Code) {
    if worker.code == Code::Operator {
        *worker = Worker::new(restart);
        return;
    }
    let known = worker.known.map(|known| after((known.seq + 1, attempt), plan));
    *worker = Worker { known, phase: Phase::Group, ..Worker::new(worker.code) };
}
