use std::sync::Arc;

use anyhow::Result;
use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{MemTable, Session, TableProvider};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result as PlanResult;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use millstream_sinks::lake::{self, CommittedFile, Format, Store, TableRecord};

use super::lake_files::LakeFiles;

/// The committed files of a table, as they are now.
pub async fn open(store: Arc<dyn Store>, record: &TableRecord) -> Result<Arc<dyn TableProvider>> {
    let files = lake::committed_files(store.as_ref(), &record.table).await?;
    if record.format == Format::Csv {
        return in_memory(store.as_ref(), record, &files).await;
    }
    let listed = files
        .iter()
        .filter(|file| file.rows > 0)
        .map(|file| listed(record, file))
        .collect::<Result<_>>()?;
    // Partition columns come last in what a scan gives: put them there in the schema, too.
    let inside = record.in_files();
    let partitions = record
        .partition_by
        .iter()
        .map(|name| Ok(Arc::new(record.schema.field_with_name(name)?.clone())))
        .collect::<Result<Vec<_>>>()?;
    let columns = TableSchema::builder(inside).with_table_partition_cols(partitions).build();
    Ok(Arc::new(LakeTable { columns, files: listed, store }))
}

/// CSV has no footers to prune by: read it whole.
async fn in_memory(
    store: &dyn Store,
    record: &TableRecord,
    files: &[CommittedFile],
) -> Result<Arc<dyn TableProvider>> {
    let mut rows = Vec::new();
    for file in files {
        rows.extend(lake::read_file(store, record, file).await?);
    }
    Ok(Arc::new(MemTable::try_new(record.schema.clone(), vec![rows])?))
}

fn listed(record: &TableRecord, file: &CommittedFile) -> Result<PartitionedFile> {
    let mut listed = PartitionedFile::new(file.path.clone(), file.bytes);
    // DataFusion's own way of writing paths changes some of Hive's: what is read goes by this one.
    listed.extensions.insert(file.clone());
    listed.partition_values = file
        .partition_values
        .iter()
        .map(|(name, value)| {
            let kind: &DataType = record.schema.field_with_name(name)?.data_type();
            Ok(ScalarValue::try_from_string(value.clone(), kind)?)
        })
        .collect::<Result<_>>()?;
    Ok(listed)
}

/// Parquet files known by name, with their Hive partitions' values.
#[derive(Debug)]
struct LakeTable {
    columns: TableSchema,
    files: Vec<PartitionedFile>,
    store: Arc<dyn Store>,
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        self.columns.table_schema().clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> PlanResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let mut source = ParquetSource::new(self.columns.clone())
            .with_parquet_file_reader_factory(Arc::new(LakeFiles(self.store.clone())));
        if let Some(filter) = conjunction(filters.to_vec()) {
            let schema = DFSchema::try_from(self.schema())?;
            source = source.with_predicate(state.create_physical_expr(filter, &schema)?);
        }
        let files = FileGroup::new(self.files.clone());
        // The URL of a store that is always there and never asked: files are read through `LakeFiles`.
        let config =
            FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
                .with_file_groups(files.split_files(state.config().target_partitions()))
                .with_projection_indices(projection.cloned())?
                .with_limit(limit.filter(|_| filters.is_empty()))
                .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}
