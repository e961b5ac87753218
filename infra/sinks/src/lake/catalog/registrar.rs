use std::collections::HashSet;
use std::sync::Arc;

use millstream_engine::SinkError;

use super::{Catalog, CatalogPartition, CatalogTable};

/// What one worker has told a table's catalog: each partition costs it one call in its life.
#[derive(Debug)]
pub(in crate::lake) struct Registrar {
    catalog: Arc<dyn Catalog>,
    table: CatalogTable,
    /// The catalog has said that the table is as it should be.
    is_there: bool,
    told: HashSet<String>,
}

impl Registrar {
    pub fn new(catalog: Arc<dyn Catalog>, table: CatalogTable) -> Self {
        Self { catalog, table, is_there: false, told: HashSet::new() }
    }

    /// Sees to it that readers find these directories of the table. Told again after a fault.
    pub async fn register(&mut self, directories: &[String]) -> Result<(), SinkError> {
        if !self.is_there {
            let looked = self.catalog.table(&self.table).await;
            looked.map_err(|error| self.waiting("the columns", error))?;
            self.is_there = true;
        }
        let new: Vec<_> = directories.iter().filter(|dir| !self.told.contains(*dir)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let partitions: Vec<_> =
            new.iter().map(|directory| CatalogPartition::of(&self.table, directory)).collect();
        let what = match partitions.as_slice() {
            [one] => format!("partition {}", one.values.join("/")),
            [first, rest @ ..] => {
                format!("partition {} and {} more", first.values.join("/"), rest.len())
            }
            [] => String::new(),
        };
        let registered = self.catalog.partitions(&self.table, &partitions).await;
        registered.map_err(|error| self.waiting(&what, error))?;
        self.told.extend(new.into_iter().cloned());
        Ok(())
    }

    /// Nothing but readers by the catalog waits: what is committed is.
    fn waiting(&self, what: &str, error: SinkError) -> SinkError {
        let CatalogTable { name, .. } = &self.table;
        let place = self.catalog.place();
        let doing = format!("register {what} of lake table {name} in {place}");
        match error {
            SinkError::Refused { doing: within, why, remedy } => {
                SinkError::refused(format!("{doing}: {within}"), why, remedy)
            }
            passing => SinkError::unavailable(doing, passing),
        }
    }
}
