//! Whatever is typed is no error, and what an index holds is what a map would.

use std::collections::BTreeMap;

use millstream_engine::Delete;
use proptest::prelude::*;

use super::world::{World, delete, put, rows};
use super::*;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Texts that somebody might type who wants to break something, or just types.
fn typed() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => proptest::collection::vec(any::<char>(), 0..12)
            .prop_map(|chars| chars.into_iter().collect::<String>()),
        4 => proptest::sample::select(vec![
            "\"", "“", "*", "?", "~2", "AND", "NOT", "(", ")", "[a TO b]", "^9", "\\", "/x/", ":", "-",
            "+", "number:", "Z-1", "acme", "pumpp", "acm", "\u{0}", "\u{301}", "ﬁ", "İ", "ß", "東京",
            "🌊", "..", "''", "pump", "the", "99999999999999999999",
        ])
        .prop_map(str::to_owned),
        1 => (0..3_000_usize).prop_map(|length| "a".repeat(length)),
    ];
    proptest::collection::vec((piece, any::<bool>()), 0..12).prop_map(|pieces| {
        let glue = |(piece, blank): (String, bool)| if blank { piece + " " } else { piece };
        pieces.into_iter().map(glue).collect()
    })
}

fn sort() -> impl Strategy<Value = Sort> {
    proptest::sample::select(vec![
        Sort::Relevance,
        Sort::Newest("date".to_owned()),
        Sort::Az("firm".to_owned()),
        Sort::Oldest("number".to_owned()),
    ])
}

#[test]
fn any_text_is_answered() {
    let runtime = runtime();
    let world = World::new();
    let reader = runtime.block_on(async {
        let mut sink = world.sink().await;
        let made = [
            ["Z-1", "Acme", "Pump", "Class I", "20200101", "東京"],
            ["Z-2", "Beta", "ﬁne straße", "", "", "a\u{0}b"],
        ];
        put(&mut sink, 0, vec![rows(&made, 1)], vec![]).await;
        world.reader()
    });
    let asked = (typed(), typed(), sort(), any::<usize>(), any::<usize>());
    let config = ProptestConfig { cases: 400, ..ProptestConfig::default() };
    proptest!(config, |((text, value, sort, offset, limit) in asked)| {
        let query = Query {
            text: text.clone(),
            filters: vec![("class".to_owned(), vec![value.clone()]), ("number".to_owned(), vec![])],
            sort,
            offset: offset % 4,
            limit,
            facets: vec!["firm".to_owned(), "class".to_owned()],
            within: None,
        };
        let unfiltered = Query { filters: vec![], offset: 0, ..query.clone() };
        runtime.block_on(async {
            let found = reader.search(&query).await.unwrap();
            assert!(found.total <= 2 && found.hits.len() <= found.total);
            let all = reader.search(&unfiltered).await.unwrap();
            assert_eq!(all.hits.len(), all.total.min(limit));
            assert!(reader.suggest(&text, 8).await.unwrap().len() <= 8);
            assert!(reader.suggest(&value, 3).await.unwrap().len() <= 3);
        });
    });
}

/// `(partition, key, version, firm)`; no firm: deleted.
type Step = (u32, u8, i64, Option<u8>);

#[test]
fn an_index_holds_what_a_map_would() {
    let step = (0..2_u32, 0..6_u8, 0..30_i64, proptest::option::weighted(0.7, 0..9_u8));
    let ranges = proptest::collection::vec(proptest::collection::vec(step, 0..6), 1..8);
    let config = ProptestConfig { cases: 12, ..ProptestConfig::default() };
    proptest!(config, |(ranges in ranges)| {
        runtime().block_on(holds_what_a_map_would(&ranges));
    });
}

async fn holds_what_a_map_would(ranges: &[Vec<Step>]) {
    let world = World::new();
    let mut model: BTreeMap<String, (i64, Option<String>)> = BTreeMap::new();
    for steps in ranges {
        let mut sink = world.sink().await;
        // As the engine hands them over: rows first, then deletions.
        let (puts, gone): (Vec<&Step>, Vec<&Step>) =
            steps.iter().partition(|step| step.3.is_some());
        for (_, key, version, firm) in puts.iter().chain(&gone) {
            let firm = firm.map(|firm| format!("firm {firm}"));
            let before = model.entry(format!("Z-{key}")).or_insert((i64::MIN, None));
            if *version > before.0 {
                *before = (*version, firm);
            }
        }
        let parts = puts.iter().map(|(_, key, version, firm)| {
            let (number, firm) = (format!("Z-{key}"), format!("firm {}", firm.unwrap_or(0)));
            rows(&[[number.as_str(), firm.as_str(), "", "", "", ""]], *version)
        });
        let deletes: Vec<Delete> =
            gone.iter().map(|(_, key, version, _)| delete(&format!("Z-{key}"), *version)).collect();
        let partition = steps.first().map_or(0, |step| step.0);
        put(&mut sink, partition, parts.collect(), deletes).await;
        let expected: Vec<_> = model
            .iter()
            .filter_map(|(key, (_, firm))| Some(format!("{key}={}", firm.as_ref()?)))
            .collect();
        assert_eq!(world.scan().await.unwrap(), expected);
    }
}
