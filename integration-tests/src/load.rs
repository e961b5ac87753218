//! Commands that go on until they are told to end: producers, and workers beside them.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::{Ran, Running};

/// A load that goes on by itself: panics if it has ended.
pub fn goes_on(producer: &mut Running) {
    let ended = producer.has_ended();
    assert!(ended.is_none(), "the producer ended: {ended:?}");
}

/// Has a command that would go on end.
pub fn end(running: Running) -> Ran {
    running.signal(Signal::SIGTERM);
    running.ends_within(Duration::from_secs(60)).succeeds()
}

/// Stops a producer that would go on; how many records it says it sent.
pub fn stop(producer: Running) -> u64 {
    let ran = end(producer);
    let said = ran.stderr.lines().find_map(|line| line.strip_suffix(" records sent"));
    let said = said.and_then(|line| line.rsplit(' ').next());
    said.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{ran:?}"))
}
