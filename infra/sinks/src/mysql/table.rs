use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use millstream_engine::{About, Rows, Sink, SinkError, Target};

use super::columns::check;
use super::faults::Fault;
use super::server::Mysql;
use super::sink::MysqlSink;
use super::{positions, scan};
use crate::Upserted;
use crate::sql::layout::{Kept, Layout};

/// A table of a MySQL or MariaDB database. Rows carry whole values: null overwrites.
///
/// Upserts: a write counts if its version is higher than what the key has, be that a row or a deletion; of equal
/// versions the first that came stays.
#[derive(Clone, Debug)]
pub struct MysqlTable {
    server: Mysql,
    database: String,
    table: String,
    kept: Kept,
}

impl MysqlTable {
    /// Keeps, per key, the row with the highest version. `database`: unless the server's URL names one for all.
    pub fn upsert(server: Mysql, database: &str, table: &str, key: &[&str]) -> Self {
        Self::new(server, database, table, Kept::Upsert { key: owned(key) })
    }

    /// Adds the column `count` (Int64) up per key. The rows have no other columns.
    pub fn count(server: Mysql, database: &str, table: &str, key: &[&str], count: &str) -> Self {
        let kept = Kept::Count { key: owned(key), count: count.to_owned() };
        Self::new(server, database, table, kept)
    }

    fn new(server: Mysql, database: &str, table: &str, kept: Kept) -> Self {
        let database = server.database(database);
        Self { server, database, table: table.to_owned(), kept }
    }

    fn told(&self, doing: &str, fault: Fault) -> SinkError {
        fault.told(&format!("{doing} {}", self.table), &self.server.place(Some(&self.database)))
    }
}

#[async_trait]
impl Target for MysqlTable {
    fn about(&self) -> About {
        let place = match self.server.own_database() {
            Some(_) => self.server.to_string(),
            None => format!("{}/{}", self.server, self.database),
        };
        About {
            table: self.table.clone(),
            place,
            keeping: self.kept.clone().into(),
            required: self.kept.required(),
        }
    }

    async fn connect(
        &self,
        pipeline: &str,
        schema: &SchemaRef,
    ) -> Result<Box<dyn Sink>, SinkError> {
        let wanted = Layout::new(&self.table, &self.kept, schema)?;
        check(&wanted)?;
        let (server, database) = (self.server.clone(), self.database.clone());
        Ok(Box::new(MysqlSink::connect(server, database, pipeline, &wanted).await?))
    }

    async fn scan(
        &self,
        pipeline: &str,
        visit: &mut (dyn FnMut(RecordBatch) -> Result<(), SinkError> + Send),
    ) -> Result<(), SinkError> {
        let reading = async {
            let Some(mut session) = scan::reader(&self.server, &self.database).await? else {
                return Ok(());
            };
            scan::read(&mut session, &self.table, pipeline, visit).await?;
            session.close().await;
            Ok(())
        };
        let read: Result<_, Fault> = reading.await;
        read.map_err(|fault| self.told("read table", fault))
    }
}

#[async_trait]
impl Upserted for MysqlTable {
    async fn topic_ids(&self, topic: &str) -> Result<Vec<String>, SinkError> {
        let reading = async {
            let Some(mut session) = scan::reader(&self.server, &self.database).await? else {
                return Ok(Vec::new());
            };
            let ids = positions::topic_ids(&mut session, &self.table, topic).await?;
            session.close().await;
            Ok(ids)
        };
        let read: Result<_, Fault> = reading.await;
        read.map_err(|fault| self.told("read whose rows are in table", fault))
    }

    async fn count(&self) -> Result<Option<usize>, SinkError> {
        let counting = async {
            let Some(mut session) = scan::reader(&self.server, &self.database).await? else {
                return Ok(None);
            };
            let count = scan::count(&mut session, &self.table).await?;
            session.close().await;
            Ok(count)
        };
        let counted: Result<_, Fault> = counting.await;
        counted.map_err(|fault| self.told("count the rows of table", fault))
    }

    async fn read(
        &self,
        visit: &mut (dyn FnMut(Rows) -> Result<(), SinkError> + Send),
    ) -> Result<(), SinkError> {
        let reading = async {
            let Some(mut session) = scan::reader(&self.server, &self.database).await? else {
                return Ok(());
            };
            scan::read_versions(&mut session, &self.table, visit).await?;
            session.close().await;
            Ok(())
        };
        let read: Result<_, Fault> = reading.await;
        read.map_err(|fault| self.told("read table", fault))
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}
