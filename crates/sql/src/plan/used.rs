//! What a plan uses of a record, down to the fields of structs, and whether it may be kept.

use std::ops::ControlFlow;

use arrow::datatypes::SchemaRef;
use datafusion::{
    common::tree_node::{TreeNode, TreeNodeRecursion},
    error::DataFusionError,
    logical_expr::{Expr, LogicalPlan, Volatility, expr::ScalarFunction},
    scalar::ScalarValue,
};

use crate::decode::Usage;

/// The used columns and fields. A name that an inner query gave may also be a column's: then too much is marked, never
/// too little.
pub(super) fn usage(plan: &LogicalPlan, public: &SchemaRef) -> Usage {
    let mut usage = Usage::default();
    each_expression(plan, &mut |expr| match path(expr) {
        Some(path) => {
            if public.field_with_name(&path[0]).is_ok() {
                usage.add(&path);
            }
            ControlFlow::Break(())
        }
        None => ControlFlow::Continue(()),
    });
    usage
}

/// Whether a function is constant only within one query: `now()`, `current_date`.
pub(super) fn is_stable(plan: &LogicalPlan) -> bool {
    let mut stable = false;
    each_expression(plan, &mut |expr| {
        if let Expr::ScalarFunction(function) = expr {
            stable |= function.func.signature().volatility == Volatility::Stable;
        }
        ControlFlow::Continue(())
    });
    stable
}

/// The column and the fields below it: `get_field(get_field(location, 'street'), 'name')`.
fn path(expr: &Expr) -> Option<Vec<String>> {
    match expr {
        Expr::Column(column) => Some(vec![column.name.clone()]),
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == "get_field" => {
            let (base, names) = args.split_first()?;
            let mut path = path(base)?;
            for name in names {
                match name {
                    Expr::Literal(
                        ScalarValue::Utf8(Some(name))
                        | ScalarValue::Utf8View(Some(name))
                        | ScalarValue::LargeUtf8(Some(name)),
                        _,
                    ) => path.push(name.clone()),
                    _ => return None,
                }
            }
            Some(path)
        }
        _ => None,
    }
}

/// Visits every expression of every node; `Break` = do not go into its parts.
fn each_expression(plan: &LogicalPlan, visit: &mut dyn FnMut(&Expr) -> ControlFlow<()>) {
    let walked: Result<_, DataFusionError> = plan.apply(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                Ok(match visit(part) {
                    ControlFlow::Break(()) => TreeNodeRecursion::Jump,
                    ControlFlow::Continue(()) => TreeNodeRecursion::Continue,
                })
            })
        })
    });
    // Neither closure fails, so the walk cannot.
    debug_assert!(walked.is_ok());
}
