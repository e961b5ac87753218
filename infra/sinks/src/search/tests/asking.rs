//! What is found, in which order, and what is suggested.

use super::world::{Row, World, delete, put, rows};
use super::*;

const ROWS: [Row<'_>; 8] = [
    ["Z-0001-2020", "Acme Medical", "Infusion pump, model 7", "Class II", "20200105", "LOT 4711"],
    ["Z-0002-2020", "Acme Medical", "Syringe for the infusion pump", "Class I", "20200301", ""],
    ["Z-0003-2021", "Zeta Devices", "Catheters, sterile", "Class II", "20210704", "LOT 4712"],
    ["Z-0004-2021", "Zeta Devices", "Pump of blood", "Class III", "20211231", "pump infusion"],
    ["Z-0005-2022", "Überlingen GmbH", "Herzschrittmacher", "Class II", "", ""],
    ["Z-0006-2022", "beta Labs", "Pacemaker battery", "Class I", "20220101", ""],
    ["Z-0007-2022", "Beta labs", "Pacemaker leads", "", "20220102", ""],
    [
        "Z-0008-2022",
        "Gamma",
        "Surgical stapler <script>alert(1)</script>",
        "Class I",
        "20220103",
        "",
    ],
];

async fn world() -> (World, SearchReader) {
    let world = World::new();
    let mut sink = world.sink().await;
    // Two segments, a replaced row and a deleted one.
    put(&mut sink, 0, vec![rows(&[["Z-0001-2020", "Old name", "Old", "Old", "", ""]], 1)], vec![])
        .await;
    put(&mut sink, 0, vec![rows(&ROWS[..4], 10)], vec![]).await;
    let gone = ["Z-0009-2022", "Gone pump", "Infusion pump", "Class I", "20220104", ""];
    put(&mut sink, 1, vec![rows(&ROWS[4..], 20), rows(&[gone], 30)], vec![]).await;
    put(&mut sink, 1, vec![], vec![delete("Z-0009-2022", 40)]).await;
    let reader = world.reader();
    (world, reader)
}

fn query(text: &str) -> Query {
    Query { text: text.to_owned(), limit: 20, ..Query::default() }
}

/// Last digits of the numbers that were found, in order.
async fn found(reader: &SearchReader, query: &Query) -> String {
    let found = reader.search(query).await.unwrap();
    assert!(found.hits.len() <= found.total);
    found.hits.iter().map(|hit| &hit.key[5..6]).collect()
}

#[tokio::test]
async fn words_phrases_typos_and_beginnings() {
    let (_world, reader) = world().await;
    for (text, expected, why) in [
        ("", "12345678", "every row, by key"),
        ("acme", "12", "a word of the firm"),
        ("ACME pump", "12", "all words, whatever the case"),
        ("infusion pump", "124", "nearer hits first"),
        ("\"infusion pump\"", "12", "a phrase keeps its order"),
        ("“infusion pump”", "12", "typographic quotes"),
        ("catheter", "3", "by its stem"),
        ("cathater", "3", "one typo"),
        ("pacmeakr", "67", "two typos in eight letters"),
        ("infu", "12", "a beginning, in texts that count"),
        ("infusion", "124", "a word, in any text"),
        ("infu pump", "", "only the last word may be a beginning"),
        ("uberlingen", "5", "without accents"),
        ("Überlingen gmbh", "5", "with accents"),
        ("herzschrittmachr", "5", "a typo in a long word"),
        ("Z-0003-2021", "3", "a number"),
        ("z-0003-2021", "3", "a number in lower case"),
        ("Z-000", "12345678", "the beginning of a number"),
        ("4711", "1", "a lot"),
        ("4713", "", "another number is no typo"),
        ("the pump of", "124", "empty words don't matter"),
        ("nothing like this", "", "nothing"),
        ("gone", "", "what was deleted isn't found"),
        ("old", "", "nor what was replaced"),
        ("?!", "12345678", "no words: every row"),
        ("script", "8", "text is text"),
    ] {
        let mut seen: Vec<char> = found(&reader, &query(text)).await.chars().collect();
        if text == "infusion pump" {
            assert_eq!(seen.last(), Some(&'4'), "{why}: {seen:?}");
        }
        seen.sort_unstable();
        assert_eq!(seen.into_iter().collect::<String>(), expected, "{text:?}: {why}");
    }
}

