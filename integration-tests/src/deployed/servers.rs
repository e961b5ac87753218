use std::sync::Arc;

use crate::stack::{self, Server, Shared};

/// One server of each kind. Apps have topics, tables and directories of their own, and may share them.
#[derive(Debug)]
pub struct Servers {
    pub kafka: Server,
    pub cassandra: Server,
    pub mysql: Server,
    pub s3: Server,
    /// On S3.
    pub bucket: String,
    pub opensearch: Server,
}

impl Servers {
    /// Starts them for the caller alone, all at once. Dropped, they go.
    pub fn start() -> Arc<Self> {
        stack::block_on(async {
            let s3 = async {
                let server = stack::wanted_s3("s3").start().await;
                let bucket = stack::bucket(&server).await;
                (server, bucket)
            };
            let (kafka, cassandra, mysql, opensearch, (s3, bucket)) = tokio::join!(
                stack::start_kafka(),
                stack::wanted_cassandra("cassandra").start(),
                stack::wanted_mysql("mysql", "wordcount").start(),
                stack::wanted_opensearch("opensearch").start(),
                s3,
            );
            Arc::new(Self { kafka, cassandra, mysql, s3, bucket, opensearch })
        })
    }

    /// The ones that tests of this program share while any of them runs: at most one test of each app.
    pub fn shared() -> Arc<Self> {
        static SHARED: Shared<Servers> = Shared::new();
        SHARED.get(Self::start)
    }

    /// Where the user of tests may make tables.
    pub fn mysql_url(&self) -> String {
        format!("mysql://{}@{}", stack::APP_USER, self.mysql.address())
    }

    /// How AWS's clients find S3.
    pub fn s3_environment(&self) -> Vec<(String, String)> {
        stack::s3_environment(&self.s3)
    }
}
