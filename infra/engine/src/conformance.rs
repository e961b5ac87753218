//! What every sink must do, as a suite that each one runs in its own tests. A case panics with what it
//! expected and what it saw.
//!
//! ```text
//! conformance::sink(&|case| Fixture::new(MyTarget::upsert(case, conformance::UPSERT_KEY))).await;
//! ```
//!
//! # Layout
//! - [`CASES`]: the cases by name; [`sink`] runs those that apply to the target's keeping.
//! - `rows`: the rows they write, pure functions of offsets, and how a scan is compared with them.
//! - `positions`: genesis, ledger, fences, owners. `values`: what must come back as it went in.
//! - `upserts`, `counts`: how rows of one key meet.

mod counts;
mod positions;
mod rows;
mod upserts;
mod values;

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub use self::rows::{
    COUNT, COUNT_KEY, PARTITION_BY, UPSERT_KEY, assignment, range, records, schema,
};
use crate::{Keeping, Target};

/// The name every case connects with.
pub const PIPELINE: &str = "suite.rows";

/// A target that is empty and nobody's, and what must live as long as it does.
pub struct Fixture {
    target: Arc<dyn Target>,
    null_is_empty: bool,
    _held: Option<Box<dyn Any + Send + Sync>>,
}

impl Fixture {
    /// An upsert target's key must be [`UPSERT_KEY`]; a counter's [`COUNT_KEY`] and [`COUNT`]; Hive partitions go
    /// by [`PARTITION_BY`].
    pub fn new(target: impl Target + 'static) -> Self {
        Self { target: Arc::new(target), null_is_empty: false, _held: None }
    }

    /// Keeps `guard` (a temporary directory, say) until the case is over.
    pub fn holding(mut self, guard: impl Any + Send + Sync) -> Self {
        self._held = Some(Box::new(guard));
        self
    }

    /// For formats such as CSV, in which a null text and an empty one look the same.
    pub fn null_is_empty(mut self) -> Self {
        self.null_is_empty = true;
        self
    }

    fn keeping(&self) -> Keeping {
        self.target.about().keeping
    }
}

/// One case: its name, the keepings it applies to, and itself.
pub type Case = (&'static str, fn(&Keeping) -> bool, Run);

/// A case's body.
pub type Run = fn(Fixture) -> Pin<Box<dyn Future<Output = ()> + Send>>;

macro_rules! case {
    ($applies:expr, $module:ident :: $name:ident) => {
        (stringify!($name), $applies, |fixture| Box::pin($module::$name(fixture)))
    };
}

/// Every case, in the order they run.
pub const CASES: &[Case] = &[
    case!(all, positions::a_scan_before_connecting_shows_nothing),
    case!(all, positions::genesis_is_written_once),
    case!(all, positions::a_commit_is_what_open_shows),
    case!(all, positions::the_ledger_comes_in_order_and_in_pages),
    case!(all, positions::a_stale_range_is_superseded),
    case!(all, positions::a_range_beyond_the_next_is_not_committed),
    case!(all, positions::a_repeated_range_counts_once),
    case!(all, positions::the_slower_of_two_workers_is_superseded),
    case!(all, positions::racing_workers_commit_each_range_once),
    case!(all, positions::an_empty_range_moves_the_position),
    case!(all, positions::operators_choices_are_kept),
    case!(all, positions::partitions_are_independent),
    case!(all, positions::several_ranges_are_committed_at_once),
    case!(all, positions::another_pipeline_is_refused_by_name),
    case!(not_count, positions::other_code_goes_on),
    case!(not_count, values::values_come_back_as_they_went),
    case!(not_count, values::a_nullable_column_can_be_added),
    case!(upsert, upserts::the_highest_version_wins),
    case!(upsert, upserts::equal_keys_inside_one_range),
    case!(upsert, upserts::null_overwrites),
    case!(upsert, upserts::deletes_go_by_version),
    case!(upsert, upserts::what_was_deleted_is_not_revived_by_an_older_write),
    case!(upsert, upserts::what_was_deleted_can_be_written_anew),
    case!(count, counts::deltas_add_up),
    case!(count, counts::the_order_of_deltas_does_not_matter),
    case!(count, counts::a_sum_too_large_changes_nothing),
    case!(count, counts::other_code_needs_the_operators_word),
    case!(not_upsert, counts::deletes_are_refused),
];

/// Runs every case that applies to what `make` makes: a new target for each, the case's name being its
/// table's name or part of it.
pub async fn sink(make: &dyn Fn(&str) -> Fixture) {
    for (name, applies, run) in CASES {
        let fixture = make(name);
        if applies(&fixture.keeping()) {
            // Captured by the test harness, and shown when the case fails.
            println!("conformance case {name}: {:?}", fixture.target.about());
            run(fixture).await;
        }
    }
}

fn all(_: &Keeping) -> bool {
    true
}

fn upsert(keeping: &Keeping) -> bool {
    matches!(keeping, Keeping::Upsert { .. })
}

fn count(keeping: &Keeping) -> bool {
    matches!(keeping, Keeping::Count { .. })
}

fn not_upsert(keeping: &Keeping) -> bool {
    !upsert(keeping)
}

fn not_count(keeping: &Keeping) -> bool {
    !count(keeping)
}
