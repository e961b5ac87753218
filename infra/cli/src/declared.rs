//! The lake's tables for readers that go by a catalog: as Terraform declares them, and registering what is there already.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use millstream_app::{App, Setup};
use millstream_engine::Keeping;
use millstream_sinks::lake::{self, Catalog, CatalogTable, Format, MemoryStore, Store};
use millstream_sinks::{Stores, Urls};
use recalls::snapshot;

use crate::apps::{APPS, Where};
use crate::show::{out, say};

const EXAMPLES: &str = "\
Examples:
  millstream catalog > terraform/catalog.json     after a pipeline's columns changed; then `terraform apply`
  millstream catalog --register                   after stores.catalog was set for a lake that has files already";

/// Columns come from the apps' own pipelines, by their settings: with SQL of your own in [sql] they are yours. No store is
/// opened for that. Workers register partitions by themselves; --register is for those that were committed before
/// stores.catalog was set, or whose catalog was lost.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Options {
    /// Tell the catalog that stores.catalog names of all tables in the lake and their partitions
    #[arg(long)]
    register: bool,
}

pub async fn catalog(place: &Where, options: &Options) -> Result<()> {
    if options.register {
        return register(place).await;
    }
    out(&declared(place).await?);
    Ok(())
}

/// The text of `terraform/catalog.json`.
async fn declared(place: &Where) -> Result<String> {
    let mut tables = Vec::new();
    for app in APPS {
        for table in tables_of(place, &app).await? {
            tables.push(declaration(app.name, &table));
        }
    }
    let snapshots = format!(
        "    \"recalls_snapshots\": {{\n      \"app\": \"recalls\",\n      \"format\": \"csv\",\n      \"location\": {}\n    }}",
        quoted(snapshot::PREFIX)
    );
    Ok(format!(
        "{{\n  \"tables\": {{\n{}\n  }},\n  \"discovered\": {{\n{snapshots}\n  }}\n}}\n",
        tables.join(",\n")
    ))
}

/// The tables that the app's pipelines would make in an empty lake.
async fn tables_of(place: &Where, app: &App) -> Result<Vec<CatalogTable>> {
    let settings = Setup::settings(app, place.of(app).config.as_deref())?;
    let store = Arc::new(MemoryStore::new());
    let stores = Stores::open(&Urls::embedded(), Path::new("."))?.with_lake(store.clone());
    let mut tables = Vec::new();
    for pipeline in (app.pipelines)(&settings, &stores)? {
        let about = pipeline.target.about();
        if about.keeping != Keeping::Append {
            continue;
        }
        let id = pipeline.id();
        let connected = pipeline.target.connect(&id, &pipeline.schema()).await;
        connected.with_context(|| format!("describe the table of {id}"))?;
        let known = lake::tables(&*store).await?.into_iter();
        let record = known.into_iter().find(|record| record.table == about.table);
        let record = record.with_context(|| format!("find the table of {id} in the lake"))?;
        tables.push(CatalogTable::of(&record, "")?);
    }
    Ok(tables)
}

fn declaration(app: &str, table: &CatalogTable) -> String {
    let format = match table.format {
        Format::Parquet => "parquet",
        Format::Csv => "csv",
    };
    let column = |(name, kind): &(String, String)| {
        format!("{{\"name\": {}, \"type\": {}", quoted(name), quoted(kind))
    };
    let columns = table.columns.iter().map(|told| column(told) + "}").collect();
    let partitions = table.partitions.iter().map(|told| {
        // What Terraform needs to know for partition projection.
        let is_date = told.0 == "date" || told.1 == "date";
        column(told) + if is_date { ", \"projection\": \"date\"}" } else { "}" }
    });
    let mut text = format!("    {}: {{\n      \"app\": {},\n", quoted(&table.name), quoted(app));
    let location = table.location.trim_start_matches('/');
    let _ = writeln!(
        text,
        "      \"format\": \"{format}\",\n      \"location\": {},",
        quoted(location)
    );
    let _ = writeln!(text, "      \"columns\": {},", listed(columns));
    let _ = write!(text, "      \"partitions\": {}\n    }}", listed(partitions.collect()));
    text
}

fn listed(lines: Vec<String>) -> String {
    if lines.is_empty() {
        return "[]".to_owned();
    }
    format!("[\n        {}\n      ]", lines.join(",\n        "))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Tells the catalogs of all that is committed.
async fn register(place: &Where) -> Result<()> {
    let mut seen = BTreeSet::new();
    for setup in place.open_all()? {
        let Some(catalog) = setup.stores.lake_catalog() else { continue };
        let store = setup.stores.lake_store();
        if seen.insert((store.place(), catalog.place())) {
            register_lake(&*store, &*catalog).await?;
        }
    }
    if seen.is_empty() {
        bail!(
            "no app's setting names a catalog: set stores.catalog to glue://database?region=…, as in \
             HEALTH_STORES__CATALOG=glue://millstream"
        );
    }
    Ok(())
}

async fn register_lake(store: &dyn Store, catalog: &dyn Catalog) -> Result<()> {
    for record in lake::tables(store).await? {
        let told = lake::catalog::register(store, catalog, &record).await;
        let partitions = told.with_context(|| {
            format!("register table {} of {} in {}", record.table, store.place(), catalog.place())
        })?;
        say!("{}: {partitions} partitions registered in {}", record.table, catalog.place());
    }
    Ok(())
}
