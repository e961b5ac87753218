use super::rows::{Row, delete, put, rows};
use super::{Fixture, Make, query, until};
use crate::search::{Found, Index, IndexState, Query, SearchError, Snapshot, Sort};

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

/// An index of these, with a replaced row and a deleted one.
pub(super) async fn filled(make: Make<'_>, index: Index) -> Fixture {
    let fixture = make(&index, None);
    let mut sink = fixture.sink().await;
    put(&mut sink, 0, vec![rows(&[["Z-0001-2020", "Old name", "Old", "Old", "", ""]], 1)], vec![])
        .await;
    put(&mut sink, 0, vec![rows(&ROWS[..4], 10)], vec![]).await;
    let gone = ["Z-0009-2022", "Gone pump", "Infusion pump", "Class I", "20220104", ""];
    put(&mut sink, 1, vec![rows(&ROWS[4..], 20), rows(&[gone], 30)], vec![]).await;
    put(&mut sink, 1, vec![], vec![delete("Z-0009-2022", 40)]).await;
    fixture.until_total("", ROWS.len()).await;
    fixture.until_total("gone", 0).await;
    fixture
}

pub(super) async fn words_phrases_typos_and_beginnings(make: Make<'_>, index: Index) {
    let fixture = filled(make, index).await;
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
        let mut seen: Vec<char> = fixture.found(&query(text)).await.chars().collect();
        if text == "infusion pump" {
            assert_eq!(seen.last(), Some(&'4'), "{why}: {seen:?}");
        }
        seen.sort_unstable();
        assert_eq!(seen.into_iter().collect::<String>(), expected, "{text:?}: {why}");
    }
}

pub(super) async fn rows_come_whole(make: Make<'_>, index: Index) {
    let fixture = filled(make, index).await;
    let exact =
        Query { filters: vec![("number".to_owned(), vec!["Z-0005-2022".to_owned()])], ..query("") };
    let found = fixture.searcher.search(&exact).await.expect("search");
    assert_eq!(found.total, 1);
    let row = serde_json::Value::Object(found.hits[0].row.clone());
    let expected = serde_json::json!({
        "number": "Z-0005-2022", "firm": "Überlingen GmbH", "product": "Herzschrittmacher",
        "class": "Class II", "date": null, "codes": null,
    });
    assert_eq!(row, expected);
    let gone =
        Query { filters: vec![("number".to_owned(), vec!["Z-0009-2022".to_owned()])], ..query("") };
    assert_eq!(
        fixture.searcher.search(&gone).await.expect("search").total,
        0,
        "a deletion mark is no row"
    );
}

pub(super) async fn sorts_put_rows_without_a_value_last(make: Make<'_>, index: Index) {
    let fixture = filled(make, index).await;
    let column = |name: &str| name.to_owned();
    for (sort, expected) in [
        (Sort::Newest(column("date")), "87643215"),
        (Sort::Oldest(column("date")), "12346785"),
        (Sort::Az(column("firm")), "12678534"),
        (Sort::Az(column("class")), "26813547"),
        (Sort::Newest(column("number")), "87654321"),
    ] {
        let query = Query { sort: sort.clone(), ..query("") };
        assert_eq!(fixture.found(&query).await, expected, "{sort:?}");
    }
    let paged = Query { offset: 6, limit: 5, sort: Sort::Oldest(column("date")), ..query("") };
    assert_eq!(fixture.found(&paged).await, "85");
    for offset in [8, 9, usize::MAX] {
        let beyond = Query { offset, limit: usize::MAX, ..query("") };
        let found = fixture.searcher.search(&beyond).await.expect("search");
        assert_eq!((found.total, found.hits.len()), (8, 0));
    }
}

pub(super) async fn facets_count_without_their_own_filter(make: Make<'_>, index: Index) {
    let fixture = filled(make, index).await;
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
    let found = fixture.searcher.search(&asked).await.expect("search");
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
    let found = fixture.searcher.search(&both).await.expect("search");
    assert_eq!((found.total, found.hits.len()), (1, 0));
    assert_eq!(found.facets[0].1, all(&[("Class I", 1), ("Class II", 1)]));
    let firms = [("Acme Medical", 1), ("Gamma", 1), ("beta Labs", 1)];
    assert_eq!(found.facets[1].1, all(&firms));
}

pub(super) async fn columns_that_are_not_declared_for_it_are_refused_by_name(
    make: Make<'_>,
    index: Index,
) {
    let fixture = filled(make, index).await;
    let column = || "product".to_owned();
    for (query, purpose) in [
        (Query { filters: vec![(column(), vec![String::new()])], ..query("") }, "filter"),
        (Query { sort: Sort::Newest(column()), ..query("") }, "sort"),
        (Query { sort: Sort::Az("date".to_owned()), ..query("") }, "sort by name"),
        (Query { facets: vec!["nope".to_owned()], ..query("") }, "count"),
    ] {
        let error = fixture.searcher.search(&query).await.expect_err("it is refused");
        assert!(matches!(error, SearchError::Column { .. }), "{error}");
        assert!(error.to_string().contains(purpose), "{error}");
    }
}

