//! The file as it is written: tables, keys and values, each with the place that it comes from.

use std::sync::Arc;

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
