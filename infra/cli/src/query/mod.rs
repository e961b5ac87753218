//! SQL over what the pipelines wrote: files of the lake's committed ranges, and tables of the databases, in files or on servers.

mod lake_files;
mod lake_table;
mod output;
mod tables;

use std::path::Path;

use anyhow::{Context, Result};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::prelude::{SessionConfig, SessionContext};
use millstream_app::Setup;

use crate::apps::Where;
pub use output::{Format, print};

#[derive(clap::Args)]
pub struct Options {
    /// How to print the rows
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The query; `-` reads it from standard input, `@FILE` from a file
    // One that begins with a comment (`-- …`) is no option.
    #[arg(allow_hyphen_values = true)]
    sql: String,
}

pub async fn query(place: &Where, options: &Options) -> Result<()> {
    place.must_exist()?;
    let setups = place.open_all()?;
    let sql = match options.sql.as_str() {
        "-" => std::io::read_to_string(std::io::stdin()).context("read the query")?,
        text => match text.strip_prefix('@') {
            Some(file) => std::fs::read_to_string(Path::new(file))
                .with_context(|| format!("read the query from {file}"))?,
            None => text.to_owned(),
        },
    };
    let (schema, rows) = rows(&setups, &sql).await?;
    print(&schema, &rows, options.format)
}

/// Answers a query from the stores of these apps.
pub async fn rows(setups: &[Setup], sql: &str) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let config = SessionConfig::new().with_information_schema(true);
    let context = SessionContext::new_with_config(config);
    tables::register(&context, setups, sql).await?;
    let frame = context.sql(sql).await.map_err(plain).context("plan the query")?;
    let schema = SchemaRef::new(frame.schema().as_arrow().clone());
    let rows = frame.collect().await.map_err(plain).context("answer the query")?;
    Ok((schema, rows))
}

fn plain(error: datafusion::error::DataFusionError) -> anyhow::Error {
    anyhow::anyhow!("{}", error.strip_backtrace())
}
