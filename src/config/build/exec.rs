//! `[pipeline.source]` with `kind = "exec"`.

use std::{path::PathBuf, time::Duration};

use super::shards;
use crate::config::{
    keys::Kind,
    section::Section,
    settings::{ExecOutput, ExecSource, Secret, Shards, exec_variable},
    tree::{Node, Value},
    values::wrong_type,
};

/// Keys that mean something for a program only.
const OWN: [&str; 6] = ["command", "output", "stream", "state_arg", "dir", "env"];

/// Keys that mean something for an API only.
const HTTP: [&str; 9] = [
    "url", "method", "query", "headers", "body", "auth", "records", "paginate", "rate",
];

/// Without a word of its own a program may be silent for this long: it may be waiting for a large answer itself.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Says of each key for programs that it has no meaning for an API.
pub(super) fn refuse_keys(section: &Section<'_>) {
    refuse(
        section,
        &OWN,
        "has no meaning with kind = \"http\"; remove it, or write kind = \"exec\"",
    );
}

fn refuse(section: &Section<'_>, names: &[&str], message: &str) {
    for name in names.iter().filter(|name| section.is_set(name)) {
        section.problem(name, message);
    }
}

pub(super) fn exec(section: &Section<'_>) -> Option<ExecSource> {
    refuse(
        section,
        &HTTP,
        "has no meaning with kind = \"exec\"; remove it, or write kind = \"http\"",
    );
    let command = section.parsed("command", command);
    let output = match section.choice("output") {
        "lines" => Some(ExecOutput::Lines),
        "cursors" => Some(ExecOutput::Cursors),
        "singer" => Some(ExecOutput::Singer),
        _ => None,
    };
    let stream = section.text("stream");
    if output.is_some_and(|output| output != ExecOutput::Singer) && section.is_set("stream") {
        section.problem("stream", "has a meaning with output = \"singer\" only; remove it");
    }
    let state_arg = match section.is_set("state_arg") {
        true => section.text("state_arg"),
        false => (output == Some(ExecOutput::Singer)).then(|| "--state".to_owned()),
    };
    let env = section.secret_map("env", refuse_variable);
    let dir = match section.is_set("dir") {
        true => section.path("dir")?,
        // A file that was named without a directory is in this one.
        false if section.context.dir.as_os_str().is_empty() => PathBuf::from("."),
        false => section.context.dir.to_owned(),
    };
    let key = section.json_path("key");
    let every = section.span("every");
    let timeout = match section.is_set("timeout") {
        true => section.span("timeout"),
        false => Some(TIMEOUT),
    };
    let shards = section.parsed("shards", shards::shards);
    if let Some(shards) = &shards {
        check_shards(section, shards);
    }
    let Command { words, program, hidden } = command?;
    let hidden = hidden
        .into_iter()
        .chain(env.iter().map(|(_, value)| value.clone()))
        .collect();
    let (key, key_text) = key.unzip();
    Some(ExecSource {
        command: words,
        program,
        hidden,
        env,
        dir,
        output: output?,
        stream,
        state_arg,
        key,
        key_text,
        every,
        timeout: timeout?,
        shards: shards?,
    })
}

struct Command {
    words: Vec<Secret>,
    program: String,
    hidden: Vec<Secret>,
}

/// Unlike other lists it may have a word twice.
fn command(node: &Node, kind: &Kind) -> Result<Command, String> {
    let example = "write for example [\"python3\", \"people.py\"]";
    let items = match &node.value {
        Value::Array(items) => items,
        Value::Text(_) => return Err(format!("is a text, and no shell takes it apart; {example}")),
        _ => return Err(wrong_type(node, kind)),
    };
    let mut command = Command {
        words: Vec::with_capacity(items.len()),
        program: String::new(),
        hidden: Vec::new(),
    };
    for (index, item) in items.iter().enumerate() {
        let text = match &item.value {
            Value::Text(text) => text,
            other => return Err(format!("has {} in it; {example}", other.type_name())),
        };
        if text.value.contains('\0') {
            return Err(format!(
                "word {index} (from 0) has the character U+0000 in it; remove it"
            ));
        }
        let secret = Secret::new(text.value.as_str());
        if text.written.is_some() {
            command.hidden.push(secret.clone());
        }
        if index == 0 {
            command.program = text.written.as_ref().unwrap_or(&text.value).clone();
        }
        command.words.push(secret);
    }
    match command.words.first() {
        None => Err(format!("is empty; {example}")),
        Some(program) if program.expose().trim().is_empty() => Err(format!("has an empty program; {example}")),
        Some(_) => Ok(command),
    }
}

fn refuse_variable(name: &str, value: &str) -> Option<String> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Some("is not the name of a variable; write letters, digits and _".to_owned());
    }
    if name.to_ascii_uppercase().starts_with("AQUEDUCT_") {
        return Some("begins with AQUEDUCT_, which is aqueduct's own; take another name".to_owned());
    }
    value
        .contains('\0')
        .then(|| "has the character U+0000 in its value; remove it".to_owned())
}

/// Parameters become variables: no two of them the same one.
fn check_shards(section: &Section<'_>, shards: &Shards) {
    let sets = match shards {
        Shards::Stripes(1) => return,
        Shards::Stripes(_) => {
            let message = "a program cannot be striped; write a list of parameter sets, which it finds in its environment: \
                           [{ nat = \"fr\" }, { nat = \"de\" }] is AQUEDUCT_NAT";
            return section.problem("shards", message);
        }
        Shards::Declared(sets) => sets,
    };
    for (index, set) in sets.iter().enumerate() {
        let mut seen = std::collections::BTreeMap::new();
        for name in set.keys() {
            let variable = exec_variable(name);
            if variable == "AQUEDUCT_CURSOR" {
                section.problem(
                    "shards",
                    format!("\"{name}\" would be {variable}, which holds the cursor; rename it"),
                );
            } else if let Some(other) = seen.insert(variable.clone(), name) {
                let message =
                    format!("in number {index} (from 0) \"{name}\" and \"{other}\" are both {variable}; rename one");
                section.problem("shards", message);
            }
        }
        let has_nul = |value: &serde_json::Value| value.as_str().is_some_and(|text| text.contains('\0'));
        if set.values().any(has_nul) {
            section.problem(
                "shards",
                format!("number {index} (from 0) has the character U+0000 in it; remove it"),
            );
        }
    }
}
