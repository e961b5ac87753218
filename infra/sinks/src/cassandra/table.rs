use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use millstream_engine::{About, Rows, Sink, SinkError, Target};
use scylla::client::session::Session;

use super::faults::Fault;
use super::hearsay::Hearsay;
use super::layout::layout;
use super::scan::Reading;
use super::server::Cassandra;
use super::sink::CassandraSink;
use super::{hearsay, keys, opening, owner, positions};
use crate::Upserted;
use crate::sql::layout::{Kept, Layout};

/// A table of a keyspace that keeps, per key, the row with the highest version. Rows carry whole values: null
/// overwrites.
#[derive(Clone, Debug)]
pub struct CassandraTable {
    server: Cassandra,
    keyspace: String,
    table: String,
    kept: Kept,
}

impl CassandraTable {
    /// Keeps, per key, the row with the highest version.
    pub fn upsert(server: Cassandra, keyspace: &str, table: &str, key: &[&str]) -> Self {
        let key = key.iter().map(|&name| name.to_owned()).collect();
        Self {
            server,
            keyspace: keyspace.to_owned(),
            table: table.to_owned(),
            kept: Kept::Upsert { key },
        }
    }

    fn reading<'a>(&'a self, session: &'a Session) -> Reading<'a> {
        Reading { session, options: self.server.options(), keyspace: &self.keyspace }
    }

    async fn session(&self) -> Result<&Arc<Session>, SinkError> {
        self.server.session().await
    }

    async fn try_connect(
        &self,
        session: &Arc<Session>,
        pipeline: &str,
        wanted: &Layout,
    ) -> Result<CassandraSink, Fault> {
        let (server, keyspace) = (&self.server, self.keyspace.as_str());
        let owned = opening::own(server, session, keyspace, pipeline, wanted).await?;
        CassandraSink::new(server.clone(), session.clone(), keyspace, wanted.clone(), owned).await
    }

    fn told(&self, doing: &str) -> impl Fn(Fault) -> SinkError {
        let doing = format!("{doing} table {}", self.table);
        move |fault| fault.told(&doing, self.server.endpoint())
    }
}

#[async_trait]
impl Target for CassandraTable {
    fn about(&self) -> About {
        About {
            table: self.table.clone(),
            place: self.server.place(&self.keyspace),
            keeping: self.kept.clone().into(),
            required: self.kept.required(),
        }
    }

    /// Each column is kept by its own version, and a range that is written again has the same one.
    fn mixes_tries(&self) -> bool {
        true
    }

    fn unfit(&self, rows: &RecordBatch) -> Vec<(usize, String)> {
        keys::unfit(self.kept.key(), rows)
    }

    async fn connect(
        &self,
        pipeline: &str,
        schema: &SchemaRef,
    ) -> Result<Box<dyn Sink>, SinkError> {
        let wanted = layout(&self.keyspace, &self.table, &self.kept, schema)?;
        let session = self.session().await?;
        let mut hearsay = Hearsay::default();
        loop {
            match self.try_connect(session, pipeline, &wanted).await {
                Ok(sink) => return Ok(Box::new(sink)),
                // Each try looks whether the table was dropped, and makes what was never there.
                Err(fault) => {
                    hearsay.outlast(fault.early()).await.map_err(self.told("connect to"))?;
                }
            }
        }
    }

    async fn scan(
        &self,
        pipeline: &str,
        visit: &mut (dyn FnMut(RecordBatch) -> Result<(), SinkError> + Send),
    ) -> Result<(), SinkError> {
        let reading = self.reading(self.session().await?);
        let owned = reading.owned(&self.table).await.map_err(self.told("find"))?;
        let Some(owned) = owned else { return Ok(()) };
        owner::check_owner(&owned.pipeline, &self.table, pipeline)?;
        reading.rows(&owned, visit).await.map_err(self.told("read"))
    }
}

#[async_trait]
impl Upserted for CassandraTable {
    async fn topic_ids(&self, topic: &str) -> Result<Vec<String>, SinkError> {
        let session = self.session().await?;
        let reading = self.reading(session);
        let owned = reading.owned(&self.table).await.map_err(self.told("find"))?;
        let Some(owned) = owned else { return Ok(Vec::new()) };
        let (options, of) = (self.server.options(), (self.table.as_str(), topic));
        match positions::topic_ids(session, options, &self.keyspace, of).await {
            Ok(ids) => Ok(ids.into_iter().collect()),
            Err(fault) => {
                let fault = hearsay::sift(session, &self.keyspace, &owned.layout, fault).await;
                Err(self.told("read whose rows are in")(fault))
            }
        }
    }

    async fn count(&self) -> Result<Option<usize>, SinkError> {
        let reading = self.reading(self.session().await?);
        let Some(owned) = reading.owned(&self.table).await.map_err(self.told("find"))? else {
            return Ok(None);
        };
        reading.count(&owned).await.map(Some).map_err(self.told("count the rows of"))
    }

    async fn read(
        &self,
        visit: &mut (dyn FnMut(Rows) -> Result<(), SinkError> + Send),
    ) -> Result<(), SinkError> {
        let reading = self.reading(self.session().await?);
        let Some(owned) = reading.owned(&self.table).await.map_err(self.told("find"))? else {
            return Ok(());
        };
        reading.versions(&owned, visit).await.map_err(self.told("read"))
    }
}
