//! The records' schema: Spark DDL to Arrow.
//!
//! The tokens, identifiers and scalar types are sqlparser's (`SparkSqlDialect`). The fields are walked here, because
//! sqlparser 0.62 reads neither `NOT NULL` nor `COMMENT` inside a STRUCT, stops at the first problem, and does not say
//! where a type stood. Spark's rules: `name TYPE` and `name: TYPE` mean the same, names keep their case, and the same text
//! serves `from_json`.

mod fields;
mod types;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::sql::sqlparser::{
    dialect::SparkSqlDialect,
    tokenizer::{Location, Token, TokenWithSpan, Tokenizer},
};
use std::sync::Arc;

use crate::DeclarationProblem;

/// Parses a schema, or says all that is wrong with it.
pub(crate) fn parse(text: &str) -> Result<SchemaRef, Vec<DeclarationProblem>> {
    let tokens = Tokenizer::new(&SparkSqlDialect, text)
        .tokenize_with_location()
        .map_err(|error| {
            vec![problem(
                error.location,
                format!("{}; a text or name is not closed", error.message),
            )]
        })?;
    let mut walk = fields::Walk::new(tokens.into_iter().flat_map(split_arrows).collect());
    match walk.schema() {
        Ok(fields) if walk.problems.is_empty() => Ok(Arc::new(Schema::new(fields))),
        Ok(_) => Err(walk.problems),
        Err(last) => {
            walk.problems.push(last);
            Err(walk.problems)
        }
    }
}

/// `>>` closes two brackets and `<>` is an empty pair, but the tokenizer takes them for operators.
fn split_arrows(token: TokenWithSpan) -> Vec<TokenWithSpan> {
    let parts = match token.token {
        Token::ShiftRight => [Token::Gt, Token::Gt],
        Token::Neq => [Token::Lt, Token::Gt],
        Token::Whitespace(_) => return vec![],
        _ => return vec![token],
    };
    let [first, second] = parts;
    let mut span = token.span;
    let mut late = span;
    late.start.column += 1;
    span.end = late.start;
    vec![TokenWithSpan::new(first, span), TokenWithSpan::new(second, late)]
}

fn problem(place: Location, message: impl Into<String>) -> DeclarationProblem {
    // Line 0 is sqlparser's "nowhere", for instance behind the last token.
    let place = (place.line > 0).then_some((place.line, place.column));
    DeclarationProblem {
        table: None,
        place,
        message: message.into(),
    }
}

#[cfg(test)]
mod tests;