#[tokio::test]
async fn rows_come_whole() {
    let (_world, reader) = world().await;
    let exact =
        Query { filters: vec![("number".to_owned(), vec!["Z-0005-2022".to_owned()])], ..query("") };
    let found = reader.search(&exact).await.unwrap();
    assert_eq!(found.total, 1);
    let row = serde_json::Value::Object(found.hits[0].row.clone());
    let expected = serde_json::json!({
        "number": "Z-0005-2022", "firm": "Überlingen GmbH", "product": "Herzschrittmacher",
        "class": "Class II", "date": null, "codes": null,
    });
    assert_eq!(row, expected);
    let gone =
        Query { filters: vec![("number".to_owned(), vec!["Z-0009-2022".to_owned()])], ..query("") };
    assert_eq!(reader.search(&gone).await.unwrap().total, 0, "a deletion mark is no row");
}

#[tokio::test]
async fn sorts_put_rows_without_a_value_last() {
    let (_world, reader) = world().await;
    let column = |name: &str| name.to_owned();
    for (sort, expected) in [
        (Sort::Newest(column("date")), "87643215"),
        (Sort::Oldest(column("date")), "12346785"),
        (Sort::Az(column("firm")), "12678534"),
        (Sort::Az(column("class")), "26813547"),
        (Sort::Newest(column("number")), "87654321"),
    ] {
        let query = Query { sort: sort.clone(), ..query("") };
        assert_eq!(found(&reader, &query).await, expected, "{sort:?}");
    }
    let paged = Query { offset: 6, limit: 5, sort: Sort::Oldest(column("date")), ..query("") };
    assert_eq!(found(&reader, &paged).await, "85");
    for offset in [8, 9, usize::MAX] {
        let beyond = Query { offset, limit: usize::MAX, ..query("") };
        let found = reader.search(&beyond).await.unwrap();
        assert_eq!((found.total, found.hits.len()), (8, 0));
    }
}

#[tokio::test]
async fn facets_count_without_their_own_filter() {
    let (_world, reader) = world().await;
    let all = |pairs: &[(&str, usize)]| {
        pairs.iter().map(|(value, rows)| ((*value).to_owned(), *rows)).collect::<Vec<_>>()
    };
    let asked = Query {
        filters: vec![
            ("class".to_owned(), vec!["Class I".to_owned(), "Class III".to_owned()]),
            ("date".to_owned(), vec![]),
        ],
        facets: vec!["class".to_owned(), "firm".to_owned()],
        ..query("")
    };
    let found = reader.search(&asked).await.unwrap();
    assert_eq!(found.total, 4);
    assert_eq!(found.facets[0].0, "class");
    assert_eq!(found.facets[0].1, all(&[("Class I", 3), ("Class II", 3), ("Class III", 1)]));
    let firms = [("Acme Medical", 1), ("Gamma", 1), ("Zeta Devices", 1), ("beta Labs", 1)];
    assert_eq!(found.facets[1], ("firm".to_owned(), all(&firms)));

    let both = Query {
        filters: vec![
            ("class".to_owned(), vec!["Class I".to_owned()]),
            ("firm".to_owned(), vec!["Acme Medical".to_owned()]),
        ],
        limit: 0,
        ..asked
    };
    let found = reader.search(&both).await.unwrap();
    assert_eq!((found.total, found.hits.len()), (1, 0));
    assert_eq!(found.facets[0].1, all(&[("Class I", 1), ("Class II", 1)]));
    let firms = [("Acme Medical", 1), ("Gamma", 1), ("beta Labs", 1)];
    assert_eq!(found.facets[1].1, all(&firms));
}

#[tokio::test]
async fn columns_that_are_not_declared_for_it_are_refused_by_name() {
    let (_world, reader) = world().await;
    let column = || "product".to_owned();
    for (query, purpose) in [
        (Query { filters: vec![(column(), vec![String::new()])], ..query("") }, "filter"),
        (Query { sort: Sort::Newest(column()), ..query("") }, "sort"),
        (Query { sort: Sort::Az("date".to_owned()), ..query("") }, "sort by name"),
        (Query { facets: vec!["nope".to_owned()], ..query("") }, "count"),
    ] {
        let error = reader.search(&query).await.unwrap_err();
        assert!(matches!(error, SearchError::Column { .. }), "{error}");
        assert!(error.to_string().contains(purpose), "{error}");
    }
}

