//! Lookup tables ([`millstream_engine::lookup`]), read from SQLite files and MySQL or MariaDB servers: one SELECT of
//! the declared columns, so that the rows are of one moment. Nothing is written but by [`LookupTable::fill`].
//!
//! # Layout
//! - [`LookupTable`]: a table named by URL.
//! - `sqlite`, `mysql`: reading and filling each. `texts`: values to Arrow, within limits, and back.
//! - [`rows_of_csv`]: the rows of a file that a table is filled from.

mod mysql;
mod sqlite;
mod texts;

use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use millstream_config::{Endpoint, Secret};
use millstream_engine::{Limits, LookupError, LookupSource};

use self::mysql::Mysql;
use self::sqlite::Sqlite;
pub use self::texts::rows_of_csv;

/// A table named by `sqlite://file` or `mysql://user@host:port/database`, not yet connected to.
#[derive(Clone, Debug)]
pub struct LookupTable {
    table: String,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    Sqlite(Sqlite),
    Mysql(Box<Mysql>),
}

impl LookupTable {
    /// `key`: the setting that the URL is from, for messages. A relative file is meant from `base`. No I/O.
    pub fn new(
        key: &str,
        url: &str,
        password: Secret,
        table: &str,
        base: &Path,
    ) -> Result<Self, LookupError> {
        let refused =
            |why: String, remedy: String| LookupError::refused(format!("read {key}"), why, remedy);
        if table.is_empty() {
            let remedy = format!("name the table beside {key}");
            return Err(refused("no table is named".to_owned(), remedy));
        }
        let place = match url.split_once("://") {
            Some(("sqlite", file)) if !file.is_empty() => {
                Place::Sqlite(Sqlite { path: base.join(file), shown: url.to_owned() })
            }
            Some(("mysql", _)) => {
                let endpoint = Endpoint::parse(key, url, password, mysql::PORT);
                let mysql = endpoint.and_then(Mysql::new);
                Place::Mysql(Box::new(mysql.map_err(|error| refused(error.why, error.remedy))?))
            }
            _ => {
                let why =
                    format!("{url:?} is neither sqlite://file nor mysql://user@host/database");
                return Err(refused(why, format!("correct {key}")));
            }
        };
        Ok(Self { table: table.to_owned(), place })
    }

    /// Makes the table of `rows`, which `key` identifies, if it isn't there. All at once: who reads it sees no table, or
    /// all rows. Tells whether it did.
    pub async fn fill(&self, key: &str, rows: &RecordBatch) -> Result<bool, LookupError> {
        match &self.place {
            Place::Sqlite(place) => place.fill(&self.table, key, rows).await,
            Place::Mysql(place) => place.fill(&self.table, key, rows).await,
        }
    }
}

#[async_trait]
impl LookupSource for LookupTable {
    fn place(&self) -> String {
        let table = &self.table;
        match &self.place {
            Place::Sqlite(place) => format!("{table} in {}", place.shown),
            Place::Mysql(place) => format!("{table} in {}", place.endpoint),
        }
    }

    async fn read(
        &self,
        columns: &SchemaRef,
        limits: Limits,
    ) -> Result<Vec<RecordBatch>, LookupError> {
        let doing = format!("read {}", self.place());
        let rows = match &self.place {
            Place::Sqlite(place) => place.read(doing, &self.table, columns, limits).await?,
            Place::Mysql(place) => place.read(doing, &self.table, columns, limits).await?,
        };
        Ok(vec![rows])
    }
}

/// A name in backticks, which SQLite, MySQL and MariaDB take for a name alone: in double quotes SQLite takes one that
/// no column has for a text.
fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn select(table: &str, columns: &SchemaRef) -> String {
    let names: Vec<_> = columns.fields().iter().map(|field| quoted(field.name())).collect();
    format!("SELECT {} FROM {}", names.join(", "), quoted(table))
}

/// `CREATE TABLE` with these columns, whose types `kind` names.
fn create(
    table: &str,
    key: &str,
    columns: &SchemaRef,
    kind: impl Fn(&arrow::datatypes::Field) -> &'static str,
) -> String {
    let columns =
        columns.fields().iter().map(|field| format!("{} {}", quoted(field.name()), kind(field)));
    let columns: Vec<_> = columns.collect();
    let table = quoted(table);
    format!("CREATE TABLE {table} ({}, PRIMARY KEY ({}))", columns.join(", "), quoted(key))
}

fn insert(table: &str, columns: &SchemaRef) -> String {
    let names: Vec<_> = columns.fields().iter().map(|field| quoted(field.name())).collect();
    let places = vec!["?"; names.len()].join(", ");
    format!("INSERT INTO {} ({}) VALUES ({places})", quoted(table), names.join(", "))
}

#[cfg(test)]
mod tests;
