//! LEFT JOINs with lookup tables: what they make, and what is refused.

use arrow::array::{Array, AsArray, Int64Array, StringArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use async_trait::async_trait;

use super::*;
use crate::decode::{Decoder, Json};
use crate::lookup::{Limits, LookupError, LookupSource};

#[derive(Debug)]
struct Nowhere;

#[async_trait]
impl LookupSource for Nowhere {
    fn place(&self) -> String {
        "nowhere".to_owned()
    }

    async fn read(&self, _: &SchemaRef, _: Limits) -> Result<Vec<RecordBatch>, LookupError> {
        Err(LookupError::unavailable("read nowhere", "there is nothing"))
    }
}

fn vitals() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Utf8, false),
        Field::new("who", DataType::Utf8, true),
        Field::new("heart", DataType::Int64, true),
        Field::new("tags", DataType::new_list(DataType::Utf8, true), true),
    ]))
}

fn rows() -> RecordBatch {
    let values: [&[u8]; 4] = [
        br#"{"id":"1","who":"a","heart":130,"tags":["x","y"]}"#,
        br#"{"id":"2","who":"nobody","heart":60,"tags":[]}"#,
        br#"{"id":"3","who":null,"heart":70,"tags":["z"]}"#,
        br#"{"id":"4","who":"b","heart":80,"tags":null}"#,
    ];
    Json::new(vitals()).decode(&values).expect("good values").batch
}

fn people() -> Arc<Lookup> {
    let columns = Schema::new(vec![
        Field::new("who", DataType::Utf8, false),
        Field::new("age", DataType::Int64, true),
        Field::new("sex", DataType::Utf8, true),
        Field::new("place", DataType::Utf8, true),
    ]);
    Arc::new(Lookup::new("people", "who", Arc::new(columns), Arc::new(Nowhere)))
}

fn places() -> Arc<Lookup> {
    let columns = Schema::new(vec![
        Field::new("number", DataType::Int64, false),
        Field::new("name", DataType::Utf8, true),
    ]);
    Arc::new(Lookup::new("places", "number", Arc::new(columns), Arc::new(Nowhere)))
}

fn fill(people: &Lookup, as_of_us: i64, of: &[(&str, Option<i64>, &str)]) {
    let text = |values: Vec<&str>| Arc::new(StringArray::from(values)) as _;
    let rows = RecordBatch::try_new(
        people.columns().clone(),
        vec![
            text(of.iter().map(|one| one.0).collect()),
            Arc::new(Int64Array::from_iter(of.iter().map(|one| one.1))),
            text(of.iter().map(|one| one.2).collect()),
            text(of.iter().map(|_| "home").collect()),
        ],
    );
    people.take(&[rows.expect("rows")], as_of_us).expect("taken");
}

fn plan(sql: &str) -> Result<RowSql, PlanError> {
    RowSql::plan_with("vitals", &vitals(), &[people(), places()], sql)
}

fn numbers(batch: &RecordBatch, name: &str) -> Vec<Option<i64>> {
    batch.column_by_name(name).expect(name).as_primitive::<Int64Type>().iter().collect()
}

#[test]
fn every_row_stays_and_tells_its_snapshot() {
    let people = people();
    fill(&people, 17, &[("b", Some(40), "f"), ("a", Some(30), "m"), ("c", None, "f")]);
    for sql in [
        "SELECT v.id, p.age FROM vitals v LEFT JOIN people p ON v.who = p.who",
        "SELECT v.id, p.age FROM vitals v LEFT JOIN people p ON p.who = v.who",
        "SELECT id, age FROM vitals LEFT JOIN people USING (who)",
        "SELECT id, age FROM (SELECT v.id, p.sex, p.age FROM vitals v LEFT JOIN people p ON v.who = p.who)",
        "SELECT v.id, coalesce(p.age, CAST(NULL AS BIGINT)) AS age FROM vitals v LEFT JOIN people p ON v.who = p.who",
    ] {
        let plan =
            RowSql::plan_with("vitals", &vitals(), std::slice::from_ref(&people), sql).expect(sql);
        let made = plan.apply(&rows()).expect(sql);
        assert_eq!(made.origin, [0, 1, 2, 3], "{sql}");
        assert_eq!(numbers(&made.batch, "age"), [Some(30), None, None, Some(40)], "{sql}");
        let versions = made.batch["people_version"].as_primitive::<TimestampMicrosecondType>();
        assert_eq!(versions.values().as_ref(), [17; 4], "{sql}");
        assert_eq!(made.batch.schema(), plan.schema(), "{sql}");
        assert_eq!(plan.looked_up(), ["age", "people_version"], "{sql}");
    }
}

