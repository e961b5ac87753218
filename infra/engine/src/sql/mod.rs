//! Row-wise SQL: planned once by DataFusion, then evaluated expression by expression over each batch, so
//! that it is known of every row which record it came from. What isn't row-wise is refused at planning:
//! a replay cuts batches differently and must make the same rows.
//!
//! # Layout
//! - [`RowSql`]: from the text to steps. `step`: what they do.
//! - `provenance`: which columns a lookup feeds. `certain`: what may be made of them. `join`: a LEFT JOIN as a step.

mod certain;
mod join;
mod provenance;
mod step;

use std::fmt;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use datafusion::catalog::MemTable;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, TableReference};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, Unnest, Volatility};
use datafusion::physical_plan::PhysicalExpr;
use datafusion::prelude::{SessionConfig, SessionContext};

use self::provenance::Fed;
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
        let settled = state.analyzer().execute_and_check(plan, &state.config_options(), |_, _| ());
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

fn refuse_unless_row_wise(plan: &LogicalPlan, lookups: &[Arc<Lookup>]) -> Result<(), String> {
    let mut why = None;
    let walked = plan.apply_with_subqueries(|node| {
        // Which joins may be is for their columns' provenance to tell.
        let may_join = !lookups.is_empty() && matches!(node, LogicalPlan::Join(_));
        let refused = if may_join { None } else { refused_node(node) };
        why = refused.or_else(|| refused_expression(node));
        Ok(if why.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    match (walked, why) {
        (Err(error), _) => Err(error.strip_backtrace()),
        (Ok(_), Some(why)) => Err(why),
        (Ok(_), None) => Ok(()),
    }
}

fn refused_node(node: &LogicalPlan) -> Option<String> {
    let what = match node {
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::TableScan(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Unnest(_) => return None,
        LogicalPlan::Aggregate(_) => "aggregates (GROUP BY, count, sum …)",
        LogicalPlan::Window(_) => "window functions",
        LogicalPlan::Sort(_) => "ORDER BY",
        LogicalPlan::Limit(_) => "LIMIT",
        LogicalPlan::Distinct(_) => "DISTINCT",
        LogicalPlan::Join(_) => "joins",
        LogicalPlan::Union(_) => "UNION",
        LogicalPlan::Subquery(_) => "subqueries",
        _ => "anything but a SELECT from the topic",
    };
    Some(format!("it is not row-wise: {what} can't be computed from one record alone"))
}

fn refused_expression(node: &LogicalPlan) -> Option<String> {
    let mut why = None;
    let _ = node.apply_expressions(|expression| {
        expression.apply(|part| {
            why = match part {
                Expr::ScalarFunction(call)
                    if call.func.signature().volatility != Volatility::Immutable =>
                {
                    let name = call.func.name();
                    Some(format!("it is not row-wise: {name}() gives something else at a replay"))
                }
                Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) => {
                    Some("it is not row-wise: it has a subquery".to_owned())
                }
                _ => None,
            };
            Ok(if why.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    });
    why
}

/// Makes steps of an optimised plan.
struct Planner<'a> {
    state: &'a SessionState,
    lookups: &'a [Arc<Lookup>],
}

impl Planner<'_> {
    fn collect(&self, plan: &LogicalPlan, steps: &mut Vec<Step>) -> Result<(), String> {
        match plan {
            LogicalPlan::TableScan(scan) => {
                steps.extend(scan.projection.clone().map(Step::Columns));
                for filter in &scan.filters {
                    steps.push(Step::Filter(self.physical(filter, &scan.projected_schema)?));
                }
            }
            LogicalPlan::SubqueryAlias(alias) => self.collect(&alias.input, steps)?,
            LogicalPlan::Filter(filter) => {
                self.collect(&filter.input, steps)?;
                let predicate = self.physical(&filter.predicate, filter.input.schema())?;
                steps.push(Step::Filter(predicate));
            }
            LogicalPlan::Projection(projection) => {
                self.collect(&projection.input, steps)?;
                let input = projection.input.schema();
                let columns = projection.expr.iter();
                let columns = columns.map(|expression| self.physical(expression, input));
                let columns = columns.collect::<Result<_, _>>()?;
                let schema = Arc::new(projection.schema.as_arrow().clone());
                steps.push(Step::Project { schema, columns });
            }
            LogicalPlan::Unnest(unnest) => {
                self.collect(&unnest.input, steps)?;
                steps.push(unnest_step(unnest)?);
            }
            LogicalPlan::Join(join) => {
                self.collect(&join.left, steps)?;
                steps.push(self.join_step(join)?);
            }
            LogicalPlan::EmptyRelation(_) => {
                return Err("its WHERE is never true, so it would drop every record".to_owned());
            }
            other => return Err(format!("the planner made {} of it", other.display())),
        }
        Ok(())
    }

    fn physical(
        &self,
        expression: &Expr,
        input: &DFSchema,
    ) -> Result<Arc<dyn PhysicalExpr>, String> {
        let made = self.state.create_physical_expr(expression.clone(), input);
        made.map_err(|error| error.strip_backtrace())
    }
}

fn unnest_step(unnest: &Unnest) -> Result<Step, String> {
    let [(list, how)] = unnest.list_type_columns.as_slice() else {
        return Err("it unnests something other than one list column".to_owned());
    };
    if how.depth != 1 || !unnest.struct_type_columns.is_empty() {
        return Err("it unnests more than one level".to_owned());
    }
    Ok(Step::Unnest {
        schema: Arc::new(unnest.schema.as_arrow().clone()),
        list: *list,
        columns: unnest.dependency_indices.clone(),
        keep_empty: unnest.options.preserve_nulls(),
    })
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
