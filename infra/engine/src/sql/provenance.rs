//! Which columns of a statement a lookup feeds. What was looked up may be another value at a replay, so it must not
//! decide what becomes of a record: which rows it makes, where they go, or whether it is dead-lettered.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, Join, JoinType, LogicalPlan, Projection, Unnest};

use super::certain::may_fail;
use crate::lookup::Lookup;

pub(super) const REMEDY: &str = "write FROM the topic LEFT JOIN the lookup ON one of the topic's columns = its key, and use \
                                 what is looked up in the SELECT list only; the queries can do the rest";

/// What lookups feed.
pub(super) struct Fed {
    /// Those that are joined, in the order of their versions' columns.
    pub(super) lookups: Vec<Arc<Lookup>>,
    /// Names of the result's columns that they feed.
    pub(super) columns: Vec<String>,
}

impl Fed {
    /// Follows every column of an analysed plan over `topic`; the error says what is looked up and mustn't be.
    pub(super) fn by(
        plan: &LogicalPlan,
        topic: &str,
        lookups: &[Arc<Lookup>],
    ) -> Result<Self, String> {
        let mut walk = Walk { topic, lookups, joined: Vec::new() };
        if lookups.is_empty() {
            return Ok(Self { lookups: Vec::new(), columns: Vec::new() });
        }
        let fed = walk.fed(plan)?;
        let joined = walk.joined;
        let names = || plan.schema().fields().iter().map(|field| field.name().as_str());
        if !joined.is_empty() {
            check_names(names(), &joined)?;
        }
        let columns: Vec<String> = names()
            .zip(&fed)
            .filter(|(_, fed)| !fed.is_empty())
            .map(|(name, _)| name.to_owned())
            .collect();
        for (number, lookup) in joined.iter().enumerate() {
            if !fed.iter().any(|fed| fed.contains(&number)) {
                return Err(format!("it joins {} and selects none of its columns", lookup.name()));
            }
        }
        if !joined.is_empty() && columns.len() == fed.len() {
            return Err("it selects nothing of the topic".to_owned());
        }
        Ok(Self { lookups: joined, columns })
    }
}

/// The columns' names, and those that the versions will have, must differ.
fn check_names<'a>(
    names: impl Iterator<Item = &'a str>,
    joined: &[Arc<Lookup>],
) -> Result<(), String> {
    let versions: Vec<_> = joined.iter().map(|lookup| lookup.version_column()).collect();
    let mut seen: BTreeSet<&str> = versions.iter().map(String::as_str).collect();
    if seen.len() < versions.len() {
        return Err("it joins a lookup twice".to_owned());
    }
    for name in names {
        if !seen.insert(name) {
            return Err(format!(
                "two columns are called {name:?} (columns called <lookup>_version are added for the snapshots' versions)"
            ));
        }
    }
    Ok(())
}

/// Of one column: the numbers of the joins that feed it.
type Feeds = BTreeSet<usize>;

struct Walk<'a> {
    topic: &'a str,
    lookups: &'a [Arc<Lookup>],
    joined: Vec<Arc<Lookup>>,
}

