use aws_sdk_glue::types::{SerDeInfo, StorageDescriptor, Table, TableInput};

use super::spec::{Change, Format, TableSpec, normal_type};
use super::tables::{added, columns, plain};
use super::views::View;
use super::{Doing, Glue};
use crate::AwsError;
use crate::faults::code;

impl Glue {
    /// A table as those need it who write its files: with `create=on` it is made, and widened by what it lacks; else
    /// it has to be there with all its columns. Columns it has besides are no matter, they are null.
    ///
    /// CSV's readers know texts only: its files are table `<name>_csv`, and `<name>` is a view of it with the types.
    pub async fn settle_table(&self, spec: &TableSpec) -> Result<Change, AwsError> {
        let spec = spec.normal();
        let files = spec.of_files();
        let there = self.table(&files.name).await?;
        let files = match &there {
            Some(there) => with_columns_of(files, there),
            None => files,
        };
        if spec.format == Format::Csv {
            self.check_order(&files, there.as_ref())?;
        }
        if !self.0.create {
            return self.look_at_table(&files, there.as_ref()).map(|()| Change::Nothing);
        }
        let change = self.ensure_table(&files).await?;
        if spec.format == Format::Csv {
            Box::pin(self.ensure_view(&spec)).await?;
        }
        Ok(change)
    }

    /// Readers of CSV go by the place of a column in its line, not by its name.
    fn check_order(&self, spec: &TableSpec, there: Option<&Table>) -> Result<(), AwsError> {
        let theirs = there.and_then(Table::storage_descriptor);
        let theirs = theirs.map_or_else(Vec::new, |at| plain(at.columns()));
        let ours = spec.columns.iter().map(|(name, _)| name);
        match theirs.iter().zip(ours).find(|((name, _), ours)| name != *ours) {
            None => Ok(()),
            Some(((name, _), ours)) => Err(AwsError::refused(
                self.doing("find", &spec.name, "glue:GetTable").told,
                format!("its column {name} is where the files have {ours}"),
                "bring its columns into the files' order (their first line has it): columns that came later stand last",
            )),
        }
    }

    fn look_at_table(&self, spec: &TableSpec, there: Option<&Table>) -> Result<(), AwsError> {
        let doing = self.doing("find", &spec.name, "glue:GetTable");
        let setting = self.0.account.setting();
        let refused =
            |why: String, remedy: String| Err(AwsError::refused(&doing.told, why, remedy));
        let Some(there) = there else {
            return refused(
                "it isn't there".to_owned(),
                format!(
                    "make it by Terraform (terraform/catalog.json: `millstream catalog` prints it), or add create=on to {setting}"
                ),
            );
        };
        match added(there, spec) {
            Err((why, remedy)) => refused(why, remedy),
            Ok(lacking) if lacking.is_empty() => Ok(()),
            Ok(lacking) => {
                let names: Vec<_> =
                    lacking.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
                refused(
                    format!("it lacks the columns {}", names.join(", ")),
                    format!(
                        "add create=on to {setting}: the worker adds them; or `ALTER TABLE {} ADD COLUMNS ({})` in Athena",
                        spec.name,
                        names.join(", ")
                    ),
                )
            }
        }
    }

    async fn ensure_view(&self, spec: &TableSpec) -> Result<(), AwsError> {
        let there = self.table(&spec.name).await?;
        // Columns that others gave the files are shown, too.
        let files = self.table(&spec.of_files().name).await?;
        let named = |column: &(String, String)| {
            let storage = files.as_ref().and_then(Table::storage_descriptor);
            storage.is_some_and(|at| at.columns().iter().any(|one| one.name() == column.0))
        };
        let mut shown = spec.clone();
        shown.columns.retain(named);
        let doing = self.doing("create view", &spec.name, "glue:CreateTable");
        let view = View::of(&shown, self.database()).map_err(|why| {
            AwsError::refused(
                &doing.told,
                why,
                "cast the column in the pipeline's SQL, or write Parquet",
            )
        })?;
        let text = view.text();
        if there.as_ref().is_some_and(|there| there.view_original_text() == Some(text.as_str())) {
            return Ok(());
        }
        let input = self.view_input(&shown, &text, &doing)?;
        let client = self.client().await?;
        if there.is_none() {
            let asked = client.create_table().database_name(self.database());
            match asked.table_input(input.clone()).send().await {
                Ok(_) => return Ok(()),
                Err(error) if code(&error) == "AlreadyExistsException" => {}
                Err(error) => return Err(doing.fault(error).await),
            }
        }
        let doing = self.doing("update view", &spec.name, "glue:UpdateTable");
        match client.update_table().database_name(self.database()).table_input(input).send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(doing.fault(error).await),
        }
    }

    fn view_input(
        &self,
        spec: &TableSpec,
        text: &str,
        doing: &Doing<'_>,
    ) -> Result<TableInput, AwsError> {
        let all: Vec<_> = spec.columns.iter().chain(&spec.partitions).cloned().collect();
        // Trino's and Athena's own views have one without contents.
        let serde = SerDeInfo::builder().name("-").serialization_library("-").build();
        let storage = StorageDescriptor::builder()
            .set_columns(Some(columns(&all, doing)?))
            .serde_info(serde)
            .build();
        TableInput::builder()
            .name(&spec.name)
            // By this word Trino tells views from tables; it takes the description for the comment.
            .description("Presto View")
            .table_type("VIRTUAL_VIEW")
            .parameters("presto_view", "true")
            .parameters("comment", "Presto View")
            .view_original_text(text)
            .view_expanded_text("/* Presto View */")
            .storage_descriptor(storage)
            .build()
            .map_err(|error| doing.built(error))
    }
}

impl TableSpec {
    /// The table of the files themselves.
    fn of_files(&self) -> Self {
        if self.format != Format::Csv {
            return self.clone();
        }
        let texts = self.columns.iter().map(|(name, _)| (name.clone(), "string".to_owned()));
        Self { name: format!("{}_csv", self.name), columns: texts.collect(), ..self.clone() }
    }
}

/// With the columns that the table has and the other one doesn't name.
fn with_columns_of(mut spec: TableSpec, there: &Table) -> TableSpec {
    let theirs = there.storage_descriptor().map_or_else(Vec::new, |at| plain(at.columns()));
    for (name, kind) in theirs {
        if !spec.columns.iter().any(|(known, _)| *known == name) {
            spec.columns.push((name, normal_type(&kind)));
        }
    }
    spec
}
