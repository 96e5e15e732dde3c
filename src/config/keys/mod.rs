//! Every key of `config.toml`, declared once: where it stands, what it takes, its default, and the sentence about it.
//!
//! Reading, unknown-key detection, "did you mean" and the completeness test of the shipped file all come from here.

mod auth;
mod daemon;
mod paginate;
mod pipeline;
mod source;

use std::time::Duration;

/// A key as it is declared.
#[derive(Debug)]
pub struct Key {
    /// The table's path, with `[]` after what may be there several times: `kafka`, `pipeline[].source`.
    pub table: &'static str,
    /// The key's name in that table.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What it is when it is not written.
    pub default: Fallback,
    /// What it means, with its unit; the shipped `config.toml` repeats it word for word.
    pub sentence: &'static str,
}

/// What a key takes.
#[derive(Debug)]
pub enum Kind {
    /// A text that is not empty.
    Text,
    /// A pipeline's name.
    PipelineName,
    /// A Kafka topic's name.
    TopicName,
    /// `table` or `schema.table`.
    TableName,
    /// One of a few words; some of them are planned, but this version cannot do them.
    #[allow(missing_docs)]
    Choice {
        built: &'static [&'static str],
        planned: &'static [&'static str],
    },
    /// `true` or `false`.
    Bool,
    /// A whole number.
    #[allow(missing_docs)]
    Count { unit: &'static str, min: u64, max: u64 },
    /// A span of time like `"30s"`.
    #[allow(missing_docs)]
    Span { min: Duration, max: Duration },
    /// A size in bytes like `"16MiB"`.
    #[allow(missing_docs)]
    Size { min: u64, max: u64 },
    /// `"100 in 1m"`
    Rate,
    /// `IP:port`, or an empty text for none.
    Address,
    /// A directory or file; relative to the config file's directory.
    Path,
    /// A file that holds a secret; relative to `$CREDENTIALS_DIRECTORY` or to the config file's directory.
    SecretFile,
    /// `"embedded"` or `"host:9092,…"`.
    Brokers,
    /// `"embedded"` or `postgres://…`; never quoted.
    PostgresUrl,
    /// `"auto"`, `"system"`, `"download"` or a directory; relative to the config file's directory.
    Programs,
    /// `http://…` or `https://…`; never quoted.
    HttpUrl,
    /// A JSONPath (RFC 9535).
    JsonPath,
    /// A list of texts.
    Texts,
    /// A table with keys of the user's own and scalar values; never quoted.
    Map,
    /// A number of stripes, or a list of parameter sets.
    Shards,
    /// A table of any JSON, or a text; never quoted.
    Body,
    /// A key that this version cannot do anything with; the sentence says what it can do.
    Planned(&'static str),
}

/// What a key is when it is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// It has to be written.
    Required,
    /// Nothing: the feature is off.
    Unset,
    /// This TOML value.
    Is(&'static str),
    /// Something that follows from the surroundings, in words.
    Follows(&'static str),
}

impl Kind {
    /// What to write, for "expected …" sentences.
    pub(super) fn expected(&self) -> String {
        match self {
            Self::Text | Self::PipelineName | Self::TopicName | Self::TableName | Self::JsonPath => {
                "a text in quotes".to_owned()
            }
            Self::Path | Self::SecretFile => "a path in quotes".to_owned(),
            Self::Choice { built, .. } => format!("one of {}", super::suggest::listed(built.iter().copied())),
            Self::Bool => "true or false, without quotes".to_owned(),
            Self::Count { unit, .. } => format!("a whole number of {unit}, without quotes"),
            Self::Span { .. } => "a duration in quotes like \"30s\" or \"1h 5m\"".to_owned(),
            Self::Size { .. } => "a size in quotes like \"16MiB\"".to_owned(),
            Self::Rate => "a rate in quotes like \"100 in 1m\"".to_owned(),
            Self::Address => "an address in quotes like \"127.0.0.1:8900\"".to_owned(),
            Self::Brokers => "\"embedded\" or \"host:9092,host:9092\"".to_owned(),
            Self::PostgresUrl => "\"embedded\" or \"postgres://user@host/database\"".to_owned(),
            Self::Programs => "\"auto\", \"system\", \"download\" or a path in quotes".to_owned(),
            Self::HttpUrl => "an address in quotes like \"https://host/path\"".to_owned(),
            Self::Texts => "a list of texts like [\"uuid\"]".to_owned(),
            Self::Map => "a table of texts, numbers, true or false".to_owned(),
            Self::Shards => "a number of stripes or a list like [{ nat = \"fr\" }, { nat = \"de\" }]".to_owned(),
            Self::Body => "a table or a text in quotes".to_owned(),
            Self::Planned(_) => "nothing yet".to_owned(),
        }
    }

    /// Whether a variable's text is the value itself; the other kinds are written in a variable as in the file.
    pub(super) fn is_textual(&self) -> bool {
        !matches!(
            self,
            Self::Bool | Self::Count { .. } | Self::Texts | Self::Map | Self::Shards | Self::Planned(_)
        )
    }
}

/// All keys, in the order of the shipped file.
pub fn all() -> impl Iterator<Item = &'static Key> {
    daemon::KEYS
        .iter()
        .chain(pipeline::KEYS)
        .chain(source::KEYS)
        .chain(auth::KEYS)
        .chain(paginate::KEYS)
}

/// The key of this name in this table.
pub(super) fn find(table: &str, name: &str) -> Option<&'static Key> {
    all().find(|key| key.table == table && key.name == name)
}

/// Whether keys are declared in or below this table.
pub(super) fn is_table(table: &str) -> bool {
    all().any(|key| key.table == table)
}

/// What may stand in this table: its keys and the tables right below it.
pub(super) fn names_in(table: &str) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    for key in all() {
        let name = if key.table == table {
            key.name
        } else {
            let below = match table {
                "" => key.table,
                _ => match key.table.strip_prefix(table).and_then(|rest| rest.strip_prefix('.')) {
                    Some(below) => below,
                    None => continue,
                },
            };
            below.split('.').next().unwrap_or(below).trim_end_matches("[]")
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The table as it is headed in the file: `[kafka]`, `[[pipeline]]`, `[pipeline.source]`.
pub(super) fn header(table: &str) -> String {
    let name = table.replace("[]", "");
    if table.is_empty() {
        "the top level".to_owned()
    } else if table.ends_with("[]") {
        format!("[[{name}]]")
    } else {
        format!("[{name}]")
    }
}

/// `table.name`; `name` at the top; `table` for the table itself.
pub(super) fn join(table: &str, name: &str) -> String {
    match (table, name) {
        ("", _) => name.to_owned(),
        (_, "") => table.to_owned(),
        _ => format!("{table}.{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_declared_once_and_has_a_sentence() {
        let mut seen = std::collections::BTreeSet::new();
        for key in all() {
            assert!(
                seen.insert((key.table, key.name)),
                "{}.{} is declared twice",
                key.table,
                key.name
            );
            assert!(
                key.sentence.ends_with('.'),
                "{}.{} has no whole sentence",
                key.table,
                key.name
            );
        }
    }

    #[test]
    fn the_names_in_a_table_are_its_keys_and_its_sub_tables() {
        assert_eq!(names_in("kafka"), ["brokers", "properties"]);
        assert_eq!(names_in(""), ["daemon", "kafka", "postgres", "supervision", "pipeline"]);
        assert!(names_in("pipeline[]").contains(&"source") && names_in("pipeline[]").contains(&"table"));
    }
}