pub(super) async fn an_index_that_is_not_there_is_missing_and_no_error(
    make: Make<'_>,
    index: Index,
) {
    let fixture = make(&index, None);
    assert_eq!(fixture.searcher.state().await.expect("ask for the state"), IndexState::Missing);
    assert_eq!(fixture.searcher.search(&query("x")).await.expect("search"), Found::default());
    assert!(fixture.searcher.suggest("x", 8).await.expect("suggest").is_empty());
}

pub(super) async fn a_search_within_a_snapshot_sees_nothing_of_what_came_later(
    make: Make<'_>,
    index: Index,
) {
    let fixture = filled(make, index).await;
    let page = |offset, within: &Option<Snapshot>| Query {
        offset,
        limit: 3,
        within: within.clone(),
        ..query("")
    };
    let pinned = fixture.steady(&page(0, &None)).await.snapshot;
    assert!(pinned.is_some());

    let mut sink = fixture.sink().await;
    let more = ["Z-0000-2019", "New", "New pump", "Class I", "20190101", ""];
    let gone = (1..=4).map(|n| delete(&format!("Z-000{n}-202{}", (n - 1) / 2), 50 + n)).collect();
    put(&mut sink, 0, vec![rows(&[more], 50)], gone).await;
    until("the new rows are found, and the old ones gone", async || {
        let seen = fixture.found(&query("")).await;
        if seen == "05678" { Ok(()) } else { Err(seen) }
    })
    .await;
    let newer = fixture.searcher.search(&page(0, &None)).await.expect("search").snapshot;
    assert_ne!(newer, pinned, "something was committed");

    put(&mut sink, 0, vec![rows(&ROWS[..4], 60)], vec![]).await;
    let mut seen = String::new();
    for offset in [0, 3, 6] {
        seen += &fixture.found(&page(offset, &pinned)).await;
    }
    assert_eq!(seen, "12345678");
    let foreign = Some(Snapshot::new(std::sync::Arc::new(1), "1"));
    let refused = fixture.searcher.search(&page(0, &foreign)).await.expect_err("it is refused");
    assert!(refused.to_string().contains("another index"), "{refused}");
}

/// Texts that somebody might type who wants to break something, or just types.
const AWKWARD: [&str; 34] = [
    "\"",
    "“",
    "*",
    "?",
    "~2",
    "AND",
    "NOT",
    "(",
    ")",
    "[a TO b]",
    "^9",
    "\\",
    "/x/",
    ":",
    "-",
    "+",
    "number:",
    "Z-1",
    "acme",
    "pumpp",
    "acm",
    "\u{0}",
    "\u{301}",
    "ﬁ",
    "İ",
    "ß",
    "東京",
    "🌊",
    "..",
    "''",
    "pump",
    "the",
    "99999999999999999999",
    "a\u{0}b*?",
];

pub(super) async fn any_text_is_answered(make: Make<'_>, index: Index) {
    let fixture = make(&index, None);
    let made = [
        ["Z-0001", "Acme", "Pump", "Class I", "20200101", "東京"],
        ["Z-0002", "Beta", "ﬁne straße", "", "", "a\u{0}b"],
    ];
    put(&mut fixture.sink().await, 0, vec![rows(&made, 1)], vec![]).await;
    fixture.until_total("", 2).await;
    let long = "a".repeat(3_000);
    let many = "word ".repeat(600);
    let pairs = AWKWARD.iter().zip(AWKWARD.iter().rev()).flat_map(|(one, other)| {
        [(*one).to_owned(), format!("{one}{other}"), format!("{one} {other} \"{one}")]
    });
    for text in pairs.chain([long, many]) {
        let value = text.chars().rev().collect::<String>();
        let asked = Query {
            filters: vec![("class".to_owned(), vec![value.clone()]), ("number".to_owned(), vec![])],
            sort: Sort::Az("firm".to_owned()),
            facets: vec!["firm".to_owned(), "class".to_owned()],
            limit: usize::MAX,
            ..query(&text)
        };
        let found = fixture.searcher.search(&asked).await.expect("any filter is answered");
        assert!(found.total <= 2 && found.hits.len() <= found.total, "{text:?}");
        let found = fixture.searcher.search(&query(&text)).await.expect("any text is answered");
        assert_eq!(found.hits.len(), found.total, "{text:?}");
        let suggested = fixture.searcher.suggest(&text, 8).await.expect("any text is answered");
        assert!(suggested.len() <= 8, "{text:?}");
    }
}
