//! Whether each row of a plan depends on one record only.
//!
//! The syntax was asked before and gives the better messages; the plan has the last word, because it shows what names and
//! functions really mean.

use datafusion::{
    common::tree_node::{TreeNode, TreeNodeRecursion},
    error::DataFusionError,
    logical_expr::{Expr, LogicalPlan},
};

use super::problem::refusal;
use crate::DeclarationProblem;

/// What is not row-local in a plan.
pub(super) fn problems(plan: &LogicalPlan) -> Vec<DeclarationProblem> {
    let mut found: Vec<&'static str> = Vec::new();
    let walked: Result<_, DataFusionError> = plan.apply_with_subqueries(|node| {
        found.extend(node_refused(node));
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                found.extend(expr_refused(part));
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    debug_assert!(walked.is_ok());
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(|what| refusal(None, what)).collect()
}

fn node_refused(node: &LogicalPlan) -> Option<&'static str> {
    match node {
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::TableScan(_)
        // A sub-query's wrapper; the expression that holds it is named instead.
        | LogicalPlan::Subquery(_) => None,
        LogicalPlan::Window(_) => Some("a window function"),
        LogicalPlan::Aggregate(_) => Some("an aggregate"),
        LogicalPlan::Sort(_) => Some("ORDER BY"),
        LogicalPlan::Join(_) => Some("a join"),
        LogicalPlan::Union(_) => Some("a set operation"),
        LogicalPlan::Limit(_) => Some("LIMIT"),
        LogicalPlan::Distinct(_) => Some("DISTINCT"),
        LogicalPlan::RecursiveQuery(_) => Some("a recursive query"),
        _ => Some("more than projection, filter and unnest"),
    }
}

fn expr_refused(expr: &Expr) -> Option<&'static str> {
    match expr {
        Expr::AggregateFunction(_) | Expr::GroupingSet(_) => Some("an aggregate"),
        Expr::WindowFunction(_) => Some("a window function"),
        Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) | Expr::SetComparison(_) => Some("a sub-query"),
        _ => None,
    }
}
