//! Where Terraform owns the tables (no `create=on`), what differs is refused, and what to do about it is said.

use serde_json::json;

use crate::lake::Lake;

const TABLES: [&str; 2] = ["patient_data", "emergency_vehicle_data"];

fn produce(lake: &Lake) {
    let produce = ["produce", "--once", "--rate", "max", "--limit", "40"];
    lake.data.run("health", &produce).succeeds();
}

/// What a worker says that can't go on.
fn refused(lake: &Lake) -> String {
    let ran = lake.data.run("health", &["process", "--until-caught-up"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    ran.stderr
}

#[test]
fn a_table_that_is_missing_is_made_by_terraform_and_then_it_goes_on() {
    let lake = Lake::new("");
    produce(&lake);
    let told = refused(&lake);
    for words in
        ["patient_data", "it isn't there", "millstream catalog", "create=on to stores.catalog"]
    {
        assert!(told.contains(words), "{words}: {told}");
    }
    let declared = lake.declared();
    for table in TABLES {
        lake.declare(table, &declared["tables"][table]);
    }
    lake.data.catch_up("health");
    let rows = lake.data.query("SELECT count(*) AS n FROM patient_data")[0]["n"].as_u64();
    assert_eq!(lake.count("SELECT count(*) FROM patient_data").ok(), rows);
    assert!(rows > Some(0), "{rows:?}");
}

#[test]
fn columns_that_lack_or_have_another_type_are_named() {
    let lake = Lake::new("");
    produce(&lake);
    let declared = lake.declared();
    lake.declare("emergency_vehicle_data", &declared["tables"]["emergency_vehicle_data"]);
    let mut table = declared["tables"]["patient_data"].clone();
    let columns = table["columns"].as_array_mut().unwrap();
    columns.retain(|column| column["name"] != "early_warning");
    // One that the files don't have is no matter: it is null.
    columns.push(json!({ "name": "ward", "type": "string" }));
    lake.declare("patient_data", &table);
    let told = refused(&lake);
    for words in
        ["it lacks the columns early_warning bigint", "create=on", "ALTER TABLE patient_data ADD"]
    {
        assert!(told.contains(words), "{words}: {told}");
    }
    let mut grown = table.clone();
    grown["columns"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "name": "early_warning", "type": "string" }));
    let which = json!({ "DatabaseName": lake.database, "Name": "patient_data" });
    lake.trino.glue("delete_table", &which);
    lake.declare("patient_data", &grown);
    let told = refused(&lake);
    assert!(told.contains("early_warning is string there, and would become bigint"), "{told}");
    lake.trino.glue("delete_table", &which);
    lake.declare("patient_data", &table);
    // The same worker that may add columns.
    let mut worker = lake.data.command("health", &["process", "--until-caught-up"]);
    let catalog =
        format!("glue://{}?endpoint=http://{}&create=on", lake.database, lake.trino.aws.address());
    worker.env("HEALTH_STORES__CATALOG", catalog);
    integration_tests::Running::start(worker).ends_within(integration_tests::wait::LONG).succeeds();
    assert!(lake.count("SELECT count(early_warning) FROM patient_data WHERE ward IS NULL") > Ok(0));
}
