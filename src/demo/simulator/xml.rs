//! XML: `<user>` around everything, one `<results>` a person.

use super::emit::Sink;

/// Writes elements.
pub(super) struct Xml {
    pub text: String,
    open: Vec<String>,
}

impl Xml {
    pub(super) fn new() -> Self {
        Self {
            text: String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"),
            open: Vec::new(),
        }
    }

    fn element(&mut self, name: &str, value: &str) {
        self.text.push_str(&format!("<{name}>"));
        for c in value.chars() {
            match c {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                // XML 1.0 has no way to write the other control characters.
                c if c < ' ' && !matches!(c, '\t' | '\n' | '\r') => self.text.push('\u{fffd}'),
                c => self.text.push(c),
            }
        }
        self.text.push_str(&format!("</{name}>"));
    }
}

impl Sink for Xml {
    fn open(&mut self, name: &str) {
        self.text.push_str(&format!("<{name}>"));
        self.open.push(name.to_owned());
    }

    fn close(&mut self) {
        if let Some(name) = self.open.pop() {
            self.text.push_str(&format!("</{name}>"));
        }
    }

    fn text(&mut self, name: &str, value: &str) {
        self.element(name, value);
    }

    fn number(&mut self, name: &str, value: i64) {
        self.element(name, &value.to_string());
    }

    fn null(&mut self, name: &str) {
        self.text.push_str(&format!("<{name}/>"));
    }
}
