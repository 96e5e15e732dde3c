//! The file as it is written: tables, keys and values, each with the place that it comes from.

use std::sync::Arc;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// In the file, on this line (from 1).
    Line(usize),
    /// In this variable.
    Variable(Arc<str>),
    /// Nowhere: it is a default.
    Default,
}

/// A value and where it stands. It has no `Debug`: it may be a secret.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) origin: Origin,
    pub(super) value: Value,
}

#[derive(Clone)]
pub(super) enum Value {
    Text(Text),
    Integer(i64),
    /// As it is written.
    Float(String),
    Bool(bool),
    Array(Vec<Node>),
    Table(Table),
    /// Something that no key takes: a date, an integer beyond 64 bits. The text names it.
    Other(&'static str),
    /// A problem with it was reported already.
    Broken,
}

/// A text, and how it is quoted in a message: as it was written, before `${VAR}` was replaced.
#[derive(Clone)]
pub(super) struct Text {
    pub(super) value: String,
    pub(super) written: Option<String>,
}

impl Text {
    pub(super) fn new(value: impl Into<String>) -> Self {
        Self {
            value: value.into(),
            written: None,
        }
    }

    pub(super) fn quoted(&self) -> String {
        format!("\"{}\"", self.written.as_ref().unwrap_or(&self.value).escape_debug())
    }
}

impl Value {
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number with a fraction",
            Self::Bool(_) => "true or false",
            Self::Array(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(name) => name,
            Self::Broken => "something broken",
        }
    }
}

/// Keys in the order in which they are written.
#[derive(Clone, Default)]
pub(super) struct Table {
    pub(super) entries: Vec<Entry>,
}

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) name: String,
    /// Where the key stands; the value may begin further down.
    pub(super) origin: Origin,
    pub(super) node: Node,
}

impl Table {
    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.name == name)
    }

    /// Puts a value in the place of the one that is there, or at the end.
    pub(super) fn set(&mut self, name: &str, node: Node) {
        let entry = Entry {
            name: name.to_owned(),
            origin: node.origin.clone(),
            node,
        };
        match self.get_mut(name) {
            Some(there) => *there = entry,
            None => self.entries.push(entry),
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.entries.retain(|entry| entry.name != name);
    }
}

/// A syntax error: the line, the key where it is about one, and what the parser says.
pub(super) struct SyntaxError {
    pub(super) line: usize,
    pub(super) key: String,
    pub(super) message: String,
}

/// Parses a file as far as possible; all syntax errors at once.
pub(super) fn parse(text: &str) -> (Table, Vec<SyntaxError>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let lines = Lines::of(text);
    let errors = errors
        .into_iter()
        .map(|error| {
            let span = error.span().unwrap_or_default();
            let is_duplicate = error.message() == "duplicate key";
            let key = text
                .get(span.clone())
                .filter(|_| is_duplicate)
                .unwrap_or_default()
                .to_owned();
            let message = match is_duplicate {
                true => "written twice; keep one of them".to_owned(),
                false => format!("not valid TOML: {}", error.message()),
            };
            SyntaxError {
                line: lines.line_of(span.start),
                key,
                message,
            }
        })
        .collect();
    (
        convert_table(table.get_ref(), &|offset| Origin::Line(lines.line_of(offset))),
        errors,
    )
}

/// Parses one value, as it could stand behind `key = `.
pub(super) fn parse_value(text: &str, origin: Origin) -> Option<Node> {
    let value = DeValue::parse(text).ok()?;
    Some(convert(&value, &|_| origin.clone()))
}

fn convert(value: &Spanned<DeValue<'_>>, origin: &dyn Fn(usize) -> Origin) -> Node {
    let converted = match value.get_ref() {
        DeValue::String(text) => Value::Text(Text::new(text.as_ref())),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Other("a number beyond 64 bits"),
        },
        DeValue::Float(float) => Value::Float(float.as_str().to_owned()),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Array(items) => Value::Array(items.iter().map(|item| convert(item, origin)).collect()),
        DeValue::Table(table) => Value::Table(convert_table(table, origin)),
    };
    Node {
        origin: origin(value.span().start),
        value: converted,
    }
}

fn convert_table(table: &DeTable<'_>, origin: &dyn Fn(usize) -> Origin) -> Table {
    let mut entries: Vec<(usize, Entry)> = table
        .iter()
        .map(|(key, value)| {
            let start = key.span().start;
            (
                start,
                Entry {
                    name: key.get_ref().to_string(),
                    origin: origin(start),
                    node: convert(value, origin),
                },
            )
        })
        .collect();
    // The parser keeps keys in the order of their names; parameters and problems go in the order of the file.
    entries.sort_by_key(|(start, _)| *start);
    Table {
        entries: entries.into_iter().map(|(_, entry)| entry).collect(),
    }
}

/// Where lines begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(offset, _)| offset).collect())
    }

    /// The line of a byte, from 1.
    fn line_of(&self, offset: usize) -> usize {
        self.0.partition_point(|newline| *newline < offset) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_in_the_order_of_the_file_with_their_lines() {
        let (table, errors) = parse("z = 1\n\na = \"\"\"\nlong\"\"\"\n[b]\nc = 0x10\n");
        assert!(errors.is_empty());
        let places: Vec<_> = table
            .entries
            .iter()
            .map(|entry| (entry.name.as_str(), entry.origin.clone()))
            .collect();
        assert_eq!(
            places,
            [("z", Origin::Line(1)), ("a", Origin::Line(3)), ("b", Origin::Line(5))]
        );
        let Value::Table(b) = &table.entries[2].node.value else {
            panic!("b is a table")
        };
        assert!(matches!(b.entries[0].node.value, Value::Integer(16)));
    }

    #[test]
    fn every_syntax_error_has_its_line() {
        let (_, errors) = parse("a = 1\nb = \nc = \"open\nd = 4\na = 2\n");
        let lines: Vec<_> = errors.iter().map(|error| error.line).collect();
        assert_eq!(lines, [2, 3, 5]);
        assert_eq!(errors[2].key, "a");
    }
}