#[test]
fn the_latest_snapshot_counts() {
    let people = people();
    let sql = "SELECT v.id, p.age FROM vitals v LEFT JOIN people p ON v.who = p.who";
    let plan =
        RowSql::plan_with("vitals", &vitals(), std::slice::from_ref(&people), sql).expect(sql);
    let none = plan.apply(&rows()).expect("never read");
    assert_eq!(none.batch["people_version"].null_count(), 4);
    fill(&people, 1, &[("a", Some(30), "m")]);
    fill(&people, 2, &[("a", Some(31), "m")]);
    let made = plan.apply(&rows()).expect("read");
    assert_eq!(numbers(&made.batch, "age"), [Some(31), None, None, None]);
}

#[test]
fn filters_and_unnest_of_the_records_own_columns_go_with_a_lookup() {
    let people = people();
    fill(&people, 1, &[("a", Some(30), "m"), ("b", Some(40), "f")]);
    let sql = "SELECT id, tag, age FROM (SELECT v.id, unnest(v.tags) AS tag, p.age FROM vitals v \
               LEFT JOIN people p ON v.who = p.who WHERE v.heart > 60 AND v.who = 'a')";
    let plan =
        RowSql::plan_with("vitals", &vitals(), std::slice::from_ref(&people), sql).expect(sql);
    let made = plan.apply(&rows()).expect(sql);
    assert_eq!(made.origin, [0, 0]);
    assert_eq!(numbers(&made.batch, "age"), [Some(30); 2]);
}

#[test]
fn two_lookups_may_be_joined() {
    let sql = "SELECT v.id, p.age, q.name FROM vitals v LEFT JOIN people p ON v.who = p.who \
               LEFT JOIN places q ON v.heart = q.number";
    let plan = plan(sql).expect(sql);
    assert_eq!(plan.looked_up(), ["age", "name", "people_version", "places_version"]);
    assert_eq!(plan.lookups().len(), 2);
    let made = plan.apply(&rows()).expect(sql);
    assert_eq!(made.batch.num_rows(), 4);
}

#[test]
fn columns_that_cannot_fail_may_be_made_of_what_is_looked_up() {
    for expression in [
        "CASE WHEN p.age < 18 THEN 'child' WHEN p.age >= 65 THEN 'senior' ELSE 'adult' END",
        "v.heart - p.age",
        "p.age + 1.5",
        "upper(p.sex) || v.id",
        "p.sex IN ('f', 'm')",
        "p.who IS NULL",
        "TRY_CAST(p.sex AS BIGINT)",
    ] {
        let sql = format!(
            "SELECT v.id, {expression} AS x FROM vitals v LEFT JOIN people p ON v.who = p.who"
        );
        let plan = plan(&sql).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(plan.looked_up(), ["x", "people_version"], "{sql}");
        plan.apply(&rows()).expect(&sql);
    }
}

#[test]
fn without_a_join_a_declared_lookup_changes_nothing() {
    let sql = "SELECT id FROM vitals";
    let (with, without) =
        (plan(sql).expect(sql), RowSql::plan("vitals", &vitals(), sql).expect(sql));
    assert!(with.lookups().is_empty() && with.looked_up().is_empty());
    assert_eq!((with.id(), with.schema()), (without.id(), without.schema()));
}

#[test]
fn the_code_is_known_by_the_declaration_and_not_by_what_was_read() {
    let sql = "SELECT v.id, p.age FROM vitals v LEFT JOIN people p ON v.who = p.who";
    let people = people();
    let plan =
        RowSql::plan_with("vitals", &vitals(), std::slice::from_ref(&people), sql).expect(sql);
    let before = plan.id();
    fill(&people, 1, &[("a", Some(30), "m")]);
    assert_eq!(plan.id(), before);
    assert!(before.contains("lookup people by who (who Utf8, age Int64"), "{before}");
}

