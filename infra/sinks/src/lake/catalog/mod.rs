//! What readers of the directories go by (Athena, Trino, Hive): tables and Hive partitions, told to a catalog when a range
//! is committed.
//!
//! The ledger stays the truth: `query` and `verify` never ask a catalog. A range's partitions are registered after its
//! end is written and before its commit is answered, so before the group's offset goes on. Who opens a partition registers
//! those of the last committed range first: that worker may have died in between. So no range is planned before the one
//! before it can be found.
//!
//! # Layout
//! - [`Catalog`]: what a catalog must do. [`CatalogTable`], [`CatalogPartition`]: what it is told.
//! - `types`: Arrow's types in Hive's words.
//! - `registrar`: what one worker has told already.

mod registrar;
mod types;

use std::fmt::Debug;

use async_trait::async_trait;
use millstream_config::Finding;
use millstream_engine::SinkError;

use super::format::Format;
use super::hive;
#[cfg(test)]
use super::keys;
use super::scan::committed_files;
use super::store::Store;
use super::table::TableRecord;

pub(super) use self::registrar::Registrar;
pub use self::types::{hive_partition_type, hive_type};

/// Tables and partitions for readers of directories. Everything may be told again and then changes nothing. A fault that
/// may pass is `Unavailable`; one that stays, a permission for example, is `Refused` and says what to do.
#[async_trait]
pub trait Catalog: Send + Sync + Debug {
    /// Sees to it that the table is there with these columns. A catalog that makes no tables refuses what differs.
    async fn table(&self, table: &CatalogTable) -> Result<(), SinkError>;

    /// Makes partitions of the table known.
    async fn partitions(
        &self,
        table: &CatalogTable,
        partitions: &[CatalogPartition],
    ) -> Result<(), SinkError>;

    /// Where it is, for people to read: no secrets.
    fn place(&self) -> String;

    /// Whether it can be used, and what to do where not.
    async fn examine(&self) -> Vec<Finding> {
        vec![]
    }
}

/// A table as a catalog has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogTable {
    /// As the lake calls it.
    pub name: String,
    /// The pipeline that writes it.
    pub owner: String,
    /// Its directory, with a slash at the end.
    pub location: String,
    pub format: Format,
    /// Name and Hive type of the columns in the files.
    pub columns: Vec<(String, String)>,
    /// … and of those in the paths.
    pub partitions: Vec<(String, String)>,
}

impl CatalogTable {
    /// The table in the store at `place`. Refused where a catalog couldn't have it: names that differ by case only, types
    /// that Hive's readers don't know.
    pub fn of(record: &TableRecord, place: &str) -> Result<Self, SinkError> {
        let refuse = |why: String, remedy: &str| {
            let doing = format!("describe table {} of the lake to its catalog", record.table);
            SinkError::refused(doing, why, remedy)
        };
        let (mut columns, mut partitions) = (vec![], vec![]);
        for field in record.in_files().fields() {
            let (name, kind) = (field.name().to_lowercase(), field.data_type());
            let told = hive_type(kind).ok_or_else(|| {
                let why = format!("column {name} is {kind}, which Hive has no type for");
                refuse(why, "cast it in the pipeline's SQL, to BIGINT, TIMESTAMP or VARCHAR say")
            })?;
            columns.push((name, told));
        }
        for name in &record.partition_by {
            let field = record.schema.field_with_name(name);
            let kind = field.map_err(|error| refuse(error.to_string(), "report this as a bug"))?;
            let told = hive_partition_type(kind.data_type()).ok_or_else(|| {
                let why = format!("it is partitioned by {name}, {}", kind.data_type());
                refuse(why, "partition by a text, a whole number or a date")
            })?;
            partitions.push((name.to_lowercase(), told.to_owned()));
        }
        let mut names: Vec<_> = columns.iter().chain(&partitions).map(|(name, _)| name).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            let why = format!("two columns are called {}, but for the case", twice[0]);
            return Err(refuse(why, "name one of them otherwise: Hive knows lower case only"));
        }
        Ok(Self {
            name: record.table.clone(),
            owner: record.owner.clone(),
            location: format!("{}/{}/", place.trim_end_matches('/'), record.table),
            format: record.format,
            columns,
            partitions,
        })
    }
}

/// A Hive partition of a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CatalogPartition {
    /// One per partition column, in their order.
    pub values: Vec<String>,
    /// Its directory, with a slash at the end.
    pub location: String,
}

impl CatalogPartition {
    /// The one in this directory of the table (`date=2026-11-21/`).
    pub fn of(table: &CatalogTable, directory: &str) -> Self {
        let values = hive::values(directory).into_iter().map(|(_, value)| match value.as_str() {
            "" => hive::EMPTY.to_owned(),
            _ => value,
        });
        Self { values: values.collect(), location: format!("{}{directory}", table.location) }
    }
}

