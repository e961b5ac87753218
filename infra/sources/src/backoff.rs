use std::error::Error;
use std::fmt::Write;
use std::time::Duration;

use rand::RngExt;
use tokio::time::Instant;
use tracing::{info, warn};

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// How long to wait before the next try, and the two lines a person sees of a trouble: one when it
/// starts, one when it is over.
#[derive(Debug)]
pub(crate) struct Backoff {
    step: Duration,
    since: Option<Instant>,
    tries: u32,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { step: FIRST, since: None, tries: 0 }
    }

    /// The try failed: wait that long. A random part keeps many producers from coming back at once.
    pub(crate) fn failed(&mut self, doing: &str, why: &dyn std::fmt::Display) -> Duration {
        self.tries += 1;
        if self.since.is_none() {
            self.since = Some(Instant::now());
            warn!(error = %why, "{doing} failed; trying again until it works");
        }
        let wait = self.step.mul_f64(rand::rng().random_range(0.5..1.0));
        self.step = (self.step * 2).min(LONGEST);
        wait
    }

    /// The try worked.
    pub(crate) fn worked(&mut self, doing: &str) {
        if let Some(since) = self.since {
            let seconds = since.elapsed().as_secs_f32();
            info!(tries = self.tries, "{doing} works again after {seconds:.1} s");
        }
        *self = Self::new();
    }
}

/// An error with everything below it, in one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(error) = below {
        let _ = write!(text, ": {error}");
        below = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Log lines, kept.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn told(&self) -> Vec<String> {
            String::from_utf8(self.0.lock().unwrap().clone())
                .unwrap()
                .lines()
                .map(str::to_owned)
                .collect()
        }
    }

    #[test]
    fn a_trouble_is_told_once_when_it_starts_and_once_when_it_is_over() {
        let lines = Lines::default();
        let kept = lines.clone();
        let logging = tracing_subscriber::fmt().with_writer(move || kept.clone()).with_ansi(false);
        // For all threads: a subscriber of this one alone races with those that log without any.
        tracing::subscriber::set_global_default(logging.finish()).unwrap();
        let mut backoff = Backoff::new();
        backoff.worked("GET x");
        for _ in 0..5 {
            backoff.failed("GET x", &"no route");
        }
        backoff.worked("GET x");
        backoff.worked("GET x");
        let mut told = lines.told();
        // Other tests log, too.
        told.retain(|line| line.contains("GET x "));
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("WARN") && told[0].contains("GET x failed"), "{told:?}");
        assert!(told[0].contains("no route"), "{told:?}");
        assert!(told[1].contains("INFO") && told[1].contains("tries=5"), "{told:?}");
    }

    #[test]
    fn waits_grow_up_to_ten_seconds_and_start_anew() {
        let mut backoff = Backoff::new();
        let waits: Vec<_> = (0..20).map(|_| backoff.failed("x", &"y")).collect();
        assert!(waits[0] <= FIRST && waits[0] >= FIRST / 2);
        assert!(waits[19] <= LONGEST && waits[19] >= LONGEST / 2);
        backoff.worked("x");
        assert!(backoff.failed("x", &"y") <= FIRST);
    }
}
