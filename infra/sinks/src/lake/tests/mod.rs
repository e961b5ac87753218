//! The protocol's tests: workers on shared stores, with faults between any two I/Os.

mod branches;
mod catalogs;
mod conformance;
mod faults;
mod interleaved;
mod ledger;
mod mutants;
mod reading;
mod tables;
mod world;
