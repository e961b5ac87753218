//! Randomness whose seed is told when a test fails.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Random numbers of a test. `SEED=N` in the environment has a run's numbers again.
pub struct Chance {
    seed: u64,
    rng: StdRng,
}

impl Chance {
    #[allow(clippy::new_without_default, reason = "not a default: another one each time")]
    pub fn new() -> Self {
        let set = std::env::var("SEED").ok().map(|seed| seed.parse().expect("SEED is a number"));
        let seed = set.unwrap_or_else(rand::random);
        Self { seed, rng: StdRng::seed_from_u64(seed) }
    }

    /// From `from` up to and without `to`.
    pub fn number(&mut self, from: u64, to: u64) -> u64 {
        self.rng.random_range(from..to)
    }

    /// Somewhere in the `part`th of `parts` parts, from 0, of what is counted from 1 to `all`: over all parts, each at a
    /// place of its own.
    pub fn within_part(&mut self, part: usize, parts: usize, all: usize) -> usize {
        let (from, to) = (1 + part * all / parts, 1 + (part + 1) * all / parts);
        self.number(from as u64, to.max(from + 1) as u64) as usize
    }

    pub fn milliseconds(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_micros(self.number(from * 1000, to * 1000))
    }

    pub fn one_of<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.rng.random_range(0..of.len())]
    }
}

impl Drop for Chance {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("random numbers of seed {}; SEED={0} has them again", self.seed);
        }
    }
}
