//! `aqueduct check --live`, as a user types it, against a real PostgreSQL, a real Apache Kafka and the simulated API: each
//! problem is named with its place and its remedy, all at once, and nothing is changed by looking.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that unwraps fails with the line that did; names say what helpers do"
)]

#[path = "../support/kafka.rs"]
mod kafka;
#[path = "../support/postgres.rs"]
mod postgres;

mod acls;
mod api;
mod tables;
mod topics;

use std::{fs, process::Command};

/// What a check printed, and how it ended.
pub struct Said {
    pub code: Option<i32>,
    pub text: String,
}

impl Said {
    /// Panics unless one line is a problem with all these words.
    #[track_caller]
    pub fn has_problem(&self, words: &[&str]) {
        self.has("PROBLEM: ", words);
    }

    #[track_caller]
    pub fn has_note(&self, words: &[&str]) {
        self.has("note: ", words);
    }

    #[track_caller]
    fn has(&self, kind: &str, words: &[&str]) {
        let is_it = |line: &str| line.starts_with(kind) && words.iter().all(|word| line.contains(word));
        assert!(
            self.text.lines().any(is_it),
            "no line {kind}{words:?} in:\n{}",
            self.text
        );
    }
}

/// Runs `check --live` over a config file of this text.
pub fn check(text: &str) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(
        &path,
        format!("[daemon]\nstate_dir = {:?}\n{text}", folder.path().join("state")),
    )
    .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_aqueduct"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AQUEDUCT__")) {
        command.env_remove(name);
    }
    let output = command.args(["check", "--live", "-c"]).arg(&path).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    Said {
        code: output.status.code(),
        text: said,
    }
}

/// A pipeline that fetches nothing and loads `id`, `name` and `at` into a table.
pub fn loading(name: &str, table: &str) -> String {
    format!(
        "[[pipeline]]\nname = \"{name}\"\nschema = \"id BIGINT, name STRING, at TIMESTAMP\"\n[pipeline.source]\nkind = \"none\"\n\
         [[pipeline.table]]\nsql = \"SELECT id, name, at FROM records\"\n{table}\n"
    )
}
