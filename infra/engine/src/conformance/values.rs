//! What must come back as it went in.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};

use super::positions::commit;
use super::rows::{Row, assignment, batch, last, lines, range, range_of, schema};
use super::{Fixture, PIPELINE};

pub(super) async fn values_come_back_as_they_went(fixture: Fixture) {
    let ours = assignment(PIPELINE, 0);
    let mut sink = fixture.connect().await;
    let rows = batch(&difficult_rows());
    let versions = (1..=rows.num_rows() as i64).collect();
    let genesis = last(&mut sink, &ours).await;
    commit(&mut sink, &ours, &range_of(&genesis, vec![(rows.clone(), versions)])).await;

    fixture.shows(&[rows], "with difficult values").await;
    let schema = schema(&fixture.keeping());
    for batch in fixture.batches().await {
        for field in schema.fields() {
            let seen = batch.schema();
            let seen = seen.field_with_name(field.name()).expect("the column is there");
            let as_text = |kind: &DataType| kind.is_string();
            assert!(
                seen.data_type() == field.data_type()
                    || as_text(seen.data_type()) && as_text(field.data_type()),
                "column {} went in as {} and came back as {}",
                field.name(),
                field.data_type(),
                seen.data_type()
            );
        }
    }
}

fn difficult_rows() -> Vec<Row> {
    let texts = [
        "",
        " ",
        "Zürich – 東京 🌊 \u{301}e",
        "line\nbreak\r\nand\ttab",
        "a,b;\"quoted\" 'too' $ | \\ % /",
        "NULL",
        "null",
        "007",
        "1e3",
        "true",
        "2024-02-29",
        "'; DROP TABLE rows; --",
    ];
    let text = |(n, text): (usize, &&str)| Row {
        id: format!("{n} {text}"),
        name: Some((*text).to_owned()),
        ..Row::default()
    };
    let mut rows: Vec<_> = texts.iter().enumerate().map(text).collect();
    rows.push(Row { id: "all null".to_owned(), ..Row::default() });
    let long = Some("long ".repeat(20_000));
    rows.push(Row { id: "long".to_owned(), name: long, ..Row::default() });
    let numbers = [
        (i64::MIN, f64::MIN, -719_162, -62_135_596_800_000),
        (i64::MAX, f64::MAX, 2_932_896, 253_402_300_799_999),
        (0, 0.0, 0, 0),
        (-1, -0.1, -1, -1),
        (9_007_199_254_740_993, f64::MIN_POSITIVE, 19_782, 1_709_164_800_001),
        (1, f64::INFINITY, 1, 1_000),
        (2, 1.0 / 3.0, 19_783, 1_709_251_199_999),
        (3, 1e300, 20_000, 1_720_000_000_000),
    ];
    rows.extend(numbers.map(|(amount, ratio, since, at)| Row {
        id: format!("number {amount}"),
        name: None,
        amount: Some(amount),
        ratio: Some(ratio),
        fine: Some(amount > 0),
        since: Some(since),
        at: Some(at),
        day: 20_000 + (amount % 2) as i32,
    }));
    rows
}

/// A table grows a column when the pipeline does; the rows that are there have null in it.
pub(super) async fn a_nullable_column_can_be_added(fixture: Fixture) {
    let (keeping, ours) = (fixture.keeping(), assignment(PIPELINE, 0));
    let mut sink = fixture.connect().await;
    let genesis = last(&mut sink, &ours).await;
    let old = range(&keeping, &ours, &genesis, 1);
    commit(&mut sink, &ours, &old).await;

    let before = schema(&keeping);
    let note = Arc::new(Field::new("note", DataType::Utf8, true));
    let fields: Vec<_> = before.fields().iter().cloned().chain([note]).collect();
    let wider = Arc::new(Schema::new(fields));
    let mut sink = fixture.target.connect(PIPELINE, &wider).await.expect("connect with one more");
    let mut new = range(&keeping, &ours, &old.entry, 1);
    let mut columns = new.rows[0].batch.columns().to_vec();
    columns.push(Arc::new(StringArray::from(vec!["noted"])) as ArrayRef);
    new.rows[0].batch = RecordBatch::try_new(wider, columns).expect("the columns fit the schema");
    assert_eq!(last(&mut sink, &ours).await, old.entry, "the position stays");
    commit(&mut sink, &ours, &new).await;

    let names = ["id".to_owned(), "note".to_owned()];
    let mut seen = Vec::new();
    for batch in fixture.batches().await {
        seen.extend(lines(&batch, &names, true));
    }
    seen.sort();
    let expected = [r#"id="suite_topic-0@0" note="""#, r#"id="suite_topic-0@1" note="noted""#];
    assert_eq!(seen, expected, "rows after a column was added (left: seen)");
}
