//! Apps whose lake is on S3, with its tables in Glue.

use std::sync::Arc;

use integration_tests::Data;
use integration_tests::stack::{self, Answer, Shared, Trino};
use serde_json::{Value, json};

/// A directory of the bucket and a database of Glue that no other test has, and both apps that have a lake.
pub struct Lake {
    pub trino: Arc<Trino>,
    pub data: Data,
    pub database: String,
    /// Of all tables: `s3://bucket/directory`.
    pub place: String,
}

/// The servers, which tests share while any of them runs.
fn shared() -> Arc<Trino> {
    static SHARED: Shared<Trino> = Shared::new();
    SHARED.get(Trino::start)
}

impl Lake {
    /// `options` of the catalog's URL begin with `&`.
    pub fn new(options: &str) -> Self {
        let trino = shared();
        let aws = trino.aws.address();
        Self::by(trino, &aws, options)
    }

    /// Whose workers reach Glue at `address`.
    pub fn by(trino: Arc<Trino>, address: &str, options: &str) -> Self {
        let database = stack::unique("lake");
        trino.glue("create_database", &json!({ "DatabaseInput": { "Name": database } }));
        let place = format!("s3://{}/{database}", trino.bucket);
        let catalog = format!("glue://{database}?endpoint=http://{address}{options}");
        let data = trino.s3_environment().iter().fold(Data::new(), |on, (n, v)| on.with(n, v));
        let data = ["HEALTH", "WEATHER"].iter().fold(data, |on, app| {
            on.with(&format!("{app}_STORES__LAKE"), &place)
                .with(&format!("{app}_STORES__CATALOG"), &catalog)
                .with(&format!("{app}_CONSOLE__LISTEN"), "")
        });
        Self { trino, data, database, place }
    }

    /// With a setting of health's.
    pub fn health(mut self, setting: &str, value: &str) -> Self {
        self.data = self.data.with(&format!("HEALTH_{setting}"), value);
        self
    }

    #[track_caller]
    pub fn ask(&self, sql: &str) -> Answer {
        self.trino.ask(&self.database, sql)
    }

    pub fn try_ask(&self, sql: &str) -> Result<Answer, String> {
        self.trino.try_ask(&self.database, sql)
    }

    /// The one number that a query gives.
    pub fn count(&self, sql: &str) -> Result<u64, String> {
        let answer = self.try_ask(sql)?;
        answer.rows[0][0].as_u64().ok_or_else(|| format!("no number: {answer:?}"))
    }

    /// Makes a table as Terraform does, of what `millstream catalog` prints of it.
    pub fn declare(&self, name: &str, table: &Value) {
        let columns = |what: &str| -> Vec<Value> {
            let columns = table[what].as_array().expect("columns").iter();
            columns.map(|one| json!({ "Name": one["name"], "Type": one["type"] })).collect()
        };
        let hive = "org.apache.hadoop.hive.ql.io.parquet";
        let input = json!({
            "Name": name,
            "TableType": "EXTERNAL_TABLE",
            "Parameters": { "EXTERNAL": "TRUE", "classification": "parquet" },
            "PartitionKeys": columns("partitions"),
            "StorageDescriptor": {
                "Location": format!("{}/{}", self.place, table["location"].as_str().expect("a location")),
                "InputFormat": format!("{hive}.MapredParquetInputFormat"),
                "OutputFormat": format!("{hive}.MapredParquetOutputFormat"),
                "SerdeInfo": { "Name": "parquet", "SerializationLibrary": format!("{hive}.serde.ParquetHiveSerDe"),
                               "Parameters": { "serialization.format": "1" } },
                "Columns": columns("columns"),
            },
        });
        self.trino
            .glue("create_table", &json!({ "DatabaseName": self.database, "TableInput": input }));
    }

    /// What `millstream catalog` prints.
    pub fn declared(&self) -> Value {
        let printed = self.data.run("millstream", &["catalog"]).succeeds().stdout;
        serde_json::from_str(&printed).expect("JSON")
    }
}
