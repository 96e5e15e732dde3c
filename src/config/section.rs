//! Reads one table's keys as they are declared: written or default, checked, or the problem noted.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde_json_path::JsonPath;
use url::Url;

use super::{
    context::Context,
    keys::{self, Fallback, Key, Kind},
    secrets,
    settings::{Credential, Rate, Secret},
    syntax,
    tree::{Entry, Node, Origin, Table, Value},
    values, walk,
};

/// One table, which may not be written at all.
pub(super) struct Section<'a> {
    pub(super) context: &'a Context<'a>,
    table: Option<&'a Table>,
    /// Where the table begins.
    pub(super) origin: Origin,
    /// The declared path.
    pattern: &'static str,
    /// The path for messages.
    pub(super) path: String,
    /// A problem with the table itself was reported: nothing is said about what it lacks.
    is_broken: bool,
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(super) fn root(table: &'a Table, context: &'a Context<'a>) -> Self {
        let origin = Origin::Default;
        Self {
            context,
            table: Some(table),
            origin,
            pattern: "",
            path: String::new(),
            is_broken: false,
        }
    }

    /// The table below this one.
    pub(super) fn child(&self, name: &str, pattern: &'static str) -> Self {
        let entry = self.entry(name);
        let table = entry.and_then(|entry| match &entry.node.value {
            Value::Table(table) => Some(table),
            _ => None,
        });
        Self {
            context: self.context,
            table,
            origin: entry.map_or_else(|| self.origin.clone(), |entry| entry.origin.clone()),
            pattern,
            path: keys::join(&self.path, name),
            is_broken: self.is_broken || (entry.is_some() && table.is_none()),
        }
    }

    /// The tables below this one of which there may be several.
    pub(super) fn children(&self, name: &str, pattern: &'static str) -> Vec<Self> {
        let Some(Value::Array(items)) = self.entry(name).map(|entry| &entry.node.value) else {
            return Vec::new();
        };
        let section = |(index, item): (usize, &'a Node)| {
            let Value::Table(table) = &item.value else { return None };
            Some(Self {
                context: self.context,
                table: Some(table),
                origin: item.origin.clone(),
                pattern,
                path: format!("{}.{}", keys::join(&self.path, name), walk::label(item, index)),
                is_broken: self.is_broken,
            })
        };
        items.iter().enumerate().filter_map(section).collect()
    }

    pub(super) fn entry(&self, name: &str) -> Option<&'a Entry> {
        self.table.and_then(|table| table.get(name))
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    /// Where a key stands, or else its table.
    pub(super) fn origin_of(&self, name: &str) -> Origin {
        self.entry(name)
            .map_or_else(|| self.origin.clone(), |entry| entry.origin.clone())
    }

    pub(super) fn problem(&self, name: &str, message: impl Into<String>) {
        self.context
            .problem(&self.origin_of(name), &keys::join(&self.path, name), message);
    }

    pub(super) fn note(&self, name: &str, message: impl Into<String>) {
        self.context
            .note(&self.origin_of(name), &keys::join(&self.path, name), message);
    }

    /// Says that the table lacks something, where that can be known.
    pub(super) fn missing(&self, name: &str, message: impl Into<String>) {
        let key = keys::join(&self.path, name);
        if !self.is_broken && self.context.may_be_missing(&key) {
            self.context.problem(&self.origin, &key, message);
        }
    }

    /// The key as written or by default; `None` where it is unset or wrong.
    fn read<T>(&self, name: &str, parse: impl FnOnce(&Node, &Kind) -> Result<T, String>) -> Option<T> {
        let Key {
            kind,
            default,
            sentence,
            ..
        } = keys::find(self.pattern, name).expect("only declared keys are read, and every load reads them all");
        match (self.entry(name), default) {
            (
                Some(Entry {
                    node: Node {
                        value: Value::Broken, ..
                    },
                    ..
                }),
                _,
            ) => None,
            (Some(entry), _) => parse(&entry.node, kind)
                .map_err(|message| self.problem(name, message))
                .ok(),
            (None, Fallback::Is(text)) => {
                let node = syntax::parse_value(text, Origin::Default)?;
                parse(&node, kind).map_err(|message| self.problem(name, message)).ok()
            }
            (None, Fallback::Required) => {
                self.missing(
                    name,
                    format!("missing, and it has no default. {}", sentence.trim_end_matches('.')),
                );
                None
            }
            (None, Fallback::Unset | Fallback::Follows(_)) => None,
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.read(name, |node, kind| {
            values::filled(node, kind).map(|text| text.value.clone())
        })
    }

    /// A text of a form of its own.
    pub(super) fn parsed<T>(&self, name: &str, parse: impl FnOnce(&Node, &Kind) -> Result<T, String>) -> Option<T> {
        self.read(name, parse)
    }

    /// The chosen word; empty where it is wrong.
    pub(super) fn choice(&self, name: &str) -> &'static str {
        self.read(name, values::choice).unwrap_or_default()
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.read(name, values::flag).unwrap_or_default()
    }

    pub(super) fn count(&self, name: &str) -> Option<u64> {
        self.read(name, values::count)
    }

    pub(super) fn count32(&self, name: &str) -> u32 {
        self.count(name)
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or_default()
    }

    pub(super) fn count_of(&self, name: &str) -> usize {
        self.count(name)
            .and_then(|count| usize::try_from(count).ok())
            .unwrap_or_default()
    }

    pub(super) fn span(&self, name: &str) -> Option<Duration> {
        self.read(name, values::span)
    }

    pub(super) fn size(&self, name: &str) -> usize {
        self.read(name, values::size)
            .and_then(|bytes| usize::try_from(bytes).ok())
            .unwrap_or_default()
    }

    pub(super) fn rate(&self, name: &str) -> Option<Rate> {
        self.read(name, values::rate)
    }

    pub(super) fn address(&self, name: &str) -> Option<SocketAddr> {
        self.read(name, values::address).flatten()
    }

    pub(super) fn json_path(&self, name: &str) -> Option<(JsonPath, String)> {
        self.read(name, values::json_path)
    }

    pub(super) fn http_url(&self, name: &str) -> Option<Url> {
        self.read(name, values::http_url)
    }

    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        self.read(name, values::texts).unwrap_or_default()
    }

    /// A path, relative to the config file's directory.
    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.read(name, |node, kind| {
            values::filled(node, kind).map(|text| self.context.dir.join(&text.value))
        })
    }

    /// A secret out of the file that the key names.
    pub(super) fn secret_file(&self, name: &str) -> Option<Secret> {
        self.read(name, |node, kind| {
            secrets::read(values::filled(node, kind)?, self.context)
        })
    }

    /// A secret that is either written or in a file, which `<name>_file` names. `why` says what needs it.
    pub(super) fn credential(&self, name: &str, why: &str) -> Option<Credential> {
        let file_name = format!("{name}_file");
        match (self.is_set(name), self.is_set(&file_name)) {
            (true, true) => {
                self.problem(&file_name, format!("{name} is there too; keep one of them"));
                None
            }
            (true, false) => self.text(name).map(|text| Credential {
                value: Secret::new(text),
                file: None,
            }),
            (false, true) => self.read(&file_name, |node, kind| {
                let path = values::filled(node, kind)?;
                Ok(Credential {
                    value: secrets::read(path, self.context)?,
                    file: Some(secrets::locate(&path.value, self.context)),
                })
            }),
            (false, false) => {
                self.missing(
                    name,
                    format!("missing: {why} needs it; write {name} = \"${{VARIABLE}}\" or {file_name} = \"path\""),
                );
                None
            }
        }
    }
}
