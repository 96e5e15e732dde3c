//! Sentences for what is wrong with a query.

use datafusion::{
    common::{Column, SchemaError},
    error::DataFusionError,
    sql::sqlparser::tokenizer::{Location, Span},
};

use crate::DeclarationProblem;

/// The sentence for what is not row-local.
pub(super) fn refusal(place: Option<(u64, u64)>, what: &str) -> DeclarationProblem {
    let remedy = match what {
        "a join" => "; read one record's own arrays with unnest(…) in the SELECT list, and join in PostgreSQL",
        "an aggregate" => "; write the single rows and aggregate in PostgreSQL",
        "a window function" | "DISTINCT" => "; write the single rows, and let the table's key or a view decide",
        "ORDER BY" | "LIMIT" | "SORT BY" => "; rows have no order in a table, sort when you read it",
        "a set operation" => "; write one query, with CASE or unnest(make_array(…)) for several rows a record",
        "a sub-query" => "; use an expression over the record's own columns",
        _ => "; a query may project, filter and unnest",
    };
    DeclarationProblem {
        table: None,
        place,
        message: format!("the query contains {what}: its answer would depend on where a batch ends{remedy}"),
    }
}

/// A problem at a place in the text.
pub(super) fn at(span: Span, message: impl Into<String>) -> DeclarationProblem {
    DeclarationProblem {
        table: None,
        place: place(span),
        message: message.into(),
    }
}

pub(super) fn place(span: Span) -> Option<(u64, u64)> {
    let Location { line, column } = span.start;
    (line > 0).then_some((line, column))
}

/// What DataFusion says about a query.
pub(super) fn of(error: &DataFusionError) -> DeclarationProblem {
    let place = error
        .diagnostic()
        .and_then(|diagnostic| diagnostic.span)
        .map(|span| (span.start.line, span.start.column));
    let root = error.find_root();
    let message = match innermost(error) {
        DataFusionError::SchemaError(schema, _) => unknown_column(schema),
        DataFusionError::SQL(parser, _) => return syntax(&parser.to_string()),
        _ => first_sentence(&root.strip_backtrace()),
    };
    DeclarationProblem {
        table: None,
        place,
        message,
    }
}

fn innermost(error: &DataFusionError) -> &DataFusionError {
    match error {
        DataFusionError::Diagnostic(_, inner) | DataFusionError::Context(_, inner) => innermost(inner),
        DataFusionError::Collection(errors) => errors.first().map_or(error, innermost),
        DataFusionError::Shared(inner) => innermost(inner),
        error => error,
    }
}

fn unknown_column(error: &SchemaError) -> String {
    let SchemaError::FieldNotFound { field, valid_fields } = error else {
        return format!("{error}; give every column of the query a name of its own with AS");
    };
    let name = &field.name;
    let mut message = format!("records has no column {name}");
    let fold = |column: &&Column| column.name.to_lowercase() == name.to_lowercase();
    if let Some(column) = valid_fields.iter().find(fold) {
        let found = &column.name;
        message.push_str(&format!(
            "; names without quotes are folded to lower case: write \"{found}\""
        ));
        return message;
    }
    if let Some(near) = nearest(name, valid_fields.iter().map(|column| column.name.as_str())) {
        message.push_str(&format!("; did you mean {near}?"));
    } else {
        let names: Vec<_> = valid_fields.iter().map(|column| column.name.as_str()).collect();
        message.push_str(&format!("; it has {}", names.join(", ")));
    }
    message
}

/// The name that is most like the one that was written.
pub(super) fn nearest<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|name| (strsim::normalized_damerau_levenshtein(written, name), name))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, name)| name)
}

/// sqlparser ends its sentences with the place: "… at Line: 1, Column: 8".
pub(super) fn syntax(message: &str) -> DeclarationProblem {
    let message = message.strip_prefix("sql parser error: ").unwrap_or(message);
    let (sentence, place) = match message.rsplit_once(" at Line: ") {
        Some((sentence, place)) => {
            let numbers = place.split_once(", Column: ");
            (
                sentence,
                numbers.and_then(|(line, column)| Some((line.parse().ok()?, column.parse().ok()?))),
            )
        }
        None => (message, None),
    };
    DeclarationProblem {
        table: None,
        place,
        message: format!("the query is no SQL: {sentence}"),
    }
}

fn first_sentence(message: &str) -> String {
    let message = message.strip_prefix("Error during planning: ").unwrap_or(message);
    let message = message
        .strip_prefix("This feature is not implemented: ")
        .unwrap_or(message);
    message.trim_end().trim_end_matches('.').to_owned()
}
