//! JSON text, written directly: no tree is built.

use std::fmt::Write as _;

use super::emit::Sink;

/// Writes JSON, compact or indented by two blanks a level.
pub(super) struct Json {
    pub text: String,
    pretty: bool,
    /// For each open group whether it has a field already.
    filled: Vec<bool>,
}

impl Json {
    pub(super) fn new(pretty: bool, capacity: usize) -> Self {
        Self {
            text: String::with_capacity(capacity),
            pretty,
            filled: Vec::with_capacity(8),
        }
    }

    /// Begins an object or an array: `{` or `[`, after its name if it has one.
    pub(super) fn begin(&mut self, name: Option<&str>, bracket: char) {
        match name {
            Some(name) => self.name(name),
            None => self.separate(),
        }
        self.text.push(bracket);
        self.filled.push(false);
    }

    /// Ends it.
    pub(super) fn end(&mut self, bracket: char) {
        if self.filled.pop() == Some(true) {
            self.new_line();
        }
        self.text.push(bracket);
    }

    /// A text in double quotes, as JSON and YAML both read it.
    pub(super) fn quoted(value: &str) -> String {
        let mut json = Self::new(false, value.len() + 2);
        json.string(value);
        json.text
    }

    fn separate(&mut self) {
        if let Some(filled) = self.filled.last_mut() {
            if std::mem::replace(filled, true) {
                self.text.push(',');
            }
            self.new_line();
        }
    }

    fn new_line(&mut self) {
        if self.pretty {
            self.text.push('\n');
            self.text.extend(std::iter::repeat_n("  ", self.filled.len()));
        }
    }

    fn name(&mut self, name: &str) {
        self.separate();
        self.string(name);
        self.text.push_str(if self.pretty { ": " } else { ":" });
    }

    fn string(&mut self, value: &str) {
        self.text.push('"');
        let is_plain = |byte: &u8| *byte >= 0x20 && !matches!(byte, b'"' | b'\\');
        if value.as_bytes().iter().all(is_plain) {
            self.text.push_str(value);
        } else {
            for c in value.chars() {
                match c {
                    '"' | '\\' => self.text.extend(['\\', c]),
                    '\n' => self.text.push_str("\\n"),
                    '\r' => self.text.push_str("\\r"),
                    '\t' => self.text.push_str("\\t"),
                    // Writing to a String does not fail.
                    c if c < ' ' => drop(write!(self.text, "\\u{:04x}", u32::from(c))),
                    c => self.text.push(c),
                }
            }
        }
        self.text.push('"');
    }
}

impl Sink for Json {
    fn open(&mut self, name: &str) {
        self.begin(Some(name), '{');
    }

    fn close(&mut self) {
        self.end('}');
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        self.string(value);
    }

    fn number(&mut self, name: &str, value: i64) {
        self.name(name);
        // Writing to a String does not fail.
        let _ = write!(self.text, "{value}");
    }

    fn null(&mut self, name: &str) {
        self.name(name);
        self.text.push_str("null");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn write(pretty: bool) -> String {
        let mut json = Json::new(pretty, 0);
        json.begin(None, '{');
        json.text("a \"b\"", "\\ \u{1} \n\t\r é");
        json.begin(Some("empty"), '[');
        json.end(']');
        json.open("o");
        json.number("n", -5);
        json.null("z");
        json.close();
        json.end('}');
        json.text
    }

    #[test]
    fn both_shapes_say_the_same() {
        let expected = json!({"a \"b\"": "\\ \u{1} \n\t\r é", "empty": [], "o": {"n": -5, "z": null}});
        for pretty in [false, true] {
            assert_eq!(serde_json::from_str::<Value>(&write(pretty)).expect("JSON"), expected);
        }
        assert_eq!(write(true), serde_json::to_string_pretty(&expected).expect("JSON"));
    }
}
