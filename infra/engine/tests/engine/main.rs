//! The very engine that runs in production, driven through topics and a sink in memory, on a clock that
//! only moves when everybody waits. The numbers in the tests' names are those of docs/guarantees.md.

#![cfg(test)]

mod cases;
mod faults;
mod lookups;
mod members;
mod stage;
