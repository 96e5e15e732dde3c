//! `${VAR}` in values; `$$` is one dollar sign.

use super::{
    context::Context,
    tree::{Node, Text, Value},
};

/// Replaces the variables in a value and in what it holds. Values that come from a variable are left as they are.
pub(super) fn expand_node(node: &mut Node, key: &str, context: &Context<'_>) {
    match &mut node.value {
        Value::Text(text) => match expand(&text.value, context) {
            Ok(Some(value)) => {
                *text = Text {
                    written: Some(std::mem::take(&mut text.value)),
                    value,
                }
            }
            Ok(None) => {}
            Err(message) => {
                context.problem(&node.origin, key, message);
                node.value = Value::Broken;
            }
        },
        Value::Array(items) => items.iter_mut().for_each(|item| expand_node(item, key, context)),
        Value::Table(table) => {
            for entry in &mut table.entries {
                expand_node(&mut entry.node, &format!("{key}.{}", entry.name), context);
            }
        }
        _ => {}
    }
}

/// The text with its variables replaced; `None` where there is nothing to replace.
fn expand(text: &str, context: &Context<'_>) -> Result<Option<String>, String> {
    if !text.contains("$$") && !text.contains("${") {
        return Ok(None);
    }
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let end = after
                .find('}')
                .ok_or("\"${\" is never closed; write \"$${\" for the text itself")?;
            expanded.push_str(variable(&after[..end], context)?);
            rest = &after[end + 1..];
        } else {
            expanded.push('$');
        }
    }
    expanded.push_str(rest);
    Ok(Some(expanded))
}

fn variable<'a>(name: &str, context: &'a Context<'_>) -> Result<&'a str, String> {
    let is_name = !name.is_empty()
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    if !is_name {
        return Err(format!(
            "${{{name}}} is not the name of a variable; write $${{{name}}} for the text itself"
        ));
    }
    context
        .environment
        .get(name)
        .ok_or_else(|| format!("the variable {name} is not set; set it, or write $${{{name}}} for the text itself"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Environment;

    fn expanded(text: &str) -> Result<Option<String>, String> {
        let environment = Environment::of([("HOST", "db"), ("EMPTY", "")]);
        expand(text, &Context::new("config.toml", Path::new("."), &environment))
    }

    #[test]
    fn variables_are_replaced_and_two_dollars_are_one() {
        assert_eq!(
            expanded("postgres://${HOST}/x${EMPTY}"),
            Ok(Some("postgres://db/x".to_owned()))
        );
        assert_eq!(expanded("a$$b $${HOST}"), Ok(Some("a$b ${HOST}".to_owned())));
    }

    #[test]
    fn a_lone_dollar_stays() {
        assert_eq!(expanded("$.results[*]"), Ok(None));
        assert_eq!(expanded("$.${HOST}$"), Ok(Some("$.db$".to_owned())));
    }

    #[test]
    fn what_cannot_be_replaced_says_so() {
        assert!(expanded("${MISSING}").is_err_and(|message| message.contains("MISSING is not set")));
        assert!(expanded("${HOST").is_err_and(|message| message.contains("never closed")));
        assert!(expanded("${}").is_err_and(|message| message.contains("not the name")));
    }
}
