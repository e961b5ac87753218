use std::fmt::Debug;

use async_trait::async_trait;
use millstream_engine::{Rows, SinkError};

/// An upserted table as those read it who fill an index from it.
#[async_trait]
pub trait Upserted: Send + Sync + Debug {
    /// Identities of the topic called `topic` that the table's positions count, by the last entry of each partition's
    /// ledger.
    async fn topic_ids(&self, topic: &str) -> Result<Vec<String>, SinkError>;

    /// How many rows there are; `None` where there is no such table, or none that a pipeline writes to.
    async fn count(&self) -> Result<Option<usize>, SinkError>;

    /// Shows every row with its version, batch by batch.
    async fn read(
        &self,
        visit: &mut (dyn FnMut(Rows) -> Result<(), SinkError> + Send),
    ) -> Result<(), SinkError>;
}
