//! Whose index it is, and whether a build fits what is declared.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use millstream_engine::SinkError;

use super::builds::{Build, Place};
use crate::sql::layout::plain;

/// Refuses another pipeline by name.
pub(super) fn check(place: &Place, owner: &str, pipeline: &str) -> Result<(), SinkError> {
    if owner == pipeline {
        return Ok(());
    }
    Err(SinkError::refused(
        format!("use index {} for pipeline {pipeline}", place.path().display()),
        format!("it belongs to pipeline {owner}"),
        "name a new index, which is then built from the topic",
    ))
}

/// How a build meets what is declared now.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fit {
    /// As it is, or wider.
    Fits,
    /// There are new columns, and nothing else changed: this is the schema with them.
    Grows(SchemaRef),
    /// It takes a new build.
    Differs,
}

/// Compares a build with the declaration and the pipeline's columns.
pub(super) fn fit(build: &Build, declared: &str, schema: &SchemaRef) -> Fit {
    compare((&build.declared, &build.schema), (declared, schema))
}

/// Compares a declaration and its columns, as they were, with what they are `now`.
pub(crate) fn compare(
    (declared_before, known): (&str, &SchemaRef),
    (declared, schema): (&str, &SchemaRef),
) -> Fit {
    let keeps_its_columns = known.fields().iter().all(|before| {
        schema
            .field_with_name(before.name())
            .is_ok_and(|now| plain(now.data_type()) == plain(before.data_type()))
    });
    if declared_before != declared || !keeps_its_columns {
        return Fit::Differs;
    }
    let added = schema.fields().iter().filter(|now| known.field_with_name(now.name()).is_err());
    let added: Vec<_> = added.cloned().collect();
    if added.is_empty() {
        return Fit::Fits;
    }
    let fields: Vec<_> = known.fields().iter().cloned().chain(added).collect();
    Fit::Grows(nullable(&Schema::new(fields)))
}

/// The schema with columns that may all be null: rows from before a column was added have nothing in it.
pub(crate) fn nullable(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
