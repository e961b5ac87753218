use std::path::{Path, PathBuf};
use std::sync::Arc;

use millstream_engine::{SinkError, Target};
use millstream_topic::Backend;

use crate::lake::{DirStore, Format, Lake};
use crate::search::{Index, SearchReader, SearchTarget, Searcher, Seed};
use crate::sql::{Database, SqlTable};

/// The places a configuration names by URL. Opening checks the URLs only; targets connect later.
#[derive(Clone, Debug)]
pub struct Stores {
    base: PathBuf,
    tables: PathBuf,
    lake: Arc<DirStore>,
    search: Option<PathBuf>,
    topics: Option<Arc<dyn Backend>>,
}

impl Stores {
    /// `tables`: `sqlite://directory` holding one file per database; `lake`: `file://directory`.
    /// Relative directories are meant from `base`.
    pub fn open(tables: &str, lake: &str, base: &Path) -> Result<Self, SinkError> {
        let tables = directory("stores.tables", tables, "sqlite://", base)?;
        let lake = directory("stores.lake", lake, "file://", base)?;
        Ok(Self { base: base.to_owned(), tables, lake: Arc::new(DirStore::new(lake)), search: None, topics: None })
    }

    /// With search indexes in `search`: `tantivy://directory`, meant from `base` if relative.
    pub fn with_search(self, search: &str, base: &Path) -> Result<Self, SinkError> {
        let search = directory("stores.search", search, "tantivy://", base)?;
        Ok(Self { search: Some(search), ..self })
    }

    /// With the topics that the stores are filled from, for those who must know whether rows are of this very topic.
    pub fn with_topics(self, topics: Arc<dyn Backend>) -> Self {
        Self { topics: Some(topics), ..self }
    }

    /// The topics that the stores are filled from, if told.
    pub fn topics(&self) -> Option<Arc<dyn Backend>> {
        self.topics.clone()
    }

    /// What relative directories and files are meant from.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Where the databases' files are.
    pub fn tables(&self) -> &Path {
        &self.tables
    }

    /// The lake's store.
    pub fn lake_store(&self) -> Arc<DirStore> {
        self.lake.clone()
    }

    /// A table that keeps, per key, the row with the highest version.
    pub fn upsert(&self, database: &str, table: &str, key: &[&str]) -> Arc<dyn Target> {
        Arc::new(SqlTable::upsert(self.database(database), table, key))
    }

    /// A table whose `count` column grows, per key, by each row's.
    pub fn count(&self, database: &str, table: &str, key: &[&str], count: &str) -> Arc<dyn Target> {
        Arc::new(SqlTable::count(self.database(database), table, key, count))
    }

    /// Files of the lake, in one directory per value of the columns `partition_by`.
    pub fn files(&self, table: &str, format: Format, partition_by: &[&str]) -> Arc<dyn Target> {
        Arc::new(Lake::new(self.lake.clone(), table, format, partition_by))
    }

    /// A search index; a new build of it is filled from `seed` before the topic is read. Refused where no place for
    /// indexes is configured.
    pub fn search(
        &self,
        index: &Index,
        seed: Option<Arc<dyn Seed>>,
    ) -> Result<Arc<dyn Target>, SinkError> {
        Ok(Arc::new(SearchTarget::new(self.search_directory(index)?, index, seed)))
    }

    /// The reading side of a search index.
    pub fn searcher(&self, index: &Index) -> Result<Arc<dyn Searcher>, SinkError> {
        Ok(Arc::new(SearchReader::new(self.search_directory(index)?, index)))
    }

    fn search_directory(&self, index: &Index) -> Result<&Path, SinkError> {
        self.search.as_deref().ok_or_else(|| {
            SinkError::refused(
                format!("find index {}", index.name),
                "no place for search indexes is configured",
                "set stores.search to tantivy://directory",
            )
        })
    }

    fn database(&self, name: &str) -> Database {
        Database::new(self.tables.join(format!("{name}.db")))
    }
}

fn directory(key: &str, url: &str, scheme: &str, base: &Path) -> Result<PathBuf, SinkError> {
    url.strip_prefix(scheme).filter(|rest| !rest.is_empty()).map(|rest| base.join(rest)).ok_or_else(
        || {
            SinkError::refused(
                format!("read {key}"),
                format!("{url:?} is not {scheme}directory"),
                format!("correct {key}"),
            )
        },
    )
}
