use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use integration_tests::stack::{self, Server};
use millstream_config::{Endpoint, Secret};
use millstream_sinks::opensearch::{OpenSearch, OpenSearchReader, OpenSearchTarget};
use millstream_sinks::search::conformance::Fixture;
use millstream_sinks::search::{Index, Seed};
use serde_json::Value;

use crate::proxy::{Proxy, REFUSAL};

/// A prefix that no other test has.
pub struct Place {
    /// `127.0.0.1:port` of the server.
    pub server: String,
    pub prefix: String,
}

impl Place {
    /// On the shared server.
    pub async fn new(name: &str) -> Self {
        Self::on(stack::opensearch().await, name)
    }

    pub fn on(server: &Server, name: &str) -> Self {
        Self::at(server.address(), name)
    }

    fn at(server: String, name: &str) -> Self {
        Self { server, prefix: format!("{}-", stack::unique(name)) }
    }

    /// On the server that the environment names, an Elasticsearch say; on the shared one if it names none.
    pub async fn elsewhere(name: &str) -> Self {
        match std::env::var("MILLSTREAM_TEST_SEARCH") {
            Ok(server) => Self::at(server, name),
            Err(_) => Self::new(name).await,
        }
    }

    pub fn open(&self) -> OpenSearch {
        self.through(&self.server)
    }

    /// By way of `address`, a proxy's say.
    pub fn through(&self, address: &str) -> OpenSearch {
        open(&format!("http://{address}/{}", self.prefix))
    }

    pub async fn proxy(&self) -> Proxy {
        Proxy::to(&self.server, REFUSAL).await
    }

    pub fn fixture(&self, index: &Index, seed: Option<Arc<dyn Seed>>) -> Fixture {
        let target = OpenSearchTarget::new(self.open(), index, seed);
        Fixture::new(target, OpenSearchReader::new(self.open(), index))
    }
}

impl Drop for Place {
    /// Takes its indexes along: each of them takes some of the server's memory, which all runs share. After a failure
    /// they stay, to be looked at.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let (server, prefix) = (&self.server, &self.prefix);
        let indices = ask(server, "GET", &format!("_cat/indices/{prefix}*?h=index"));
        let names: Vec<_> = indices.split_whitespace().filter(|n| n.starts_with(prefix)).collect();
        for some in names.chunks(20) {
            ask(server, "DELETE", &some.join(","));
        }
        ask(server, "DELETE", &format!("_index_template/{prefix}*"));
    }
}

/// The body of an answer. Of a server that doesn't answer, or is gone with its test, there is nothing to be told.
fn ask(server: &str, method: &str, path: &str) -> String {
    let asked = || {
        let mut connection = TcpStream::connect(server)?;
        connection.set_read_timeout(Some(Duration::from_secs(30)))?;
        write!(connection, "{method} /{path} HTTP/1.0\r\nHost: {server}\r\n\r\n")?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).map(|_| answer)
    };
    let answer: String = asked().unwrap_or_else(|_: std::io::Error| String::new());
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}

pub fn open(url: &str) -> OpenSearch {
    let url = Endpoint::parse("stores.search", url, Secret::default(), 9200);
    OpenSearch::new(url.expect("a URL")).expect("its options")
}

/// What the server itself says, asked by curl inside its container.
pub async fn curl(server: &Server, method: &str, path: &str, body: &str) -> Value {
    let url = format!("http://localhost:9200/{path}");
    let kind = "Content-Type: application/json";
    let answer = server.exec(&["curl", "-sS", "-X", method, "-H", kind, "-d", body, &url]).await;
    serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{path}: {error}: {answer}"))
}

/// Every row that the served alias shows, by key, as curl sees them: at most 10,000.
pub async fn rows_by_curl(server: &Server, alias: &str) -> BTreeMap<String, Value> {
    curl(server, "POST", &format!("{alias}/_refresh"), "{}").await;
    let body = r#"{"size": 10000, "query": {"match_all": {}}}"#;
    let answer = curl(server, "POST", &format!("{alias}/_search"), body).await;
    let hits = answer["hits"]["hits"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let row = |hit: &Value| {
        let key = hit["_id"].as_str().expect("a key").to_owned();
        (key, hit["_source"]["row"].clone())
    };
    hits.iter().map(row).collect()
}
