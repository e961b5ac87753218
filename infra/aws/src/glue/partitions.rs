use aws_sdk_glue::types::{
    BatchUpdatePartitionRequestEntry, Column, ErrorDetail, Partition as Registered, PartitionInput,
};

use super::spec::TableSpec;
use super::{Doing, Glue};
use crate::AwsError;

/// Glue takes no more at once.
const BATCH: usize = 100;

/// A directory of a table's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// As they stand in the directories' names, in their order.
    pub values: Vec<String>,
    /// `s3://bucket/prefix/table/date=2026-11-21/`.
    pub location: String,
}

impl Glue {
    /// Makes these partitions known; how many of them were not yet. One that is known stays as it is, so that several
    /// workers may register the same ones, and each again after a crash. The table has to be there.
    pub async fn register(
        &self,
        spec: &TableSpec,
        partitions: &[Partition],
    ) -> Result<u64, AwsError> {
        if partitions.is_empty() {
            return Ok(0);
        }
        let spec = spec.normal();
        let doing = self.doing("register partitions of", &spec.name, "glue:BatchCreatePartition");
        if let Some(wrong) = partitions.iter().find(|one| one.values.len() != spec.partitions.len())
        {
            let (has, wants) = (wrong.values.len(), spec.partitions.len());
            let why = format!("{} has {has} values of {wants}", wrong.location);
            return Err(AwsError::refused(
                &doing.told,
                why,
                "report this as a fault of Millstream",
            ));
        }
        // Columns that came from others belong to the partition, too.
        let columns = match self.table(&spec.name).await? {
            Some(table) => table.storage_descriptor.and_then(|at| at.columns).unwrap_or_default(),
            None => return Err(AwsError::unavailable(&doing.told, "the table is gone")),
        };
        let mut new = 0;
        for batch in partitions.chunks(BATCH) {
            new += self.register_batch(&spec, &columns, batch, &doing).await?;
        }
        Ok(new)
    }

    async fn register_batch(
        &self,
        spec: &TableSpec,
        columns: &[Column],
        batch: &[Partition],
        doing: &Doing<'_>,
    ) -> Result<u64, AwsError> {
        let input = |one: &Partition| {
            let storage = spec.storage(columns.to_vec(), &one.location);
            let values = Some(one.values.clone());
            PartitionInput::builder().set_values(values).storage_descriptor(storage).build()
        };
        let client = self.client().await?;
        let asked = client
            .batch_create_partition()
            .database_name(self.database())
            .table_name(&spec.name)
            .set_partition_input_list(Some(batch.iter().map(input).collect()));
        let answer = match asked.send().await {
            Ok(answer) => answer,
            Err(error) => return Err(doing.fault(error).await),
        };
        for error in answer.errors() {
            let known = error.error_detail().and_then(ErrorDetail::error_code);
            if known != Some("AlreadyExistsException") {
                return Err(refused(doing, error.partition_values(), error.error_detail()));
            }
        }
        Ok(batch.len().saturating_sub(answer.errors().len()) as u64)
    }

    /// Tells the partitions of the table's columns: Athena goes by their own.
    pub(super) async fn widen_partitions(
        &self,
        table: &str,
        columns: &[Column],
    ) -> Result<(), AwsError> {
        let doing =
            self.doing("add columns to the partitions of", table, "glue:BatchUpdatePartition");
        let client = self.client().await?;
        let mut next = None;
        loop {
            let asked = client.get_partitions().database_name(self.database()).table_name(table);
            let answer = match asked.set_next_token(next).send().await {
                Ok(answer) => answer,
                Err(error) => return Err(doing.fault(error).await),
            };
            let narrow: Vec<_> =
                answer.partitions().iter().filter(|one| lacks(one, columns)).collect();
            for batch in narrow.chunks(BATCH) {
                self.widen_batch(table, columns, batch, &doing).await?;
            }
            next = answer.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(());
            }
        }
    }

    async fn widen_batch(
        &self,
        table: &str,
        columns: &[Column],
        batch: &[&Registered],
        doing: &Doing<'_>,
    ) -> Result<(), AwsError> {
        let entry = |one: &&Registered| {
            let mut storage = one.storage_descriptor.clone();
            if let Some(storage) = &mut storage {
                storage.columns = Some(columns.to_vec());
            }
            let input = PartitionInput::builder()
                .set_values(one.values.clone())
                .set_storage_descriptor(storage)
                .set_parameters(one.parameters.clone())
                .build();
            BatchUpdatePartitionRequestEntry::builder()
                .set_partition_value_list(Some(one.values().to_vec()))
                .partition_input(input)
                .build()
        };
        let entries = batch.iter().map(entry).collect::<Result<_, _>>();
        let entries = entries.map_err(|error| doing.built(error))?;
        let client = self.client().await?;
        let asked = client
            .batch_update_partition()
            .database_name(self.database())
            .table_name(table)
            .set_entries(Some(entries));
        let answer = match asked.send().await {
            Ok(answer) => answer,
            Err(error) => return Err(doing.fault(error).await),
        };
        match answer.errors().first() {
            Some(error) => Err(refused(doing, error.partition_value_list(), error.error_detail())),
            None => Ok(()),
        }
    }
}

fn lacks(partition: &Registered, columns: &[Column]) -> bool {
    let Some(storage) = partition.storage_descriptor() else { return false };
    let has = |wanted: &Column| storage.columns().iter().any(|one| one.name() == wanted.name());
    !columns.iter().all(has)
}

fn refused(doing: &Doing<'_>, values: &[String], detail: Option<&ErrorDetail>) -> AwsError {
    let (code, message) = detail.map_or(("", ""), |detail| {
        (detail.error_code().unwrap_or_default(), detail.error_message().unwrap_or_default())
    });
    let why = format!("partition {}: {code}: {message}", values.join("/"));
    match code {
        "InternalServiceException" | "OperationTimeoutException" | "ThrottlingException" => {
            AwsError::unavailable(&doing.told, why)
        }
        "ResourceNumberLimitExceededException" => {
            let remedy =
                "ask AWS for a higher quota of partitions, or partition by a coarser column";
            AwsError::refused(&doing.told, why, remedy)
        }
        _ => AwsError::refused(&doing.told, why, "see the table's definition in the catalog"),
    }
}
