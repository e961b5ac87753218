use std::path::{Path, PathBuf};
use std::sync::Arc;

use millstream_config::{Endpoint, Finding, Secret};
use millstream_engine::{SinkError, Target};
use millstream_topic::Backend;
use serde::Deserialize;

use crate::cassandra::{Cassandra, CassandraTable};
use crate::directory::writable;
use crate::lake::{Catalog, DirStore, Format, Lake, S3Store, Store};
use crate::mysql::{Mysql, MysqlTable};
use crate::opensearch::{OpenSearch, OpenSearchReader, OpenSearchTarget};
use crate::search::{Index, SearchReader, SearchTarget, Searcher, Seed};
use crate::sql::{Database, SqlTable};
use crate::{Upserted, url};

/// What the section `[stores]` of a configuration says.
#[derive(Clone, Debug, Deserialize)]
pub struct Urls {
    /// `sqlite://directory`, one file per database; `cassandra://…`; `mysql://…`.
    pub tables: String,
    #[serde(default)]
    pub tables_password: Secret,
    /// `file://directory`, `s3://bucket/prefix`.
    pub lake: String,
    /// Whom the lake's tables and partitions are told to, see [`Stores::with_catalog`]; empty: nobody.
    #[serde(default)]
    pub catalog: String,
    /// `tantivy://directory`, `http://…`, `https://…`; empty: the app has no search index.
    #[serde(default)]
    pub search: String,
    #[serde(default)]
    pub search_password: Secret,
}

impl Urls {
    /// The embedded stores.
    pub fn embedded() -> Self {
        Self {
            tables: "sqlite://tables".to_owned(),
            tables_password: Secret::default(),
            lake: "file://lake".to_owned(),
            catalog: String::new(),
            search: "tantivy://search".to_owned(),
            search_password: Secret::default(),
        }
    }
}

/// The places a configuration names by URL. Opening checks the URLs only; targets connect later.
#[derive(Clone, Debug)]
pub struct Stores {
    base: PathBuf,
    tables: Tables,
    lake: Arc<dyn Store>,
    catalog: Option<Arc<dyn Catalog>>,
    search: Option<Indexes>,
    topics: Option<Arc<dyn Backend>>,
}

/// Where tables live.
#[derive(Clone, Debug)]
enum Tables {
    Sqlite(PathBuf),
    Cassandra(Cassandra),
    Mysql(Mysql),
}

/// Where search indexes live.
#[derive(Clone, Debug)]
enum Indexes {
    Tantivy(PathBuf),
    OpenSearch(OpenSearch),
}

impl Stores {
    /// Relative directories are meant from `base`.
    pub fn open(urls: &Urls, base: &Path) -> Result<Self, SinkError> {
        Ok(Self {
            base: base.to_owned(),
            tables: Tables::open(urls, base)?,
            lake: lake(urls, base)?,
            catalog: None,
            search: Indexes::open(urls, base)?,
            topics: None,
        })
    }

    /// With the topics that the stores are filled from, for those who must know whether rows are of this very topic.
    pub fn with_topics(self, topics: Arc<dyn Backend>) -> Self {
        Self { topics: Some(topics), ..self }
    }

    /// With a catalog that lake tables and their partitions are told to.
    pub fn with_catalog(self, catalog: Option<Arc<dyn Catalog>>) -> Self {
        Self { catalog, ..self }
    }

    /// With the lake in another store, and nobody told of its tables.
    pub fn with_lake(self, lake: Arc<dyn Store>) -> Self {
        Self { lake, catalog: None, ..self }
    }

    /// The topics that the stores are filled from, if told.
    pub fn topics(&self) -> Option<Arc<dyn Backend>> {
        self.topics.clone()
    }

    /// What relative directories and files are meant from.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Where the databases' files are; `None`: a server has them.
    pub fn databases(&self) -> Option<&Path> {
        match &self.tables {
            Tables::Sqlite(directory) => Some(directory),
            Tables::Cassandra(_) | Tables::Mysql(_) => None,
        }
    }

    /// The lake's store.
    pub fn lake_store(&self) -> Arc<dyn Store> {
        self.lake.clone()
    }

    /// Whom the lake's tables are told to, if anybody.
    pub fn lake_catalog(&self) -> Option<Arc<dyn Catalog>> {
        self.catalog.clone()
    }

    /// A table that keeps, per key, the row with the highest version. `database` is a file, a database or a keyspace.
    pub fn upsert(&self, database: &str, table: &str, key: &[&str]) -> Arc<dyn Target> {
        match &self.tables {
            Tables::Sqlite(directory) => {
                Arc::new(SqlTable::upsert(file(directory, database), table, key))
            }
            Tables::Cassandra(cluster) => {
                Arc::new(CassandraTable::upsert(cluster.clone(), database, table, key))
            }
            Tables::Mysql(server) => {
                Arc::new(MysqlTable::upsert(server.clone(), database, table, key))
            }
        }
    }

    /// The same table, for those who fill an index from it.
    pub fn upserted(&self, database: &str, table: &str, key: &[&str]) -> Arc<dyn Upserted> {
        match &self.tables {
            Tables::Sqlite(directory) => {
                Arc::new(SqlTable::upsert(file(directory, database), table, key))
            }
            Tables::Cassandra(cluster) => {
                Arc::new(CassandraTable::upsert(cluster.clone(), database, table, key))
            }
            Tables::Mysql(server) => {
                Arc::new(MysqlTable::upsert(server.clone(), database, table, key))
            }
        }
    }

