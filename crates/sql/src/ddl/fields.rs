//! Fields and nested types: the walk over the tokens.

use std::{collections::HashSet, sync::Arc};

use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::sql::sqlparser::{
    dialect::SparkSqlDialect,
    keywords::Keyword,
    parser::Parser,
    tokenizer::{Location, Token, TokenWithSpan},
};

use super::{problem, types};
use crate::{
    DeclarationProblem, LINEAGE,
    decode::{Metadata, map_of},
};

/// The deepest nesting of types; deeper ones would also exceed what a record may nest.
const MAX_DEPTH: usize = 64;

type Parsed<T> = Result<T, DeclarationProblem>;

/// The walk over a schema's tokens. Problems with a single name or type are collected and the walk goes on; where the
/// text itself makes no sense it ends.
pub(super) struct Walk {
    parser: Parser<'static>,
    end: Location,
    pub(super) problems: Vec<DeclarationProblem>,
}

impl Walk {
    pub(super) fn new(tokens: Vec<TokenWithSpan>) -> Self {
        let end = tokens.last().map_or(Location::new(1, 1), |token| token.span.end);
        Self {
            parser: Parser::new(&SparkSqlDialect).with_tokens_with_locations(tokens),
            end,
            problems: Vec::new(),
        }
    }

    /// The whole text: fields up to the end.
    pub(super) fn schema(&mut self) -> Parsed<Fields> {
        if self.parser.peek_token_ref().token == Token::EOF {
            return Err(problem(
                self.place(),
                "the schema is empty; declare the fields, like `id BIGINT, name STRING`",
            ));
        }
        let fields = self.fields(0)?;
        if self.parser.peek_token_ref().token != Token::EOF {
            return Err(self.unexpected("a comma or the end"));
        }
        Ok(fields)
    }

    fn fields(&mut self, depth: usize) -> Parsed<Fields> {
        let mut fields: Vec<FieldRef> = Vec::new();
        let mut names = HashSet::new();
        loop {
            let place = self.place();
            let field = self.field(depth)?;
            if !names.insert(field.name().clone()) {
                self.problems.push(problem(
                    place,
                    format!("the field {} is declared twice; remove one", field.name()),
                ));
            }
            if depth == 0 {
                self.check_reserved(place, field.name());
            }
            fields.push(Arc::new(field));
            if !self.parser.consume_token(&Token::Comma) {
                return Ok(fields.into());
            }
        }
    }

    fn check_reserved(&mut self, place: Location, name: &str) {
        if LINEAGE.contains(&name) || Metadata::PUBLIC.iter().any(|column| column.name() == name) {
            let message = format!("the name {name} is the daemon's own; it cannot be a field of the records");
            self.problems.push(problem(place, message));
        }
    }

    fn field(&mut self, depth: usize) -> Parsed<Field> {
        let name = match &self.parser.peek_token_ref().token {
            Token::Word(word) => word.value.clone(),
            _ => return Err(self.unexpected("a field's name (other than plain letters, digits and _ in `backticks`)")),
        };
        self.parser.next_token();
        // A colon is optional and means nothing.
        let _ = self.parser.consume_token(&Token::Colon);
        let data_type = self.data_type(depth)?;
        let mut nullable = true;
        if self.parser.parse_keyword(Keyword::NOT) {
            if !self.parser.parse_keyword(Keyword::NULL) {
                return Err(self.unexpected("NULL after NOT"));
            }
            nullable = false;
        }
        if self.parser.parse_keyword(Keyword::COMMENT) {
            match &self.parser.peek_token_ref().token {
                Token::SingleQuotedString(_) | Token::DoubleQuotedString(_) => self.parser.next_token(),
                _ => return Err(self.unexpected("the comment's text in quotes")),
            };
        }
        Ok(Field::new(name, data_type, nullable))
    }

    fn data_type(&mut self, depth: usize) -> Parsed<DataType> {
        let place = self.place();
        if depth >= MAX_DEPTH {
            return Err(problem(place, format!("types nest more than {MAX_DEPTH} deep")));
        }
        let nested = match &self.parser.peek_token_ref().token {
            Token::Word(word) if word.quote_style.is_none() => word.keyword,
            _ => return Err(self.unexpected("a type")),
        };
        match nested {
            Keyword::ARRAY => {
                self.open("ARRAY<STRING>")?;
                let item = self.data_type(depth + 1)?;
                self.close()?;
                Ok(DataType::List(Arc::new(Field::new_list_field(item, true))))
            }
            Keyword::MAP => {
                self.open("MAP<STRING, INT>")?;
                let key_place = self.place();
                let key = self.data_type(depth + 1)?;
                if key != DataType::Utf8 {
                    let message = "the key of a MAP must be STRING: names in JSON are text";
                    self.problems.push(problem(key_place, message));
                }
                if !self.parser.consume_token(&Token::Comma) {
                    return Err(self.unexpected("a comma and the type of the map's values"));
                }
                let value = self.data_type(depth + 1)?;
                self.close()?;
                Ok(map_of(value))
            }
            Keyword::STRUCT => {
                self.open("STRUCT<id: BIGINT>")?;
                if self.parser.peek_token_ref().token == Token::Gt {
                    self.problems.push(problem(
                        place,
                        "an empty STRUCT holds nothing; declare its fields or leave it out",
                    ));
                    self.close()?;
                    return Ok(DataType::Struct(Fields::empty()));
                }
                let fields = self.fields(depth + 1)?;
                self.close()?;
                Ok(DataType::Struct(fields))
            }
            _ => self.scalar(place),
        }
    }

    fn scalar(&mut self, place: Location) -> Parsed<DataType> {
        let written = self.parser.parse_data_type().map_err(|error| {
            problem(
                place,
                format!(
                    "{}; a type was expected here",
                    super::types::without_place(&error.to_string())
                ),
            )
        })?;
        match types::scalar(&written) {
            Ok(data_type) => Ok(data_type),
            Err(message) => {
                self.problems.push(problem(place, message));
                Ok(DataType::Utf8)
            }
        }
    }

    fn open(&mut self, example: &str) -> Parsed<()> {
        self.parser.next_token();
        if self.parser.consume_token(&Token::Lt) {
            return Ok(());
        }
        Err(self.unexpected(&format!("< (write {example})")))
    }

    fn close(&mut self) -> Parsed<()> {
        if self.parser.consume_token(&Token::Gt) {
            return Ok(());
        }
        Err(self.unexpected("a comma or >"))
    }

    fn place(&self) -> Location {
        let token = self.parser.peek_token_ref();
        if token.token == Token::EOF {
            self.end
        } else {
            token.span.start
        }
    }

    fn unexpected(&self, expected: &str) -> DeclarationProblem {
        let token = self.parser.peek_token_ref();
        let found = match &token.token {
            Token::EOF => "the end of the text".to_owned(),
            other => format!("`{other}`"),
        };
        problem(self.place(), format!("{found} where {expected} is expected"))
    }
}
