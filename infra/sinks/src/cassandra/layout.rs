//! What may be a table in Cassandra.

use arrow::datatypes::SchemaRef;
use millstream_engine::SinkError;

use super::values::Storage;
use crate::sql::layout::{Kept, Layout};

/// Begins the names of our own tables.
const OURS: &str = "millstream_";
/// Names of keyspaces and tables are names of directories, too.
const MOST_LETTERS: usize = 48;

/// Refused: what the SQL tables refuse, and names that Cassandra doesn't take.
pub(super) fn layout(
    keyspace: &str,
    table: &str,
    kept: &Kept,
    schema: &SchemaRef,
) -> Result<Layout, SinkError> {
    let layout = Layout::new(table, kept, schema)?;
    let refuse = |why: String| {
        let doing = format!("make table {table} in keyspace {keyspace}");
        Err(SinkError::refused(doing, why, "correct the pipeline's keyspace, table or SQL"))
    };
    for (what, name) in [("keyspace", keyspace), ("table", table)] {
        if !is_name(name) {
            let rule = format!("has 1 to {MOST_LETTERS} of A-Z, a-z, 0-9 and _");
            return refuse(format!("a {what}'s name {rule}, and {name:?} isn't like that"));
        }
    }
    if keyspace.starts_with("system") {
        return refuse(format!("keyspace {keyspace:?} would be one of Cassandra's own"));
    }
    if table.to_ascii_lowercase().starts_with(OURS) {
        return refuse(format!("names that begin with {OURS:?} are reserved"));
    }
    let homeless =
        layout.schema.fields().iter().find(|field| Storage::of(field.data_type()).is_none());
    match homeless {
        None => Ok(layout),
        Some(field) => {
            let (name, kind) = (field.name(), field.data_type());
            refuse(format!("column {name:?} has a type no CQL column can hold, {kind}"))
        }
    }
}

fn is_name(name: &str) -> bool {
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=MOST_LETTERS).contains(&name.len()) && name.chars().all(letters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field, Schema};
    use std::sync::Arc;

    fn made(keyspace: &str, table: &str, kind: DataType) -> Result<Layout, SinkError> {
        let fields = vec![Field::new("id", DataType::Utf8, true), Field::new("x", kind, true)];
        let kept = Kept::Upsert { key: vec!["id".to_owned()] };
        layout(keyspace, table, &kept, &Arc::new(Schema::new(fields)))
    }

    #[test]
    fn impossible_tables_are_refused_with_the_reason() {
        let long = "a".repeat(49);
        for (keyspace, table, reason) in [
            ("k", "a-b", "\"a-b\" isn't like that"),
            ("k", long.as_str(), "1 to 48"),
            ("größe", "t", "\"größe\""),
            ("system_auth", "t", "Cassandra's own"),
            ("k", "Millstream_owner", "reserved"),
            ("k", "_millstream_x", "reserved"),
        ] {
            let error = made(keyspace, table, DataType::Int64).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}\nlacks {reason:?}");
        }
        assert!(made("k", "t", DataType::UInt64).is_err());
        assert!(made("K_1", "Words", DataType::Int64).is_ok());
    }
}