#[test]
fn refuses_what_would_let_a_lookup_decide() {
    let people = "LEFT JOIN people p ON v.who = p.who";
    for (sql, words) in [
        // Joins that drop or add rows.
        ("SELECT v.id, p.age FROM vitals v JOIN people p ON v.who = p.who".to_owned(), "only a LEFT JOIN"),
        ("SELECT v.id, p.age FROM vitals v RIGHT JOIN people p ON v.who = p.who".to_owned(), "only a LEFT JOIN"),
        ("SELECT v.id, p.age FROM vitals v FULL JOIN people p ON v.who = p.who".to_owned(), "only a LEFT JOIN"),
        ("SELECT v.id, p.age FROM vitals v, people p WHERE v.who = p.who".to_owned(), "only a LEFT JOIN"),
        ("SELECT v.id, p.age FROM vitals v CROSS JOIN people p".to_owned(), "only a LEFT JOIN"),
        ("SELECT v.id, p.age FROM people p LEFT JOIN vitals v ON v.who = p.who".to_owned(), "not the other way"),
        ("SELECT v.id FROM vitals v LEFT JOIN vitals w ON v.id = w.id".to_owned(), "other than a lookup"),
        ("SELECT p.age FROM people p".to_owned(), "on the right of a LEFT JOIN"),
        (
            "SELECT v.id, p.age FROM vitals v LEFT JOIN (SELECT * FROM people WHERE age > 3) p ON v.who = p.who"
                .to_owned(),
            "other than a lookup",
        ),
        // Conditions that find several rows, or go by what is found.
        ("SELECT v.id, p.age FROM vitals v LEFT JOIN people p ON v.who = p.place".to_owned(), "unique key is \"who\""),
        ("SELECT v.id, p.age FROM vitals v LEFT JOIN people p ON v.who > p.who".to_owned(), "not one equality"),
        ("SELECT v.id, p.age FROM vitals v LEFT JOIN people p ON v.who = p.who AND p.age > 3".to_owned(), "not one equality"),
        ("SELECT v.id, p.age FROM vitals v LEFT JOIN people p ON v.who = upper(p.who)".to_owned(), "computes"),
        ("SELECT v.id, p.name FROM vitals v LEFT JOIN places p ON v.who = p.number".to_owned(), "might fail"),
        (format!("SELECT v.id, p.age, q.name FROM vitals v {people} LEFT JOIN places q ON p.age = q.number"), "the ON of places"),
        // Filters.
        (format!("SELECT v.id, p.age FROM vitals v {people} WHERE p.age > 3"), "its WHERE goes by"),
        (format!("SELECT v.id, p.age FROM vitals v {people} WHERE p.who IS NULL"), "its WHERE goes by"),
        (format!("SELECT * FROM (SELECT v.id, p.age + 1 AS n FROM vitals v {people}) WHERE n > 3"), "its WHERE goes by"),
        (
            format!("SELECT v.id, unnest(make_array(p.age, 1)) AS n FROM vitals v {people}"),
            "its unnest goes by",
        ),
        // Dead letters.
        (format!("SELECT v.id, CAST(p.sex AS BIGINT) AS n FROM vitals v {people}"), "might fail"),
        (format!("SELECT v.id, v.heart / p.age AS n FROM vitals v {people}"), "might fail"),
        (
            format!("SELECT v.id, CASE WHEN p.age > 3 THEN CAST(v.id AS BIGINT) END AS n FROM vitals v {people}"),
            "might fail",
        ),
        // Aggregates and the like, as ever.
        (format!("SELECT p.sex, count(*) FROM vitals v {people} GROUP BY p.sex"), "aggregates"),
        (format!("SELECT v.id, p.age FROM vitals v {people} ORDER BY p.age"), "ORDER BY"),
        (format!("SELECT DISTINCT p.age, v.id FROM vitals v {people}"), "DISTINCT"),
        // Columns.
        (format!("SELECT v.id FROM vitals v {people}"), "none of its columns"),
        (format!("SELECT p.age FROM vitals v {people}"), "nothing of the topic"),
        (format!("SELECT v.*, p.* FROM vitals v {people}"), "two columns are called \"who\""),
        (format!("SELECT v.id AS people_version, p.age FROM vitals v {people}"), "\"people_version\""),
        (
            format!("SELECT v.id, p.age, q.sex FROM vitals v {people} LEFT JOIN people q ON v.id = q.who"),
            "joins a lookup twice",
        ),
    ] {
        let error = plan(&sql).expect_err(&sql).to_string();
        assert!(error.contains(words), "{sql}: {error}");
    }
}

#[test]
fn lookups_are_declared_well() {
    let sql = "SELECT id FROM vitals";
    let keyless = Lookup::new("people", "id", people().columns().clone(), Arc::new(Nowhere));
    for (lookups, words) in [
        (vec![Arc::new(keyless)], "its key \"id\" is none of its columns"),
        (vec![people(), people()], "two tables are called \"people\""),
    ] {
        let error = RowSql::plan_with("vitals", &vitals(), &lookups, sql).expect_err(words);
        assert!(error.to_string().contains(words), "{error}");
    }
    let error = plan("SELECT v.id, p.pulse FROM vitals v LEFT JOIN people p ON v.who = p.who");
    let error = error.expect_err("no such column").to_string();
    assert!(error.contains("table \"people\" has the columns who, age"), "{error}");
}
