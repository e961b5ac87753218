use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use millstream_topic::Backend;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// What the engine takes from outside, so that a simulation can put its own in place: topics, the wall
/// clock and chance. Waiting goes through tokio's clock, which a test can pause.
#[derive(Clone, Debug)]
pub struct World {
    pub topics: Arc<dyn Backend>,
    pub clock: Arc<dyn Clock>,
    /// Of the jitter in back-off.
    pub seed: u64,
}

/// The wall clock, for what is written down (ledger entries, dead letters); never for deciding.
pub trait Clock: Send + Sync + Debug {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;
}

/// The machine's own.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

impl World {
    /// The real world around these topics.
    pub fn real(topics: Arc<dyn Backend>) -> Self {
        Self { topics, clock: Arc::new(SystemClock), seed: u64::from(std::process::id()) }
    }
}

/// Waits between tries that grow from 100 ms to 10 s, each between half and all of its nominal length so
/// that workers that failed together don't come back together.
#[derive(Debug)]
pub(crate) struct Backoff {
    tries: u32,
    chance: SmallRng,
}

impl Backoff {
    pub(crate) fn new(seed: u64) -> Self {
        Self { tries: 0, chance: SmallRng::seed_from_u64(seed) }
    }

    pub(crate) fn next(&mut self) -> Duration {
        let nominal = Duration::from_millis(100 << self.tries.min(7)).min(Duration::from_secs(10));
        self.tries += 1;
        nominal.mul_f64(self.chance.random_range(0.5..1.0))
    }

    pub(crate) fn reset(&mut self) {
        self.tries = 0;
    }

    pub(crate) fn tries(&self) -> u32 {
        self.tries
    }
}
