use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use integration_tests::wait;

static ASKED: AtomicBool = AtomicBool::new(false);

/// Ctrl-C: what waits ends by a panic, which takes workers and servers with it.
pub fn ask() {
    ASKED.store(true, Ordering::SeqCst);
}

pub fn is_asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}

/// Lets time pass, unless it is stopped.
pub fn pause(time: Duration) {
    let started = Instant::now();
    while let Some(left) = time.checked_sub(started.elapsed()) {
        assert!(!is_asked(), "stopped");
        wait::pause(left.min(Duration::from_millis(50)));
    }
}
