use std::collections::BTreeSet;

use integration_tests::{Data, tree};
use millstream_aws::glue::{Change, Format, Partition, TableSpec};
use serde_json::{Value, json};

use crate::place::Place;

pub const PATIENTS: &str = "patient_data";
pub const VEHICLES: &str = "emergency_vehicle_data";

/// A table as `terraform/catalog.json` declares it, in this place's bucket.
pub fn declared(place: &Place, table: &str) -> TableSpec {
    let catalog: Value = serde_json::from_str(&tree::text("terraform/catalog.json")).unwrap();
    let of = &catalog["tables"][table];
    let columns = |columns: &Value| {
        let text = |column: &Value, key: &str| column[key].as_str().unwrap().to_owned();
        let columns = columns.as_array().unwrap_or_else(|| panic!("{table} in {catalog}")).iter();
        columns.map(|column| (text(column, "name"), text(column, "type"))).collect()
    };
    TableSpec {
        name: table.to_owned(),
        location: format!("s3://{}/lake/{}", place.bucket, of["location"].as_str().unwrap()),
        format: Format::Parquet,
        columns: columns(&of["columns"]),
        partitions: columns(&of["partitions"]),
    }
}

/// Has health write `count` readings, in the bucket, and makes them known to the catalog.
pub async fn written(place: &Place, count: usize) -> Data {
    let data = place.data().with("HEALTH_SIMULATE__COUNT", &count.to_string());
    write(&data);
    for table in [PATIENTS, VEHICLES] {
        let glue = place.catalog("").glue();
        let spec = declared(place, table);
        assert_eq!(glue.ensure_table(&spec).await.unwrap(), Change::Created);
        register(place, &spec).await;
    }
    data
}

pub fn write(data: &Data) {
    data.run("health", &["produce", "--once", "--rate", "max"]).succeeds();
    data.catch_up("health");
}

/// Registers the directories that are there; how many the catalog did not know.
pub async fn register(place: &Place, spec: &TableSpec) -> u64 {
    let prefix = spec.location.strip_prefix(&format!("s3://{}/", place.bucket)).unwrap().to_owned();
    let asked = json!({ "Bucket": place.bucket, "Prefix": prefix });
    let told = place.call("s3", "list_objects_v2", asked).await;
    let keys =
        told["Contents"].as_array().unwrap().iter().map(|object| object["Key"].as_str().unwrap());
    let dates: BTreeSet<_> = keys
        .filter_map(|key| key.strip_prefix(&prefix)?.split_once('/')?.0.strip_prefix("date="))
        .collect();
    let partition = |date: &&str| Partition {
        values: vec![(*date).to_owned()],
        location: format!("{}date={date}/", spec.location),
    };
    let partitions: Vec<_> = dates.iter().map(partition).collect();
    assert!(!partitions.is_empty(), "{told}");
    place.catalog("").glue().register(spec, &partitions).await.unwrap()
}
