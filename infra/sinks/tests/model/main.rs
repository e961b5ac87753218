//! The lake's range protocol as a model that is checked: every interleaving of workers, I/O by I/O, with faults, within
//! bounds. `docs/guarantees.md` (The model) links its invariants to the code.
//!
//! - `state`: the store's objects, the topic, the workers. `steps`: what may happen next, `worker`: what a worker makes of
//!   each answer. `invariants`: what must hold.
//! - `checker`: visits every state. `scenarios`: the worlds it goes through. `mutants`: each rule broken on purpose.
//! - `stateright/`: a package of its own, which has the model checked by the crate of that name, too.
//!
//! `MILLSTREAM_MODEL=large` takes larger bounds; `MILLSTREAM_MODEL_WAYS=1` with `--nocapture` tells the shortest way to
//! each mutant's failure.
#![cfg(test)]

mod checker;
mod invariants;
mod mutants;
mod scenarios;
mod state;
mod steps;
mod worker;
