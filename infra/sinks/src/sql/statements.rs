//! SQL text for a layout, in SQLite's dialect. Every name is quoted and keeps its case.

use arrow::datatypes::Field;

use super::layout::{Kept, Layout, VERSION};
use super::values::Storage;

/// The name as it stands in a statement.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What makes the table, and the one for deleted keys. Without row ids, rows are kept in key order in one tree:
/// half the writing, and changes in key order touch neighbours.
pub(super) fn create(layout: &Layout) -> String {
    let columns: Vec<_> =
        layout.schema.fields().iter().map(|field| declare(layout, field)).collect();
    let key = names(layout.kept.key()).join(", ");
    let table = quoted(&layout.table);
    match &layout.kept {
        Kept::Count { .. } => {
            format!(
                "CREATE TABLE {table} ({}, PRIMARY KEY ({key})) WITHOUT ROWID;",
                columns.join(", ")
            )
        }
        Kept::Upsert { .. } => {
            let version = format!("{} INTEGER NOT NULL", quoted(VERSION));
            let keys: Vec<_> =
                layout.schema.fields().iter().filter(|field| layout.is_key(field)).collect();
            let keys: Vec<_> = keys.into_iter().map(|field| declare(layout, field)).collect();
            format!(
                "CREATE TABLE {table} ({}, {version}, PRIMARY KEY ({key})) WITHOUT ROWID;
                 CREATE TABLE {} ({}, {version}, PRIMARY KEY ({key})) WITHOUT ROWID;",
                columns.join(", "),
                gone(layout),
                keys.join(", ")
            )
        }
    }
}

pub(super) fn add_column(layout: &Layout, field: &Field) -> String {
    format!("ALTER TABLE {} ADD COLUMN {};", quoted(&layout.table), declare(layout, field))
}

/// Parameters: the columns in order, then the version. What is there stays unless the version is higher, be it
/// a row or a deleted key.
pub(super) fn upsert(layout: &Layout) -> String {
    let columns: Vec<_> = layout.schema.fields().iter().map(|field| quoted(field.name())).collect();
    let (table, version) = (quoted(&layout.table), quoted(VERSION));
    let key_at = |name: &String| {
        let index = layout.schema.fields().iter().position(|field| field.name() == name);
        format!("{} = ?{}", quoted(name), index.map_or(0, |index| index + 1))
    };
    let key: Vec<_> = layout.kept.key().iter().map(key_at).collect();
    let changes: Vec<_> = layout
        .schema
        .fields()
        .iter()
        .filter(|field| !layout.is_key(field))
        .map(|field| quoted(field.name()))
        .chain([version.clone()])
        .map(|name| format!("{name} = excluded.{name}"))
        .collect();
    let last = columns.len() + 1;
    let values: Vec<_> = (1..=last).map(|index| format!("?{index}")).collect();
    format!(
        "INSERT INTO {table} ({}, {version}) SELECT {} \
         WHERE NOT EXISTS (SELECT 1 FROM {} WHERE {} AND {version} >= ?{last}) \
         ON CONFLICT ({}) DO UPDATE SET {} WHERE excluded.{version} > {table}.{version}",
        columns.join(", "),
        values.join(", "),
        gone(layout),
        key.join(" AND "),
        names(layout.kept.key()).join(", "),
        changes.join(", ")
    )
}

/// Two statements, both with the key's columns and then the version as parameters: takes the row away unless it
/// is newer, and remembers that unless the row stayed.
pub(super) fn delete(layout: &Layout) -> [String; 2] {
    let (table, gone, version) = (quoted(&layout.table), gone(layout), quoted(VERSION));
    let key = names(layout.kept.key());
    let is_key: Vec<_> = key.iter().zip(1..).map(|(name, n)| format!("{name} = ?{n}")).collect();
    let (key, is_key, last) = (key.join(", "), is_key.join(" AND "), key.len() + 1);
    let values: Vec<_> = (1..=last).map(|index| format!("?{index}")).collect();
    [
        format!("DELETE FROM {table} WHERE {is_key} AND {version} < ?{last}"),
        format!(
            "INSERT INTO {gone} ({key}, {version}) SELECT {} \
             WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE {is_key}) \
             ON CONFLICT ({key}) DO UPDATE SET {version} = excluded.{version} \
             WHERE excluded.{version} > {gone}.{version}",
            values.join(", ")
        ),
    ]
}

/// Parameters: the columns in order, the delta in the place of the count.
pub(super) fn add(layout: &Layout, count: &str) -> String {
    let columns: Vec<_> = layout.schema.fields().iter().map(|field| quoted(field.name())).collect();
    let values: Vec<_> = (1..=columns.len()).map(|index| format!("?{index}")).collect();
    let (table, count) = (quoted(&layout.table), quoted(count));
    format!(
        "INSERT INTO {table} ({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {count} = {table}.{count} + excluded.{count}",
        columns.join(", "),
        values.join(", "),
        names(layout.kept.key()).join(", ")
    )
}

/// Every row, without what is ours.
pub(super) fn select(layout: &Layout) -> String {
    let columns: Vec<_> = layout.schema.fields().iter().map(|field| quoted(field.name())).collect();
    format!("SELECT {} FROM {}", columns.join(", "), quoted(&layout.table))
}

/// Every row with its version after it, the lowest version first.
pub(super) fn select_versions(layout: &Layout) -> String {
    let columns: Vec<_> = layout.schema.fields().iter().map(|field| quoted(field.name())).collect();
    let (table, version) = (quoted(&layout.table), quoted(VERSION));
    format!("SELECT {}, {version} FROM {table} ORDER BY {version}", columns.join(", "))
}

pub(super) fn count_all(layout: &Layout) -> String {
    format!("SELECT count(*) FROM {}", quoted(&layout.table))
}

fn gone(layout: &Layout) -> String {
    quoted(&format!("_millstream_gone_{}", layout.table))
}

fn names(key: &[String]) -> Vec<String> {
    key.iter().map(|name| quoted(name)).collect()
}

fn declare(layout: &Layout, field: &Field) -> String {
    let name = quoted(field.name());
    let kind = Storage::of(field.data_type()).unwrap_or(Storage::Text).sql();
    match &layout.kept {
        // SQLite turns a sum beyond 64 bits into a fraction; this refuses it.
        Kept::Count { count, .. } if count == field.name() => {
            format!("{name} {kind} NOT NULL CHECK (typeof({name}) = 'integer')")
        }
        _ if layout.is_key(field) => format!("{name} {kind} NOT NULL"),
        _ => format!("{name} {kind}"),
    }
}
