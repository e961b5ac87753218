//! As many schedules as asked for, each of which has to end with every record in the sink once.
//!
//! - `MILLSTREAM_SCHEDULES`: how many; 10,000 unless told.
//! - `MILLSTREAM_FIRST_SEED`: the first one's seed; 0 unless told.
//! - `MILLSTREAM_COUNTS`: tell how often each fault was played.
//! - `MILLSTREAM_SEED`: this one only. With `MILLSTREAM_TRACE=1` it shows every step.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::mutants::Mutant;
use crate::play::{Outcome, play};
use crate::schedule::{Kind, Schedule};

/// Failures shown in full.
const SHOWN: usize = 3;
/// What one takes at most, on a slow machine: it is over in a few thousandths of a second.
const HANGS: Duration = Duration::from_secs(120);

#[test]
fn a_lake_has_every_record_once() {
    all_pass("lake", 2, 0, |kind| matches!(kind, Kind::LakeCsv | Kind::LakeParquet));
}

#[test]
fn a_lake_has_every_record_once_too() {
    all_pass("lake (other half)", 2, 1, |kind| matches!(kind, Kind::LakeCsv | Kind::LakeParquet));
}

#[test]
fn a_table_has_every_record_once() {
    all_pass("append", 1, 0, |kind| kind == Kind::Append);
}

#[test]
fn upserts_hold_each_keys_last_record() {
    all_pass("upsert", 1, 0, |kind| kind == Kind::Upsert);
}

#[test]
fn counts_are_exact_sums() {
    all_pass("count", 1, 0, |kind| kind == Kind::Count);
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no whole number")))
}

fn seeds() -> Range<u64> {
    if let Some(seed) = number("MILLSTREAM_SEED") {
        return seed..seed + 1;
    }
    let first = number("MILLSTREAM_FIRST_SEED").unwrap_or(0);
    first..first + number("MILLSTREAM_SCHEDULES").unwrap_or(10_000)
}

/// Plays the seeds of these kinds; of those, where the work is split, every `split`th.
fn all_pass(name: &str, split: u64, part: u64, is_mine: impl Fn(Kind) -> bool) {
    let mine = seeds().filter(|seed| is_mine(Kind::of(*seed)) && (seed / 20) % split == part);
    let (mut passed, mut failed, mut ios) = (0_u64, 0_u64, 0);
    let mut faults: BTreeMap<&str, u64> = BTreeMap::new();
    let began = Instant::now();
    let watched = Watched::begin(name);
    for seed in mine {
        watched.now_at(seed);
        let schedule = Schedule::of(seed);
        // Damaged data can break what looks at them: that is a failure of this seed, not the end of all.
        let played = catch_unwind(AssertUnwindSafe(|| play(&schedule, Mutant::None)));
        let Ok(outcome) = played else {
            failed += 1;
            println!("seed {seed} panicked, see above");
            continue;
        };
        ios += outcome.told.ios;
        for (fault, count) in &outcome.told.faults {
            *faults.entry(fault).or_default() += count;
        }
        if outcome.problems.is_empty() {
            passed += 1;
            continue;
        }
        failed += 1;
        match failed as usize <= SHOWN {
            true => show(&schedule, &outcome),
            false => println!("seed {seed} failed"),
        }
    }
    drop(watched);
    let seconds = began.elapsed().as_secs_f64();
    println!("{name}: {passed} passed, {failed} failed; {ios} steps in {seconds:.1} s");
    if std::env::var_os("MILLSTREAM_COUNTS").is_some() {
        faults.iter().for_each(|(fault, count)| println!("{name}:   {count:>9} × {fault}"));
    }
    assert_eq!(failed, 0, "schedules of {name} failed; the seeds are above");
}

/// The seed, the schedule, what is wrong, and how to see it again.
pub fn show(schedule: &Schedule, outcome: &Outcome) {
    println!("\n{schedule}");
    outcome.told.lines.iter().for_each(|line| println!("  {line}"));
    outcome.problems.iter().for_each(|problem| println!("  WRONG: {problem}"));
    println!(
        "  again: MILLSTREAM_SEED={} MILLSTREAM_TRACE=1 cargo test --locked --workspace --test simulation -- schedules --nocapture\n",
        schedule.seed
    );
}

const DONE: u64 = u64::MAX;

/// Names the seed that never ends, and ends the program: time that doesn't go on in the simulation has no deadline there.
struct Watched(std::sync::Arc<AtomicU64>);

impl Watched {
    fn begin(name: &str) -> Self {
        let at = std::sync::Arc::new(AtomicU64::new(0));
        let (seen, name) = (at.clone(), name.to_owned());
        std::thread::spawn(move || {
            let (mut last, mut since) = (0, Instant::now());
            loop {
                std::thread::park_timeout(Duration::from_secs(1));
                let now = seen.load(Ordering::Relaxed);
                if now == DONE {
                    return;
                }
                if now != last {
                    (last, since) = (now, Instant::now());
                } else if since.elapsed() > HANGS {
                    println!("{name}: seed {now} never ends\n{}", Schedule::of(now));
                    std::process::abort();
                }
            }
        });
        Self(at)
    }

    fn now_at(&self, seed: u64) {
        self.0.store(seed, Ordering::Relaxed);
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.now_at(DONE);
    }
}
