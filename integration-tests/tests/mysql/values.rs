//! What goes in, what comes back, and what a person sees with the server's own client.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array,
    Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, TimestampNanosecondArray,
};
use arrow::datatypes::{DataType, Field, Float64Type, Schema, SchemaRef, TimeUnit};
use arrow::util::pretty::pretty_format_batches;
use bytes::Bytes;
use millstream_engine::{Delete, Outcome, Range, Rows, Target};
use millstream_sinks::Upserted;
use millstream_sinks::mysql::MysqlTable;

use crate::events::{PIPELINE, assignment, connect, held, last, put, range_of};
use crate::place::Place;

on_both!(
    a_person_reads_the_counts,
    keys_differ_by_every_byte,
    keys_may_be_longer_than_an_index,
    difficult_values_come_back_and_can_be_read,
    an_index_is_filled_from_an_upserted_table,
    large_texts_are_kept_and_too_large_ones_refused,
);

async fn a_person_reads_the_counts(place: Place<'_>) {
    let mut sink = connect(&place.count("wordCount")).await;
    put(&mut sink, 0, &[("étang", 2, 1), ("mill", 12, 2), ("Mill", 1, 3), ("東京 🌊", 5, 4)]).await;
    put(&mut sink, 0, &[("mill", 30, 5)]).await;
    let seen = place.lines("SELECT * FROM wordCount ORDER BY n DESC").await;
    assert_eq!(seen, ["mill\t42", "東京 🌊\t5", "étang\t2", "Mill\t1"]);
    let one = place.lines("SELECT n FROM wordCount WHERE id = 'mill'").await;
    assert_eq!(one, ["42"], "by the key, with its index");
    let plan = place.sql("EXPLAIN SELECT n FROM wordCount WHERE id = 'mill'").await;
    assert!(plan.contains("PRIMARY"), "{plan}");
}

async fn keys_differ_by_every_byte(place: Place<'_>) {
    let keys =
        ["a", "A", "a ", "a  ", "á", "a\u{301}", "", " ", "ß", "ss", "'", "\\", "a\0", "\u{1f30a}"];
    for table in [place.count("words"), place.upsert("users")] {
        let mut sink = connect(&table).await;
        let rows: Vec<_> = keys.iter().zip(1..).map(|(key, n)| (*key, n, n)).collect();
        put(&mut sink, 0, &rows).await;
        put(&mut sink, 0, &rows).await;
        let each = if table.about().table == "words" { 2 } else { 1 };
        let expected = rows.iter().map(|(key, n, _)| ((*key).to_owned(), n * each)).collect();
        assert_eq!(held(&table).await, expected);
    }
}

async fn keys_may_be_longer_than_an_index(place: Place<'_>) {
    let long = "é".repeat(40_000);
    let (a, b) = (format!("{long}a"), format!("{long}b"));
    let mut sink = connect(&place.count("words")).await;
    put(&mut sink, 0, &[(&a, 1, 1), (&b, 10, 2), ("short", 100, 3)]).await;
    put(&mut sink, 0, &[(&a, 1, 4), (&b, 10, 5)]).await;
    let expected = [(a.clone(), 2), (b.clone(), 20), ("short".to_owned(), 100)];
    assert_eq!(held(&place.count("words")).await, expected.into());

    let mut sink = connect(&place.upsert("users")).await;
    put(&mut sink, 0, &[(&a, 1, 10), (&b, 1, 11)]).await;
    delete(&mut sink, &[(&a, 12)]).await;
    put(&mut sink, 0, &[(&a, 2, 5), (&b, 2, 13)]).await;
    assert_eq!(
        held(&place.upsert("users")).await,
        [(b.clone(), 2)].into(),
        "the old write came late"
    );
    put(&mut sink, 0, &[(&a, 3, 20)]).await;
    assert_eq!(held(&place.upsert("users")).await, [(a, 3), (b, 2)].into());
}

async fn delete(sink: &mut Box<dyn millstream_engine::Sink>, keys: &[(&str, i64)]) {
    let after = last(sink, 0).await;
    let delete = |(key, version): &(&str, i64)| Delete {
        key: Bytes::copy_from_slice(key.as_bytes()),
        version: *version,
    };
    let deletes = keys.iter().map(delete).collect();
    let range = Range { deletes, ..range_of(&after, keys.len() as i64, &[]) };
    assert_eq!(sink.commit(&assignment(0), &range).await.unwrap(), Outcome::Committed);
}

