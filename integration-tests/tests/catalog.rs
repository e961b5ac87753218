//! `terraform/catalog.json` says what the apps really write, and Terraform and the worker describe a table alike.

#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;

use integration_tests::Data;
use integration_tests::binaries::{APPS, root};
use serde_json::Value;

fn printed(data: &Data) -> String {
    data.run("millstream", &["catalog"]).succeeds().stdout
}

#[test]
fn the_file_is_what_the_apps_write() {
    let path = root().join("terraform/catalog.json");
    let file = fs::read_to_string(&path).expect("read terraform/catalog.json");
    assert_eq!(
        printed(&Data::new()),
        file,
        "the apps' tables are others now: run `millstream catalog > terraform/catalog.json`"
    );
}

/// The same by another way: the columns that Parquet and CSV files of the apps have, and the directories they are in.
#[test]
fn the_file_is_what_is_in_the_files() {
    let data = Data::new().with("HEALTH_SIMULATE__COUNT", "2000");
    for (app, limit) in [("health", &[][..]), ("weather", &["--limit", "60"])] {
        let produce = [&["produce", "--once", "--rate", "max"][..], limit].concat();
        data.run(app, &produce).succeeds();
        data.catch_up(app);
    }
    let catalog: Value = serde_json::from_str(&printed(&data)).unwrap();
    let tables = catalog["tables"].as_object().expect("tables");
    let lake = data.dir().join("lake");
    let names: BTreeSet<_> = fs::read_dir(&lake)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        // The ledger lies beside the tables, where no reader of their directories comes across it.
        .filter(|name| name != "_millstream")
        .collect();
    assert_eq!(names, tables.keys().cloned().collect());
    for (name, table) in tables {
        assert_eq!(table["location"], format!("{name}/"));
        assert!(APPS.contains(&table["app"].as_str().unwrap()), "{table}");
        let names = |what: &str| -> Vec<String> {
            let columns = table[what].as_array().unwrap().iter();
            columns.map(|column| column["name"].as_str().unwrap().to_owned()).collect()
        };
        for file in data_files(&lake.join(name)) {
            let path = file.strip_prefix(lake.join(name)).unwrap();
            let directories: Vec<_> = path.parent().unwrap().iter().collect();
            let keys: Vec<_> = directories
                .iter()
                .map(|part| part.to_str().unwrap().split_once('=').unwrap().0.to_owned())
                .collect();
            assert_eq!(keys, names("partitions"), "{}", file.display());
            assert_eq!(in_file(&file), names("columns"), "{}", file.display());
            let ending = file.extension().unwrap().to_str().unwrap();
            assert_eq!(table["format"], ending, "{}", file.display());
        }
    }
}

fn data_files(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(data_files(&path)) } else { files.push(path) }
    }
    assert!(!files.is_empty(), "{}", directory.display());
    files
}

/// Names of a file's columns.
fn in_file(path: &std::path::Path) -> Vec<String> {
    if path.extension().is_some_and(|ending| ending == "csv") {
        let text = fs::read_to_string(path).unwrap();
        return text.lines().next().unwrap().split(',').map(ToOwned::to_owned).collect();
    }
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let reader = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    let schema = reader.metadata().file_metadata().schema().get_fields().iter();
    schema.map(|field| field.name().to_owned()).collect()
}

/// An app with SQL of its own has the columns of that SQL.
#[test]
fn own_sql_has_own_columns() {
    let sql = "SELECT id, heart_rate * 2 AS twice, CAST(\"timestamp\" AS DATE) AS day, \
               CAST(CAST(\"timestamp\" AS DATE) AS VARCHAR) AS \"date\" FROM patient_data";
    let data = Data::new().with("HEALTH_SQL__PATIENTS", sql);
    let catalog: Value = serde_json::from_str(&printed(&data)).unwrap();
    let column = |name: &str, kind: &str| serde_json::json!({ "name": name, "type": kind });
    let columns = [column("id", "string"), column("twice", "bigint"), column("day", "date")];
    assert_eq!(catalog["tables"]["patient_data"]["columns"], Value::from(columns.to_vec()));
    assert!(!data.dir().exists(), "nothing is made");
}

/// Nobody is told where no setting names a catalog, and that is said.
#[test]
fn without_a_catalog_there_is_nothing_to_register_in() {
    let ran = Data::new().run("millstream", &["catalog", "--register"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("HEALTH_STORES__CATALOG=glue://"), "{ran:?}");
}
