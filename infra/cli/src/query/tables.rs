use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use arrow::array::RecordBatch;
use datafusion::catalog::{MemTable, MemorySchemaProvider, TableProvider};
use datafusion::common::TableReference;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use millstream_app::Setup;
use millstream_engine::{Pipeline, chain};
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
    Lake(Arc<dyn lake::Store>, lake::TableRecord),
    Database(PathBuf),
    /// On a server; whose table it is.
    Server(Box<Pipeline>),
}

/// Registers the tables that `text` names, and only those: each as it is now. Names are looked up as they
/// are written, and then without regard to case, since SQL lowers names that aren't quoted.
pub async fn register(context: &SessionContext, setups: &[Setup], text: &str) -> Result<()> {
    let state = context.state();
    let dialect = state.config().options().sql_parser.dialect;
    let statement: Statement =
        state.sql_to_statement(text, &dialect).map_err(plain).context("read the query")?;
    let (known, unread) = known(setups).await?;
    for wanted in state.resolve_table_references(&statement).map_err(plain)? {
        if wanted.schema() == Some("information_schema") {
            continue;
        }
        let table = match (find(&known, &wanted), &unread) {
            (Err(_), Some(why)) => bail!("find table {wanted}: {why}"),
            (found, _) => found?,
        };
        let provider = open(table).await?;
        if let Some(schema) = wanted.schema() {
            add_schema(context, schema)?;
        }
        context.register_table(wanted, provider).map_err(plain)?;
    }
    Ok(())
}

/// Every table there is, and why a lake's are not among them. Apps may share a lake and databases, or have their own.
async fn known(setups: &[Setup]) -> Result<(Vec<Known>, Option<String>)> {
    let (mut known, mut seen, mut unread) = (Vec::new(), BTreeSet::new(), None);
    for setup in setups {
        let store = setup.stores.lake_store();
        if seen.insert(store.place()) {
            // Tables elsewhere can be asked meanwhile.
            let tables = lake::tables(store.as_ref()).await.unwrap_or_else(|error| {
                unread = Some(chain(&error));
                Vec::new()
            });
            for table in tables {
                let name = table.table.clone();
                let place = Place::Lake(store.clone(), table);
                known.push(Known { database: "lake".to_owned(), name, place });
            }
        }
        match setup.stores.databases() {
            Some(directory) if seen.insert(directory.display().to_string()) => {
                known.extend(in_files(directory.to_owned()).await?);
            }
            Some(_) => {}
            None => known.extend(setup.pipelines.iter().filter_map(on_server)),
        }
    }
    Ok((known, unread))
}

async fn in_files(directory: PathBuf) -> Result<Vec<Known>> {
    let databases = tokio::task::spawn_blocking(move || sql::databases(&directory)).await??;
    let of = |database: sql::DatabaseTables| {
        let (path, name) = (database.path, database.name);
        database.tables.into_iter().map(move |table| {
            let place = Place::Database(path.clone());
            Known { database: name.clone(), name: table.name, place }
        })
    };
    Ok(databases.into_iter().flat_map(of).collect())
}

/// The table of a pipeline into `cassandra://…/database` or `mysql://…/database`.
fn on_server(pipeline: &Pipeline) -> Option<Known> {
    let about = pipeline.target.about();
    let (scheme, rest) = about.place.split_once("://")?;
    let (_, database) = rest.rsplit_once('/')?;
    ["cassandra", "mysql"].contains(&scheme).then(|| Known {
        database: database.to_owned(),
        name: about.table.clone(),
        place: Place::Server(Box::new(pipeline.clone())),
    })
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

async fn open(table: &Known) -> Result<Arc<dyn TableProvider>> {
    match &table.place {
        Place::Lake(store, record) => lake_table::open(store.clone(), record).await,
        Place::Database(path) => {
            let (path, name) = (path.clone(), table.name.clone());
            let rows = tokio::task::spawn_blocking(move || sql::read_table(&path, &name)).await??;
            Ok(Arc::new(MemTable::try_new(rows.schema, vec![rows.batches])?))
        }
        Place::Server(pipeline) => {
            let mut batches = Vec::new();
            let mut take = |batch| {
                batches.push(batch);
                Ok(())
            };
            pipeline.target.scan(&pipeline.id(), &mut take).await?;
            let schema = batches.first().map_or_else(|| pipeline.schema(), RecordBatch::schema);
            Ok(Arc::new(MemTable::try_new(schema, vec![batches])?))
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