/// A column of each kind.
fn kinds() -> SchemaRef {
    let utc: Option<Arc<str>> = Some("UTC".into());
    let list = DataType::List(Arc::new(Field::new("item", DataType::Int64, true)));
    let kinds = [
        ("id", DataType::Utf8),
        ("raw", DataType::Binary),
        ("x", DataType::Float64),
        ("yes", DataType::Boolean),
        ("day", DataType::Date32),
        ("us", DataType::Timestamp(TimeUnit::Microsecond, utc.clone())),
        ("ns", DataType::Timestamp(TimeUnit::Nanosecond, utc)),
        ("sum", DataType::Decimal128(22, 3)),
        ("list", list),
    ];
    Arc::new(Schema::new(kinds.map(|(name, kind)| Field::new(name, kind, true)).to_vec()))
}

/// Among the rows are values that MySQL has no type for.
fn difficult() -> RecordBatch {
    let lists = vec![Some(vec![Some(1), None]), None, Some(vec![]), None, None, None];
    let lists =
        arrow::array::ListArray::from_iter_primitive::<arrow::datatypes::Int64Type, _, _>(lists);
    let sums = vec![Some(-1), Some(10_i128.pow(21)), None, None, Some(0), Some(1_500)];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec!["a", "b", "c", "d", "e", "f"])),
        Arc::new(BinaryArray::from(vec![
            Some(&b"\0\xff\xfe"[..]),
            Some(b""),
            None,
            None,
            Some(b"x"),
            None,
        ])),
        Arc::new(Float64Array::from(vec![
            -0.0,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            5e-324,
            0.1,
        ])),
        Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), None, None, None])),
        Arc::new(Date32Array::from(vec![
            Some(0),
            Some(-719_162),
            Some(2_932_896),
            Some(2_932_897),
            Some(-719_163),
            None,
        ])),
        Arc::new(
            TimestampMicrosecondArray::from(vec![
                Some(-1),
                Some(1_709_208_000_123_456),
                Some(i64::MAX),
                Some(i64::MIN),
                None,
                Some(0),
            ])
            .with_timezone("UTC"),
        ),
        Arc::new(
            TimestampNanosecondArray::from(vec![
                Some(1),
                None,
                Some(i64::MAX),
                Some(i64::MIN),
                None,
                None,
            ])
            .with_timezone("UTC"),
        ),
        Arc::new(Decimal128Array::from(sums).with_precision_and_scale(22, 3).unwrap()),
        Arc::new(lists),
    ];
    RecordBatch::try_new(kinds(), columns).unwrap()
}

