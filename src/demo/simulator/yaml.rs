//! YAML: block mappings, every text in double quotes, so that no postcode or `no` is taken for something else.

use super::{emit::Sink, json::Json};

/// Writes block mappings.
pub(super) struct Yaml {
    pub text: String,
    depth: usize,
    /// The next line begins a list item.
    item: bool,
}

impl Yaml {
    pub(super) fn new() -> Self {
        Self {
            text: String::from("results:\n"),
            depth: 0,
            item: false,
        }
    }

    /// Begins a person.
    pub(super) fn begin_item(&mut self) {
        self.depth = 2;
        self.item = true;
    }

    /// Ends the list; what follows stands at the left.
    pub(super) fn end_items(&mut self, num_items: u64) {
        if num_items == 0 {
            self.text = String::from("results: []\n");
        }
        self.depth = 0;
    }

    fn line(&mut self, name: &str, value: &str) {
        let blanks = self.depth * 2;
        if std::mem::take(&mut self.item) {
            self.text.extend(std::iter::repeat_n(' ', blanks - 2));
            self.text.push_str("- ");
        } else {
            self.text.extend(std::iter::repeat_n(' ', blanks));
        }
        self.text.push_str(name);
        self.text.push(':');
        if !value.is_empty() {
            self.text.push(' ');
            self.text.push_str(value);
        }
        self.text.push('\n');
    }
}

impl Sink for Yaml {
    fn open(&mut self, name: &str) {
        self.line(name, "");
        self.depth += 1;
    }

    fn close(&mut self) {
        self.depth -= 1;
    }

    fn text(&mut self, name: &str, value: &str) {
        self.line(name, &Json::quoted(value));
    }

    fn number(&mut self, name: &str, value: i64) {
        self.line(name, &value.to_string());
    }

    fn null(&mut self, name: &str) {
        self.line(name, "null");
    }
}
