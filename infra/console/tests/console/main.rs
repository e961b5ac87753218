//! Workers that tell through topics, and the console as a browser, a script and Prometheus see it.

#![cfg(test)]

mod group;
mod pages;
mod past;
mod probes;
mod stage;
