//! The suites that tantivy passes, passed by a server.

use integration_tests::stack;
use millstream_engine::conformance::{self, Fixture};
use millstream_sinks::opensearch::OpenSearchTarget;
use millstream_sinks::search::conformance as questions;
use millstream_sinks::search::{Field, Index, Kind};

use crate::place::{Place, curl};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_server_passes_the_suite_of_sinks() {
    let place = Place::elsewhere("sinks").await;
    let make = |case: &str| Fixture::new(OpenSearchTarget::new(place.open(), &index(case), None));
    conformance::sink(&make).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_passes_the_suite_of_indexes() {
    let place = Place::elsewhere("indexes").await;
    questions::index(&|index, seed| place.fixture(index, seed)).await;
}

/// Analysis is the server's own, so that others who search the index find what we find.
#[tokio::test(flavor = "multi_thread")]
async fn others_find_rows_by_the_servers_own_queries() {
    let place = Place::new("others").await;
    let index = Index { name: "recalls", ..questions::RECALLS };
    let fixture = place.fixture(&index, None);
    let connected = fixture.target.connect(questions::PIPELINE, &questions::rows::schema()).await;
    let made = [
        ["Z-1", "Überlingen GmbH", "Catheters, sterile", "Class I", "20200101", ""],
        ["Z-2", "Acme", "Infusion pump", "", "", ""],
    ];
    let rows = vec![questions::rows::rows(&made, 1)];
    questions::rows::put(&mut connected.unwrap(), 0, rows, vec![]).await;
    let server = stack::opensearch().await;
    let alias = format!("{}recalls", place.prefix);
    curl(server, "POST", &format!("{alias}/_refresh"), "{}").await;
    for (text, expected) in [("uberlingen", "Z-1"), ("catheter", "Z-1"), ("PUMPS", "Z-2")] {
        let fields = r#"["text.*"]"#;
        let body =
            format!(r#"{{"query": {{"multi_match": {{"query": "{text}", "fields": {fields}}}}}}}"#);
        let found = curl(server, "POST", &format!("{alias}/_search"), &body).await;
        assert_eq!(found["hits"]["total"]["value"], 1, "{text}: {found}");
        assert_eq!(found["hits"]["hits"][0]["_id"], expected, "{text}: {found}");
        assert_eq!(found["hits"]["hits"][0]["_source"]["row"]["number"], expected);
    }
    let template = curl(server, "GET", &format!("_index_template/{alias}"), "").await;
    assert!(template["index_templates"][0]["index_template"].is_object(), "{template}");
}
