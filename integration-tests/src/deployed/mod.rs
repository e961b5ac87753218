//! Apps on servers of the test's own: nobody else is in their topics and tables, and they may be stopped.
//!
//! # Layout
//! - [`Deployed`]: the servers, and a [`Data`] whose commands use them.
//! - `read`: rows as the servers' own clients show them, never by our code. [`Row`].
//! - [`kills`]: workers that are killed again and again. [`outage`]: a server that goes for a while.

pub mod kills;
pub mod outage;
mod read;

pub use read::{Consumed, as_row, mysql_rows};

use std::ops::Deref;

use crate::stack::{self, Server};
use crate::{Data, number, wait};

/// A row as a server's client shows it: every column as text, nulls as "NULL".
pub type Row = std::collections::BTreeMap<String, String>;

/// What an app is deployed on beside Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    Cassandra,
    Mysql,
    S3,
    OpenSearch,
}

/// An app on its servers. Dropped, they go.
pub struct Deployed {
    pub data: Data,
    pub kafka: Server,
    cassandra: Option<Server>,
    mysql: Option<Server>,
    s3: Option<(Server, String)>,
    opensearch: Option<Server>,
}

impl Deployed {
    /// Starts Kafka and the servers `on`, all at once, and sets `app` up for them.
    pub fn start(app: &str, on: &[On]) -> Self {
        let on = on.to_vec();
        let is_on = |what| on.contains(&what);
        stack::block_on(async {
            let s3 = async {
                if !is_on(On::S3) {
                    return None;
                }
                let server = stack::wanted_s3("s3").start().await;
                let bucket = stack::bucket(&server).await;
                Some((server, bucket))
            };
            let (kafka, cassandra, mysql, opensearch, s3) = tokio::join!(
                stack::start_kafka(),
                start(is_on(On::Cassandra), || stack::wanted_cassandra("cassandra")),
                start(is_on(On::Mysql), || stack::wanted_mysql("mysql", app)),
                start(is_on(On::OpenSearch), || stack::wanted_opensearch("opensearch")),
                s3,
            );
            let data = Data::new();
            Self { data, kafka, cassandra, mysql, s3, opensearch }.with_app(app)
        })
    }

    /// Sets another app up for the same servers.
    pub fn with_app(mut self, app: &str) -> Self {
        let mut settings = vec![("TOPICS__URL", format!("kafka://{}", self.kafka.address()))];
        if let Some(cassandra) = &self.cassandra {
            settings.push(("STORES__TABLES", format!("cassandra://{}", cassandra.address())));
        } else if let Some(mysql) = &self.mysql {
            let url = format!("mysql://{}@{}", stack::APP_USER, mysql.address());
            settings.push(("STORES__TABLES", url));
            settings.push(("STORES__TABLES_PASSWORD", stack::APP_PASSWORD.to_owned()));
        }
        if let Some((s3, bucket)) = &self.s3 {
            let url = format!(
                "s3://{bucket}/lake?region=us-east-1&endpoint=http://{}&path_style=on",
                s3.address()
            );
            settings.push(("STORES__LAKE", url));
        }
        if let (Some(opensearch), "recalls") = (&self.opensearch, app) {
            settings.push(("STORES__SEARCH", format!("http://{}", opensearch.address())));
        }
        for (name, value) in settings {
            self.data = self.data.with(&format!("{}_{name}", app.to_uppercase()), &value);
        }
        for (name, value) in self.s3_environment() {
            self.data = self.data.with(&name, &value);
        }
        self
    }

    /// A setting of the environment for all commands.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.data = self.data.with(name, value);
        self
    }

    /// How far a pipeline's sink is: the sum of its partitions' positions. 0 while there is none.
    pub fn position(&self, pipeline: &str) -> u64 {
        let ran = self.run("millstream", &["position", "show", "--json", pipeline]);
        let lines = ran
            .stdout
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        lines.filter_map(|line| line["position"].as_u64()).sum()
    }

    /// Works off all there is. Partitions of workers that were killed come free only when the group has given them up.
    pub fn settle(&self, app: &str, pipeline: &str) {
        wait::until("everything is worked off", wait::LONG, || {
            self.catch_up(app);
            let ran = self.run("millstream", &["position", "show", "--json", pipeline]).succeeds();
            let lags = ran.json_lines().into_iter().map(|line| number(&line, "lag"));
            if lags.sum::<u64>() == 0 { Ok(()) } else { Err(ran.stdout.clone()) }
        });
    }

    pub fn cassandra(&self) -> &Server {
        self.cassandra.as_ref().expect("it is on Cassandra")
    }

    pub fn mysql(&self) -> &Server {
        self.mysql.as_ref().expect("it is on MySQL")
    }

    pub fn opensearch(&self) -> &Server {
        self.opensearch.as_ref().expect("it is on OpenSearch")
    }

    pub fn s3(&self) -> &Server {
        &self.s3.as_ref().expect("it is on S3").0
    }

    fn s3_environment(&self) -> Vec<(String, String)> {
        self.s3.as_ref().map_or_else(Vec::new, |(server, _)| stack::s3_environment(server))
    }
}

/// Its commands.
impl Deref for Deployed {
    type Target = Data;

    fn deref(&self) -> &Data {
        &self.data
    }
}

async fn start(wanted: bool, server: impl FnOnce() -> stack::Wanted) -> Option<Server> {
    if wanted { Some(server().start().await) } else { None }
}
