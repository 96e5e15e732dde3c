//! Compares what is written with what is declared: unknown keys, tables of the wrong shape, keys of a later version.

use super::{
    context::Context,
    interpolate, keys,
    keys::Kind,
    suggest,
    tree::{Entry, Node, Table, Value},
};

/// Walks one table. `pattern` is its declared path (`pipeline[].source`), `path` the one for messages.
pub(super) fn walk(table: &mut Table, pattern: &str, path: &str, context: &Context<'_>) {
    for entry in &mut table.entries {
        let here = keys::join(path, &entry.name);
        let below = keys::join(pattern, &entry.name);
        if let Some(key) = keys::find(pattern, &entry.name) {
            match key.kind {
                Kind::Planned(sentence) => {
                    context.problem(&entry.origin, &here, format!("not built yet; {sentence}"));
                }
                _ => interpolate::expand_node(&mut entry.node, &here, context),
            }
        } else if keys::is_table(&below) {
            one_table(entry, &below, &here, context);
        } else if keys::is_table(&format!("{below}[]")) {
            many_tables(entry, &format!("{below}[]"), &here, context);
        } else {
            let (message, meant) = unknown(pattern, &entry.name);
            if let Some(meant) = meant {
                context.misspelt(keys::join(path, meant));
            }
            context.problem(&entry.origin, &here, message);
        }
    }
}

fn one_table(entry: &mut Entry, pattern: &str, path: &str, context: &Context<'_>) {
    if let Value::Table(table) = &mut entry.node.value {
        return walk(table, pattern, path, context);
    }
    let header = keys::header(pattern);
    let message = match entry.node.value {
        Value::Array(_) => format!("there is only one; write {header}, with single brackets"),
        _ => format!(
            "expected a table, found {}; write {header} and its keys below",
            entry.node.value.type_name()
        ),
    };
    context.problem(&entry.origin, path, message);
    entry.node.value = Value::Broken;
}

fn many_tables(entry: &mut Entry, pattern: &str, path: &str, context: &Context<'_>) {
    let header = keys::header(pattern);
    let Value::Array(items) = &mut entry.node.value else {
        let message = match entry.node.value {
            Value::Table(_) => format!("there may be several; write {header}, with double brackets"),
            _ => format!(
                "expected tables, found {}; write {header} and its keys below",
                entry.node.value.type_name()
            ),
        };
        context.problem(&entry.origin, path, message);
        entry.node.value = Value::Broken;
        return;
    };
    for (index, item) in items.iter_mut().enumerate() {
        let here = keys::join(path, &label(item, index));
        match &mut item.value {
            Value::Table(table) => walk(table, pattern, &here, context),
            other => {
                let message = format!(
                    "expected a table, found {}; write {header} and its keys below",
                    other.type_name()
                );
                context.problem(&item.origin, &here, message);
                item.value = Value::Broken;
            }
        }
    }
}

/// What one of several tables is called in messages: its name, or its number from 0.
pub(super) fn label(node: &Node, index: usize) -> String {
    name_of(node).map_or_else(|| index.to_string(), str::to_owned)
}

/// The name that a table bears, where it is plainly written.
pub(super) fn name_of(node: &Node) -> Option<&str> {
    let Value::Table(table) = &node.value else { return None };
    match &table.get("name")?.node.value {
        Value::Text(name) if name.written.is_none() && is_plain(&name.value) => Some(&name.value),
        _ => None,
    }
}

fn is_plain(name: &str) -> bool {
    name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_')
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "_-.".contains(letter))
}

/// The sentence about a key that is not declared in this table, and the key of this table that was meant.
fn unknown(pattern: &str, name: &str) -> (String, Option<&'static str>) {
    let mut homes: Vec<String> = Vec::new();
    for key in keys::all().filter(|key| !matches!(key.kind, Kind::Planned(_))) {
        let table = key.table.trim_end_matches("[]");
        let is_table = table.rsplit_once('.').is_some_and(|(_, last)| last == name);
        if key.name == name || is_table {
            let home = keys::header(key.table);
            if !homes.contains(&home) {
                homes.push(home);
            }
        }
    }
    let header = keys::header(pattern);
    if !homes.is_empty() {
        return (
            format!(
                "unknown key in {header}; it belongs in {}",
                suggest::joined(homes, "or")
            ),
            None,
        );
    }
    let siblings = keys::names_in(pattern);
    match suggest::nearest(name, siblings.iter().copied()) {
        Some(near) => (format!("unknown key; did you mean \"{near}\"?"), Some(near)),
        None => {
            let known = suggest::joined(siblings.into_iter().map(str::to_owned), "and");
            (format!("unknown key; remove it: {header} has {known}"), None)
        }
    }
}
