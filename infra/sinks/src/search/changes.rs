//! A range's rows as one change per key. Knows no index.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use arrow::array::{Array, StringArray};
use arrow::datatypes::{DataType, SchemaRef};
use millstream_engine::{Delete, Rows, SinkError};

use super::index::Index;
use super::rows::{as_texts, can_keep};
use crate::sql::layout::plain;

/// What rows and deletions do to an index.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub batches: Vec<Texts>,
    /// One per key, in the order in which the keys came.
    pub keys: Vec<Change>,
}

/// A batch with every value as text.
#[derive(Debug)]
pub(crate) struct Texts {
    columns: Vec<(String, StringArray)>,
}

/// What happens to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub key: String,
    pub version: i64,
    /// Batch and row of the new values; `None`: it is deleted.
    pub row: Option<(usize, usize)>,
}

impl Texts {
    /// Names and values, in the order of the batch.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &StringArray)> {
        self.columns.iter().map(|(name, column)| (name.as_str(), column))
    }

    pub fn column(&self, name: &str) -> Option<&StringArray> {
        self.columns.iter().find(|(known, _)| known == name).map(|(_, column)| column)
    }
}

impl Changes {
    /// Per key, the highest version; of equal versions the first. Refused, nothing of it done: a key that is null.
    pub fn of(index: &Index, rows: &[Rows], deletes: &[Delete]) -> Result<Self, SinkError> {
        let mut changes = Self::default();
        let mut places = HashMap::new();
        for (number, rows) in rows.iter().enumerate() {
            let texts = texts(index, rows)?;
            let keys = texts.column(index.key).cloned();
            let keys = keys.ok_or_else(|| refused(index, "the rows have no key column"))?;
            for row in 0..keys.len() {
                if keys.is_null(row) {
                    let why = format!("column {:?} is null in a row", index.key);
                    return Err(refused(index, &why));
                }
                let change = Change {
                    key: keys.value(row).to_owned(),
                    version: rows.versions.value(row),
                    row: Some((number, row)),
                };
                changes.take(&mut places, change);
            }
            changes.batches.push(texts);
        }
        for delete in deletes {
            let change = Change { key: key_of(delete)?, version: delete.version, row: None };
            changes.take(&mut places, change);
        }
        Ok(changes)
    }

    fn take(&mut self, places: &mut HashMap<String, usize>, change: Change) {
        match places.entry(change.key.clone()) {
            Entry::Vacant(place) => {
                place.insert(self.keys.len());
                self.keys.push(change);
            }
            Entry::Occupied(place) => {
                let before = &mut self.keys[*place.get()];
                if change.version > before.version {
                    *before = change;
                }
            }
        }
    }
}

fn texts(index: &Index, rows: &Rows) -> Result<Texts, SinkError> {
    if rows.versions.len() != rows.batch.num_rows() {
        return Err(refused(index, "there is not one version per row"));
    }
    let schema = rows.batch.schema();
    let columns = schema.fields().iter().zip(rows.batch.columns()).map(|(field, column)| {
        let texts = as_texts(column).map_err(|error| refused(index, &error.to_string()))?;
        Ok((field.name().clone(), texts))
    });
    Ok(Texts { columns: columns.collect::<Result<_, SinkError>>()? })
}

/// Refuses what can't be an index: columns that are missing, of other types, or twice there.
pub(crate) fn check(index: &Index, schema: &SchemaRef) -> Result<(), SinkError> {
    let refuse = |why: String| {
        Err(SinkError::refused(
            format!("make index {}", index.name),
            why,
            "correct the index's fields or the pipeline's SQL",
        ))
    };
    let searched = index.fields.iter().map(|field| field.column).chain([index.key]);
    for name in searched {
        match schema.field_with_name(name) {
            Err(_) => return refuse(format!("there is no column {name:?}")),
            Ok(field) if plain(field.data_type()) != DataType::Utf8 => {
                let kind = field.data_type();
                return refuse(format!("column {name:?} is {kind}, and only text is searched"));
            }
            Ok(_) => {}
        }
    }
    for (n, field) in schema.fields().iter().enumerate() {
        if !can_keep(field.data_type()) {
            let kind = field.data_type();
            return refuse(format!(
                "column {:?} has a type no index can hold, {kind}",
                field.name()
            ));
        }
        if schema.fields()[..n].iter().any(|before| before.name() == field.name()) {
            return refuse(format!("two columns are named {:?}", field.name()));
        }
    }
    Ok(())
}

fn refused(index: &Index, why: &str) -> SinkError {
    SinkError::refused(
        format!("put rows into index {}", index.name),
        why,
        "correct the pipeline's SQL or its index",
    )
}

fn key_of(delete: &Delete) -> Result<String, SinkError> {
    std::str::from_utf8(&delete.key).map(str::to_owned).map_err(|error| {
        SinkError::refused(
            format!("delete key {:?}", String::from_utf8_lossy(&delete.key)),
            error.to_string(),
            "see what the topic is keyed by, or pass the record with `millstream position skip`",
        )
    })
}
