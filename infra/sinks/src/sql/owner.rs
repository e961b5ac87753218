//! The owner's record of a table, and what it refuses. Knows no database.

use millstream_engine::SinkError;
use millstream_engine::ledger::{Assignment, Entry, EntryKind};

use super::layout::{Kept, Layout};

/// The owner's record of a table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Owned {
    pub pipeline: String,
    pub layout: Layout,
    /// The layout's schema as it is stored: two that are equal need not be read twice.
    pub schema_text: String,
}

pub(crate) fn check_owned(
    owned: &Owned,
    pipeline: &str,
    wanted: &Layout,
    there: bool,
) -> Result<(), SinkError> {
    let table = &wanted.table;
    check_owner(&owned.pipeline, table, pipeline)?;
    if owned.layout.table != *table {
        let why = format!("it is spelt {:?} in the database", owned.layout.table);
        return Err(refuse_table(table, pipeline, &why));
    }
    if owned.layout.kept != wanted.kept {
        let why = format!("it was made as {:?} and would be {:?}", owned.layout.kept, wanted.kept);
        return Err(refuse_table(table, pipeline, &why));
    }
    if !there {
        // Made anew, it would be empty, and the position says that it holds all that came before.
        let why = "the table was dropped, and its position is still there";
        return Err(refuse_table(table, pipeline, why));
    }
    Ok(())
}

pub(crate) fn check_owner(owner: &str, table: &str, pipeline: &str) -> Result<(), SinkError> {
    if owner == pipeline {
        return Ok(());
    }
    Err(refuse_table(table, pipeline, &format!("it belongs to pipeline {owner}")))
}

/// Counts made by two versions of the code must not be mixed unless the operator says so.
pub(crate) fn check_code(
    layout: &Layout,
    last: &Entry,
    ours: &Assignment,
) -> Result<(), SinkError> {
    if !matches!(layout.kept, Kept::Count { .. })
        || last.fingerprint == ours.fingerprint
        || last.kind == EntryKind::AcceptChange
    {
        return Ok(());
    }
    Err(SinkError::refused(
        format!("count {} on in table {}", ours.at, layout.table),
        format!(
            "its counts were made by other code ({}, ours is {})",
            last.fingerprint, ours.fingerprint
        ),
        format!(
            "name a new table, which is then counted from the topic's beginning, or accept the mixture: \
             millstream position accept-change {} {} {}",
            ours.pipeline, ours.at.topic, ours.at.partition
        ),
    ))
}

pub(crate) fn entry(table: &str, text: &str) -> Result<Entry, SinkError> {
    serde_json::from_str(text).map_err(|error| unreadable(table, &error))
}

pub(crate) fn unreadable(table: &str, why: &dyn std::fmt::Display) -> SinkError {
    SinkError::refused(
        format!("read Millstream's records of table {table}"),
        why.to_string(),
        "restore the database from a backup, or name a new table",
    )
}

pub(crate) fn refuse_table(table: &str, pipeline: &str, why: &str) -> SinkError {
    SinkError::refused(
        format!("use table {table} for pipeline {pipeline}"),
        why,
        "name a new table, which is then built from the topic, or restore the database from a backup",
    )
}
