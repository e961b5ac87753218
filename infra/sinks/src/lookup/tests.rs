use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, Int64Type, Schema};

use super::*;
use arrow::datatypes::{DataType, Field};

fn columns() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("patient_id", DataType::Utf8, false),
        Field::new("birth_year", DataType::Int64, true),
        Field::new("weight", DataType::Float64, true),
        Field::new("smokes", DataType::Boolean, true),
        Field::new("since", DataType::Date32, true),
    ]))
}

const CSV: &str = "patient_id,birth_year,weight,smokes,since
a,1950,70.25,true,2020-02-29
b,,,false,
";

fn table(directory: &Path, name: &str) -> LookupTable {
    let url = "sqlite://deep/er/hospital.db";
    LookupTable::new("demographics.url", url, Secret::default(), name, directory).unwrap()
}

async fn read(table: &LookupTable) -> Result<RecordBatch, LookupError> {
    table.read(&columns(), Limits::default()).await.map(|mut rows| rows.remove(0))
}

fn change(directory: &Path, sql: &str) {
    rusqlite::Connection::open(directory.join("deep/er/hospital.db"))
        .unwrap()
        .execute_batch(sql)
        .unwrap();
}

#[tokio::test]
async fn what_fills_a_table_is_read_from_it() {
    let directory = tempfile::tempdir().unwrap();
    let table = table(directory.path(), "patients");
    let rows = rows_of_csv(CSV, &columns()).unwrap();
    assert!(table.fill("patient_id", &rows).await.unwrap());
    assert_eq!(read(&table).await.unwrap(), rows);
    assert!(rows["birth_year"].is_null(1));
    assert_eq!(rows["birth_year"].as_primitive::<Int64Type>().value(0), 1950);
    assert!((rows["weight"].as_primitive::<Float64Type>().value(0) - 70.25).abs() < f64::EPSILON);
}

#[tokio::test]
async fn a_table_that_is_there_is_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let table = table(directory.path(), "patients");
    let rows = rows_of_csv(CSV, &columns()).unwrap();
    table.fill("patient_id", &rows).await.unwrap();
    change(directory.path(), "DELETE FROM patients WHERE patient_id = 'b'");
    assert!(!table.fill("patient_id", &rows).await.unwrap());
    assert_eq!(read(&table).await.unwrap().num_rows(), 1);
}

#[tokio::test]
async fn a_file_or_table_that_is_missing_may_come() {
    let directory = tempfile::tempdir().unwrap();
    let patients = table(directory.path(), "patients");
    assert!(read(&patients).await.unwrap_err().is_retryable());
    assert!(!directory.path().join("deep").exists(), "reading makes nothing");
    let rows = rows_of_csv(CSV, &columns()).unwrap();
    patients.fill("patient_id", &rows).await.unwrap();
    let other = read(&table(directory.path(), "others")).await.unwrap_err();
    assert!(other.is_retryable(), "{other}");
}

#[tokio::test]
async fn a_directory_is_no_table() {
    let directory = tempfile::tempdir().unwrap();
    let patients = table(directory.path(), "patients");
    std::fs::create_dir_all(directory.path().join("deep/er/hospital.db")).unwrap();
    let rows = rows_of_csv(CSV, &columns()).unwrap();
    for error in
        [read(&patients).await.unwrap_err(), patients.fill("patient_id", &rows).await.unwrap_err()]
    {
        assert!(!error.is_retryable() && error.to_string().contains("name a file"), "{error}");
    }
}

#[tokio::test]
async fn wrong_columns_and_values_are_refused_without_telling_the_values() {
    let directory = tempfile::tempdir().unwrap();
    let patients = table(directory.path(), "patients");
    patients.fill("patient_id", &rows_of_csv(CSV, &columns()).unwrap()).await.unwrap();
    change(directory.path(), "UPDATE patients SET birth_year = 'private' WHERE patient_id = 'b'");
    let error = read(&patients).await.unwrap_err();
    let text = error.to_string();
    assert!(!error.is_retryable() && text.contains("1 values of column \"birth_year\""), "{text}");
    assert!(!text.contains("private") && !format!("{error:?}").contains("private"), "{text}");
    change(directory.path(), "ALTER TABLE patients RENAME COLUMN birth_year TO year_of_birth");
    let error = read(&patients).await.unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains("birth_year"), "{error}");
}

#[tokio::test]
async fn a_table_over_the_limits_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let patients = table(directory.path(), "patients");
    patients.fill("patient_id", &rows_of_csv(CSV, &columns()).unwrap()).await.unwrap();
    for limits in [Limits { rows: 1, bytes: 1 << 20 }, Limits { rows: 10, bytes: 60 }] {
        let error = patients.read(&columns(), limits).await.unwrap_err();
        assert!(!error.is_retryable() && error.to_string().contains("more than"), "{error}");
    }
}

#[test]
fn csv_with_other_columns_or_values_is_refused() {
    for text in ["", "patient_id\na\n", &CSV.replace("1950", "private")] {
        let error = rows_of_csv(text, &columns()).unwrap_err().to_string();
        assert!(error.contains("begin with the line") && !error.contains("private"), "{error}");
    }
}

#[test]
fn urls_are_checked_without_connecting() {
    let told = |url: &str, table: &str| {
        let made = LookupTable::new(
            "demographics.url",
            url,
            Secret::new("hunter2"),
            table,
            Path::new("."),
        );
        made.map(|table| format!("{} {table:?}", table.place())).map_err(|error| error.to_string())
    };
    let good = told("mysql://app@db/hospital", "patients").unwrap();
    assert!(good.starts_with("patients in mysql://app@db:3306/hospital "), "{good}");
    assert!(!good.contains("hunter2"), "{good}");
    for (url, table, words) in [
        ("mysql://db", "patients", "name of a database"),
        ("mysql://db/a/b", "patients", "name of a database"),
        ("mysql://a:b@db/c", "patients", "url_password"),
        ("mysql://db/a?tsl=on", "patients", "\"tls\""),
        ("postgres://db/a", "patients", "neither sqlite://"),
        ("sqlite://", "patients", "neither sqlite://"),
        ("sqlite://a.db", "", "no table"),
    ] {
        let error = told(url, table).unwrap_err();
        assert!(error.contains("demographics.url") && error.contains(words), "{url}: {error}");
    }
}
