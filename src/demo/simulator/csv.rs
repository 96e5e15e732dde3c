//! CSV (RFC 4180): one line a person, groups flattened to `name.first`.

use super::emit::Sink;

/// Writes the lines; the first person's fields make the header.
#[derive(Default)]
pub(super) struct Csv {
    header: Vec<String>,
    body: String,
    groups: Vec<String>,
    num_fields: usize,
    num_lines: usize,
}

impl Csv {
    /// Ends a person's line.
    pub(super) fn end_line(&mut self) {
        self.body.push_str("\r\n");
        self.num_lines += 1;
        self.num_fields = 0;
    }

    /// Header and lines.
    pub(super) fn finish(self) -> String {
        format!("{}\r\n{}", self.header.join(","), self.body)
    }

    fn field(&mut self, name: &str, value: &str) {
        if self.num_lines == 0 {
            let groups = self.groups.iter().map(String::as_str);
            self.header.push(groups.chain([name]).collect::<Vec<_>>().join("."));
        }
        if self.num_fields > 0 {
            self.body.push(',');
        }
        self.num_fields += 1;
        if value.contains(['"', ',', '\n', '\r']) {
            self.body.push('"');
            self.body.push_str(&value.replace('"', "\"\""));
            self.body.push('"');
        } else {
            self.body.push_str(value);
        }
    }
}

impl Sink for Csv {
    fn open(&mut self, name: &str) {
        self.groups.push(name.to_owned());
    }

    fn close(&mut self) {
        self.groups.pop();
    }

    fn text(&mut self, name: &str, value: &str) {
        self.field(name, value);
    }

    fn number(&mut self, name: &str, value: i64) {
        self.field(name, &value.to_string());
    }

    fn null(&mut self, name: &str) {
        self.field(name, "");
    }
}
