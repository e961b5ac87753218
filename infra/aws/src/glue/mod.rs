//! Glue's catalog: what tables there are over the files of a lake, and which partitions they have.
//!
//! # Layout
//! - [`Glue`]: the client. [`TableSpec`], [`Partition`]: what is to be there, in Glue's own words.
//! - `tables`: made, and widened by columns that came later; whatever else differs is refused.
//! - `settled`: a table as those need it who write its files. `views`: types for CSV, whose readers know texts only.
//! - `partitions`: registered, as often as one likes.
//! - `crawlers`: started, waited for, and their failures explained.

mod crawlers;
mod partitions;
mod settled;
mod spec;
mod tables;
#[cfg(test)]
mod tests;
mod views;

use std::fmt;

use aws_sdk_glue::Client;
use aws_sdk_glue::types::DatabaseInput;

use crate::faults::{Doing, code};
use crate::{AwsError, Catalog};

pub use crawlers::{Crawl, Crawled, Ended};
pub use partitions::Partition;
pub use spec::{Change, Format, TableSpec};

/// A Glue database. Clones share connections.
#[derive(Clone)]
pub struct Glue(pub(crate) Catalog);

impl Glue {
    pub(crate) fn new(catalog: Catalog) -> Self {
        Self(catalog)
    }

    /// Its name.
    pub fn database(&self) -> &str {
        &self.0.database
    }

    /// Its tables, in the order of their names.
    pub async fn tables(&self) -> Result<Vec<String>, AwsError> {
        let doing = self.doing("list the tables of", "", "glue:GetTables");
        let client = self.client().await?;
        let (mut names, mut next) = (Vec::new(), None);
        loop {
            let asked = client.get_tables().database_name(self.database()).set_next_token(next);
            let answer = match asked.send().await {
                Ok(answer) => answer,
                Err(error) => return Err(doing.fault(error).await),
            };
            names.extend(answer.table_list().iter().map(|table| table.name().to_owned()));
            next = answer.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                names.sort();
                return Ok(names);
            }
        }
    }

    /// Whether the database is there; with `create=on` it is made.
    pub async fn ensure_database(&self) -> Result<(), AwsError> {
        let doing = self.doing("find", "", "glue:GetDatabase");
        let client = self.client().await?;
        match client.get_database().name(self.database()).send().await {
            Ok(_) => return Ok(()),
            Err(error) if self.0.create && code(&error) == "EntityNotFoundException" => {}
            Err(error) => return Err(doing.fault(error).await),
        }
        let creating = self.doing("create", "", "glue:CreateDatabase");
        let input = DatabaseInput::builder()
            .name(self.database())
            .description("Tables of Millstream's lake")
            .build()
            .map_err(|error| creating.built(error))?;
        match client.create_database().database_input(input).send().await {
            Ok(_) => {
                tracing::info!(database = self.database(), "created the catalog's database");
                Ok(())
            }
            // By another worker meanwhile, or by a reply that was lost.
            Err(error) if code(&error) == "AlreadyExistsException" => Ok(()),
            Err(error) => Err(creating.fault(error).await),
        }
    }

    async fn client(&self) -> Result<Client, AwsError> {
        Ok(Client::new(&self.0.account.config().await?))
    }

    /// `table`: empty for the database itself.
    fn doing(&self, verb: &str, table: &str, action: &'static str) -> Doing<'_> {
        let database = self.database();
        let told = match table {
            "" => format!("{verb} database {database} of the catalog"),
            table => format!("{verb} table {database}.{table} of the catalog"),
        };
        let setting = self.0.account.setting();
        let missing = format!(
            "create it by Terraform or by `aws glue create-database --database-input Name={database}`, name another one in {setting}, or, for a demo, add create=on to it"
        );
        let resource = self.0.resource(table);
        Doing { told, action, resource, missing, account: &self.0.account }
    }
}

impl fmt::Debug for Glue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Glue({})", self.0.place())
    }
}
