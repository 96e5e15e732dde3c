//! The names of a query's columns: each must be one that a table's column can have, and given once.

use std::collections::HashSet;

use arrow::datatypes::Schema;
use datafusion::sql::{
    parser::Statement as Parsed,
    sqlparser::ast::{Expr, SelectItem, SetExpr, Statement},
};

use super::select::normal;
use crate::{DeclarationProblem, LINEAGE};

/// The names that the text itself gives to its columns.
#[derive(Debug, Default)]
pub(in super::super) struct Names {
    given: HashSet<String>,
    /// There is a `*`, whose columns bring their names along.
    star: bool,
}

impl Names {
    pub(in super::super) fn of(statement: &Parsed) -> Self {
        let mut names = Self::default();
        if let Parsed::Statement(statement) = statement
            && let Statement::Query(query) = statement.as_ref()
        {
            names.collect(&query.body);
        }
        names
    }

    fn collect(&mut self, body: &SetExpr) {
        match body {
            SetExpr::Query(query) => self.collect(&query.body),
            SetExpr::Select(select) => {
                for item in &select.projection {
                    match item {
                        SelectItem::ExprWithAlias { alias, .. } => {
                            self.given.insert(normal(alias));
                        }
                        SelectItem::UnnamedExpr(Expr::Identifier(ident)) => {
                            self.given.insert(normal(ident));
                        }
                        // `r.gender` is a column, `login.uuid` a field without a name; the plan's schema tells.
                        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => {
                            self.given.extend(parts.last().map(normal));
                        }
                        SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => self.star = true,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    /// What is wrong with the names that the planned query has.
    pub(in super::super) fn problems(&self, schema: &Schema) -> Vec<DeclarationProblem> {
        let mut problems = Vec::new();
        let mut seen = HashSet::new();
        for (number, field) in (1..).zip(schema.fields()) {
            let name = field.name();
            let message = if LINEAGE.contains(&name.as_str()) {
                format!("the name {name} is the daemon's own; give column {number} another name with AS")
            } else if !seen.insert(name) {
                format!("two columns are named {name}; give one of them another name with AS")
            } else if self.given.contains(name) || (self.star && is_plain(name)) {
                continue;
            } else {
                format!("column {number} has no name: write {name} AS {}", suggestion(name))
            };
            problems.push(DeclarationProblem {
                table: None,
                place: None,
                message,
            });
        }
        problems
    }
}

fn is_plain(name: &str) -> bool {
    !name.contains(['(', '['])
}

/// `records.login[uuid]` is best called `uuid`.
fn suggestion(name: &str) -> String {
    let last = name
        .trim_end_matches([']', ')'])
        .rsplit(['[', '.', '(', ' ', ','])
        .next()
        .unwrap_or_default();
    let plain = !last.is_empty() && last.chars().all(|c| c.is_alphanumeric() || c == '_');
    if plain && !last.starts_with(|c: char| c.is_ascii_digit()) {
        last.to_owned()
    } else {
        "its_name".to_owned()
    }
}
