use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use arrow::datatypes::SchemaRef;
use millstream_config::{Problem, Problems, Secret, Settings};
use millstream_engine::{Limits, Lookup, WhenStale};
use millstream_sinks::Stores;
use millstream_sinks::lookup::{LookupTable, rows_of_csv};
use serde::Deserialize;
use tracing::{info, warn};

use crate::Produce;

/// What `[<lookup>]` of an app's settings says.
#[derive(Deserialize)]
struct Section {
    url: String,
    url_password: Secret,
    table: String,
    every_s: f64,
    when_stale: Waits,
    max_age_s: f64,
    max_rows: i64,
    max_mb: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Waits {
    Wait,
    Use,
}

/// The lookup table that `[<name>]` of the settings describes, to be joined on `key`. Nothing is opened.
pub fn lookup(
    settings: &Settings,
    stores: &Stores,
    name: &str,
    key: &str,
    columns: SchemaRef,
) -> Result<Lookup> {
    let read: Section = settings.section(name)?;
    check(settings, name, &read)?;
    let table = table(&read, name, stores.base())?;
    let max_age = Duration::from_secs_f64(read.max_age_s);
    let when_stale = match read.when_stale {
        Waits::Wait => WhenStale::Wait,
        Waits::Use => WhenStale::Use { max_age },
    };
    Ok(Lookup::new(name, key, columns, Arc::new(table))
        .every(Duration::from_secs_f64(read.every_s))
        .when_stale(when_stale)
        .limits(Limits { rows: read.max_rows as usize, bytes: (read.max_mb as usize) << 20 }))
}

fn table(read: &Section, name: &str, base: &Path) -> Result<LookupTable> {
    let (key, password) = (format!("{name}.url"), read.url_password.clone());
    Ok(LookupTable::new(&key, &read.url, password, &read.table, base)?)
}

fn check(settings: &Settings, name: &str, read: &Section) -> Result<(), Problems> {
    let seconds = |value: f64| (0.1..=31_536_000.0).contains(&value);
    let problem = |key: &str, value: String, expected: &str| {
        settings.problem(&format!("{name}.{key}"), value, expected)
    };
    let problems = [
        (!seconds(read.every_s))
            .then(|| problem("every_s", read.every_s.to_string(), "seconds, from 0.1 to a year's")),
        (!seconds(read.max_age_s)).then(|| {
            problem("max_age_s", read.max_age_s.to_string(), "seconds, from 0.1 to a year's")
        }),
        (!(1..=100_000_000).contains(&read.max_rows))
            .then(|| problem("max_rows", read.max_rows.to_string(), "1 to 100000000 rows")),
        (!(1..=16_384).contains(&read.max_mb))
            .then(|| problem("max_mb", read.max_mb.to_string(), "1 to 16384 megabytes")),
    ];
    let problems: Vec<Problem> = problems.into_iter().flatten().collect();
    Problems::check(problems)
}

impl Produce {
    /// Makes the lookup table that `[<name>]` describes, if it isn't there, as its `seed` says: of the app's `own` CSV
    /// text, of a file, or not at all. A server that can't be asked is warned of, and producing goes on.
    pub async fn fill(&self, name: &str, key: &str, columns: SchemaRef, own: &str) -> Result<()> {
        let seed: String = self.settings.section(&format!("{name}.seed"))?;
        let text = match seed.as_str() {
            "" => return Ok(()),
            "built-in" => own.to_owned(),
            file => tokio::fs::read_to_string(file)
                .await
                .with_context(|| format!("read {file}; correct {name}.seed"))?,
        };
        let rows = rows_of_csv(&text, &columns).with_context(|| format!("use {name}.seed"))?;
        let table = table(&self.settings.section(name)?, name, self.stores.base())?;
        match table.fill(key, &rows).await {
            Ok(true) => info!("lookup {name}: made its table of {} rows", rows.num_rows()),
            Ok(false) => {}
            Err(error) => {
                warn!("lookup {name}: {:#}; producing goes on", anyhow::Error::from(error))
            }
        }
        Ok(())
    }
}