async fn suggested(reader: &SearchReader, text: &str, max: usize) -> Vec<String> {
    let found = reader.suggest(text, max).await.unwrap();
    found.into_iter().map(|suggestion| suggestion.text).collect()
}

#[tokio::test]
async fn suggestions_go_on_from_what_was_typed() {
    let (_world, reader) = world().await;
    for (typed, expected) in [
        ("", &[][..]),
        (" -", &[]),
        ("acm", &["Acme Medical"]),
        ("med", &["Acme Medical"]),
        ("z-0003", &["Z-0003-2021"]),
        ("0003", &[]),
        ("über", &["Überlingen GmbH"]),
        ("uber", &["Überlingen GmbH"]),
        ("infusion pump", &["Infusion pump, model 7", "Syringe for the infusion pump"]),
        ("pump infusion", &["Infusion pump, model 7", "Syringe for the infusion pump"]),
        ("gone", &[]),
        ("pacemaker l", &["Pacemaker leads"]),
    ] {
        assert_eq!(suggested(&reader, typed, 8).await, expected, "{typed:?}");
    }
    let found = reader.suggest("acme", 8).await.unwrap();
    let of_two = Suggestion {
        text: "Acme Medical".to_owned(),
        column: "firm".to_owned(),
        key: None,
        rows: 2,
    };
    assert_eq!(found, [of_two]);
    let found = reader.suggest("z-0004", 8).await.unwrap();
    assert_eq!(found[0].key.as_deref(), Some("Z-0004-2021"));
    let mixed = suggested(&reader, "z", 4).await;
    assert_eq!(
        mixed,
        ["Z-0001-2020", "Z-0002-2020", "Z-0003-2021", "Zeta Devices"],
        "none crowds out"
    );
    assert_eq!(suggested(&reader, "p", 2).await.len(), 2);
    assert_eq!(suggested(&reader, "p", 0).await.len(), 0);
}

#[test]
fn long_texts_are_suggested_by_their_beginning() {
    use crate::search::fields::suggested_text;
    let long = "word ".repeat(50);
    let cut = suggested_text(&long);
    assert_eq!((cut.chars().count(), cut.ends_with("word")), (99, true));
    assert_eq!(suggested_text(&"ü".repeat(500)).chars().count(), 100);
    assert_eq!(suggested_text(" a\n b\t"), "a b");
}

#[tokio::test]
async fn an_index_that_is_not_there_is_missing_and_no_error() {
    let world = World::new();
    let reader = world.reader();
    assert_eq!(reader.state().await.unwrap(), IndexState::Missing);
    assert_eq!(reader.search(&query("x")).await.unwrap(), Found::default());
    assert!(reader.suggest("x", 8).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_search_within_a_snapshot_sees_nothing_of_what_came_later() {
    let (world, reader) = world().await;
    let page = |offset, within: &Option<Snapshot>| Query {
        offset,
        limit: 3,
        within: within.clone(),
        ..query("")
    };
    let first = reader.search(&page(0, &None)).await.unwrap();
    let pinned = first.snapshot.clone();
    assert!(pinned.is_some());
    let again = reader.search(&page(0, &None)).await.unwrap();
    assert_eq!(again.snapshot, pinned, "nothing was committed");

    let mut sink = world.sink().await;
    let more = ["Z-0000-2019", "New", "New pump", "Class I", "20190101", ""];
    let gone = (1..=4).map(|n| delete(&format!("Z-000{n}-202{}", (n - 1) / 2), 50 + n)).collect();
    put(&mut sink, 0, vec![rows(&[more], 50)], gone).await;
    let newer = async {
        while reader.search(&page(0, &None)).await.unwrap().snapshot == pinned {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), newer).await.unwrap();
    assert_eq!(found(&reader, &query("")).await, "05678");

    put(&mut sink, 0, vec![rows(&ROWS[..4], 60)], vec![]).await;
    let mut seen = String::new();
    for offset in [0, 3, 6] {
        seen += &found(&reader, &page(offset, &pinned)).await;
    }
    assert_eq!(seen, "12345678");
    let foreign = Some(Snapshot::new(std::sync::Arc::new(1), "1"));
    let refused = reader.search(&page(0, &foreign)).await.unwrap_err();
    assert!(refused.to_string().contains("another index"), "{refused}");
}
