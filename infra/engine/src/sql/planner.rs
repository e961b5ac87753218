//! From an optimised plan to steps.

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, Unnest};
use datafusion::physical_plan::PhysicalExpr;

use super::step::Step;
use crate::lookup::Lookup;

/// Makes steps of an optimised plan.
pub(super) struct Planner<'a> {
    pub(super) state: &'a SessionState,
    pub(super) lookups: &'a [Arc<Lookup>],
}

impl Planner<'_> {
    pub(super) fn collect(&self, plan: &LogicalPlan, steps: &mut Vec<Step>) -> Result<(), String> {
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

    pub(super) fn physical(
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
