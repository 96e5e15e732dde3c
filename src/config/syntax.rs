//! From text to the tree, as far as the text is TOML.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::tree::{Entry, Node, Origin, Table, Text, Value};

/// A syntax error: the line, the key where it is about one, and what the parser says.
pub(super) struct SyntaxError {
    pub(super) line: usize,
    /// The last line of which nothing is known for sure: behind a broken header the keys have no table.
    pub(super) last_line: usize,
    pub(super) key: String,
    pub(super) message: String,
}

/// Who has more of them is reading the wrong file.
const MAX_SYNTAX_ERRORS: usize = 100;

/// Parses a file as far as possible; all syntax errors at once.
pub(super) fn parse(text: &str) -> (Table, Vec<SyntaxError>) {
    let lines = Lines::of(text);
    let mut text = text.to_owned();
    let mut errors: Vec<SyntaxError> = Vec::new();
    loop {
        let (table, found) = parse_once(&text, &lines);
        let mut is_stuck = false;
        for error in found {
            if errors
                .iter()
                .any(|known| (known.line..=known.last_line).contains(&error.line))
            {
                continue;
            }
            // The parser reads no further than a key without a value, and a broken header takes in the next one: blank the
            // line out and read again.
            is_stuck = lines.blank_unless_assigned(&mut text, error.line);
            errors.push(error);
            if is_stuck {
                break;
            }
        }
        if !is_stuck || errors.len() >= MAX_SYNTAX_ERRORS {
            return (table, errors);
        }
    }
}

fn parse_once(text: &str, lines: &Lines) -> (Table, Vec<SyntaxError>) {
    let (table, errors) = DeTable::parse_recoverable(text);
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
            let (start, message) = match (is_duplicate, unclosed(text, span.start, error.message())) {
                (true, _) => (span.start, "written twice; keep one of them".to_owned()),
                (false, Some((start, quotes))) => (
                    start,
                    format!("not valid TOML: the text that begins here is not closed; end it with {quotes}"),
                ),
                (false, None) => (span.start, format!("not valid TOML: {}", error.message())),
            };
            // What is missing at the end is missing on the last line that there is.
            let line = lines.line_of(start.min(text.trim_end().len()));
            SyntaxError {
                line,
                last_line: lines.last_line_in_doubt(text, line),
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

/// Where a text of several lines begins that runs to the end of the file, and what would close it: the parser names the end.
fn unclosed(text: &str, at: usize, message: &str) -> Option<(usize, &'static str)> {
    let forms = [
        ("multi-line basic string", "\"\"\""),
        ("multi-line literal string", "'''"),
    ];
    let at_the_end = at >= text.trim_end().len();
    let (_, quotes) = forms
        .into_iter()
        .find(|(name, _)| at_the_end && message.contains(name))?;
    Some((text.rfind(quotes)?, quotes))
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

/// Where lines end.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(offset, _)| offset).collect())
    }

    /// The line of a byte, from 1.
    fn line_of(&self, offset: usize) -> usize {
        self.0.partition_point(|newline| *newline < offset) + 1
    }

    fn range(&self, text: &str, line: usize) -> Range<usize> {
        let before = line.checked_sub(2).and_then(|before| self.0.get(before));
        before.map_or(0, |newline| newline + 1)..self.0.get(line - 1).copied().unwrap_or(text.len())
    }

    fn is_header(&self, text: &str, line: usize) -> bool {
        text.get(self.range(text, line))
            .is_some_and(|line| line.trim_start().starts_with('['))
    }

    fn last_line_in_doubt(&self, text: &str, line: usize) -> usize {
        if !self.is_header(text, line) {
            return line;
        }
        let num_lines = self.0.len() + 1;
        (line + 1..=num_lines)
            .find(|next| self.is_header(text, *next))
            .map_or(num_lines, |next| next - 1)
    }

    /// Replaces a header, or a line without `=`, by blanks, so that every other byte keeps its place; whether it was one.
    fn blank_unless_assigned(&self, text: &mut String, line: usize) -> bool {
        let range = self.range(text, line);
        let is_header = self.is_header(text, line);
        let is_blanked = text
            .get(range.clone())
            .is_some_and(|line| is_header || !line.contains('=') && !line.trim().is_empty());
        if is_blanked {
            text.replace_range(range.clone(), &" ".repeat(range.len()));
        }
        is_blanked
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

    #[test]
    fn a_text_that_is_not_closed_is_named_where_it_begins() {
        for quotes in ["\"\"\"", "'''"] {
            let (_, errors) = parse(&format!("a = 1\nb = {quotes}\nlong\nc = 3\n\n"));
            assert_eq!(errors.len(), 1);
            assert_eq!(errors[0].line, 2);
            assert!(
                errors[0].message.contains(&format!("end it with {quotes}")),
                "{}",
                errors[0].message
            );
        }
        let (_, errors) = parse("a = [\n1,\n\n");
        assert!(!errors.is_empty() && errors.iter().all(|error| error.line <= 2));
    }

    #[test]
    fn a_key_without_a_value_does_not_end_the_reading() {
        let (table, errors) = parse("a = 1\nb\nc = 3\nd\n[e]\nf = 6");
        assert_eq!(errors.iter().map(|error| error.line).collect::<Vec<_>>(), [2, 4]);
        let names: Vec<_> = table
            .entries
            .iter()
            .map(|entry| (entry.name.as_str(), entry.origin.clone()))
            .collect();
        assert_eq!(
            names,
            [("a", Origin::Line(1)), ("c", Origin::Line(3)), ("e", Origin::Line(5))]
        );
    }

    #[test]
    fn no_text_makes_the_parser_panic_or_run_for_ever() {
        for text in [
            "",
            "=",
            "[",
            "[[",
            "]",
            "a",
            "a=",
            "\"\"\"",
            "a = \"\"\"\n",
            "a = [\n\n",
            "a = {\nb",
            "\u{feff}a = 1",
            "a.b.c\n.",
            "[a]\n[a.b]\n[[a]]\n",
            "é\né = 1\nü",
        ] {
            let (_, errors) = parse(text);
            assert!(errors.len() <= text.len(), "{text:?}");
        }
        let deep = format!("a = {}", "[".repeat(10_000));
        assert!(!parse(&deep).1.is_empty());
    }
}
