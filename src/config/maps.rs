//! Tables whose keys are the user's own: librdkafka's properties, headers, query parameters.

use super::{
    keys, secrets,
    section::Section,
    settings::Secret,
    tree::{Entry, Value},
    values,
};

/// One entry: its name, and its value or the file that holds it.
struct Pair<'a> {
    name: &'a str,
    entry: &'a Entry,
    is_file: bool,
}

impl Section<'_> {
    /// The entries of a map in the file's order, as texts. No name is special.
    pub(super) fn plain_map(&self, name: &str) -> Vec<(String, String)> {
        let pairs = self.pairs(name, false);
        pairs
            .into_iter()
            .filter_map(|pair| self.scalar(name, &pair).map(|value| (pair.name.to_owned(), value)))
            .collect()
    }

    /// The entries of a map in the file's order, as secrets; `name_file = "path"` reads the value of `name` from a file.
    ///
    /// `refuse` says what is wrong with an entry by its name and value.
    pub(super) fn secret_map(
        &self,
        name: &str,
        refuse: impl Fn(&str, &str) -> Option<String>,
    ) -> Vec<(String, Secret)> {
        let pairs = self.pairs(name, true);
        let mut secrets: Vec<(String, Secret)> = Vec::with_capacity(pairs.len());
        for pair in pairs {
            let key = self.key_of(name, &pair.entry.name);
            let secret = match (&pair.entry.node.value, pair.is_file) {
                (Value::Broken, _) => continue,
                (Value::Text(path), true) => match secrets::read(path, self.context) {
                    Ok(secret) => secret,
                    Err(message) => {
                        self.context.problem(&pair.entry.origin, &key, message);
                        continue;
                    }
                },
                _ => match self.scalar(name, &pair) {
                    Some(value) => Secret::new(value),
                    None => continue,
                },
            };
            if let Some(message) = refuse(pair.name, secret.expose()) {
                self.context.problem(&pair.entry.origin, &key, message);
            } else if secrets.iter().any(|(other, _)| other.eq_ignore_ascii_case(pair.name)) {
                let message = format!(
                    "\"{}\" is there twice, once perhaps as {}_file; keep one of them",
                    pair.name, pair.name
                );
                self.context.problem(&pair.entry.origin, &key, message);
            } else {
                secrets.push((pair.name.to_owned(), secret));
            }
        }
        secrets
    }

    fn key_of(&self, map: &str, name: &str) -> String {
        format!("{}.{name}", keys::join(&self.path, map))
    }

    fn pairs(&self, name: &str, has_files: bool) -> Vec<Pair<'_>> {
        let Some(entry) = self.entry(name) else {
            return Vec::new();
        };
        match &entry.node.value {
            Value::Table(table) => table
                .entries
                .iter()
                .map(|entry| match entry.name.strip_suffix("_file").filter(|_| has_files) {
                    Some(name) => Pair {
                        name,
                        entry,
                        is_file: true,
                    },
                    None => Pair {
                        name: &entry.name,
                        entry,
                        is_file: false,
                    },
                })
                .collect(),
            Value::Broken => Vec::new(),
            other => {
                self.problem(
                    name,
                    format!(
                        "expected a table of texts, numbers, true or false, found {}",
                        other.type_name()
                    ),
                );
                Vec::new()
            }
        }
    }

    fn scalar(&self, map: &str, pair: &Pair<'_>) -> Option<String> {
        let scalar = values::scalar(&pair.entry.node);
        if scalar.is_none() && !matches!(pair.entry.node.value, Value::Broken) {
            // Unquoted dots in a key make tables of it: the usual slip with librdkafka's names.
            let remedy = match pair.entry.node.value {
                Value::Table(_) => "; a name with dots in it is written in quotes",
                _ => "",
            };
            let found = pair.entry.node.value.type_name();
            let message = format!("expected a text, a number, true or false, found {found}{remedy}");
            self.context
                .problem(&pair.entry.origin, &self.key_of(map, &pair.entry.name), message);
        }
        scalar
    }
}
