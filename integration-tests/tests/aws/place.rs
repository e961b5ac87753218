use integration_tests::stack::{self, Server};
use integration_tests::{Data, binaries};
use millstream_aws::Catalog;
use millstream_aws::athena::Rows;
use millstream_config::Secret;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// A bucket, a database and a workgroup that no other test has.
pub struct Place {
    pub server: &'static Server,
    pub name: String,
    pub bucket: String,
}

impl Place {
    pub async fn new(name: &str) -> Self {
        let place = Self::bare(name).await;
        place.call("s3", "create_bucket", json!({ "Bucket": place.bucket })).await;
        let database = json!({ "DatabaseInput": { "Name": place.name } });
        place.call("glue", "create_database", database).await;
        let results = format!("s3://{}/athena-results/", place.bucket);
        let configuration = json!({ "ResultConfiguration": { "OutputLocation": results },
            "EnforceWorkGroupConfiguration": true, "BytesScannedCutoffPerQuery": 10_000_000_000_i64 });
        let group = json!({ "Name": place.name, "Configuration": configuration });
        place.call("athena", "create_work_group", group).await;
        place
    }

    /// Names only; nothing is there.
    pub async fn bare(name: &str) -> Self {
        let name = stack::unique(name);
        let bucket = name.replace('_', "-");
        Self { server: stack::aws_api().await, name, bucket }
    }

    /// The URL of the catalog, as settings have it.
    pub fn url(&self, options: &str) -> String {
        let and = if options.is_empty() { "" } else { "&" };
        format!("glue://{}?workgroup={}{and}{options}", self.name, self.name)
    }

    pub fn catalog(&self, options: &str) -> Catalog {
        let endpoint = format!("endpoint=http://{}", self.server.address());
        let and = if options.is_empty() { "" } else { "&" };
        let name = &self.name;
        let url = format!("glue://test@{name}?workgroup={name}&{endpoint}{and}{options}");
        Catalog::parse("stores.catalog", &url, Secret::new("test")).unwrap()
    }

    /// As AWS's own client asks.
    pub async fn call(&self, service: &str, operation: &str, with: Value) -> Value {
        stack::aws_call(self.server, service, operation, with).await
    }

    /// A table as AWS's own client sees it.
    pub async fn table(&self, name: &str) -> Value {
        let asked = json!({ "DatabaseName": self.name, "Name": name });
        self.call("glue", "get_table", asked).await["Table"].clone()
    }

    pub async fn partitions(&self, table: &str) -> Vec<Value> {
        let asked = json!({ "DatabaseName": self.name, "TableName": table });
        let told = self.call("glue", "get_partitions", asked).await;
        told["Partitions"].as_array().unwrap().clone()
    }

    /// Asks by our client.
    pub async fn ask(&self, sql: &str) -> Rows {
        let (athena, stop) = (self.catalog("").athena(), CancellationToken::new());
        let finished = athena.run(sql, &stop, &|_| {}).await;
        let finished = finished.unwrap_or_else(|error| panic!("{sql}: {error}"));
        athena.rows(&finished, &stop).await.unwrap()
    }

    /// Commands whose lake is the bucket and whose catalog is the database.
    pub fn data(&self) -> Data {
        let mut data = Data::new().with("MILLSTREAM_CATALOG", &self.url(""));
        for app in binaries::APPS {
            let lake = format!("s3://{}/lake", self.bucket);
            data = data.with(&format!("{}_STORES__LAKE", app.to_uppercase()), &lake);
        }
        for (name, value) in stack::aws_environment(self.server) {
            data = data.with(&name, &value);
        }
        data
    }
}

/// Names of columns, in their order.
pub fn names(columns: &Value) -> Vec<&str> {
    let columns = columns.as_array().unwrap().iter();
    columns.map(|column| column["Name"].as_str().unwrap()).collect()
}
