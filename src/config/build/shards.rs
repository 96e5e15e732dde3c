//! `shards = 4`, or `shards = [{ nat = "fr" }, { nat = "de" }]`.

use serde_json::{Map, Number, Value as Json};

use crate::config::{
    keys::Kind,
    settings::Shards,
    tree::{Node, Value},
    values::wrong_type,
};

/// Each shard is a partition of the cursors topic and a transaction of its own.
const MAX_SHARDS: usize = 1_000;

pub(super) fn shards(node: &Node, kind: &Kind) -> Result<Shards, String> {
    match &node.value {
        Value::Integer(number) => match u32::try_from(*number) {
            Ok(stripes) if (1..=MAX_SHARDS).contains(&(stripes as usize)) => Ok(Shards::Stripes(stripes)),
            _ => Err(format!("{number} is out of range; write 1 to {MAX_SHARDS} (stripes)")),
        },
        Value::Array(items) if items.is_empty() => {
            Err("is empty; write 1, or at least one set of parameters".to_owned())
        }
        Value::Array(items) if items.len() > MAX_SHARDS => Err(format!(
            "has {} sets of parameters; write at most {MAX_SHARDS}",
            items.len()
        )),
        Value::Array(items) => {
            let mut sets: Vec<Map<String, Json>> = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                let set = parameters(item, kind)?;
                // Cursors are kept by what a shard covers: two equal shards would share one.
                if sets.contains(&set) {
                    return Err(format!("number {index} (from 0) equals an earlier one; remove it"));
                }
                sets.push(set);
            }
            Ok(Shards::Declared(sets))
        }
        _ => Err(wrong_type(node, kind)),
    }
}

fn parameters(item: &Node, kind: &Kind) -> Result<Map<String, Json>, String> {
    let Value::Table(table) = &item.value else {
        return Err(format!(
            "expected {}, found {} in it",
            kind.expected(),
            item.value.type_name()
        ));
    };
    if table.entries.is_empty() {
        return Err("has an empty set of parameters; remove it".to_owned());
    }
    table
        .entries
        .iter()
        .map(|entry| {
            let value = match &entry.node.value {
                Value::Text(text) => Json::String(text.value.clone()),
                Value::Integer(number) => Json::from(*number),
                Value::Bool(flag) => Json::from(*flag),
                Value::Float(number) => number
                    .parse()
                    .ok()
                    .and_then(Number::from_f64)
                    .map(Json::Number)
                    .ok_or_else(|| {
                        format!(
                            "{} is {number}, which cannot be a parameter; write a number",
                            entry.name
                        )
                    })?,
                other => {
                    let found = other.type_name();
                    return Err(format!(
                        "{} is {found}; write a text, a number, true or false",
                        entry.name
                    ));
                }
            };
            Ok((entry.name.clone(), value))
        })
        .collect()
}
