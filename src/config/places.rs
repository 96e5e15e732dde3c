//! Where the texts stand that are checked later, by those who understand them: schemas and queries.

use std::collections::BTreeMap;

use super::{
    Problem,
    context::Context,
    keys,
    settings::Settings,
    tree::{Node, Origin, Table, Value},
};

/// Finds the line of a schema or a query, so that a later check reports as the configuration's own checks do.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// By pipeline and table (`None` = the schema): the problem without its message.
    by_text: BTreeMap<(String, Option<String>), Problem>,
}

impl Places {
    /// A problem with a pipeline's schema (`table` = `None`) or with a table's query.
    ///
    /// `place` is the line and column within the text, from 1; a text of several lines is counted from its first one.
    pub fn problem(&self, pipeline: &str, table: Option<&str>, place: Option<(u64, u64)>, message: &str) -> Problem {
        let name = (pipeline.to_owned(), table.map(str::to_owned));
        let mut problem = self.by_text.get(&name).cloned().unwrap_or_else(|| {
            let key = match table {
                Some(table) => format!("pipeline.{pipeline}.table.{table}.sql"),
                None => format!("pipeline.{pipeline}.schema"),
            };
            Problem {
                file: "config.toml".to_owned(),
                line: None,
                key,
                message: String::new(),
            }
        });
        if let (Some(line), Some((below, _))) = (problem.line, place) {
            problem.line = Some(line + usize::try_from(below).unwrap_or(1).saturating_sub(1));
        }
        problem.message = message.to_owned();
        problem
    }

    /// Remembers the places of a configuration that has been read.
    pub(super) fn of(settings: &Settings, root: &Table, source: &str, context: &Context<'_>) -> Self {
        let mut places = Self::default();
        let lines: Vec<&str> = source.lines().collect();
        for (index, pipeline) in settings.pipelines.iter().enumerate() {
            let Some(section) = item(root, "pipeline", index) else {
                continue;
            };
            let name = pipeline.name.to_string();
            let path = format!("pipeline.{name}");
            places.remember((name.clone(), None), section, "schema", &path, &lines, context);
            for (index, table) in pipeline.tables.iter().enumerate() {
                let Some(section) = item(section, "table", index) else {
                    continue;
                };
                let path = format!("{path}.table.{}", table.name);
                places.remember(
                    (name.clone(), Some(table.name.clone())),
                    section,
                    "sql",
                    &path,
                    &lines,
                    context,
                );
            }
        }
        places
    }

    fn remember(
        &mut self,
        name: (String, Option<String>),
        section: &Table,
        key: &str,
        path: &str,
        lines: &[&str],
        context: &Context<'_>,
    ) {
        let Some(entry) = section.get(key) else { return };
        let origin = match entry.node.origin {
            // A line break right after the opening quotes is not part of the text.
            Origin::Line(line) if lines.get(line - 1).is_some_and(|text| opens(text)) => Origin::Line(line + 1),
            ref origin => origin.clone(),
        };
        self.by_text
            .insert(name, context.located(&origin, &keys::join(path, key), String::new()));
    }
}

fn opens(line: &str) -> bool {
    line.ends_with("\"\"\"") || line.ends_with("'''")
}

fn item<'t>(table: &'t Table, name: &str, index: usize) -> Option<&'t Table> {
    let Value::Array(items) = &table.get(name)?.node.value else {
        return None;
    };
    match items.get(index) {
        Some(Node {
            value: Value::Table(table),
            ..
        }) => Some(table),
        _ => None,
    }
}
