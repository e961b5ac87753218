//! Row-wise SQL: planned once by DataFusion, then evaluated expression by expression over each batch, so
//! that it is known of every row which record it came from. What isn't row-wise is refused at planning:
//! a replay cuts batches differently and must make the same rows.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{
    cast, filter, filter_record_batch, prep_null_mask_filter, take, take_record_batch,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use datafusion::catalog::MemTable;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, TableReference};
use datafusion::error::{DataFusionError, Result as PlanResult};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, Unnest, Volatility};
use datafusion::physical_plan::PhysicalExpr;
use datafusion::prelude::{SessionConfig, SessionContext};

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

enum Step {
    /// Keeps the columns at these places.
    Columns(Vec<usize>),
    Filter(Arc<dyn PhysicalExpr>),
    Project {
        schema: SchemaRef,
        columns: Vec<Arc<dyn PhysicalExpr>>,
    },
    /// One row per element of the list at `list`; `columns` says which input column each output column is.
    Unnest {
        schema: SchemaRef,
        list: usize,
        columns: Vec<usize>,
        keep_empty: bool,
    },
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

impl Step {
    fn apply(&self, rows: Decoded) -> PlanResult<Decoded> {
        let Decoded { batch, origin } = rows;
        match self {
            Self::Columns(places) => Ok(Decoded { batch: batch.project(places)?, origin }),
            Self::Filter(predicate) => keep(predicate.as_ref(), &batch, origin),
            Self::Project { schema, columns } => {
                let columns = columns
                    .iter()
                    .map(|column| column.evaluate(&batch)?.into_array(batch.num_rows()))
                    .collect::<PlanResult<_>>()?;
                Ok(Decoded { batch: build(schema, columns, origin.len())?, origin })
            }
            Self::Unnest { schema, list, columns, keep_empty } => {
                unnest_rows(&batch, &origin, schema, *list, columns, *keep_empty)
            }
        }
    }
}

fn build(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> PlanResult<RecordBatch> {
    let plain: Vec<_> =
        schema.fields().iter().map(|f| f.as_ref().clone().with_metadata([].into())).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(plain)), columns, &options)?)
}

fn keep(
    predicate: &dyn PhysicalExpr,
    batch: &RecordBatch,
    origin: Vec<u32>,
) -> PlanResult<Decoded> {
    let mask = predicate.evaluate(batch)?.into_array(batch.num_rows())?;
    let mask = match mask.as_boolean() {
        mask if mask.null_count() > 0 => prep_null_mask_filter(mask),
        mask => mask.clone(),
    };
    if mask.true_count() == batch.num_rows() {
        return Ok(Decoded { batch: batch.clone(), origin });
    }
    let origin = filter(&UInt32Array::from(origin), &mask)?;
    let origin = origin.as_primitive::<arrow::datatypes::UInt32Type>().values().to_vec();
    Ok(Decoded { batch: filter_record_batch(batch, &mask)?, origin })
}

