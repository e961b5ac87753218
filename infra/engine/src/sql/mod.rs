//! Row-wise SQL: planned once by DataFusion, then evaluated expression by expression over each batch, so
//! that it is known of every row which record it came from. What isn't row-wise is refused at planning:
//! a replay cuts batches differently and must make the same rows.

mod step;

use std::fmt;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use datafusion::catalog::MemTable;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, TableReference};
use datafusion::error::{DataFusionError, Result as PlanResult};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, Unnest, Volatility};
use datafusion::prelude::{SessionConfig, SessionContext};

use self::step::Step;
use crate::decode::Decoded;
use crate::transform::{PlanError, Transform};

/// A planned row-wise SELECT.
pub struct RowSql {
    text: String,
    schema: SchemaRef,
    /// In the data's order.
    steps: Vec<Step>,
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
        let refused = |why: String, remedy: &str| PlanError {
            sql: text.split_whitespace().collect::<Vec<_>>().join(" "),
            why,
            remedy: remedy.to_owned(),
        };
        let mistake = |error: DataFusionError| {
            let columns: Vec<_> =
                schema.fields().iter().map(|field| field.name().as_str()).collect();
            refused(
                error.strip_backtrace(),
                &format!("correct it; table {table:?} has the columns {}", columns.join(", ")),
            )
        };
        let state = session(table, schema).map_err(mistake)?;
        let plan = futures::executor::block_on(state.create_logical_plan(text)).map_err(mistake)?;
        refuse_unless_row_wise(&plan).map_err(|why| refused(why, REMEDY))?;
        let plan = state.optimize(&plan).map_err(mistake)?;
        let mut steps = Vec::new();
        collect_steps(&state, &plan, &mut steps).map_err(|why| refused(why, REMEDY))?;
        let schema = settled_schema(&steps, schema);
        Ok(Self { text: text.to_owned(), schema, steps })
    }
}

impl Transform for RowSql {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn id(&self) -> String {
        format!("sql {}", self.text)
    }

    fn apply(&self, rows: &RecordBatch) -> Result<Decoded, String> {
        let mut made = Decoded::one_to_one(rows.clone());
        for step in &self.steps {
            made = step.apply(made).map_err(|error| error.strip_backtrace())?;
        }
        let batch = settle(&self.schema, &made.batch).map_err(|error| error.to_string())?;
        Ok(Decoded { batch, origin: made.origin })
    }
}

fn session(table: &str, schema: &SchemaRef) -> PlanResult<SessionState> {
    // One row at a time has no use for parallel plans, and the planner's time zone must not depend on the machine.
    let config = SessionConfig::new().with_target_partitions(1);
    let context = SessionContext::new_with_config(config);
    let rows = MemTable::try_new(schema.clone(), vec![vec![]])?;
    // Quoted, because topics may have capitals and dashes in their names.
    context.register_table(TableReference::bare(table), Arc::new(rows))?;
    Ok(context.state())
}

fn refuse_unless_row_wise(plan: &LogicalPlan) -> Result<(), String> {
    let mut why = None;
    let walked = plan.apply_with_subqueries(|node| {
        why = refused_node(node).or_else(|| refused_expression(node));
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

fn collect_steps(
    state: &SessionState,
    plan: &LogicalPlan,
    steps: &mut Vec<Step>,
) -> Result<(), String> {
    let physical = |expression: &Expr, input: &DFSchema| {
        state
            .create_physical_expr(expression.clone(), input)
            .map_err(|error| error.strip_backtrace())
    };
    match plan {
        LogicalPlan::TableScan(scan) => {
            steps.extend(scan.projection.clone().map(Step::Columns));
            for filter in &scan.filters {
                steps.push(Step::Filter(physical(filter, &scan.projected_schema)?));
            }
        }
        LogicalPlan::SubqueryAlias(alias) => collect_steps(state, &alias.input, steps)?,
        LogicalPlan::Filter(filter) => {
            collect_steps(state, &filter.input, steps)?;
            steps.push(Step::Filter(physical(&filter.predicate, filter.input.schema())?));
        }
        LogicalPlan::Projection(projection) => {
            collect_steps(state, &projection.input, steps)?;
            let input = projection.input.schema();
            let columns = projection
                .expr
                .iter()
                .map(|expression| physical(expression, input))
                .collect::<Result<_, _>>()?;
            let schema = Arc::new(projection.schema.as_arrow().clone());
            steps.push(Step::Project { schema, columns });
        }
        LogicalPlan::Unnest(unnest) => {
            collect_steps(state, &unnest.input, steps)?;
            steps.push(unnest_step(unnest)?);
        }
        LogicalPlan::EmptyRelation(_) => {
            return Err("its WHERE is never true, so it would drop every record".to_owned());
        }
        other => return Err(format!("the planner made {} of it", other.display())),
    }
    Ok(())
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
        Step::Project { schema, .. } | Step::Unnest { schema, .. } => plain(schema),
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

/// The rows in the declared schema's layout.
fn settle(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast(column, field.data_type()));
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns.collect::<Result<_, _>>()?, &options)
}

#[cfg(test)]
mod tests;
