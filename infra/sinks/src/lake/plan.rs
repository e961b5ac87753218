use bytes::Bytes;
use millstream_engine::SinkError;
use millstream_engine::ledger::Entry;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::store::Store;

/// What a try is going to do. It holds all that is needed to finish it without reading its records again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    pub table: String,
    /// 0 is the first try of a range; each abandoned one is followed by the next.
    #[serde(rename = "try")]
    pub attempt: u32,
    /// The try with which the range before this one was committed: makes the ledger a chain that can be
    /// followed without reading every end.
    pub after: u32,
    pub entry: Entry,
    pub files: Vec<PlannedFile>,
}

/// One file of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PlannedFile {
    pub path: String,
    pub rows: u64,
    pub bytes: u64,
    pub crc32: u32,
}

impl Plan {
    /// Whether both would write the same, byte by byte. The time of closing is the worker's own and decides nothing.
    pub fn same_as(&self, other: &Self) -> bool {
        let mut mine = self.entry.clone();
        mine.closed_ms = other.entry.closed_ms;
        mine == other.entry
            && self.table == other.table
            && self.attempt == other.attempt
            && self.after == other.after
            && self.files == other.files
    }

    /// Whether both cover the same offsets.
    pub fn same_range(&self, other: &Self) -> bool {
        (self.entry.start, self.entry.end) == (other.entry.start, other.entry.end)
    }
}

/// How a try ended. Both contend for one key: the first one stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "end")]
pub(super) enum End {
    Committed,
    Abandoned,
}

/// The committed plans since the checkpoint before it, in order: a thousand ranges in one read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    pub plans: Vec<Plan>,
}

/// As it is stored: JSON, so that people can read it too.
pub(super) fn to_bytes(value: &impl Serialize) -> Result<Bytes, SinkError> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| {
        SinkError::refused("write a ledger object", error.to_string(), "report this as a bug")
    })
}

/// Reads a JSON object, `None` if there is none.
pub(super) async fn read<T: DeserializeOwned>(
    store: &dyn Store,
    path: &str,
) -> Result<Option<T>, SinkError> {
    let Some(bytes) = store.get(path).await? else { return Ok(None) };
    let value =
        serde_json::from_slice(&bytes).map_err(|error| damaged(path, &error.to_string()))?;
    Ok(Some(value))
}

/// Reads a JSON object that others say must be there.
pub(super) async fn read_known<T: DeserializeOwned>(
    store: &dyn Store,
    path: &str,
) -> Result<T, SinkError> {
    read(store, path)
        .await?
        .ok_or_else(|| damaged(path, "it is missing, and later objects build on it"))
}

pub(super) fn damaged(path: &str, why: &str) -> SinkError {
    SinkError::refused(
        format!("read {path} of the lake"),
        why,
        "restore it from a backup, or give the pipeline and its table new names to start over",
    )
}
