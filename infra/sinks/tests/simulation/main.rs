//! Deterministic simulation of engine, topic and sink. A seed is a schedule: workers that are killed, paused, stopped and
//! started, groups that are rebalanced, I/Os that fail, take long, lose their reply or land when nobody waits for them any
//! more, duplicates, retention, and clocks that jump. Afterwards every record has to be in the sink once.
//!
//! - `schedule`: what happens when, made from a seed. `chance`: where the numbers come from.
//! - `wire`: the way of a worker's I/O, on which it may come to grief. `topics`, `sinks`, `lake`: topics and sinks, reached
//!   by it. `trace`: what was done.
//! - `worker`: a worker that can be killed and paused. `stage`: all of it together, and its steps. `play`: a schedule from
//!   beginning to end. `code`: the pipelines.
//! - `oracle`: what the records say, held against what is in the sink; `directory`: the same of a lake's files.
//! - `schedules`: as many seeds as asked for. `determinism`, `mutants`: the simulation itself, tested. `regressions`:
//!   seeds that found something.
#![cfg(test)]

mod chance;
mod code;
mod determinism;
mod directory;
mod lake;
mod mutants;
mod oracle;
mod play;
mod regressions;
mod schedule;
mod schedules;
mod sinks;
mod stage;
mod topics;
mod trace;
mod wire;
mod worker;
