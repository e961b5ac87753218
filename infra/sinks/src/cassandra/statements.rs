//! CQL text. Every name is quoted and keeps its case.

use std::fmt::Write as _;
use std::num::NonZeroUsize;

use arrow::datatypes::Field;

use super::values::Storage;
use crate::sql::layout::{Layout, VERSION};

pub(super) const OWNER: &str = "millstream_owner";
pub(super) const POSITION: &str = "millstream_position";
pub(super) const LEDGER: &str = "millstream_ledger";

/// The name as it stands in a statement.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(super) fn table_name(keyspace: &str, table: &str) -> String {
    format!("{}.{}", quoted(keyspace), quoted(table))
}

/// `dc`: all copies are in this datacenter; none: they are anywhere.
pub(super) fn create_keyspace(keyspace: &str, dc: Option<&str>, copies: NonZeroUsize) -> String {
    let replication = match dc {
        Some(dc) => {
            let dc = dc.replace('\'', "''");
            format!("'class': 'NetworkTopologyStrategy', '{dc}': {copies}")
        }
        None => format!("'class': 'SimpleStrategy', 'replication_factor': {copies}"),
    };
    format!(
        "CREATE KEYSPACE IF NOT EXISTS {} WITH replication = {{{replication}}}",
        quoted(keyspace)
    )
}

/// Our own tables by name, each with what makes it. `table_name` is part of every key: a pipeline that is given a new
/// table starts it at its own genesis.
pub(super) fn create_ours(keyspace: &str) -> [(&'static str, String); 3] {
    let create = |name, columns: &str| {
        (name, format!("CREATE TABLE IF NOT EXISTS {} ({columns})", table_name(keyspace, name)))
    };
    let partition = "table_name text, pipeline text, topic text, \"partition\" bigint";
    let key = "table_name, pipeline, topic, \"partition\"";
    [
        create(
            OWNER,
            "table_name text PRIMARY KEY, pipeline text, keeping text, columns text, made boolean",
        ),
        create(
            POSITION,
            &format!("{partition}, seq bigint, entry text, writer text, PRIMARY KEY (({key}))"),
        ),
        create(
            LEDGER,
            &format!(
                "{partition}, bucket bigint, seq bigint, entry text, PRIMARY KEY (({key}, bucket), seq)"
            ),
        ),
    ]
}

pub(super) fn create(keyspace: &str, layout: &Layout) -> String {
    let mut columns = String::new();
    for field in layout.schema.fields() {
        let _ = write!(columns, "{}, ", declare(field));
    }
    format!(
        "CREATE TABLE IF NOT EXISTS {} ({columns}{} bigint, PRIMARY KEY (({})))",
        table_name(keyspace, &layout.table),
        quoted(VERSION),
        names(layout.kept.key().iter()).join(", ")
    )
}

pub(super) fn add_column(keyspace: &str, layout: &Layout, field: &Field) -> String {
    format!("ALTER TABLE {} ADD {}", table_name(keyspace, &layout.table), declare(field))
}

/// Parameters: the columns in order, then the version twice.
pub(super) fn put(keyspace: &str, layout: &Layout) -> String {
    let columns = columns(layout);
    format!(
        "INSERT INTO {} ({}, {}) VALUES ({}?) USING TIMESTAMP ?",
        table_name(keyspace, &layout.table),
        columns.join(", "),
        quoted(VERSION),
        "?, ".repeat(columns.len())
    )
}

/// Parameters: the version, then the key's columns.
pub(super) fn delete(keyspace: &str, layout: &Layout) -> String {
    let key: Vec<_> =
        names(layout.kept.key().iter()).iter().map(|name| format!("{name} = ?")).collect();
    format!(
        "DELETE FROM {} USING TIMESTAMP ? WHERE {}",
        table_name(keyspace, &layout.table),
        key.join(" AND ")
    )
}

/// Every row; with its version after it if wanted.
pub(super) fn select(keyspace: &str, layout: &Layout, versions: bool) -> String {
    let mut columns = columns(layout);
    if versions {
        columns.push(quoted(VERSION));
    }
    format!("SELECT {} FROM {}", columns.join(", "), table_name(keyspace, &layout.table))
}

/// One short value per row: a `count(*)` of a large table would have to be done within one request's time.
pub(super) fn select_to_count(keyspace: &str, layout: &Layout) -> String {
    format!("SELECT {} FROM {}", quoted(VERSION), table_name(keyspace, &layout.table))
}

fn columns(layout: &Layout) -> Vec<String> {
    names(layout.schema.fields().iter().map(|field| field.name()))
}

fn names<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    names.map(|name| quoted(name)).collect()
}

fn declare(field: &Field) -> String {
    let kind = Storage::of(field.data_type()).unwrap_or(Storage::Text);
    format!("{} {}", quoted(field.name()), kind.cql())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::layout::Kept;
    use arrow::datatypes::{DataType, Schema};
    use std::sync::Arc;

    fn layout() -> Layout {
        let fields = vec![
            Field::new("day", DataType::Date32, true),
            Field::new("select \"x\"", DataType::Utf8, true),
            Field::new("n", DataType::Int64, true),
        ];
        let key = vec!["select \"x\"".to_owned(), "day".to_owned()];
        Layout::new("Words", &Kept::Upsert { key }, &Arc::new(Schema::new(fields))).unwrap()
    }

    #[test]
    fn statements_are_as_they_should_be() {
        let layout = layout();
        assert_eq!(
            create("k", &layout),
            "CREATE TABLE IF NOT EXISTS \"k\".\"Words\" (\"day\" date, \"select \"\"x\"\"\" text, \"n\" bigint, \
             \"_version\" bigint, PRIMARY KEY ((\"select \"\"x\"\"\", \"day\")))"
        );
        assert_eq!(
            put("k", &layout),
            "INSERT INTO \"k\".\"Words\" (\"day\", \"select \"\"x\"\"\", \"n\", \"_version\") \
             VALUES (?, ?, ?, ?) USING TIMESTAMP ?"
        );
        assert_eq!(
            delete("k", &layout),
            "DELETE FROM \"k\".\"Words\" USING TIMESTAMP ? WHERE \"select \"\"x\"\"\" = ? AND \"day\" = ?"
        );
        assert_eq!(
            select("k", &layout, true),
            "SELECT \"day\", \"select \"\"x\"\"\", \"n\", \"_version\" FROM \"k\".\"Words\""
        );
        let note = Field::new("note", DataType::Boolean, true);
        assert_eq!(
            add_column("k", &layout, &note),
            "ALTER TABLE \"k\".\"Words\" ADD \"note\" boolean"
        );
    }

    #[test]
    fn a_keyspace_is_replicated_as_the_url_says() {
        let copies = NonZeroUsize::new(3).unwrap();
        let simple = create_keyspace("k", None, copies);
        assert!(
            simple.ends_with("{'class': 'SimpleStrategy', 'replication_factor': 3}"),
            "{simple}"
        );
        let one = create_keyspace("k", Some("o'ne"), copies);
        assert!(one.ends_with("{'class': 'NetworkTopologyStrategy', 'o''ne': 3}"), "{one}");
    }
}
