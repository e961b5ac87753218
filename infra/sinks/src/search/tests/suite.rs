//! The conformance suite.

use millstream_engine::conformance::{self, Fixture};

use crate::search::conformance as questions;
use crate::search::{Field, Index, Kind, SearchReader, SearchTarget, Seed};

/// The suite's rows, searched in every way that text columns can be.
fn index(name: &str) -> Index {
    const FIELDS: &[Field] = &[
        Field { column: "id", kind: Kind::Id, suggest: true },
        Field { column: "name", kind: Kind::Text { boost: 2.0 }, suggest: true },
        Field { column: "name", kind: Kind::Facet, suggest: false },
    ];
    let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
    Index { name, key: conformance::UPSERT_KEY[0], fields: FIELDS }
}

#[tokio::test]
async fn passes_the_suite() {
    conformance::sink(&|case| {
        let directory = tempfile::tempdir().unwrap();
        Fixture::new(SearchTarget::new(directory.path(), &index(case), None)).holding(directory)
    })
    .await;
}

#[tokio::test]
async fn passes_the_suite_of_indexes() {
    let directory = tempfile::tempdir().unwrap();
    let make = |index: &Index, seed: Option<std::sync::Arc<dyn Seed>>| {
        let target = SearchTarget::new(directory.path(), index, seed);
        questions::Fixture::new(target, SearchReader::new(directory.path(), index))
    };
    questions::index(&make).await;
}