fn unnest_rows(
    batch: &RecordBatch,
    origin: &[u32],
    schema: &SchemaRef,
    list: usize,
    columns: &[usize],
    keep_empty: bool,
) -> PlanResult<Decoded> {
    let lists = batch.column(list).as_list::<i32>();
    let mut from = Vec::new();
    let mut element = Vec::new();
    for row in 0..batch.num_rows() {
        let (first, last) = (lists.value_offsets()[row], lists.value_offsets()[row + 1]);
        if lists.is_null(row) {
            from.extend(keep_empty.then_some(row as u32));
            element.extend(keep_empty.then_some(None));
            continue;
        }
        from.extend((first..last).map(|_| row as u32));
        element.extend((first..last).map(|place| Some(place as u32)));
    }
    let rows = from.len();
    let elements = take(lists.values(), &UInt32Array::from(element), None)?;
    let repeated = take_record_batch(batch, &UInt32Array::from(from.clone()))?;
    let columns = columns
        .iter()
        .map(
            |place| if *place == list { elements.clone() } else { repeated.column(*place).clone() },
        )
        .collect();
    let origin = from.iter().map(|row| origin[*row as usize]).collect();
    Ok(Decoded { batch: build(schema, columns, rows)?, origin })
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Int64Type;

    use super::*;
    use crate::decode::{Decoder, Json};

    fn vitals() -> SchemaRef {
        let place = DataType::Struct(vec![Field::new("lat", DataType::Float64, false)].into());
        Arc::new(Schema::new(vec![
            Field::new("id", DataType::Utf8, false),
            Field::new("heart", DataType::Int64, true),
            Field::new("place", place, true),
            Field::new("tags", DataType::new_list(DataType::Utf8, true), true),
        ]))
    }

    fn rows() -> RecordBatch {
        let values: [&[u8]; 3] = [
            br#"{"id":"a","heart":130,"place":{"lat":51.5},"tags":["x","y"]}"#,
            br#"{"id":"b","heart":60,"place":null,"tags":[]}"#,
            br#"{"id":"c","heart":null,"place":{"lat":1.0},"tags":["z"]}"#,
        ];
        Json::new(vitals()).decode(&values).expect("good values").batch
    }

    fn run(sql: &str) -> Decoded {
        RowSql::plan("vitals", &vitals(), sql).expect(sql).apply(&rows()).expect(sql)
    }

    #[test]
    fn projects_computes_and_keeps_origin() {
        let made = run("SELECT id, heart * 2 AS twice, place['lat'] AS lat FROM vitals");
        assert_eq!(made.origin, [0, 1, 2]);
        assert_eq!(made.batch.schema().field(1).name(), "twice");
        assert_eq!(made.batch.column(1).as_primitive::<Int64Type>().value(0), 260);
        assert!(made.batch.column(2).is_null(1));
    }

    #[test]
    fn filters_by_sql_rules_for_null() {
        let made = run("SELECT id FROM vitals WHERE heart > 50 AND id <> 'a'");
        assert_eq!(made.origin, [1], "the row with a null heart is neither over nor under 50");
    }

    #[test]
    fn unnests_and_tells_where_from() {
        let made = run("SELECT id, tag FROM (SELECT id, unnest(tags) AS tag FROM vitals)");
        assert_eq!(made.origin, [0, 0, 2]);
        assert_eq!(made.batch.column(1).as_string::<i32>().value(2), "z");
    }

    #[test]
    fn the_declared_schema_is_that_of_the_rows() {
        for sql in [
            "SELECT * FROM vitals",
            "SELECT heart FROM vitals WHERE id > 'a'",
            "SELECT 1 AS one FROM vitals",
            "SELECT concat(id, 'x') AS text, CAST(heart AS VARCHAR) AS heart FROM vitals",
            "SELECT CASE WHEN heart > 1 THEN 'a' ELSE 'b' END AS text FROM vitals",
        ] {
            let plan = RowSql::plan("vitals", &vitals(), sql).expect(sql);
            assert_eq!(plan.apply(&rows()).expect(sql).batch.schema(), plan.schema(), "{sql}");
            let text = |field: &&Arc<Field>| field.name() == "text";
            let kinds = plan.schema();
            assert!(kinds.fields().iter().filter(text).all(|f| *f.data_type() == DataType::Utf8));
        }
    }

    #[test]
    fn refuses_what_is_not_row_wise() {
        for (sql, words) in [
            ("SELECT count(*) FROM vitals", "aggregates"),
            ("SELECT id, sum(heart) FROM vitals GROUP BY id", "aggregates"),
            ("SELECT DISTINCT id FROM vitals", "DISTINCT"),
            ("SELECT id FROM vitals ORDER BY id", "ORDER BY"),
            ("SELECT id FROM vitals LIMIT 1", "LIMIT"),
            ("SELECT row_number() OVER () FROM vitals", "window"),
            ("SELECT a.id FROM vitals a JOIN vitals b ON a.id = b.id", "joins"),
            ("SELECT id FROM vitals UNION ALL SELECT id FROM vitals", "UNION"),
            ("SELECT random() FROM vitals", "random()"),
            ("SELECT now() FROM vitals", "now()"),
            ("SELECT id FROM vitals WHERE heart > (SELECT max(heart) FROM vitals)", "not row-wise"),
            ("SELECT id FROM vitals WHERE false", "never true"),
        ] {
            let error = RowSql::plan("vitals", &vitals(), sql).expect_err(sql).to_string();
            assert!(error.contains(words), "{sql}: {error}");
        }
    }

    #[test]
    fn malformed_sql_says_what_there_is() {
        for sql in ["SELEC id FROM vitals", "SELECT pulse FROM vitals", "SELECT id FROM nowhere"] {
            let error = RowSql::plan("vitals", &vitals(), sql).expect_err(sql).to_string();
            assert!(error.contains("id, heart, place, tags"), "{sql}: {error}");
        }
    }

    #[test]
    fn a_row_that_can_not_be_computed_fails_the_batch() {
        let plan = RowSql::plan("vitals", &vitals(), "SELECT CAST(id AS BIGINT) AS n FROM vitals");
        assert!(plan.expect("plans").apply(&rows()).expect_err("a is no number").contains("Cast"));
    }
}
