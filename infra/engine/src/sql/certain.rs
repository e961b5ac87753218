//! Which expressions have a value whatever their columns hold. One that fails has its record dead-lettered, and what
//! was looked up must not decide that.

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator};

/// Functions that take whatever their types allow.
const CERTAIN: &[&str] = &[
    "coalesce",
    "nullif",
    "upper",
    "lower",
    "btrim",
    "ltrim",
    "rtrim",
    "concat",
    "date_part",
    "get_field",
    "make_array",
];

/// A part of the expression that might fail, as text.
pub(super) fn may_fail(expression: &Expr, input: &DFSchema) -> Option<String> {
    let mut found = None;
    let _ = expression.apply(|part| {
        if is_certain(part, input) {
            return Ok(TreeNodeRecursion::Continue);
        }
        found = Some(part.to_string());
        Ok(TreeNodeRecursion::Stop)
    });
    found
}

fn is_certain(part: &Expr, input: &DFSchema) -> bool {
    let kind = |expression: &Expr| expression.get_type(input).ok();
    match part {
        Expr::Alias(_)
        | Expr::Column(_)
        | Expr::Literal(..)
        | Expr::Not(_)
        | Expr::IsNotNull(_)
        | Expr::IsNull(_)
        | Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::IsNotUnknown(_)
        | Expr::Between(_)
        | Expr::Case(_)
        | Expr::InList(_)
        | Expr::TryCast(_) => true,
        Expr::BinaryExpr(binary) => match binary.op {
            Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::And
            | Operator::Or
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
            | Operator::StringConcat => true,
            // Whole numbers wrap, and fractions know infinity; days and decimals don't.
            Operator::Plus | Operator::Minus | Operator::Multiply => [&binary.left, &binary.right]
                .into_iter()
                .all(|side| kind(side).is_some_and(|k| is_number(&k))),
            _ => false,
        },
        Expr::Cast(cast) => {
            kind(&cast.expr).is_some_and(|from| widens(&from, cast.field.data_type()))
        }
        Expr::ScalarFunction(call) => CERTAIN.contains(&call.func.name()),
        _ => false,
    }
}

fn is_number(kind: &DataType) -> bool {
    kind.is_integer() || kind.is_floating()
}

/// Whether every value of the one type has its like in the other.
fn widens(from: &DataType, to: &DataType) -> bool {
    let is_text =
        |kind: &DataType| matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let bits = |kind: &DataType| kind.primitive_width().unwrap_or_default();
    match (from, to) {
        _ if from == to => true,
        (DataType::Null, _) => true,
        (DataType::Boolean, to) => is_number(to) || is_text(to),
        (from, to) if is_number(from) && to.is_floating() => true,
        (from, to) if from.is_integer() && to.is_integer() => {
            bits(to) > bits(from) && (to.is_signed_integer() || from.is_unsigned_integer())
        }
        (from, to) => is_text(to) && (is_text(from) || from.is_primitive()),
    }
}
