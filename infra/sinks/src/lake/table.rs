use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use millstream_engine::SinkError;
use serde::{Deserialize, Serialize};

use super::format::Format;
use super::store::{Put, Store, Stored};
use super::{hive, keys, plan};

/// What the lake knows about a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRecord {
    pub table: String,
    /// The pipeline (`app.pipeline`) that writes it.
    pub owner: String,
    pub format: Format,
    /// Columns that stand in the files' paths, not in the files.
    pub partition_by: Vec<String>,
    /// All columns, also those only newer or only older rows have; the partition columns at their places.
    pub schema: SchemaRef,
}

impl TableRecord {
    /// The columns that are in the files.
    pub fn in_files(&self) -> SchemaRef {
        let inside = |field: &&FieldRef| !self.partition_by.contains(field.name());
        Arc::new(Schema::new(
            self.schema.fields().iter().filter(inside).cloned().collect::<Vec<_>>(),
        ))
    }
}

/// A table's record as it is stored, when it is first connected to.
#[derive(Debug, Serialize, Deserialize)]
struct First {
    owner: String,
    format: Format,
    partition_by: Vec<String>,
    columns: Vec<Column>,
}

/// The columns of later code.
#[derive(Debug, Serialize, Deserialize)]
struct Addition {
    columns: Vec<Column>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Column {
    name: String,
    /// As Arrow prints it.
    r#type: String,
    nullable: bool,
}

/// Which table a pipeline writes: its positions count the rows of that one.
#[derive(Debug, Serialize, Deserialize)]
struct Binding {
    table: String,
}

/// Registers `wanted` as its owner's, with columns added where its code has new ones. Gives the record as
/// it is then. Refused where the table is another pipeline's, or the pipeline another table's.
pub(super) async fn register(
    store: &dyn Store,
    wanted: &TableRecord,
) -> Result<TableRecord, SinkError> {
    check(wanted)?;
    let binding = keys::binding(&wanted.owner);
    bound(wanted, plan::read(store, &binding).await?)?;
    let first = First {
        owner: wanted.owner.clone(),
        format: wanted.format,
        partition_by: wanted.partition_by.clone(),
        columns: to_columns(&wanted.schema),
    };
    store.put(&keys::table(&wanted.table), plan::to_bytes(&first)?, Put::IfAbsent).await?;
    let record = extend(store, wanted).await?;
    let ours = plan::to_bytes(&Binding { table: wanted.table.clone() })?;
    if store.put(&binding, ours, Put::IfAbsent).await? == Stored::Exists {
        bound(wanted, plan::read(store, &binding).await?)?;
    }
    Ok(record)
}

/// The record of a table with all its columns, `None` if it was never connected to.
pub(super) async fn read(store: &dyn Store, table: &str) -> Result<Option<TableRecord>, SinkError> {
    Ok(read_versions(store, table).await?.map(|(record, _)| record))
}

/// All tables, by name.
pub async fn tables(store: &dyn Store) -> Result<Vec<TableRecord>, SinkError> {
    let prefix = keys::tables();
    let mut tables = vec![];
    for listed in store.list(&prefix, None, usize::MAX).await? {
        let name = listed.path.strip_prefix(&prefix).and_then(|name| name.strip_suffix(".json"));
        if let Some(name) = name {
            tables.extend(read(store, name).await?);
        }
    }
    Ok(tables)
}

/// With the number of additions.
async fn read_versions(
    store: &dyn Store,
    table: &str,
) -> Result<Option<(TableRecord, usize)>, SinkError> {
    let path = keys::table(table);
    let Some(first) = plan::read::<First>(store, &path).await? else { return Ok(None) };
    let mut schema = to_schema(&first.columns, &path)?;
    let additions = store.list(&keys::additions(table), None, usize::MAX).await?;
    for listed in &additions {
        let addition: Addition = plan::read_known(store, &listed.path).await?;
        let added = to_schema(&addition.columns, &listed.path)?;
        schema = merge(&schema, &added).map_err(|why| plan::damaged(&listed.path, &why))?;
    }
    let First { owner, format, partition_by, .. } = first;
    let record = TableRecord { table: table.to_owned(), owner, format, partition_by, schema };
    Ok(Some((record, additions.len())))
}

/// Adds columns until the table has all that `wanted` has.
async fn extend(store: &dyn Store, wanted: &TableRecord) -> Result<TableRecord, SinkError> {
    let doing =
        || format!("connect pipeline {} to table {} of the lake", wanted.owner, wanted.table);
    loop {
        let Some((record, additions)) = read_versions(store, &wanted.table).await? else {
            return Err(SinkError::unavailable(doing(), "its record has vanished"));
        };
        agree(wanted, &record)?;
        let merged = merge(&record.schema, &wanted.schema).map_err(|why| {
            SinkError::refused(
                doing(),
                why,
                "name the column differently or write to another table",
            )
        })?;
        if merged == record.schema {
            return Ok(record);
        }
        let addition = plan::to_bytes(&Addition { columns: to_columns(&wanted.schema) })?;
        // Whoever wins, the record is read again.
        store.put(&keys::addition(&wanted.table, additions + 1), addition, Put::IfAbsent).await?;
    }
}

/// Refuses what can't be a table, before anything is written.
fn check(wanted: &TableRecord) -> Result<(), SinkError> {
    keys::check_name("table", &wanted.table)?;
    keys::check_name("pipeline", &wanted.owner)?;
    let refuse = |why: String, remedy: &str| {
        Err(SinkError::refused(format!("use table {} of the lake", wanted.table), why, remedy))
    };
    for name in &wanted.partition_by {
        let Ok(field) = wanted.schema.field_with_name(name) else {
            return refuse(
                format!("it is partitioned by {name}, which is no column"),
                "correct the pipeline",
            );
        };
        if !hive::can_partition(field.data_type()) {
            let why = format!("it is partitioned by {name}, which is {}", field.data_type());
            return refuse(why, "partition by a text, whole number, boolean, date or time");
        }
    }
    let in_files = wanted.in_files();
    if in_files.fields().is_empty() {
        return refuse("all its columns are partitions".into(), "leave one column for the files");
    }
    // The record names types as Arrow prints them: a type that can't be read back can't be kept.
    let readable =
        |kind: &DataType| kind.to_string().parse().is_ok_and(|read: DataType| read == *kind);
    let fine = |kind: &DataType| wanted.format.can_hold(kind) && readable(kind);
    match in_files.fields().iter().find(|field| !fine(field.data_type())) {
        Some(field) => {
            let why = format!(
                "{} can't hold column {}: {}",
                wanted.format,
                field.name(),
                field.data_type()
            );
            refuse(why, "make a text of it, or write Parquet")
        }
        None => Ok(()),
    }
}

fn agree(wanted: &TableRecord, there: &TableRecord) -> Result<(), SinkError> {
    let doing = format!("connect pipeline {} to table {} of the lake", wanted.owner, wanted.table);
    if wanted.owner != there.owner {
        return Err(SinkError::refused(
            doing,
            format!("it belongs to pipeline {}", there.owner),
            "write to another table, or give the pipeline its old name back",
        ));
    }
    if (wanted.format, &wanted.partition_by) != (there.format, &there.partition_by) {
        let (format, by) = (there.format, there.partition_by.join(", "));
        return Err(SinkError::refused(
            doing,
            format!("its files are {format}, partitioned by [{by}], and stay so"),
            "write to another table under another pipeline name",
        ));
    }
    Ok(())
}

fn bound(wanted: &TableRecord, binding: Option<Binding>) -> Result<(), SinkError> {
    match binding {
        Some(Binding { table }) if table != wanted.table => Err(SinkError::refused(
            format!("connect pipeline {} to table {} of the lake", wanted.owner, wanted.table),
            format!("its position counts the rows of table {table}"),
            "give the pipeline another name too: it then starts from the beginning",
        )),
        _ => Ok(()),
    }
}

/// Columns of both, the known ones first. A column that one side lacks, or has nulls in, is nullable.
fn merge(known: &SchemaRef, new: &SchemaRef) -> Result<SchemaRef, String> {
    let mut fields = vec![];
    for field in known.fields() {
        let other = new.field_with_name(field.name()).ok();
        if let Some(other) = other.filter(|other| other.data_type() != field.data_type()) {
            let (name, is, was) = (field.name(), other.data_type(), field.data_type());
            return Err(format!("column {name} is {is} now and {was} in the table"));
        }
        let nullable = field.is_nullable() || other.is_none_or(Field::is_nullable);
        fields.push(Field::new(field.name(), field.data_type().clone(), nullable));
    }
    let added = new.fields().iter().filter(|field| known.field_with_name(field.name()).is_err());
    fields.extend(added.map(|field| Field::new(field.name(), field.data_type().clone(), true)));
    Ok(Arc::new(Schema::new(fields)))
}

fn to_columns(schema: &SchemaRef) -> Vec<Column> {
    let column = |field: &FieldRef| Column {
        name: field.name().clone(),
        r#type: field.data_type().to_string(),
        nullable: field.is_nullable(),
    };
    schema.fields().iter().map(column).collect()
}

fn to_schema(columns: &[Column], path: &str) -> Result<SchemaRef, SinkError> {
    let fields = columns.iter().map(|Column { name, r#type, nullable }| {
        let kind = r#type.parse().map_err(|error| {
            plan::damaged(path, &format!("column {name} has the unknown type {}: {error}", r#type))
        })?;
        Ok(Field::new(name, kind, *nullable))
    });
    Ok(Arc::new(Schema::new(fields.collect::<Result<Vec<_>, SinkError>>()?)))
}
