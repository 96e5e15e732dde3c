//! The import rule of ARCHITECTURE.md: imports go down only, and the rooms do not know each other.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Each room, and the rooms that it may name. A room may always name itself.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("failpoint", &[]),
    ("model", &[]),
    ("config", &["model"]),
    ("telemetry", &["config", "model"]),
    ("api", &["config", "model"]),
    ("log", &["config", "failpoint", "model"]),
    ("sql", &[]),
    ("store", &["config", "failpoint", "model", "sql"]),
    ("supervision", &["config"]),
    ("messages", &["log", "model", "sql"]),
    (
        "actors/fetcher",
        &["api", "messages", "model", "supervision", "telemetry"],
    ),
    (
        "actors/producer",
        &["failpoint", "log", "messages", "model", "supervision", "telemetry"],
    ),
    (
        "actors/consumer",
        &[
            "config",
            "failpoint",
            "log",
            "messages",
            "model",
            "store",
            "supervision",
            "telemetry",
        ],
    ),
    ("actors/transformer", &["messages", "model", "sql", "supervision"]),
    (
        "actors/writer",
        &[
            "config",
            "messages",
            "model",
            "sql",
            "store",
            "supervision",
            "telemetry",
        ],
    ),
    ("actors", &[]),
    (
        "topology",
        &[
            "actors",
            "api",
            "config",
            "log",
            "sql",
            "store",
            "supervision",
            "telemetry",
        ],
    ),
    (
        "daemon",
        &[
            "actors",
            "api",
            "config",
            "log",
            "model",
            "sql",
            "store",
            "supervision",
            "telemetry",
            "topology",
        ],
    ),
    ("web", &["daemon", "model", "supervision", "telemetry"]),
    ("service", &["config", "daemon", "supervision", "web"]),
    (
        "demo",
        &["config", "daemon", "service", "store", "supervision", "telemetry"],
    ),
    (
        "cli",
        &[
            "api",
            "config",
            "daemon",
            "demo",
            "log",
            "model",
            "service",
            "sql",
            "store",
            "supervision",
            "telemetry",
        ],
    ),
    ("main", &["cli"]),
];

#[test]
fn imports_go_down_only() {
    let source = Path::new("src");
    let mut wrong = Vec::new();
    let mut num_paths = 0;
    for file in rust_files(source) {
        let within = file.strip_prefix(source).unwrap().with_extension("");
        let within = within.to_str().unwrap();
        let room = room_of(within);
        if room == "lib" {
            continue;
        }
        let (_, allowed) = MAY_IMPORT
            .iter()
            .find(|(name, _)| *name == room)
            .unwrap_or_else(|| panic!("{} is in no room of MAY_IMPORT", file.display()));
        let root = if room == "main" { "aqueduct::" } else { "crate::" };
        for path in crate_paths(&fs::read_to_string(&file).unwrap(), root) {
            num_paths += 1;
            let target = room_of(&path);
            if target != room && !allowed.contains(&target) && !allowed.contains(&first(&path)) {
                wrong.push(format!("{room} ({}) imports {path}", file.display()));
            }
        }
    }
    assert!(
        num_paths > 200,
        "found only {num_paths} paths: does the search still work?"
    );
    assert!(
        wrong.is_empty(),
        "these imports go up or sideways:\n{}",
        wrong.join("\n")
    );
}

/// `actors/writer/desk` -> `actors/writer`, `log/kafka/mod` -> `log`
fn room_of(path: &str) -> &str {
    let depth = if path.starts_with("actors/") && !path.starts_with("actors/mod") {
        2
    } else {
        1
    };
    let end = path
        .match_indices('/')
        .nth(depth - 1)
        .map_or(path.len(), |(index, _)| index);
    &path[..end]
}

fn first(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}

/// Everything after `root`, groups in braces resolved, as `a/b`. Comments do not count.
fn crate_paths(text: &str, root: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut paths = Vec::new();
    for (index, _) in code.match_indices(root) {
        let rest = &code[index + root.len()..];
        match rest.strip_prefix('{') {
            Some(group) => paths.extend(group_members(group)),
            None => paths.push(leading_path(rest)),
        }
    }
    paths
}

fn group_members(group: &str) -> Vec<String> {
    let (mut depth, mut member, mut members) = (0, String::new(), Vec::new());
    for letter in group.chars() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => members.push(std::mem::take(&mut member)),
            _ => {}
        }
        if depth == 0 && !matches!(letter, ',' | '}') || depth == 1 && letter != '{' {
            member.push(letter);
        }
    }
    members.push(member);
    members
        .iter()
        .map(|member| leading_path(member.trim()))
        .filter(|path| !path.is_empty())
        .collect()
}

fn leading_path(text: &str) -> String {
    let end = text
        .find(|letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == ':'))
        .unwrap_or(text.len());
    text[..end].trim_end_matches(':').replace("::", "/")
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

#[test]
fn the_search_sees_through_groups() {
    let text =
        "use crate::{\n    log::{Log, LogError},\n    model::Page,\n};\nlet x = crate::store::Session::connect();";
    assert_eq!(
        crate_paths(text, "crate::"),
        ["log/Log", "model/Page", "store/Session/connect"]
    );
}
