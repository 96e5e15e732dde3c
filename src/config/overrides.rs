//! `AQUEDUCT__KAFKA__BROKERS=…`: any key from a variable.
//!
//! Two underscores separate tables and keys. One of several tables is named by its name (anything but letters and digits
//! as `_`) or by its number from 0: `AQUEDUCT__PIPELINE__USERS__BATCH__ROWS`, `AQUEDUCT__PIPELINE__0__BATCH__ROWS`.

use super::{
    context::Context,
    keys::{self, Key, Kind},
    suggest, syntax,
    tree::{Node, Origin, Table, Text, Value},
    walk,
};

const PREFIX: &str = "AQUEDUCT__";

/// Puts every override into the tree, as if the file said so.
pub(super) fn apply(root: &mut Table, context: &Context<'_>) {
    for (variable, value) in context.environment.starting_with(PREFIX) {
        let origin = Origin::Variable(variable.into());
        let segments: Vec<&str> = variable[PREFIX.len()..].split("__").collect();
        let result = match value {
            Some(value) => Override {
                variable,
                value,
                origin: origin.clone(),
            }
            .descend(root, "", &segments),
            None => Err("its value is not UTF-8 text; set it to text".to_owned()),
        };
        if let Err(message) = result {
            context.problem(&origin, variable, message);
        }
    }
}

struct Override<'a> {
    variable: &'a str,
    value: &'a str,
    origin: Origin,
}

impl Override<'_> {
    /// Follows the segments down from a table. `Err` is the sentence about the variable.
    fn descend(&self, table: &mut Table, pattern: &str, segments: &[&str]) -> Result<(), String> {
        let [segment, rest @ ..] = segments else {
            let names = keys::names_in(pattern).into_iter().map(str::to_owned);
            return Err(format!(
                "names a table; name one of its keys too: {}",
                suggest::joined(names, "or")
            ));
        };
        let name = segment.to_lowercase();
        let below = keys::join(pattern, &name);
        let many = format!("{below}[]");
        if let Some(key) = keys::find(pattern, &name) {
            self.set(table, key, rest)
        } else if keys::is_table(&below) {
            self.descend(self.table_in(table, &name)?, &below, rest)
        } else if keys::is_table(&many) {
            let [selector, rest @ ..] = rest else {
                return Err(format!(
                    "names all of {}; add the name or the number of one",
                    keys::header(&many)
                ));
            };
            self.descend(select(table, &name, &many, selector)?, &many, rest)
        } else {
            Err(self.unknown(pattern, segments))
        }
    }

    fn set(&self, table: &mut Table, key: &Key, rest: &[&str]) -> Result<(), String> {
        match (&key.kind, rest) {
            (Kind::Map, [entry]) => {
                let map = self.table_in(table, key.name)?;
                let name = map_name(map, key, entry);
                map.set(&name, self.node(Value::Text(Text::new(self.value))));
                Ok(())
            }
            (Kind::Map, []) if !self.value.trim_start().starts_with('{') => Err(format!(
                "names a table; add the name of an entry, or write {{ name = \"value\" }}: {}",
                key.sentence
            )),
            (_, []) => {
                let node = match key.kind.is_textual() {
                    true => self.node(Value::Text(Text::new(self.value))),
                    false => syntax::parse_value(self.value, self.origin.clone())
                        .ok_or_else(|| format!("expected {}", key.kind.expected()))?,
                };
                // The variable's word is the last one: it also replaces the other way to give the same secret.
                match key.name.strip_suffix("_file") {
                    Some(direct) => table.remove(direct),
                    None => table.remove(&format!("{}_file", key.name)),
                }
                table.set(key.name, node);
                Ok(())
            }
            (_, [below, ..]) => Err(format!("there is nothing below {}; leave out __{below}", key.name)),
        }
    }

    fn node(&self, value: Value) -> Node {
        Node {
            origin: self.origin.clone(),
            value,
        }
    }

    /// The table of this name, made if it is not there.
    fn table_in<'t>(&self, table: &'t mut Table, name: &str) -> Result<&'t mut Table, String> {
        if table.get(name).is_none() {
            table.set(name, self.node(Value::Table(Table::default())));
        }
        match table.get_mut(name).map(|entry| &mut entry.node.value) {
            Some(Value::Table(table)) => Ok(table),
            _ => Err(format!(
                "the file has {name}, but not as a table; correct it there first"
            )),
        }
    }

    /// "Did you mean", as the whole variable.
    fn unknown(&self, pattern: &str, segments: &[&str]) -> String {
        let name = segments[0].to_lowercase();
        let known = keys::names_in(pattern);
        let Some(near) = suggest::nearest(&name, known.iter().copied()) else {
            let known = suggest::joined(known.iter().map(|name| name.to_uppercase()), "or");
            return format!(
                "there is no key {name} in {}; write {known}, or unset it",
                keys::header(pattern)
            );
        };
        let tail_length: usize = segments.iter().map(|segment| segment.len() + 2).sum();
        let head = &self.variable[..self.variable.len() + 2 - tail_length];
        let tail: String = segments[1..].iter().map(|segment| format!("__{segment}")).collect();
        format!("unknown key; did you mean {head}{}{tail}?", near.to_uppercase())
    }
}

/// One of several tables, by name or number.
fn select<'t>(table: &'t mut Table, name: &str, pattern: &str, selector: &str) -> Result<&'t mut Table, String> {
    let header = keys::header(pattern);
    let Some(Value::Array(items)) = table.get_mut(name).map(|entry| &mut entry.node.value) else {
        return Err(format!("the file has no {header}; write one there first"));
    };
    let number = selector.parse::<usize>().ok();
    let chosen: Vec<usize> = (0..items.len())
        .filter(|index| match number {
            Some(number) => *index == number,
            None => walk::name_of(&items[*index]).is_some_and(|name| normalized(name) == normalized(selector)),
        })
        .collect();
    match (chosen.as_slice(), number) {
        ([index], _) => match &mut items[*index].value {
            Value::Table(table) => Ok(table),
            _ => Err(format!(
                "the file has {header} number {index}, but not as a table; correct it there first"
            )),
        },
        ([], Some(number)) => Err(format!(
            "there is no {header} number {number}; they are numbered from 0"
        )),
        ([], None) => {
            let names: std::collections::BTreeSet<String> = items
                .iter()
                .enumerate()
                .map(|(index, item)| normalized(&walk::label(item, index)))
                .collect();
            Err(format!(
                "there is no {header} of that name; write {}",
                suggest::joined(names, "or")
            ))
        }
        _ => Err(format!("several of {header} go by {selector}; take the number, from 0")),
    }
}

/// A name as it stands in a variable's name.
fn normalized(name: &str) -> String {
    name.chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .collect()
}

/// The name of a map's entry: the one in the file that looks the same, else librdkafka's dots, a header's dashes, or as it is.
fn map_name(map: &Table, key: &Key, segment: &str) -> String {
    if let Some(entry) = map
        .entries
        .iter()
        .find(|entry| normalized(&entry.name) == normalized(segment))
    {
        return entry.name.clone();
    }
    let lower = segment.to_lowercase();
    let (name, suffix) = match lower.strip_suffix("_file") {
        Some(name) if key.name != "query" => (name, "_file"),
        _ => (lower.as_str(), ""),
    };
    let name = match key.name {
        "properties" => name.replace('_', "."),
        "headers" => name.replace('_', "-"),
        "env" => name.to_uppercase(),
        _ => name.to_owned(),
    };
    format!("{name}{suffix}")
}
