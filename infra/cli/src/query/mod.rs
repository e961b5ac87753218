//! SQL over what the pipelines wrote: files of the lake's committed ranges, and tables of the databases, in files or on servers;
//! or the same text by Athena, over what the catalog names.

mod athena;
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
use crate::catalog::Aws;
pub use output::{Format, print};

pub const EXAMPLES: &str = "\
Examples:
  millstream query 'SELECT * FROM \"wordCount\" ORDER BY count DESC LIMIT 10'
  millstream query --format csv @question.sql
  millstream query --engine athena --database millstream 'SELECT count(*) FROM patient_data'
  millstream query --engine athena --workgroup analysts --format json 'SHOW TABLES'
Ctrl-C has Athena stop its query. What it scanned, and about what that costs, stands on standard error.";

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Engine {
    /// This process, reading the stores that the settings name
    Local,
    /// AWS, by its catalog's tables
    Athena,
}

#[derive(clap::Args)]
pub struct Options {
    /// Who answers
    #[arg(long, value_enum, default_value_t = Engine::Local)]
    engine: Engine,
    #[command(flatten)]
    aws: Aws,
    /// How to print the rows
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The query; `-` reads it from standard input, `@FILE` from a file
    // One that begins with a comment (`-- …`) is no option.
    #[arg(allow_hyphen_values = true)]
    sql: String,
}

pub async fn query(place: &Where, options: &Options) -> Result<()> {
    let sql = text(options)?;
    let (schema, rows) = match options.engine {
        Engine::Local => {
            place.must_exist()?;
            rows(&place.open_all()?, &sql).await?
        }
        Engine::Athena => Box::pin(athena::rows(&options.aws.open(place)?, &sql)).await?,
    };
    print(&schema, &rows, options.format)
}

fn text(options: &Options) -> Result<String> {
    Ok(match options.sql.as_str() {
        "-" => std::io::read_to_string(std::io::stdin()).context("read the query")?,
        text => match text.strip_prefix('@') {
            Some(file) => std::fs::read_to_string(Path::new(file))
                .with_context(|| format!("read the query from {file}"))?,
            None => text.to_owned(),
        },
    })
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