async fn difficult_values_come_back_and_can_be_read(place: Place<'_>) {
    let rows = difficult();
    let table = place.upsert("rows");
    let mut sink = table.connect(PIPELINE, &rows.schema()).await.unwrap();
    let after = last(&mut sink, 0).await;
    let mut range = range_of(&after, 6, &[]);
    let versions = Arc::new((1..=6).collect::<Int64Array>());
    range.rows = vec![Rows { batch: rows.clone(), versions }];
    assert_eq!(sink.commit(&assignment(0), &range).await.unwrap(), Outcome::Committed);

    let mut seen = Vec::new();
    let mut visit = |batch| {
        seen.push(batch);
        Ok(())
    };
    table.scan(PIPELINE, &mut visit).await.unwrap();
    let text = |batches: &[RecordBatch]| pretty_format_batches(batches).unwrap().to_string();
    assert_eq!(text(&seen), text(&[rows]), "left: what came back");
    let zero = seen[0].column_by_name("x").unwrap().as_primitive::<Float64Type>().value(0);
    assert!(zero == 0.0 && zero.is_sign_negative(), "-0.0 came back as {zero:?}");

    let lines = place
        .lines("SELECT id, HEX(raw), x, yes, day, us, sum, list FROM `rows` ORDER BY id LIMIT 3")
        .await;
    assert_eq!(
        lines,
        [
            "a\t00FFFE\t0\t1\t1970-01-01\t1969-12-31 23:59:59.999999\t-0.001\t[1,null]",
            "b\t\tNULL\tNULL\t0001-01-01\t2024-02-29 12:00:00.123456\t1000000000000000000.000\tNULL",
            "c\tNULL\tNULL\t0\t9999-12-31\tNULL\tNULL\t[]",
        ]
    );
    let beyond = place
        .lines("SELECT id, _beyond FROM `rows` WHERE _beyond IS NOT NULL AND id > 'a' ORDER BY id LIMIT 2")
        .await;
    assert_eq!(beyond, [r#"b	{"x":"NaN"}"#, r#"c	{"us":"9223372036854775807","x":"Infinity"}"#]);
    let all = place.lines("SELECT * FROM `rows` LIMIT 1").await;
    assert_eq!(all[0].split('\t').count(), 10, "the columns and _version: {all:?}");
}

async fn an_index_is_filled_from_an_upserted_table(place: Place<'_>) {
    let table = place.upsert("users");
    assert_eq!(Upserted::count(&table).await.unwrap(), None);
    assert_eq!(table.topic_ids("suite_topic").await.unwrap(), [""; 0]);
    let mut sink = connect(&table).await;
    assert_eq!(Upserted::count(&table).await.unwrap(), Some(0));
    let keys: Vec<_> = (0..20_000).map(|n| format!("user {n}")).collect();
    let rows: Vec<_> = keys.iter().zip(0..).map(|(key, n)| (key.as_str(), n, 30_000 - n)).collect();
    put(&mut sink, 0, &rows).await;
    delete(&mut sink, &[("user 7", 40_000)]).await;
    assert_eq!(Upserted::count(&table).await.unwrap(), Some(19_999));
    assert_eq!(table.topic_ids("suite_topic").await.unwrap(), ["t1"]);
    assert_eq!(table.topic_ids("another").await.unwrap(), [""; 0]);
    let mut seen = Vec::new();
    let mut batches = 0;
    let mut visit = |rows: Rows| {
        batches += 1;
        let ns =
            rows.batch.column_by_name("n").unwrap().as_primitive::<arrow::datatypes::Int64Type>();
        seen.extend(ns.values().iter().copied().zip(rows.versions.values().iter().copied()));
        Ok(())
    };
    table.read(&mut visit).await.unwrap();
    assert_eq!(batches, 3, "batch by batch");
    assert!(seen.windows(2).all(|two| two[0].1 < two[1].1), "the lowest version first");
    assert!(
        seen.len() == 19_999 && seen.iter().all(|(n, version)| n + version == 30_000 && *n != 7)
    );
    // Whoever reads may have enough.
    let enough = || Err(millstream_engine::SinkError::unavailable("read on", "enough"));
    assert!(table.read(&mut |_| enough()).await.is_err());
    assert_eq!(
        MysqlTable::count(place.mysql_server(), &place.database, "none", &["id"], "n")
            .topic_ids("x")
            .await
            .unwrap(),
        [""; 0]
    );
}

async fn large_texts_are_kept_and_too_large_ones_refused(place: Place<'_>) {
    let table = place.upsert("users");
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Utf8, true),
        Field::new("text", DataType::Utf8, true),
    ]));
    let mut sink = table.connect(PIPELINE, &schema).await.unwrap();
    let after = last(&mut sink, 0).await;
    let range = |lengths: &[usize]| {
        let mut range = range_of(&after, lengths.len() as i64, &[]);
        let ids: StringArray = lengths.iter().map(|length| Some(format!("{length}"))).collect();
        let texts: StringArray = lengths.iter().map(|length| Some("x".repeat(*length))).collect();
        let batch =
            RecordBatch::try_new(schema.clone(), vec![Arc::new(ids), Arc::new(texts)]).unwrap();
        range.rows = vec![Rows { batch, versions: Arc::new((1..=lengths.len() as i64).collect()) }];
        range
    };
    let packet: usize = place.ask("SELECT @@max_allowed_packet").await.trim().parse().unwrap();
    let error = sink.commit(&assignment(0), &range(&[packet + 1])).await.unwrap_err();
    let text = error.to_string();
    assert!(!error.is_retryable() && text.contains("max_allowed_packet"), "{text}");
    let lengths = [0, 70_000, 3_000_000, packet / 2, 3_000_000, 4_000_000, 1];
    assert_eq!(sink.commit(&assignment(0), &range(&lengths)).await.unwrap(), Outcome::Committed);
    let mut seen: Vec<usize> = place
        .lines("SELECT LENGTH(text) FROM users WHERE id = LENGTH(text)")
        .await
        .iter()
        .map(|line| line.parse().unwrap())
        .collect();
    seen.sort_unstable();
    let mut expected: Vec<_> = lengths.into();
    expected.sort_unstable();
    expected.dedup();
    assert_eq!(seen, expected);
}
