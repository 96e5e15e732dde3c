//! The text of a query: exactly one SELECT over `records`, and in it only what can be row-local.

mod names;
mod select;

use std::ops::ControlFlow;

use datafusion::{
    execution::SessionState,
    sql::{
        parser::{DFParserBuilder, Statement as Parsed},
        sqlparser::{
            ast::{Expr, Query, Spanned, Statement, Visit, Visitor},
            dialect::GenericDialect,
        },
    },
};

pub(super) use self::names::Names;
use super::problem::{self, refusal};
use crate::DeclarationProblem;

/// How deep a query's parentheses may nest.
const RECURSION_LIMIT: usize = 50;

/// Parses and checks a query; its `*` are made to mean the declared columns only.
pub(super) fn parse(sql: &str, state: &SessionState) -> Result<Parsed, Vec<DeclarationProblem>> {
    let statements = DFParserBuilder::new(sql)
        .with_dialect(&GenericDialect {})
        .with_recursion_limit(RECURSION_LIMIT)
        .build()
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error| {
            let mut found = problem::of(&error);
            // sqlparser does not say where the end is.
            found.place = found
                .place
                .or_else(|| found.message.contains("found: EOF").then(|| end_of(sql)));
            vec![found]
        })?;
    let nowhere = |message: &str| {
        vec![DeclarationProblem {
            table: None,
            place: None,
            message: message.to_owned(),
        }]
    };
    let count = statements.len();
    let mut statements = statements.into_iter();
    let (Some(Parsed::Statement(statement)), 1) = (statements.next(), count) else {
        return Err(nowhere(match count {
            0 => "there is no query; write SELECT … FROM records",
            1 => "this is no query; write SELECT … FROM records",
            _ => "there are several statements; write exactly one SELECT",
        }));
    };
    let Statement::Query(mut query) = *statement else {
        return Err(nowhere("this is no query; write SELECT … FROM records"));
    };
    let mut walk = select::Walk::default();
    walk.query(&mut query);
    let mut problems = walk.problems;
    problems.extend(expressions(&query, state));
    if problems.is_empty() {
        Ok(Parsed::Statement(Box::new(Statement::Query(query))))
    } else {
        Err(problems)
    }
}

fn end_of(sql: &str) -> (u64, u64) {
    let last = sql.trim_end().rsplit('\n').next().unwrap_or_default();
    (
        sql.trim_end().matches('\n').count() as u64 + 1,
        last.chars().count() as u64 + 1,
    )
}

/// Sub-queries, aggregates and window functions, wherever they stand.
fn expressions(query: &Query, state: &SessionState) -> Vec<DeclarationProblem> {
    let mut finder = Finder {
        state,
        problems: Vec::new(),
    };
    let _ = query.visit(&mut finder);
    finder.problems
}

struct Finder<'a> {
    state: &'a SessionState,
    problems: Vec<DeclarationProblem>,
}

impl Visitor for Finder<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let what = match expr {
            Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => Some("a sub-query"),
            Expr::Function(function) => {
                let name = function.name.to_string().to_lowercase();
                if function.over.is_some() || self.state.window_functions().contains_key(&name) {
                    Some("a window function")
                } else if self.state.aggregate_functions().contains_key(&name) {
                    Some("an aggregate")
                } else {
                    None
                }
            }
            _ => None,
        };
        if let Some(what) = what {
            self.problems.push(refusal(problem::place(expr.span()), what));
        }
        ControlFlow::Continue(())
    }
}
