//! Trino, the engine that Athena is made of: SQL over Glue's tables and the files of S3, asked by its HTTP API.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{Ready, S3_KEY, S3_SECRET, Server, Wanted, runtime, s3_environment, wanted_s3};

/// Trino with the S3 and the Glue it reads from, on a network of their own; they go with the test.
#[derive(Debug)]
pub struct Trino {
    pub s3: Server,
    /// AWS's API, for Glue.
    pub aws: Server,
    trino: Server,
    pub bucket: String,
}

/// What a query gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Name and type.
    pub columns: Vec<(String, String)>,
    /// Cells as Trino's API has them: numbers, texts, booleans, null.
    pub rows: Vec<Vec<Value>>,
}

impl Trino {
    /// Starts all three at once, with an empty bucket.
    pub fn start() -> Arc<Self> {
        runtime::block_on(async {
            let network = super::unique("trino").replace('_', "-");
            let on_it = |server: &str, wanted: Wanted| Wanted {
                name: format!("{network}-{server}"),
                network: Some(network.clone()),
                ..wanted
            };
            let s3 = on_it("s3", wanted_s3("s3"));
            let aws = Wanted::new("aws", "MINISTACK", &[4566]).memory_mb(512).ready(Ready::Healthy);
            let aws = on_it("aws", aws);
            let trino = Wanted::new("trino", "TRINO", &[8080])
                .memory_mb(1700)
                .ready(Ready::Healthy)
                .env("AWS_REGION", "us-east-1")
                .env("AWS_ACCESS_KEY_ID", S3_KEY)
                .env("AWS_SECRET_ACCESS_KEY", S3_SECRET)
                .env("AWS_ENDPOINT_URL_GLUE", &format!("http://{}:4566", aws.name))
                .env("AWS_ENDPOINT_URL_S3", &format!("http://{}:7070", s3.name));
            let trino = on_it("trino", trino);
            let (s3, aws, trino) = tokio::join!(s3.start(), aws.start(), trino.start());
            let bucket = super::bucket(&s3).await;
            Arc::new(Self { s3, aws, trino, bucket })
        })
    }

    /// The variables of the environment by which AWS's clients find the bucket.
    pub fn s3_environment(&self) -> Vec<(String, String)> {
        s3_environment(&self.s3)
    }

    /// Asks Glue as AWS's own Python client does.
    pub fn glue(&self, operation: &str, arguments: &Value) -> Value {
        let arguments = arguments.to_string();
        let said = runtime::block_on(self.aws.exec(&["call", "glue", operation, &arguments]));
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    /// Runs a query in a database; panics with what Trino says if it fails.
    #[track_caller]
    pub fn ask(&self, database: &str, sql: &str) -> Answer {
        self.try_ask(database, sql).unwrap_or_else(|error| panic!("{error}\n{sql}"))
    }

    /// Runs a query in a database. The error is what Trino says.
    pub fn try_ask(&self, database: &str, sql: &str) -> Result<Answer, String> {
        runtime::block_on(self.answer(database, sql))
    }

    async fn answer(&self, database: &str, sql: &str) -> Result<Answer, String> {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60));
        let client = client.build().map_err(|error| error.to_string())?;
        let here = format!("http://{}", self.trino.address());
        let mut answer = Answer { columns: vec![], rows: vec![] };
        let mut request = client.post(format!("{here}/v1/statement")).body(sql.to_owned());
        loop {
            request = request.header("X-Trino-User", "test");
            request = request.header("X-Trino-Catalog", "awsdatacatalog");
            // Rows come with the time zone's rules of the session otherwise.
            request = request.header("X-Trino-Time-Zone", "UTC");
            request = request.header("X-Trino-Schema", database);
            let page = request.send().await.map_err(|error| format!("ask Trino: {error}"))?;
            let page: Value = serde_json::from_slice(&page.bytes().await.unwrap_or_default())
                .map_err(|error| format!("read what Trino says: {error}"))?;
            if let Some(message) = page["error"]["message"].as_str() {
                return Err(format!("Trino: {message}"));
            }
            if let Some(columns) = page["columns"].as_array() {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let column = |column: &Value| (text(&column["name"]), text(&column["type"]));
                answer.columns = columns.iter().map(column).collect();
            }
            let rows = page["data"].as_array().into_iter().flatten();
            answer.rows.extend(rows.map(|row| row.as_array().cloned().unwrap_or_default()));
            let Some(next) = page["nextUri"].as_str() else { return Ok(answer) };
            // It calls itself as the request did; the path is what counts.
            let path = next.splitn(4, '/').nth(3).unwrap_or_default();
            request = client.get(format!("{here}/{path}"));
        }
    }
}
