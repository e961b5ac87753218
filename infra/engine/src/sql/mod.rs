//! Row-wise SQL: planned once by DataFusion, then evaluated expression by expression over each batch, so
//! that it is known of every row which record it came from. What isn't row-wise is refused at planning:
//! a replay cuts batches differently and must make the same rows.
//!
//! # Layout
//! - [`RowSql`]: from the text to steps (`planner`). `step`: what they do. `refusals`: what is not row-wise.
//! - `provenance`: which columns a lookup feeds. `certain`: what may be made of them. `join`: a LEFT JOIN as a step.

mod certain;
mod join;
mod planner;
mod provenance;
mod refusals;
mod step;

use std::fmt;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use datafusion::catalog::MemTable;
use datafusion::common::TableReference;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::prelude::{SessionConfig, SessionContext};

use self::planner::Planner;
use self::provenance::Fed;
use self::refusals::refuse_unless_row_wise;
use self::step::Step;
use crate::decode::Decoded;
use crate::lookup::{Lookup, Snapshot};
use crate::transform::{PlanError, Transform};

/// A planned row-wise SELECT.
pub struct RowSql {
    text: String,
    schema: SchemaRef,
    /// In the data's order.
    steps: Vec<Step>,
    /// Those that it joins.
    lookups: Vec<Arc<Lookup>>,
    /// Columns of `schema` that these feed.
    looked_up: Vec<String>,
}

impl fmt::Debug for RowSql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowSql({})", self.text)
    }
}

const REMEDY: &str = "give one SELECT of columns and expressions FROM the topic, with an optional WHERE; \
                      let the sink aggregate, and the queries sort";

impl RowSql {
    /// Plans `text` over rows of `schema` in a table called `table`. No I/O.
    pub fn plan(table: &str, schema: &SchemaRef, text: &str) -> Result<Self, PlanError> {
        Self::plan_with(table, schema, &[], text)
    }

    /// As [`RowSql::plan`]; the text may `LEFT JOIN` these tables on their keys. Each that it joins adds a column
    /// with the version of its snapshot to the rows, the last ones of `schema`.
    pub fn plan_with(
        table: &str,
        schema: &SchemaRef,
        lookups: &[Arc<Lookup>],
        text: &str,
    ) -> Result<Self, PlanError> {
        let refused = |why: String, remedy: &str| PlanError {
            sql: text.split_whitespace().collect::<Vec<_>>().join(" "),
            why,
            remedy: remedy.to_owned(),
        };
        let mistake = |error: DataFusionError| {
            refused(
                error.strip_backtrace(),
                &format!("correct it; {}", listed(table, schema, lookups)),
            )
        };
        let state = session(table, schema, lookups)
            .map_err(|why| refused(why, "correct the pipeline's lookups"))?;
        let plan = futures::executor::block_on(state.create_logical_plan(text)).map_err(mistake)?;
        refuse_unless_row_wise(&plan, lookups).map_err(|why| refused(why, REMEDY))?;
        // As it will be computed, with the casts that the planner puts in.
        let settled = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| ());
        let plan = settled.map_err(mistake)?;
        let fed = Fed::by(&plan, table, lookups).map_err(|why| refused(why, provenance::REMEDY))?;
        let plan = state.optimize(&plan).map_err(mistake)?;
        let mut steps = Vec::new();
        let planner = Planner { state: &state, lookups: &fed.lookups };
        planner.collect(&plan, &mut steps).map_err(|why| refused(why, REMEDY))?;
        let schema = with_versions(&settled_schema(&steps, schema), &fed.lookups);
        let Fed { lookups, mut columns } = fed;
        columns.extend(lookups.iter().map(|lookup| lookup.version_column()));
        Ok(Self { text: text.to_owned(), schema, steps, lookups, looked_up: columns })
    }
}

impl Transform for RowSql {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn id(&self) -> String {
        let declared = self.lookups.iter().map(|lookup| format!("\n{}", lookup.id()));
        format!("sql {}{}", self.text, declared.collect::<String>())
    }

