use std::sync::Arc;

use anyhow::{Context, Result, bail};
use datafusion::catalog::{MemTable, MemorySchemaProvider, TableProvider};
use datafusion::common::TableReference;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use millstream_app::Setup;
use millstream_sinks::{lake, sql};

use super::lake_table;
use super::plain;

/// A table that can be asked, by database (or `lake`) and name.
struct Known {
    database: String,
    name: String,
    place: Place,
}

enum Place {
    Lake(lake::TableRecord),
    Database(std::path::PathBuf),
}

/// Registers the tables that `text` names, and only those: each as it is now. Names are looked up as they
/// are written, and then without regard to case, since SQL lowers names that aren't quoted.
pub async fn register(context: &SessionContext, setup: &Setup, text: &str) -> Result<()> {
    let state = context.state();
    let dialect = state.config().options().sql_parser.dialect;
    let statement: Statement =
        state.sql_to_statement(text, &dialect).map_err(plain).context("read the query")?;
    let known = known(setup).await?;
    for wanted in state.resolve_table_references(&statement).map_err(plain)? {
        if wanted.schema() == Some("information_schema") {
            continue;
        }
        let table = find(&known, &wanted)?;
        let provider = open(setup, table).await?;
        if let Some(schema) = wanted.schema() {
            add_schema(context, schema)?;
        }
        context.register_table(wanted, provider).map_err(plain)?;
    }
    Ok(())
}

async fn known(setup: &Setup) -> Result<Vec<Known>> {
    let mut known = Vec::new();
    for table in lake::tables(setup.stores.lake_store().as_ref()).await? {
        let name = table.table.clone();
        known.push(Known { database: "lake".to_owned(), name, place: Place::Lake(table) });
    }
    let databases = match setup.stores.databases().map(ToOwned::to_owned) {
        Some(directory) => {
            tokio::task::spawn_blocking(move || sql::databases(&directory)).await??
        }
        None => Vec::new(),
    };
    for database in databases {
        for table in database.tables {
            let place = Place::Database(database.path.clone());
            known.push(Known { database: database.name.clone(), name: table.name, place });
        }
    }
    Ok(known)
}

fn find<'a>(known: &'a [Known], wanted: &TableReference) -> Result<&'a Known> {
    let in_schema = |table: &&Known| wanted.schema().is_none_or(|name| name == table.database);
    let exact = known.iter().filter(in_schema).find(|table| table.name == wanted.table());
    let any_case = || {
        let same = |table: &&Known| table.name.eq_ignore_ascii_case(wanted.table());
        known.iter().filter(in_schema).find(same)
    };
    if let Some(table) = exact.or_else(any_case) {
        return Ok(table);
    }
    let names: Vec<_> =
        known.iter().map(|table| format!("{}.{}", table.database, table.name)).collect();
    match names.is_empty() {
        true => bail!("there is no table {wanted}: nothing was written yet; try `millstream demo`"),
        false => bail!("there is no table {wanted}; there are {}", names.join(", ")),
    }
}

async fn open(setup: &Setup, table: &Known) -> Result<Arc<dyn TableProvider>> {
    match &table.place {
        Place::Lake(record) => {
            let store = setup.stores.lake_store();
            lake_table::open(store, record).await
        }
        Place::Database(path) => {
            let (path, name) = (path.clone(), table.name.clone());
            let rows = tokio::task::spawn_blocking(move || sql::read_table(&path, &name)).await??;
            Ok(Arc::new(MemTable::try_new(rows.schema, vec![rows.batches])?))
        }
    }
}

fn add_schema(context: &SessionContext, name: &str) -> Result<()> {
    let catalog = context.catalog("datafusion").context("open the query's catalog")?;
    if catalog.schema(name).is_none() {
        catalog.register_schema(name, Arc::new(MemorySchemaProvider::new()))?;
    }
    Ok(())
}
