//! Reading tables, also while others write to them.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Builder, RecordBatch};
use arrow::datatypes::{Field, SchemaRef};
use arrow::error::ArrowError;
use futures::TryStreamExt;
use millstream_engine::{Rows, SinkError};
use scylla::client::pager::TypedRowStream;
use scylla::client::session::Session;
use scylla::value::{CqlValue, Row};

use super::faults::Fault;
use super::hearsay::{self, Hearsay};
use super::opening;
use super::owner::{Owned, Owners};
use super::positions::prepared;
use super::server::Options;
use super::statements::{self, OWNER};
use super::values::Gathered;

const BATCH_ROWS: usize = 8192;
/// So many rows come in one answer: a long text in each must not make it too large.
const PAGE_ROWS: i32 = 1_000;

/// Where a table is read, and how.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub session: &'a Session,
    pub options: &'a Options,
    pub keyspace: &'a str,
}

impl Reading<'_> {
    /// The owner's record; `None` where no pipeline has connected to such a table.
    pub async fn owned(&self, table: &str) -> Result<Option<Owned>, Fault> {
        let Self { session, options, keyspace } = *self;
        let mut hearsay = Hearsay::default();
        while opening::exists(session, keyspace, OWNER).await? {
            match (Owners { session, keyspace }).read(table, options.reading()).await {
                Ok(owned) => return Ok(owned.filter(|owned| owned.made)),
                Err(fault) => hearsay.outlast(fault.early()).await?,
            }
        }
        Ok(None)
    }

    /// Shows every row, batch by batch.
    pub async fn rows(
        &self,
        owned: &Owned,
        visit: &mut (dyn FnMut(RecordBatch) -> Result<(), SinkError> + Send),
    ) -> Result<(), Fault> {
        let mut visit = |rows: Rows| visit(rows.batch);
        self.read(owned, false, &mut visit).await
    }

    /// Shows every row with its version, batch by batch.
    pub async fn versions(
        &self,
        owned: &Owned,
        visit: &mut (dyn FnMut(Rows) -> Result<(), SinkError> + Send),
    ) -> Result<(), Fault> {
        self.read(owned, true, visit).await
    }

    async fn read(
        &self,
        owned: &Owned,
        versions: bool,
        visit: &mut (dyn FnMut(Rows) -> Result<(), SinkError> + Send),
    ) -> Result<(), Fault> {
        let cql = statements::select(self.keyspace, &owned.layout, versions);
        let mut rows = self.stream(owned, &cql).await?;
        let mut gathered = Gathering::new(&owned.layout.schema)?;
        while let Some(row) = rows.try_next().await? {
            gathered.push(row)?;
            if gathered.rows == BATCH_ROWS {
                visit(gathered.finish()?)?;
            }
        }
        if gathered.rows > 0 {
            visit(gathered.finish()?)?;
        }
        Ok(())
    }

    pub async fn count(&self, owned: &Owned) -> Result<usize, Fault> {
        let cql = statements::select_to_count(self.keyspace, &owned.layout);
        let mut rows = self.stream(owned, &cql).await?;
        let mut count = 0;
        while rows.try_next().await?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    async fn stream(&self, owned: &Owned, cql: &str) -> Result<TypedRowStream<Row>, Fault> {
        let mut hearsay = Hearsay::default();
        loop {
            match self.try_stream(cql).await {
                Ok(rows) => return Ok(rows),
                Err(fault) => {
                    let Self { session, keyspace, .. } = *self;
                    let fault = hearsay::sift(session, keyspace, &owned.layout, fault).await;
                    hearsay.outlast(fault).await?;
                }
            }
        }
    }

    async fn try_stream(&self, cql: &str) -> Result<TypedRowStream<Row>, Fault> {
        let mut query = prepared(self.session, cql, true).await?;
        query.set_consistency(self.options.reading());
        query.set_page_size(PAGE_ROWS);
        let rows = self.session.execute_iter(query, ()).await?;
        rows.rows_stream::<Row>().map_err(Fault::answer)
    }
}

/// A batch in the making.
struct Gathering {
    schema: SchemaRef,
    columns: Vec<Gathered>,
    versions: Int64Builder,
    rows: usize,
}

impl Gathering {
    fn new(schema: &SchemaRef) -> Result<Self, SinkError> {
        let columns: Result<_, _> =
            schema.fields().iter().map(|field| Gathered::new(field.data_type())).collect();
        let columns = columns.map_err(|error| edited("the table", &error))?;
        Ok(Self { schema: schema.clone(), columns, versions: Int64Builder::new(), rows: 0 })
    }

    fn push(&mut self, row: Row) -> Result<(), SinkError> {
        let mut values = row.columns.into_iter();
        for (column, field) in self.columns.iter_mut().zip(self.schema.fields()) {
            let value = values.next().flatten();
            column.push(value).map_err(|error| edited(field.name(), &error))?;
        }
        match values.next() {
            Some(Some(CqlValue::BigInt(version))) => self.versions.append_value(version),
            _ => self.versions.append_value(0),
        }
        self.rows += 1;
        Ok(())
    }

    fn finish(&mut self) -> Result<Rows, SinkError> {
        self.rows = 0;
        let column = |(column, field): (&mut Gathered, &Arc<Field>)| {
            column.finish(field.data_type()).map_err(|error| edited(field.name(), &error))
        };
        let columns: Result<Vec<ArrayRef>, _> =
            self.columns.iter_mut().zip(self.schema.fields()).map(column).collect();
        let batch = RecordBatch::try_new(self.schema.clone(), columns?);
        let batch = batch.map_err(|error| edited("the table", &error))?;
        Ok(Rows { batch, versions: Arc::new(self.versions.finish()) })
    }
}

fn edited(column: &str, error: &ArrowError) -> SinkError {
    SinkError::refused(
        format!("read column {column}"),
        error.to_string(),
        "undo what was changed in the table by hand, or restore it from a backup",
    )
}