/// Tells a catalog of all that is committed in a table; the number of its partitions.
pub async fn register(
    store: &dyn Store,
    catalog: &dyn Catalog,
    record: &TableRecord,
) -> Result<usize, SinkError> {
    let table = CatalogTable::of(record, &store.place())?;
    catalog.table(&table).await?;
    let files = committed_files(store, &record.table).await?;
    let there = directories(&record.table, files.iter().map(|file| file.path.as_str()));
    let partitions: Vec<_> =
        there.iter().map(|directory| CatalogPartition::of(&table, directory)).collect();
    if !partitions.is_empty() {
        catalog.partitions(&table, &partitions).await?;
    }
    Ok(partitions.len())
}

/// The directories below the table's own that hold these files, each once; none for a table without partitions.
pub(super) fn directories<'a>(table: &str, files: impl Iterator<Item = &'a str>) -> Vec<String> {
    let below = |path: &'a str| {
        let path = path.strip_prefix(table)?.strip_prefix('/')?;
        path.rsplit_once('/').map(|(directory, _)| format!("{directory}/"))
    };
    let mut directories: Vec<_> = files.filter_map(below).collect();
    directories.sort_unstable();
    directories.dedup();
    directories
}

/// Whether readers of the table's directory would come across the ledger: no name of a table allows it.
#[cfg(test)]
fn holds_the_ledger(table: &CatalogTable, place: &str) -> bool {
    let ledger = format!("{place}/{}/", keys::LEDGERS);
    ledger.starts_with(&table.location) || table.location.starts_with(&ledger)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

    use super::*;

    fn record(fields: Vec<Field>, partition_by: &[&str]) -> TableRecord {
        TableRecord {
            table: "readings".into(),
            owner: "health.patients".into(),
            format: Format::Parquet,
            partition_by: partition_by.iter().map(|name| (*name).to_owned()).collect(),
            schema: Arc::new(Schema::new(fields)),
        }
    }

    fn text(name: &str) -> Field {
        Field::new(name, DataType::Utf8, false)
    }

    #[test]
    fn a_table_is_told_with_its_partitions_apart() {
        let time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
        let fields = vec![text("id"), text("date"), Field::new("At", time, true)];
        let table = CatalogTable::of(&record(fields, &["date"]), "s3://bucket/lake").unwrap();
        let pairs = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>()
        };
        assert_eq!(table.location, "s3://bucket/lake/readings/");
        assert_eq!(table.columns, pairs(&[("id", "string"), ("at", "timestamp")]));
        assert_eq!(table.partitions, pairs(&[("date", "string")]));
        let partition = CatalogPartition::of(&table, "date=2026-11-21/");
        assert_eq!(partition.values, ["2026-11-21"]);
        assert_eq!(partition.location, "s3://bucket/lake/readings/date=2026-11-21/");
        assert_eq!(CatalogPartition::of(&table, "date=a%2Fb/").values, ["a/b"]);
        let empty = "date=__HIVE_DEFAULT_PARTITION__/";
        assert_eq!(CatalogPartition::of(&table, empty).values, ["__HIVE_DEFAULT_PARTITION__"]);
    }

    #[test]
    fn what_hive_cannot_have_is_refused_with_what_to_do() {
        let told = |fields, by: &[&str]| {
            CatalogTable::of(&record(fields, by), "s3://bucket").unwrap_err().to_string()
        };
        let twice = told(vec![text("id"), text("ID")], &[]);
        assert!(twice.contains("called id, but for the case") && twice.contains("otherwise"));
        let unsigned = told(vec![Field::new("n", DataType::UInt64, true)], &[]);
        assert!(unsigned.contains("n is UInt64") && unsigned.contains("cast it"), "{unsigned}");
        let flag = vec![text("id"), Field::new("flag", DataType::Boolean, false)];
        let flag = told(flag, &["flag"]);
        assert!(flag.contains("partitioned by flag, Boolean"), "{flag}");
    }

    #[test]
    fn directories_are_told_once_and_in_order() {
        let files = ["t/d=2/x.parquet", "t/d=1/y.parquet", "t/d=2/z.parquet"];
        assert_eq!(directories("t", files.into_iter()), ["d=1/", "d=2/"]);
        assert_eq!(directories("t", ["t/a=1/b=x%2F/f.csv"].into_iter()), ["a=1/b=x%2F/"]);
        assert!(directories("t", ["t/x.csv"].into_iter()).is_empty(), "no partitions");
    }

    #[test]
    fn readers_of_a_table_never_come_across_the_ledger() {
        for (table, place) in
            [("a", "s3://b"), ("millstream", "s3://b/_millstream"), ("a.b", "s3://b/p")]
        {
            keys::check_name("table", table).unwrap();
            let record = TableRecord { table: table.into(), ..record(vec![text("id")], &[]) };
            let told = CatalogTable::of(&record, place).unwrap();
            assert!(!holds_the_ledger(&told, place), "{told:?}");
        }
        for table in ["_millstream", "_millstream/x", "", "."] {
            assert!(keys::check_name("table", table).is_err(), "{table:?} would hold it");
        }
    }
}
