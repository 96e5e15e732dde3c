//! The clauses of a SELECT: which may stand, and where it reads from.

use std::collections::HashSet;

use datafusion::sql::sqlparser::{
    ast::{
        ExceptSelectItem, ExcludeSelectItem, GroupByExpr, Ident, ObjectName, Query, Select, SelectItem, SetExpr,
        Spanned, TableFactor, TableWithJoins, WildcardAdditionalOptions,
    },
    tokenizer::Span,
};

use super::super::{
    RECORDS,
    problem::{at, nearest, place, refusal},
};
use crate::{DeclarationProblem, decode::Metadata};

/// The walk over a query, its CTEs and the queries in its FROM, all of which must be row-local.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// Names that WITH gave.
    named: HashSet<String>,
    pub(super) problems: Vec<DeclarationProblem>,
}

impl Walk {
    pub(super) fn query(&mut self, query: &mut Query) {
        let span = query.span();
        if let Some(with) = &mut query.with {
            if with.recursive {
                self.problems.push(refusal(place(span), "a recursive query"));
                return;
            }
            for table in &mut with.cte_tables {
                self.query(&mut table.query);
                let name = normal(&table.alias.name);
                if name == RECORDS {
                    let message = "WITH must not redefine records; give that query another name";
                    self.problems.push(at(table.alias.name.span, message));
                }
                self.named.insert(name);
            }
        }
        for (found, what) in [
            (query.order_by.is_some(), "ORDER BY"),
            (query.limit_clause.is_some() || query.fetch.is_some(), "LIMIT"),
            (!query.locks.is_empty() || query.for_clause.is_some(), "FOR"),
            (!query.pipe_operators.is_empty(), "a pipe operator"),
        ] {
            if found {
                self.problems.push(refusal(place(span), what));
            }
        }
        match query.body.as_mut() {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(inner) => self.query(inner),
            SetExpr::SetOperation { .. } => self.problems.push(refusal(place(span), "a set operation")),
            SetExpr::Values(_) => self.no_records(span),
            _ => self
                .problems
                .push(at(span, "this is no query; write SELECT … FROM records")),
        }
    }

    fn select(&mut self, select: &mut Select) {
        let span = select.span();
        let grouped = match &select.group_by {
            GroupByExpr::All(_) => true,
            GroupByExpr::Expressions(columns, modifiers) => !columns.is_empty() || !modifiers.is_empty(),
        };
        for (found, what) in [
            (select.distinct.is_some(), "DISTINCT"),
            (select.top.is_some(), "LIMIT"),
            (grouped, "GROUP BY"),
            (select.having.is_some(), "HAVING"),
            (
                select.qualify.is_some() || !select.named_window.is_empty(),
                "a window function",
            ),
            (!select.lateral_views.is_empty(), "LATERAL VIEW"),
            (!select.connect_by.is_empty(), "a recursive query"),
            (!select.sort_by.is_empty() || !select.cluster_by.is_empty(), "SORT BY"),
            (!select.distribute_by.is_empty(), "DISTRIBUTE BY"),
        ] {
            if found {
                self.problems.push(refusal(place(span), what));
            }
        }
        if select.into.is_some() {
            self.problems.push(at(
                span,
                "INTO is not for queries here; the daemon writes the rows to the table",
            ));
        }
        let direct = match select.from.as_mut_slice() {
            [] => {
                self.no_records(span);
                false
            }
            [TableWithJoins { relation, joins }] if joins.is_empty() => self.source(relation),
            _ => {
                self.problems.push(refusal(place(span), "a join"));
                false
            }
        };
        if direct {
            select.projection.iter_mut().for_each(hide_metadata);
        }
    }

    /// Whether it is `records` itself.
    fn source(&mut self, source: &mut TableFactor) -> bool {
        let span = source.span();
        match source {
            TableFactor::Derived {
                lateral: false,
                subquery,
                sample: None,
                ..
            } => {
                self.query(subquery);
                false
            }
            TableFactor::Table { args: Some(_), .. }
            | TableFactor::TableFunction { .. }
            | TableFactor::Function { .. }
            | TableFactor::UNNEST { .. } => {
                let message = "a table function in FROM does not read records; write unnest(…) in the SELECT list";
                self.problems.push(at(span, message));
                false
            }
            TableFactor::Table {
                name, sample, version, ..
            } => {
                if sample.is_some() || version.is_some() {
                    self.problems.push(refusal(place(span), "a sample"));
                }
                self.table(name, span)
            }
            TableFactor::NestedJoin { .. } => {
                self.problems.push(refusal(place(span), "a join"));
                false
            }
            _ => {
                self.problems
                    .push(at(span, "a query reads FROM records and nothing else"));
                false
            }
        }
    }

    fn table(&mut self, name: &ObjectName, span: Span) -> bool {
        let written = match name.0.as_slice() {
            [part] => part.as_ident().map(normal),
            _ => None,
        };
        match written {
            Some(written) if self.named.contains(&written) => return false,
            Some(written) if written == RECORDS => return true,
            written => {
                let mut message = format!("there is no table {name} here; a query reads FROM records");
                let known = self.named.iter().map(String::as_str).chain([RECORDS]);
                if let Some(near) = written.as_deref().and_then(|written| nearest(written, known)) {
                    message.push_str(&format!("; did you mean {near}?"));
                }
                self.problems.push(at(span, message));
            }
        }
        false
    }

    fn no_records(&mut self, span: Span) {
        self.problems.push(at(
            span,
            "the query does not read the records; write SELECT … FROM records",
        ));
    }
}

/// A name as DataFusion takes it: folded to lower case unless it is quoted.
pub(super) fn normal(ident: &Ident) -> String {
    if ident.quote_style.is_some() {
        ident.value.clone()
    } else {
        ident.value.to_lowercase()
    }
}

/// `*` means the declared columns: `_key`, `_offset` and the like must be named.
fn hide_metadata(item: &mut SelectItem) {
    let options = match item {
        SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) => options,
        _ => return,
    };
    let mut excluded = excluded(options);
    for column in Metadata::PUBLIC {
        if !excluded.iter().any(|ident| ident.value == column.name()) {
            excluded.push(Ident::new(column.name()));
        }
    }
    options.opt_except = None;
    options.opt_exclude = Some(ExcludeSelectItem::Multiple(
        excluded.into_iter().map(ObjectName::from).collect(),
    ));
}

fn excluded(options: &WildcardAdditionalOptions) -> Vec<Ident> {
    let mut idents = Vec::new();
    if let Some(ExceptSelectItem {
        first_element,
        additional_elements,
    }) = &options.opt_except
    {
        idents.push(first_element.clone());
        idents.extend(additional_elements.iter().cloned());
    }
    let names: &[ObjectName] = match &options.opt_exclude {
        None => &[],
        Some(ExcludeSelectItem::Single(name)) => std::slice::from_ref(name),
        Some(ExcludeSelectItem::Multiple(names)) => names,
    };
    idents.extend(names.iter().filter_map(|name| name.0.last()?.as_ident().cloned()));
    idents
}
