use super::asking::filled;
use super::{Fixture, Make};
use crate::search::{Index, Suggestion};

async fn suggested(fixture: &Fixture, text: &str, max: usize) -> Vec<String> {
    let found = fixture.searcher.suggest(text, max).await.expect("suggest");
    found.into_iter().map(|suggestion| suggestion.text).collect()
}

pub(super) async fn suggestions_go_on_from_what_was_typed(make: Make<'_>, index: Index) {
    let fixture = filled(make, index).await;
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
        assert_eq!(suggested(&fixture, typed, 8).await, expected, "{typed:?}");
    }
    let found = fixture.searcher.suggest("acme", 8).await.expect("suggest");
    let of_two = Suggestion {
        text: "Acme Medical".to_owned(),
        column: "firm".to_owned(),
        key: None,
        rows: 2,
    };
    assert_eq!(found, [of_two]);
    let found = fixture.searcher.suggest("z-0004", 8).await.expect("suggest");
    assert_eq!(found[0].key.as_deref(), Some("Z-0004-2021"));
    let mixed = suggested(&fixture, "z", 4).await;
    assert_eq!(
        mixed,
        ["Z-0001-2020", "Z-0002-2020", "Z-0003-2021", "Zeta Devices"],
        "none crowds out"
    );
    assert_eq!(suggested(&fixture, "p", 2).await.len(), 2);
    assert_eq!(suggested(&fixture, "p", 0).await.len(), 0);
}
