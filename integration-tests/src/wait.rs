//! Waiting for what other processes do: they can only be asked again and again.

use std::time::{Duration, Instant};

/// For what takes seconds at most, or half a minute; machines that run tests are slow at times.
pub const LONG: Duration = Duration::from_secs(240);

/// Between the first two tries; then half as long again each time, up to the longest: to ask costs what others need.
const STEP: Duration = Duration::from_millis(5);
const LONGEST_STEP: Duration = Duration::from_millis(150);

/// Asks until `ask` gives a value. Panics after `within`, with what the last try saw.
pub fn until<T>(what: &str, within: Duration, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let started = Instant::now();
    let mut step = STEP;
    loop {
        match ask() {
            Ok(value) => return value,
            Err(seen) if started.elapsed() > within => {
                panic!("{what}: not within {within:?}; the last value seen: {seen}")
            }
            Err(_) => {
                pause(step);
                step = (step * 3 / 2).min(LONGEST_STEP);
            }
        }
    }
}

/// Lets time pass that belongs to the test itself: a random moment before a kill.
#[allow(
    clippy::disallowed_methods,
    reason = "no runtime here, and another process is at work meanwhile"
)]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}