impl Walk<'_> {
    /// What feeds each column of the plan's result.
    fn fed(&mut self, plan: &LogicalPlan) -> Result<Vec<Feeds>, String> {
        match plan {
            LogicalPlan::TableScan(scan) if scan.table_name.table() == self.topic => {
                Ok(vec![Feeds::new(); scan.projected_schema.fields().len()])
            }
            LogicalPlan::TableScan(scan) => Err(format!(
                "{} is a lookup: it can only stand on the right of a LEFT JOIN",
                scan.table_name.table()
            )),
            LogicalPlan::SubqueryAlias(alias) => self.fed(&alias.input),
            LogicalPlan::Filter(filter) => {
                let fed = self.fed(&filter.input)?;
                let feeds = feeds(&filter.predicate, filter.input.schema(), &fed)?;
                self.refuse("its WHERE", &feeds)?;
                Ok(fed)
            }
            LogicalPlan::Projection(projection) => {
                let fed = self.fed(&projection.input)?;
                self.projection(projection, &fed)
            }
            LogicalPlan::Unnest(unnest) => {
                let fed = self.fed(&unnest.input)?;
                self.unnest(unnest, &fed)
            }
            LogicalPlan::Join(join) => self.join(join),
            other => Err(format!("the planner made {} of it", other.display())),
        }
    }

    fn projection(&self, projection: &Projection, fed: &[Feeds]) -> Result<Vec<Feeds>, String> {
        let input = projection.input.schema();
        let columns = projection.expr.iter().map(|expression| {
            let feeds = feeds(expression, input, fed)?;
            let why = if feeds.is_empty() { None } else { may_fail(expression, input) };
            match why {
                None => Ok(feeds),
                Some(part) => Err(format!(
                    "{part} might fail for what {} holds, and the record would be dead-lettered for it",
                    self.names(&feeds)
                )),
            }
        });
        columns.collect()
    }

    fn unnest(&self, unnest: &Unnest, fed: &[Feeds]) -> Result<Vec<Feeds>, String> {
        for (list, _) in &unnest.list_type_columns {
            self.refuse("its unnest", fed.get(*list).unwrap_or(&Feeds::new()))?;
        }
        let columns = unnest.dependency_indices.iter();
        Ok(columns.map(|place| fed.get(*place).cloned().unwrap_or_default()).collect())
    }

    fn join(&mut self, join: &Join) -> Result<Vec<Feeds>, String> {
        let Some(lookup) = self.lookup(&join.right) else {
            return Err(match self.lookup(&join.left) {
                Some(lookup) => {
                    format!("it joins the topic to {}, and not the other way round", lookup.name())
                }
                None => "it joins something other than a lookup's table as it is".to_owned(),
            });
        };
        let name = lookup.name().to_owned();
        if join.join_type != JoinType::Left {
            return Err(format!(
                "its {} join with {name} would drop or add rows by what is in it: only a LEFT JOIN keeps every record",
                join.join_type.to_string().to_lowercase()
            ));
        }
        let mut fed = self.fed(&join.left)?;
        let (of_topic, of_lookup) = condition(join, &name)?;
        self.refuse(&format!("the ON of {name}"), &feeds(&of_topic, join.left.schema(), &fed)?)?;
        if let Some(part) = may_fail(&of_topic, join.left.schema()) {
            return Err(format!(
                "the ON of {name} needs {part}, which might fail; compare values of one type, or use TRY_CAST"
            ));
        }
        let column = match &of_lookup {
            Expr::Column(column) => column.name.clone(),
            Expr::Cast(_) | Expr::TryCast(_) => {
                return Err(format!(
                    "the ON of {name} compares its key with a value of another type; CAST the topic's column to {}",
                    lookup
                        .columns()
                        .field_with_name(lookup.key())
                        .map(|f| f.data_type().to_string())
                        .unwrap_or_default()
                ));
            }
            other => return Err(format!("the ON of {name} computes {other} of its columns")),
        };
        if column != lookup.key() {
            return Err(format!(
                "it joins {name} on {column:?}, where values may repeat; its unique key is {:?}",
                lookup.key()
            ));
        }
        let number = self.joined.len();
        self.joined.push(lookup);
        fed.extend(join.right.schema().fields().iter().map(|_| Feeds::from([number])));
        Ok(fed)
    }

    /// The lookup that a plan is, with nothing done to it.
    fn lookup(&self, plan: &LogicalPlan) -> Option<Arc<Lookup>> {
        match plan {
            LogicalPlan::SubqueryAlias(alias) => self.lookup(&alias.input),
            LogicalPlan::TableScan(scan) if scan.filters.is_empty() && scan.fetch.is_none() => {
                let name = scan.table_name.table();
                self.lookups.iter().find(|lookup| lookup.name() == name).cloned()
            }
            _ => None,
        }
    }

    fn refuse(&self, place: &str, feeds: &Feeds) -> Result<(), String> {
        if feeds.is_empty() {
            return Ok(());
        }
        Err(format!("{place} goes by what is looked up in {}", self.names(feeds)))
    }

    fn names(&self, feeds: &Feeds) -> String {
        let names = feeds.iter().filter_map(|number| self.joined.get(*number));
        names.map(|lookup| lookup.name()).collect::<Vec<_>>().join(", ")
    }
}

/// The two sides of a join's one equality: the topic's, then the lookup's.
fn condition(join: &Join, name: &str) -> Result<(Expr, Expr), String> {
    let more = || format!("the ON of {name} is not one equality of a topic's column and its key");
    match (join.on.as_slice(), &join.filter) {
        ([(left, right)], None) => Ok((left.clone(), right.clone())),
        ([], Some(Expr::BinaryExpr(equal)))
            if equal.op == datafusion::logical_expr::Operator::Eq =>
        {
            let (left, right) = (equal.left.as_ref(), equal.right.as_ref());
            let of = |side: &Expr, schema: &DFSchema| {
                let columns = side.column_refs();
                !columns.is_empty() && columns.iter().all(|column| schema.has_column(column))
            };
            let (topic, lookup) = (join.left.schema(), join.right.schema());
            if of(left, topic) && of(right, lookup) {
                Ok((left.clone(), right.clone()))
            } else if of(right, topic) && of(left, lookup) {
                Ok((right.clone(), left.clone()))
            } else {
                Err(more())
            }
        }
        _ => Err(more()),
    }
}

/// What feeds an expression over columns that are fed like this.
fn feeds(expression: &Expr, input: &DFSchema, fed: &[Feeds]) -> Result<Feeds, String> {
    let mut all = Feeds::new();
    let walked = expression.apply(|part| {
        if let Expr::Column(column) = part {
            all.extend(fed.get(input.index_of_column(column)?).into_iter().flatten());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    walked.map(|_| all).map_err(|error| error.strip_backtrace())
}
