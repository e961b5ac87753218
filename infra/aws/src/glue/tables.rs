use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_glue::types::{Column, Table, TableInput};

use super::spec::{Change, TableSpec, normal_type};
use super::{Doing, Glue};
use crate::AwsError;
use crate::faults::code;

/// Of a change that others were faster with.
const TRIES: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(50);

impl Glue {
    /// Makes the table, or adds the columns it lacks. Others may do the same at the same time. A column that is gone or
    /// has another type, another place, format or partitioning is refused: files that are there could not be read.
    pub async fn ensure_table(&self, spec: &TableSpec) -> Result<Change, AwsError> {
        let spec = spec.normal();
        let doing = self.doing("set up", &spec.name, "glue:GetTable");
        if let Some(name) = spec.doubled() {
            let why = format!("two of its columns are called {name}: Glue knows no upper case");
            return Err(AwsError::refused(&doing.told, why, "rename one of them"));
        }
        Box::pin(self.ensure_database()).await?;
        let mut tries = 0;
        loop {
            let changed = match Box::pin(self.table(&spec.name)).await? {
                None => Box::pin(self.create_table(&spec)).await?,
                Some(table) => Box::pin(self.widen(&table, &spec, &doing)).await?,
            };
            match changed {
                Some(change) => return Ok(change),
                None if tries + 1 < TRIES => tries += 1,
                None => {
                    let why = "others change it all the time";
                    return Err(AwsError::unavailable(&doing.told, why));
                }
            }
            let longest = FIRST_PAUSE.saturating_mul(1 << tries);
            tokio::time::sleep(longest.mul_f64(rand::random_range(0.2..=1.0))).await;
        }
    }

    /// The table as it is, if it is.
    pub(super) async fn table(&self, name: &str) -> Result<Option<Table>, AwsError> {
        let doing = self.doing("read", name, "glue:GetTable");
        let client = self.client().await?;
        match client.get_table().database_name(self.database()).name(name).send().await {
            Ok(answer) => Ok(answer.table),
            Err(error) if code(&error) == "EntityNotFoundException" => Ok(None),
            Err(error) => Err(doing.fault(error).await),
        }
    }

    /// `None`: somebody else made it meanwhile.
    async fn create_table(&self, spec: &TableSpec) -> Result<Option<Change>, AwsError> {
        let doing = self.doing("create", &spec.name, "glue:CreateTable");
        let parameters: HashMap<_, _> = spec
            .format
            .table_parameters()
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let storage = spec.storage(columns(&spec.columns, &doing)?, &spec.location);
        let input = TableInput::builder()
            .name(&spec.name)
            .table_type("EXTERNAL_TABLE")
            .set_parameters(Some(parameters))
            .storage_descriptor(storage)
            .set_partition_keys(Some(columns(&spec.partitions, &doing)?))
            .build()
            .map_err(|error| doing.built(error))?;
        let client = self.client().await?;
        let asked = client.create_table().database_name(self.database()).table_input(input);
        match asked.send().await {
            Ok(_) => Ok(Some(Change::Created)),
            Err(error) if code(&error) == "AlreadyExistsException" => Ok(None),
            Err(error) => Err(doing.fault(error).await),
        }
    }

    /// `None`: somebody else changed it meanwhile.
    async fn widen(
        &self,
        table: &Table,
        spec: &TableSpec,
        doing: &Doing<'_>,
    ) -> Result<Option<Change>, AwsError> {
        let added = added(table, spec)
            .map_err(|(why, remedy)| AwsError::refused(&doing.told, why, remedy))?;
        if added.is_empty() {
            return Ok(Some(Change::Nothing));
        }
        let doing = self.doing("add columns to", &spec.name, "glue:UpdateTable");
        let mut all = table.storage_descriptor().map_or_else(Vec::new, |at| at.columns().to_vec());
        all.extend(columns(&added, &doing)?);
        // First: whoever ends between the two finds the table as it was, and begins anew.
        self.widen_partitions(&spec.name, &all).await?;
        let mut storage = table.storage_descriptor().cloned();
        if let Some(storage) = &mut storage {
            storage.columns = Some(all);
        }
        // Whatever others wrote there stays.
        let input = TableInput::builder()
            .name(table.name())
            .set_description(table.description.clone())
            .set_owner(table.owner.clone())
            .retention(table.retention())
            .set_table_type(table.table_type.clone())
            .set_parameters(table.parameters.clone())
            .set_partition_keys(table.partition_keys.clone())
            .set_view_original_text(table.view_original_text.clone())
            .set_view_expanded_text(table.view_expanded_text.clone())
            .set_storage_descriptor(storage)
            .build()
            .map_err(|error| doing.built(error))?;
        let client = self.client().await?;
        let asked = client
            .update_table()
            .database_name(self.database())
            .table_input(input)
            .set_version_id(table.version_id.clone());
        match asked.send().await {
            Ok(_) => Ok(Some(Change::Widened(added.into_iter().map(|(name, _)| name).collect()))),
            Err(error) if code(&error) == "ConcurrentModificationException" => Ok(None),
            Err(error) => Err(doing.fault(error).await),
        }
    }
}

