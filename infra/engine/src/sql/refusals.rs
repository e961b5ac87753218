//! What is no row-wise SQL, and why.

use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};

use crate::lookup::Lookup;

/// Refuses a plan that computes anything from more than one record.
pub(super) fn refuse_unless_row_wise(
    plan: &LogicalPlan,
    lookups: &[Arc<Lookup>],
) -> Result<(), String> {
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