    /// A table whose `count` column grows, per key, by each row's. Refused where tables can't count exactly.
    pub fn count(
        &self,
        database: &str,
        table: &str,
        key: &[&str],
        count: &str,
    ) -> Result<Arc<dyn Target>, SinkError> {
        Ok(match &self.tables {
            Tables::Sqlite(directory) => {
                Arc::new(SqlTable::count(file(directory, database), table, key, count))
            }
            Tables::Mysql(server) => {
                Arc::new(MysqlTable::count(server.clone(), database, table, key, count))
            }
            Tables::Cassandra(_) => {
                return Err(SinkError::refused(
                    format!("count in table {table}"),
                    "Cassandra has no transactions, so a count that is written again would grow again",
                    "set stores.tables to mysql://host or sqlite://directory",
                ));
            }
        })
    }

    /// Files of the lake, in one directory per value of the columns `partition_by`.
    pub fn files(&self, table: &str, format: Format, partition_by: &[&str]) -> Arc<dyn Target> {
        let lake = Lake::new(self.lake.clone(), table, format, partition_by);
        Arc::new(lake.registered_in(self.catalog.clone()))
    }

    /// A search index; a new build of it is filled from `seed` before the topic is read. Refused where no place for
    /// indexes is configured.
    pub fn search(
        &self,
        index: &Index,
        seed: Option<Arc<dyn Seed>>,
    ) -> Result<Arc<dyn Target>, SinkError> {
        Ok(match self.indexes(index)? {
            Indexes::Tantivy(directory) => Arc::new(SearchTarget::new(directory, index, seed)),
            Indexes::OpenSearch(server) => {
                Arc::new(OpenSearchTarget::new(server.clone(), index, seed))
            }
        })
    }

    /// The reading side of a search index.
    pub fn searcher(&self, index: &Index) -> Result<Arc<dyn Searcher>, SinkError> {
        Ok(match self.indexes(index)? {
            Indexes::Tantivy(directory) => Arc::new(SearchReader::new(directory, index)),
            Indexes::OpenSearch(server) => Arc::new(OpenSearchReader::new(server.clone(), index)),
        })
    }

    /// Whether the stores can be used, and what to do where not. Leaves nothing behind that counts.
    pub async fn examine(&self) -> Vec<Finding> {
        let mut findings = match &self.tables {
            Tables::Sqlite(directory) => vec![writable("tables", directory)],
            Tables::Cassandra(cluster) => cluster.examine().await,
            Tables::Mysql(server) => server.examine().await,
        };
        findings.extend(self.lake.examine().await);
        if let Some(catalog) = &self.catalog {
            findings.extend(catalog.examine().await);
        }
        match &self.search {
            Some(Indexes::Tantivy(directory)) => findings.push(writable("search", directory)),
            Some(Indexes::OpenSearch(server)) => findings.extend(server.examine().await),
            None => {}
        }
        findings
    }

    fn indexes(&self, index: &Index) -> Result<&Indexes, SinkError> {
        self.search.as_ref().ok_or_else(|| {
            SinkError::refused(
                format!("find index {}", index.name),
                "no place for search indexes is configured",
                "set stores.search to tantivy://directory",
            )
        })
    }
}

impl Tables {
    fn open(urls: &Urls, base: &Path) -> Result<Self, SinkError> {
        let key = "stores.tables";
        let at = |port| endpoint(key, &urls.tables, &urls.tables_password, port);
        match scheme(&urls.tables) {
            ("sqlite", directory) => Ok(Self::Sqlite(base.join(directory))),
            ("cassandra", _) => Ok(Self::Cassandra(Cassandra::new(at(9042)?)?)),
            ("mysql" | "mariadb", _) => Ok(Self::Mysql(Mysql::new(at(3306)?)?)),
            _ => {
                let expected = "sqlite://directory, cassandra://host or mysql://host";
                Err(unknown(key, &urls.tables, expected))
            }
        }
    }
}

impl Indexes {
    fn open(urls: &Urls, base: &Path) -> Result<Option<Self>, SinkError> {
        let key = "stores.search";
        match scheme(&urls.search) {
            ("", "") => Ok(None),
            ("tantivy", directory) => Ok(Some(Self::Tantivy(base.join(directory)))),
            ("http" | "https", _) => {
                let server = endpoint(key, &urls.search, &urls.search_password, 9200)?;
                Ok(Some(Self::OpenSearch(OpenSearch::new(server)?)))
            }
            _ => Err(unknown(key, &urls.search, "tantivy://directory or https://host:port")),
        }
    }
}

fn lake(urls: &Urls, base: &Path) -> Result<Arc<dyn Store>, SinkError> {
    let key = "stores.lake";
    match scheme(&urls.lake) {
        ("file", directory) => Ok(Arc::new(DirStore::new(base.join(directory)))),
        ("s3", _) => {
            let bucket = endpoint(key, &urls.lake, &Secret::default(), 443)?;
            Ok(Arc::new(S3Store::new(bucket)?))
        }
        _ => Err(unknown(key, &urls.lake, "file://directory or s3://bucket/prefix")),
    }
}

/// Scheme and the rest, neither of them empty; or twice nothing.
fn scheme(url: &str) -> (&str, &str) {
    match url.split_once("://") {
        Some((scheme, rest)) if !rest.is_empty() => (scheme, rest),
        _ if url.is_empty() => ("", ""),
        _ => ("?", ""),
    }
}

fn endpoint(key: &str, url: &str, password: &Secret, port: u16) -> Result<Endpoint, SinkError> {
    Endpoint::parse(key, url, password.clone(), port).map_err(url::refused)
}

fn file(directory: &Path, database: &str) -> Database {
    Database::new(directory.join(format!("{database}.db")))
}

fn unknown(key: &str, url: &str, expected: &str) -> SinkError {
    SinkError::refused(
        format!("read {key}"),
        format!("{url:?} is not {expected}"),
        format!("correct {key}"),
    )
}
