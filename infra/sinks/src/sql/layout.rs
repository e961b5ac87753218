//! What may be a table: its columns, its key, and how it grows.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use millstream_engine::{Keeping, SinkError};
use serde::{Deserialize, Serialize};

use super::values::Storage;

/// Orders the writes of an upserted row; microseconds.
pub(crate) const VERSION: &str = "_version";
const SYSTEM_PREFIX: &str = "_millstream";

/// How rows of one key meet; as stored in the owner's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type")]
pub(crate) enum Kept {
    Upsert { key: Vec<String> },
    Count { key: Vec<String>, count: String },
}

impl Kept {
    pub fn key(&self) -> &[String] {
        match self {
            Self::Upsert { key } | Self::Count { key, .. } => key,
        }
    }

    /// Columns in which null can't stand.
    pub fn required(&self) -> Vec<String> {
        match self {
            Self::Upsert { key } => key.clone(),
            Self::Count { key, count } => [key.as_slice(), std::slice::from_ref(count)].concat(),
        }
    }
}

impl From<Kept> for Keeping {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::Upsert { key } => Self::Upsert { key },
            Kept::Count { key, count } => Self::Count { key, count },
        }
    }
}

/// A table that was found to be possible.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layout {
    pub table: String,
    pub kept: Kept,
    /// The pipeline's columns with the types that a scan gives back. All but the required ones may be null: rows
    /// from before a column was added have nothing in it.
    pub schema: SchemaRef,
}

impl Layout {
    pub fn new(table: &str, kept: &Kept, schema: &SchemaRef) -> Result<Self, SinkError> {
        let refuse = |why: String| {
            Err(SinkError::refused(
                format!("make table {table}"),
                why,
                "correct the pipeline's table, key or SQL",
            ))
        };
        if let Some(why) = bad_name(table).or_else(|| bad_columns(schema)) {
            return refuse(why);
        }
        let names: Vec<_> = kept.required();
        if names.is_empty() {
            return refuse("it has no key".to_owned());
        }
        for name in &names {
            let Ok(field) = schema.field_with_name(name) else {
                return refuse(format!("there is no column {name:?} among {}", list(schema)));
            };
            if let Some(why) = bad_key(field) {
                return refuse(why);
            }
        }
        if let Kept::Count { key, count } = kept
            && let Some(why) = bad_counter(key, count, schema)
        {
            return refuse(why);
        }
        let field = |field: &Arc<Field>| {
            field.as_ref().clone().with_nullable(!names.contains(field.name()))
        };
        let fields: Vec<_> = schema.fields().iter().map(field).collect();
        let schema = Arc::new(Schema::new(fields));
        Ok(Self { table: table.to_owned(), kept: kept.clone(), schema })
    }

    pub fn is_key(&self, field: &Field) -> bool {
        self.kept.key().contains(field.name())
    }

    /// This layout with what `schema` adds to it, and the added columns. Refused: a column that is gone or has
    /// another type.
    pub fn grown(&self, schema: &Schema) -> Result<(Self, Vec<Arc<Field>>), SinkError> {
        let mut fields = Vec::new();
        for before in self.schema.fields() {
            let now = schema.field_with_name(before.name()).ok();
            let Some(now) = now.filter(|now| plain(now.data_type()) == plain(before.data_type()))
            else {
                return Err(self.changed(before, now));
            };
            fields.push(Arc::new(now.clone()));
        }
        let known: HashSet<_> = self.schema.fields().iter().map(|field| field.name()).collect();
        let added = schema.fields().iter().filter(|field| !known.contains(field.name()));
        let added: Vec<_> = added.cloned().collect();
        fields.extend(added.iter().cloned());
        let grown = Self::new(&self.table, &self.kept, &Arc::new(Schema::new(fields)))?;
        Ok((grown, added))
    }

    fn changed(&self, before: &Field, now: Option<&Field>) -> SinkError {
        let name = before.name();
        let why = match now {
            Some(now) => format!(
                "column {name:?} is {} and would be {}",
                before.data_type(),
                now.data_type()
            ),
            None => {
                format!("column {name:?} is there, and the pipeline's rows don't have it any more")
            }
        };
        SinkError::refused(
            format!("connect to table {}", self.table),
            why,
            "give the column its name and type back, or name a new table: it is then built from the topic",
        )
    }
}

/// The type without what only concerns the memory: rows of both go into one column.
pub(crate) fn plain(kind: &DataType) -> DataType {
    match kind {
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            DataType::Binary
        }
        DataType::Dictionary(_, value) => plain(value),
        other => other.clone(),
    }
}

