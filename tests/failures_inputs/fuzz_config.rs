//! Config files with anything in them: never a panic, every problem with its line and a remedy, never a secret, and no
//! other idea of what TOML is than TOML's own.

use std::path::Path;

use aqueduct::config::{self, Environment, SHIPPED};
use proptest::prelude::*;

use crate::fuzz::{Tape, fuzz};

/// What stands in the environment and must not be printed.
const SECRET: &str = "hunter2-s3cret";

/// One of each table, each with keys of each type.
const SMALL: &str = include_str!("corpus/config.toml");

/// Values of each kind, good and bad.
const VALUES: [&str; 36] = [
    "1",
    "0",
    "-1",
    "1.5",
    "true",
    "false",
    "\"\"",
    "\"x\"",
    "[]",
    "{}",
    "\"30s\"",
    "\"5 sacks\"",
    "\"16MiB\"",
    "9223372036854775807",
    "99999999999999999999",
    "nan",
    "1979-05-27",
    "\"${TOKEN}\"",
    "\"${NONE}\"",
    "\"${\"",
    "\"$.a[*]\"",
    "\"$[\"",
    "[\"a\", 1]",
    "{ a = 1 }",
    "{ kind = \"page\" }",
    "[{ nat = \"fr\" }]",
    "\"\"\"\nSELECT id\nFROM records\n\"\"\"",
    "'''x'''",
    "\"http://host/\"",
    "\"postgres://a:${TOKEN}@h/d\"",
    "\"embedded\"",
    "\"upsert\"",
    "\"exec\"",
    "\"none\"",
    "\"\\u0000\"",
    "\"100 in 1m\"",
];

const PIECES: [&[u8]; 22] = [
    b"[[pipeline]]\n",
    b"[pipeline.source]\n",
    b"[[pipeline.table]]\n",
    b"[",
    b"]",
    b"=",
    b"\"",
    b"\"\"\"",
    b"'",
    b"\n",
    b"#",
    b".",
    b"{",
    b"}",
    b",",
    b"${TOKEN}",
    b"\xff",
    b"\0",
    b"\r",
    b"\xef\xbb\xbf",
    b"pipeline.source.auth = { kind = \"bearer\" }\n",
    b"a.b.c = 1\n",
];

fn mutated(tape: &mut Tape<'_>) -> Vec<u8> {
    let seed = if tape.once_in(4) { SHIPPED } else { SMALL };
    let mut lines: Vec<String> = seed.lines().map(str::to_owned).collect();
    for _ in 0..tape.below(6) {
        let at = tape.below(lines.len());
        match tape.below(5) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[at].clone()),
            2 => {
                let other = tape.below(lines.len());
                lines.swap(at, other);
            }
            // A key that is not set in the file is set.
            3 => lines[at] = lines[at].trim_start_matches("# ").to_owned(),
            _ => {
                let name = lines[at]
                    .split('=')
                    .next()
                    .unwrap_or_default()
                    .trim_start_matches("# ")
                    .to_owned();
                lines[at] = format!("{name}= {}", tape.one(&VALUES));
            }
        }
        if lines.is_empty() {
            break;
        }
    }
    let mut text = (lines.join("\n") + "\n").into_bytes();
    if tape.once_in(3) {
        tape.mutate(&mut text, &PIECES);
    }
    text
}

fn environment() -> Environment {
    Environment::of([("HOME", "/home/ada"), ("TOKEN", SECRET)])
}

#[test]
fn the_seed_is_good() {
    let problems = config::parse(Path::new("config.toml"), SMALL, &environment()).map(drop);
    assert_eq!(problems, Ok(()));
}

#[test]
fn fuzz_whatever_is_in_the_file_each_problem_has_its_line_and_no_secret_is_told() {
    let environment = environment();
    fuzz(file!(), 300, &prop::collection::vec(any::<u8>(), 0..60), |bytes| {
        let text = mutated(&mut Tape::new(&bytes));
        let text = String::from_utf8_lossy(&text).into_owned();
        let num_lines = text.lines().count().max(1);
        let is_toml = toml::from_str::<toml::Table>(&text).is_ok();
        let loaded = config::parse(Path::new("config.toml"), &text, &environment);
        let problems = match &loaded {
            Ok(loaded) => {
                prop_assert!(is_toml, "it is no TOML: {}", text);
                &loaded.notes
            }
            Err(problems) => {
                prop_assert!(!problems.is_empty(), "no reason is given: {}", text);
                problems
            }
        };
        for problem in problems {
            let shown = problem.to_string();
            prop_assert!(!shown.contains(SECRET), "{}", shown);
            prop_assert!(problem.message.len() > 8, "{}: {}", shown, text);
            prop_assert!(!problem.message.ends_with('.'), "{}", shown);
            let line = problem.line.is_some_and(|line| (1..=num_lines).contains(&line));
            prop_assert!(
                line || problem.file == "environment",
                "{} in {} lines: {}",
                shown,
                num_lines,
                text
            );
            let says_syntax =
                problem.message.starts_with("not valid TOML") || problem.message.starts_with("written twice");
            prop_assert!(!(is_toml && says_syntax), "{}: {}", shown, text);
        }
        Ok(())
    });
}
