//! An index of recalls in a directory of its own.

use std::sync::Arc;

use millstream_engine::{Sink, SinkError, Target};

use super::*;
pub(crate) use crate::search::conformance::rows::{
    Fixed, PIPELINE, RECALLS, Row, assignment, delete, put, range, rows, scan, schema,
};

pub(crate) struct World {
    pub directory: tempfile::TempDir,
    pub index: Index,
}

impl World {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), index: RECALLS }
    }

    pub fn target(&self, seed: Option<Arc<dyn Seed>>) -> SearchTarget {
        SearchTarget::new(self.directory.path(), &self.index, seed)
    }

    pub fn reader(&self) -> SearchReader {
        SearchReader::new(self.directory.path(), &self.index)
    }

    pub async fn sink(&self) -> Box<dyn Sink> {
        self.target(None).connect(PIPELINE, &schema()).await.unwrap()
    }

    /// Everything a scan shows, as `number=firm`, sorted.
    pub async fn scan(&self) -> Result<Vec<String>, SinkError> {
        scan(&self.target(None)).await
    }

    /// The names of the builds that are there.
    pub fn builds(&self) -> Vec<String> {
        let place = self.directory.path().join(self.index.name);
        let entries = std::fs::read_dir(place).unwrap().flatten();
        let directories = entries.filter(|entry| entry.path().is_dir());
        let mut names: Vec<_> =
            directories.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}