    fn apply(&self, rows: &RecordBatch) -> Result<Decoded, String> {
        // One snapshot for all of the rows, so that their version tells the truth.
        let seen: Vec<_> = self.lookups.iter().map(|lookup| lookup.snapshot()).collect();
        let mut made = Decoded::one_to_one(rows.clone());
        for step in &self.steps {
            made = step.apply(made, &seen).map_err(|error| error.strip_backtrace())?;
        }
        let batch = settle(&self.schema, &made.batch, &seen).map_err(|error| error.to_string())?;
        Ok(Decoded { batch, origin: made.origin })
    }

    fn lookups(&self) -> &[Arc<Lookup>] {
        &self.lookups
    }

    fn looked_up(&self) -> &[String] {
        &self.looked_up
    }
}

fn listed(table: &str, schema: &SchemaRef, lookups: &[Arc<Lookup>]) -> String {
    let lookups = lookups.iter().map(|lookup| (lookup.name(), lookup.columns()));
    let tables = std::iter::once((table, schema)).chain(lookups).map(|(table, schema)| {
        let columns: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        format!("table {table:?} has the columns {}", columns.join(", "))
    });
    tables.collect::<Vec<_>>().join("; ")
}

fn session(
    table: &str,
    schema: &SchemaRef,
    lookups: &[Arc<Lookup>],
) -> Result<SessionState, String> {
    // One row at a time has no use for parallel plans, and the planner's time zone must not depend on the machine.
    let config = SessionConfig::new().with_target_partitions(1);
    let context = SessionContext::new_with_config(config);
    let register = |name: &str, schema: &SchemaRef| {
        let rows = MemTable::try_new(schema.clone(), vec![vec![]])?;
        // Quoted, because topics may have capitals and dashes in their names.
        context.register_table(TableReference::bare(name), Arc::new(rows))
    };
    let mistake = |error: DataFusionError| error.strip_backtrace();
    register(table, schema).map_err(mistake)?;
    for (number, lookup) in lookups.iter().enumerate() {
        lookup.check()?;
        let name = lookup.name();
        if name == table || lookups[..number].iter().any(|before| before.name() == name) {
            return Err(format!("two tables are called {name:?}"));
        }
        register(name, lookup.columns()).map_err(mistake)?;
    }
    Ok(context.state())
}

fn settled_schema(steps: &[Step], input: &SchemaRef) -> SchemaRef {
    // The planner's metadata is no part of a row, and which of Arrow's layouts a text has depends on the
    // expression that made it: a table's column mustn't.
    let plain = |schema: &Schema| {
        let fields = schema.fields().iter().map(|field| {
            let kind = plain_type(field.data_type());
            Field::new(field.name(), kind, field.is_nullable())
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    };
    steps.iter().fold(plain(input), |schema, step| match step {
        Step::Filter(_) => schema,
        Step::Columns(places) => {
            let fields: Vec<_> = places.iter().map(|place| schema.field(*place).clone()).collect();
            Arc::new(Schema::new(fields))
        }
        Step::Project { schema, .. }
        | Step::Unnest { schema, .. }
        | Step::LookUp { schema, .. } => plain(schema),
    })
}

fn plain_type(kind: &DataType) -> DataType {
    match kind {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Dictionary(_, value) => plain_type(value),
        other => other.clone(),
    }
}

fn with_versions(schema: &SchemaRef, lookups: &[Arc<Lookup>]) -> SchemaRef {
    let versions = lookups
        .iter()
        .map(|lookup| Field::new(lookup.version_column(), Lookup::version_type(), true).into());
    let fields = schema.fields().iter().cloned().chain(versions);
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The rows in the declared schema's layout, with the versions of what was looked up.
fn settle(
    schema: &SchemaRef,
    batch: &RecordBatch,
    seen: &[Option<Arc<Snapshot>>],
) -> Result<RecordBatch, ArrowError> {
    let rows = batch.num_rows();
    let versions = seen.iter().map(|seen| {
        let version = seen.as_ref().map(|snapshot| snapshot.as_of_us());
        Arc::new(TimestampMicrosecondArray::from(vec![version; rows]).with_timezone("UTC")) as _
    });
    let columns = batch.columns().iter().cloned().chain(versions).zip(schema.fields());
    let columns = columns.map(|(column, field)| cast(&column, field.data_type()));
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns.collect::<Result<_, _>>()?, &options)
}

#[cfg(test)]
mod joined;
#[cfg(test)]
mod tests;