pub(super) fn columns(
    columns: &[(String, String)],
    doing: &Doing<'_>,
) -> Result<Vec<Column>, AwsError> {
    let built =
        columns.iter().map(|(name, kind)| Column::builder().name(name).r#type(kind).build());
    built.collect::<Result<_, _>>().map_err(|error| doing.built(error))
}

/// What the table lacks; or why it can't become the other one, and what to do.
pub(super) fn added(
    table: &Table,
    spec: &TableSpec,
) -> Result<Vec<(String, String)>, (String, String)> {
    let name = table.name();
    let anew = format!(
        "give it another name, or remove it from the catalog, which leaves the files (`aws glue delete-table --database-name {} --name {name}`), and try again",
        table.database_name().unwrap_or("…")
    );
    let Some(storage) = table.storage_descriptor() else {
        return Err((format!("{name} is no table of files there"), anew));
    };
    let place = storage.location().unwrap_or_default().trim_end_matches('/');
    if place != spec.location.trim_end_matches('/') {
        return Err((
            format!("its files are in {place} there, and would be in {}", spec.location),
            anew,
        ));
    }
    let library = storage.serde_info().and_then(|serde| serde.serialization_library());
    if library.is_some_and(|library| library != spec.format.shape().library) {
        let library = library.unwrap_or_default();
        return Err((
            format!("its files are read by {library} there, and would be {:?}", spec.format),
            anew,
        ));
    }
    let keys = plain(table.partition_keys());
    if keys != spec.partitions {
        let names = |keys: &[(String, String)]| {
            let keys: Vec<_> = keys.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
            keys.join(", ")
        };
        let (is, would) = (names(&keys), names(&spec.partitions));
        return Err((
            format!("it is partitioned by ({is}) there, and would be by ({would})"),
            anew,
        ));
    }
    let there = plain(storage.columns());
    for (name, kind) in &there {
        match spec.columns.iter().find(|(wanted, _)| wanted == name) {
            Some((_, wanted)) if wanted == kind => {}
            Some((_, wanted)) => {
                let why = format!("column {name} is {kind} there, and would become {wanted}");
                let remedy = format!("add a column of another name instead, or {anew}");
                return Err((why, remedy));
            }
            None => {
                let remedy = format!("keep it (null where there is nothing), or {anew}");
                return Err((format!("column {name} would be gone"), remedy));
            }
        }
    }
    let is_new = |(name, _): &&(String, String)| !there.iter().any(|(known, _)| known == name);
    Ok(spec.columns.iter().filter(is_new).cloned().collect())
}

pub(super) fn plain(columns: &[Column]) -> Vec<(String, String)> {
    let plain = |column: &Column| {
        (column.name().to_lowercase(), normal_type(column.r#type().unwrap_or_default()))
    };
    columns.iter().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use aws_sdk_glue::types::StorageDescriptor;

    use super::*;
    use crate::glue::Format;

    fn pairs(columns: &[(&str, &str)]) -> Vec<(String, String)> {
        columns.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect()
    }

    fn spec(columns: &[(&str, &str)]) -> TableSpec {
        let (name, location) = ("t".to_owned(), "s3://b/t/".to_owned());
        let partitions = pairs(&[("date", "date")]);
        TableSpec { name, location, format: Format::Parquet, columns: pairs(columns), partitions }
    }

    fn table(spec: &TableSpec) -> Table {
        let build = |columns: &[(String, String)]| -> Vec<Column> {
            let built = columns.iter().map(|(n, k)| Column::builder().name(n).r#type(k).build());
            built.collect::<Result<_, _>>().unwrap()
        };
        let storage: StorageDescriptor = spec.storage(build(&spec.columns), &spec.location);
        let keys = build(&spec.partitions);
        let table = Table::builder().name(&spec.name).database_name("lake");
        table.storage_descriptor(storage).set_partition_keys(Some(keys)).build().unwrap()
    }

    #[test]
    fn columns_may_come_and_nothing_else_may_change() {
        let before = spec(&[("id", "bigint"), ("name", "string")]);
        let there = table(&before);
        assert_eq!(added(&there, &before), Ok(vec![]));
        // Types that are written differently are the same.
        let more = spec(&[("name", "string"), ("at", "timestamp"), ("id", "bigint")]);
        assert_eq!(added(&there, &more), Ok(pairs(&[("at", "timestamp")])));
        let refused = |spec: TableSpec| added(&there, &spec).unwrap_err();
        let (why, remedy) = refused(spec(&[("id", "string"), ("name", "string")]));
        assert!(why.contains("id is bigint there, and would become string"), "{why}");
        assert!(
            remedy.contains("another name") && remedy.contains("--database-name lake --name t"),
            "{remedy}"
        );
        let (why, remedy) = refused(spec(&[("id", "bigint")]));
        assert!(why.contains("column name would be gone") && remedy.contains("keep it"), "{why}");
        let (why, _) = refused(TableSpec { location: "s3://b/u/".to_owned(), ..before.clone() });
        assert!(why.contains("s3://b/t there"), "{why}");
        let (why, _) = refused(TableSpec { format: Format::Csv, ..before.clone() });
        assert!(why.contains("Parquet"), "{why}");
        let (why, _) = refused(TableSpec { partitions: pairs(&[("date", "string")]), ..before });
        assert!(why.contains("(date date) there, and would be by (date string)"), "{why}");
    }
}
