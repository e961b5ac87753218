//! What every search index must do, as a suite that each one runs in its own tests: the questions and what must be
//! found. A case panics with what it expected and what it saw.
//!
//! Where servers and libraries may differ, the suite states what must hold: which rows are found, that nearer hits come
//! first, not which score they have.
//!
//! ```text
//! conformance::index(&|index, seed| Fixture::new(MyTarget::new(…), MyReader::new(…))).await;
//! ```
//!
//! # Layout
//! - [`CASES`]: the cases by name; [`index`] runs them.
//! - [`rows`]: an index of recalls, ranges and seeds for it; of use to other tests, too.
//! - `asking`: what is found, in which order. `suggesting`. `following`: what is written, and new builds.

mod asking;
mod following;
pub mod rows;
mod suggesting;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_engine::{Sink, Target};

pub use self::rows::{PIPELINE, RECALLS};
use super::{Found, Index, IndexState, Query, Searcher, Seed, Snapshot};

/// So long a reader may take to see what was committed, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// An index that was the same for so long stays so.
const STEADY: Duration = Duration::from_millis(2_500);
const STEP: Duration = Duration::from_millis(20);

/// Makes target and reader of an index; the second is made for the same place if the index's name is the same.
pub type Make<'a> = &'a (dyn Fn(&Index, Option<Arc<dyn Seed>>) -> Fixture + Sync);

/// An index that is there or is to be.
pub struct Fixture {
    pub target: Arc<dyn Target>,
    pub searcher: Arc<dyn Searcher>,
}

impl Fixture {
    pub fn new(target: impl Target + 'static, searcher: impl Searcher + 'static) -> Self {
        Self { target: Arc::new(target), searcher: Arc::new(searcher) }
    }

    pub(crate) async fn sink(&self) -> Box<dyn Sink> {
        let connected = self.target.connect(PIPELINE, &rows::schema()).await;
        connected.expect("connect to the index")
    }

    /// Last digits of the numbers that are found, in order.
    pub(crate) async fn found(&self, query: &Query) -> String {
        let found = self.searcher.search(query).await.expect("search");
        assert!(found.hits.len() <= found.total);
        found.hits.iter().map(|hit| &hit.key[5..6]).collect()
    }

    /// What is found once nothing changes any more.
    pub(crate) async fn steady(&self, query: &Query) -> Found {
        let (began, mut since) = (Instant::now(), Instant::now());
        let mut last: Option<Snapshot> = None;
        loop {
            let found = self.searcher.search(query).await.expect("search");
            if found.snapshot != last {
                (last, since) = (found.snapshot.clone(), Instant::now());
            } else if last.is_some() && since.elapsed() >= STEADY {
                return found;
            }
            assert!(began.elapsed() < PATIENCE, "the index goes on changing: {last:?}");
            tokio::time::sleep(STEP).await;
        }
    }

    /// Waits until the reader tells this state.
    pub(crate) async fn until_state(&self, wanted: IndexState) {
        until(&format!("{wanted:?}"), async || {
            let state = self.searcher.state().await.expect("ask for the state");
            if state == wanted { Ok(()) } else { Err(format!("{state:?}")) }
        })
        .await;
    }

    /// Waits until exactly so many rows have this text.
    pub(crate) async fn until_total(&self, text: &str, wanted: usize) {
        until(&format!("{wanted} hits for {text:?}"), async || {
            let found = self.searcher.search(&query(text)).await.expect("search");
            if found.total == wanted { Ok(()) } else { Err(format!("{} hits", found.total)) }
        })
        .await;
    }
}

/// Asks until it is so; panics with the last thing seen.
pub(crate) async fn until(what: &str, mut is: impl AsyncFnMut() -> Result<(), String>) {
    let began = Instant::now();
    while let Err(seen) = is().await {
        assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}; last seen: {seen}");
        tokio::time::sleep(STEP).await;
    }
}

pub(crate) fn query(text: &str) -> Query {
    Query { text: text.to_owned(), limit: 20, ..Query::default() }
}

/// One case: its name and itself.
pub type Case =
    (&'static str, for<'a> fn(Make<'a>, Index) -> Pin<Box<dyn Future<Output = ()> + 'a>>);

macro_rules! case {
    ($module:ident :: $name:ident) => {
        (stringify!($name), |make, index| Box::pin($module::$name(make, index)))
    };
}

/// Every case, in the order they run.
pub const CASES: &[Case] = &[
    case!(asking::an_index_that_is_not_there_is_missing_and_no_error),
    case!(asking::words_phrases_typos_and_beginnings),
    case!(asking::rows_come_whole),
    case!(asking::sorts_put_rows_without_a_value_last),
    case!(asking::facets_count_without_their_own_filter),
    case!(asking::columns_that_are_not_declared_for_it_are_refused_by_name),
    case!(asking::any_text_is_answered),
    case!(asking::a_search_within_a_snapshot_sees_nothing_of_what_came_later),
    case!(suggesting::suggestions_go_on_from_what_was_typed),
    case!(following::an_empty_topic_makes_a_ready_index),
    case!(following::another_declaration_is_built_beside_what_is_served),
    case!(following::an_operator_may_ask_for_a_new_build),
    case!(following::what_was_opened_stands_until_the_index_begins_anew),
    case!(following::nothing_stale_returns_after_seeding),
    case!(following::a_seed_that_fails_is_read_again_and_doubles_nothing),
    case!(following::a_rebuild_is_seeded_too),
];

/// Runs every case on an index named after it.
pub async fn index(make: Make<'_>) {
    for (name, run) in CASES {
        // Captured by the test harness, and shown when the case fails.
        println!("conformance case {name}");
        run(make, Index { name, ..RECALLS }).await;
    }
}
