//! A LEFT JOIN with a lookup table as a step. That it may be made was found out by its columns' provenance.

use std::sync::Arc;

use datafusion::logical_expr::{Expr, Join, LogicalPlan};

use super::planner::Planner;
use super::step::Step;

impl Planner<'_> {
    pub(super) fn join_step(&self, join: &Join) -> Result<Step, String> {
        let [(key, _)] = join.on.as_slice() else {
            return Err("the planner made more than one condition of a join".to_owned());
        };
        let (lookup, columns) = self.looked_up(&join.right)?;
        Ok(Step::LookUp {
            schema: Arc::new(join.schema.as_arrow().clone()),
            key: self.physical(key, join.left.schema())?,
            lookup,
            columns,
        })
    }

    /// Which table the right side is, and which of its columns are left in what order.
    fn looked_up(&self, plan: &LogicalPlan) -> Result<(usize, Vec<usize>), String> {
        match plan {
            LogicalPlan::SubqueryAlias(alias) => self.looked_up(&alias.input),
            // The planner may infer one from the join's condition: rows that it keeps out are not found anyway.
            LogicalPlan::Filter(filter) => self.looked_up(&filter.input),
            LogicalPlan::Projection(projection) => {
                let (lookup, columns) = self.looked_up(&projection.input)?;
                let input = projection.input.schema();
                let kept = projection.expr.iter().map(|expression| match unaliased(expression) {
                    Expr::Column(column) => {
                        let place = input.index_of_column(column);
                        place.map(|place| columns[place]).map_err(|error| error.strip_backtrace())
                    }
                    other => Err(format!("the planner made {other} of a lookup's column")),
                });
                Ok((lookup, kept.collect::<Result<_, _>>()?))
            }
            LogicalPlan::TableScan(scan) => {
                let name = scan.table_name.table();
                let lookup = self.lookups.iter().position(|lookup| lookup.name() == name);
                let lookup = lookup.ok_or_else(|| format!("the planner joins {name}"))?;
                let all = || (0..self.lookups[lookup].columns().fields().len()).collect();
                Ok((lookup, scan.projection.clone().unwrap_or_else(all)))
            }
            other => Err(format!("the planner made {} of a lookup", other.display())),
        }
    }
}

fn unaliased(expression: &Expr) -> &Expr {
    match expression {
        Expr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}
