//! The lake's tables in AWS Glue, so that Athena finds them.

use std::sync::Arc;

use anyhow::{Result, bail};
use async_trait::async_trait;
use millstream_aws::glue::{self, Change, TableSpec};
use millstream_aws::{AwsError, Glue};
use millstream_config::{Finding, Secret};
use millstream_engine::SinkError;
use millstream_sinks::Urls;
use millstream_sinks::lake::{Catalog, CatalogPartition, CatalogTable, Format};

/// What `stores.catalog` names; none where it is empty.
pub(crate) fn open(urls: &Urls) -> Result<Option<Arc<dyn Catalog>>> {
    if urls.catalog.is_empty() {
        return Ok(None);
    }
    let catalog =
        millstream_aws::Catalog::parse("stores.catalog", &urls.catalog, Secret::default())?;
    if !urls.lake.starts_with("s3://") {
        bail!(
            "read stores.catalog: the lake is {}, and Glue's readers find files on S3 only; set stores.lake to \
             s3://bucket[/prefix], or leave stores.catalog empty",
            urls.lake
        );
    }
    Ok(Some(Arc::new(GlueCatalog { glue: catalog.glue(), place: catalog.place() })))
}

/// A Glue database as the lake's catalog.
#[derive(Debug)]
struct GlueCatalog {
    glue: Glue,
    place: String,
}

#[async_trait]
impl Catalog for GlueCatalog {
    async fn table(&self, table: &CatalogTable) -> Result<(), SinkError> {
        let change = self.glue.settle_table(&spec(table)).await.map_err(told)?;
        match change {
            Change::Nothing => {}
            Change::Created => tracing::info!("created table {} in {}", table.name, self.place),
            Change::Widened(columns) => {
                let columns = columns.join(", ");
                tracing::info!("added {columns} to table {} in {}", table.name, self.place);
            }
        }
        Ok(())
    }

    async fn partitions(
        &self,
        table: &CatalogTable,
        partitions: &[CatalogPartition],
    ) -> Result<(), SinkError> {
        let partition = |one: &CatalogPartition| glue::Partition {
            values: one.values.clone(),
            location: one.location.clone(),
        };
        let partitions: Vec<_> = partitions.iter().map(partition).collect();
        self.glue.register(&spec(table), &partitions).await.map(|_| ()).map_err(told)
    }

    fn place(&self) -> String {
        self.place.clone()
    }

    async fn examine(&self) -> Vec<Finding> {
        let what = "stores.catalog";
        vec![match self.glue.tables().await {
            Ok(tables) if tables.is_empty() => {
                Finding::good(what, format!("{}: no table yet", self.place))
            }
            Ok(tables) => Finding::good(what, format!("{}: {}", self.place, tables.join(", "))),
            // It says itself what to do.
            Err(error) => Finding { remedy: None, ..Finding::bad(what, error.to_string(), "") },
        }]
    }
}

fn spec(table: &CatalogTable) -> TableSpec {
    TableSpec {
        name: table.name.clone(),
        location: table.location.clone(),
        format: match table.format {
            Format::Parquet => glue::Format::Parquet,
            Format::Csv => glue::Format::Csv,
        },
        columns: table.columns.clone(),
        partitions: table.partitions.clone(),
    }
}

/// The rows are in the lake already: only their readers by the catalog wait.
fn told(error: AwsError) -> SinkError {
    match error {
        AwsError::Refused { doing, why, remedy } => SinkError::refused(doing, why, remedy),
        AwsError::Unavailable { doing, why } => SinkError::unavailable(doing, why),
        AwsError::Stopped { doing } => SinkError::unavailable(doing, "stopped"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(lake: &str, catalog: &str) -> Result<Option<Arc<dyn Catalog>>> {
        let (lake, catalog) = (lake.to_owned(), catalog.to_owned());
        open(&Urls { lake, catalog, ..Urls::embedded() })
    }

    #[test]
    fn a_catalog_is_opened_without_asking_it_and_wants_a_lake_on_s3() {
        assert!(opened("file://lake", "").unwrap().is_none());
        let catalog = opened("s3://bucket", "glue://millstream?region=eu-west-1&create=on");
        assert_eq!(catalog.unwrap().unwrap().place(), "glue://millstream");
        let told = |lake, catalog| format!("{:#}", opened(lake, catalog).unwrap_err());
        let on_disk = told("file://lake", "glue://millstream");
        assert!(on_disk.contains("on S3 only") && on_disk.contains("stores.lake"), "{on_disk}");
        let other = told("s3://bucket", "hive://millstream");
        assert!(other.contains("stores.catalog") && other.contains("glue://"), "{other}");
    }
}