fn bad_name(table: &str) -> Option<String> {
    let lower = table.to_ascii_lowercase();
    let reserved = [SYSTEM_PREFIX, "sqlite_"].into_iter().find(|prefix| lower.starts_with(prefix));
    match reserved {
        Some(prefix) => Some(format!("names that begin with {prefix:?} are reserved")),
        None if table.is_empty() || table.contains('\0') => {
            Some("it has no usable name".to_owned())
        }
        None => None,
    }
}

fn bad_columns(schema: &Schema) -> Option<String> {
    let mut seen = HashSet::new();
    for field in schema.fields() {
        let name = field.name();
        if name.eq_ignore_ascii_case(VERSION) {
            return Some(format!("the column name {VERSION:?} is reserved"));
        }
        if name.is_empty() || name.contains('\0') {
            return Some("a column has no usable name".to_owned());
        }
        if !seen.insert(name.to_ascii_lowercase()) {
            return Some(format!("SQL can't tell two columns named {name:?} apart"));
        }
        if Storage::of(field.data_type()).is_none() {
            return Some(format!(
                "column {name:?} has a type no SQL column can hold, {}",
                field.data_type()
            ));
        }
    }
    None
}

/// Fractions and nested values have more than one way to write the same thing.
fn bad_key(field: &Field) -> Option<String> {
    let kind = plain(field.data_type());
    (kind.is_floating() || kind.is_nested())
        .then(|| format!("column {:?}, a {kind}, can't tell rows apart", field.name()))
}

fn bad_counter(key: &[String], count: &str, schema: &Schema) -> Option<String> {
    let kind = schema.field_with_name(count).map(Field::data_type).ok();
    if key.is_empty() {
        return Some("it has no key".to_owned());
    }
    if kind != Some(&DataType::Int64) {
        return Some(format!("column {count:?} is no BIGINT (Int64)"));
    }
    let mut names = schema.fields().iter().map(|field| field.name());
    let needless = names.find(|name| *name != count && !key.contains(name));
    match needless {
        Some(name) => {
            Some(format!("column {name:?} is neither key nor count: which row's would it be?"))
        }
        None if key.iter().any(|name| name == count) => Some(format!("{count:?} is key and count")),
        None => None,
    }
}

fn list(schema: &Schema) -> String {
    let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
        let field = |(name, kind): &(&str, DataType)| Field::new(*name, kind.clone(), true);
        Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
    }

    fn upsert(key: &str) -> Kept {
        Kept::Upsert { key: vec![key.to_owned()] }
    }

    fn count(key: &str) -> Kept {
        Kept::Count { key: vec![key.to_owned()], count: "count".to_owned() }
    }

    #[test]
    fn impossible_tables_are_refused_with_the_reason() {
        use DataType::{Float64, Int64, UInt64, Utf8};
        let good = schema(&[("id", Utf8), ("x", Int64)]);
        for (table, kept, schema, reason) in [
            ("", upsert("id"), good.clone(), "no usable name"),
            ("_Millstream_x", upsert("id"), good.clone(), "reserved"),
            ("t", upsert("nope"), good.clone(), "among id, x"),
            ("t", Kept::Upsert { key: vec![] }, good.clone(), "no key"),
            ("t", upsert("id"), schema(&[("id", Utf8), ("ID", Utf8)]), "apart"),
            ("t", upsert("id"), schema(&[("id", Utf8), ("_Version", Utf8)]), "reserved"),
            ("t", upsert("id"), schema(&[("id", Float64)]), "can't tell rows apart"),
            ("t", upsert("id"), schema(&[("id", Utf8), ("big", UInt64)]), "no SQL column"),
            ("t", count("w"), schema(&[("w", Utf8), ("count", Utf8)]), "no BIGINT"),
            ("t", count("w"), schema(&[("w", Utf8), ("count", Int64), ("x", Utf8)]), "neither"),
            ("t", count("count"), schema(&[("count", Int64)]), "key and count"),
        ] {
            let error = Layout::new(table, &kept, &schema).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}\nlacks {reason:?}");
        }
    }

    #[test]
    fn a_table_grows_and_never_shrinks() {
        let layout = Layout::new("t", &upsert("id"), &schema(&[("id", DataType::Utf8)])).unwrap();
        let more = schema(&[("x", DataType::Int64), ("id", DataType::Utf8View)]);
        let (grown, added) = layout.grown(&more).unwrap();
        assert_eq!(list(&grown.schema), "id, x", "new columns come last");
        assert_eq!(added.len(), 1);

        let removed = grown.grown(&layout.schema).unwrap_err().to_string();
        assert!(removed.contains("\"x\"") && removed.contains("new table"), "{removed}");
        let other = schema(&[("id", DataType::Utf8), ("x", DataType::Utf8)]);
        let retyped = grown.grown(&other).unwrap_err().to_string();
        assert!(retyped.contains("Int64") && retyped.contains("Utf8"), "{retyped}");
    }
}
