//! `kind = "exec"`: what the configuration means, and what is said about a wrong one.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

use std::{path::Path, time::Duration};

use aqueduct::config::{
    self, Environment, Loaded,
    settings::{ExecOutput, ExecSource, Secret, Shards, Source},
};
use serde_json::json;

const COMMAND: &str = "command = [\"python3\", \"-u\", \"people.py\", \"-u\"]";

fn text(source: &str) -> String {
    format!(
        "[[pipeline]]\nname = \"p\"\nschema = \"id INT\"\n[pipeline.source]\nkind = \"exec\"\n{source}\n\
         [[pipeline.table]]\nname = \"t\"\nmode = \"append\"\nsql = \"SELECT id FROM records\"\n"
    )
}

fn load(source: &str) -> Result<Loaded, Vec<String>> {
    let environment = Environment::of([
        ("HOME", "/home/ada"),
        ("TOKEN", "hunter2-secret"),
        ("BIN", "/opt/secret-bin"),
    ]);
    config::parse(Path::new("conf/config.toml"), &text(source), &environment)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn exec(source: &str) -> ExecSource {
    let loaded = load(source).unwrap_or_else(|problems| panic!("{problems:#?}"));
    match &loaded.settings.pipelines[0].source {
        Source::Exec(exec) => (**exec).clone(),
        other => panic!("{other:?}"),
    }
}

fn words(secrets: &[Secret]) -> Vec<&str> {
    secrets.iter().map(Secret::expose).collect()
}

#[test]
fn what_is_not_written_has_its_default() {
    let exec = exec(COMMAND);
    assert_eq!(words(&exec.command), ["python3", "-u", "people.py", "-u"]);
    assert_eq!(
        (exec.program.as_str(), exec.dir.as_path()),
        ("python3", Path::new("conf"))
    );
    assert_eq!(
        (exec.output, &exec.stream, &exec.state_arg),
        (ExecOutput::Lines, &None, &None)
    );
    assert_eq!((exec.timeout, exec.every), (Duration::from_secs(300), None));
    assert_eq!(
        (exec.shards, exec.env.len(), exec.hidden.len()),
        (Shards::Stripes(1), 0, 0)
    );
}

#[test]
fn what_is_written_is_meant() {
    let exec = exec(
        "command = [\"${BIN}/tap\", \"--token\", \"${TOKEN}\"]\noutput = \"singer\"\nstream = \"users\"\ndir = \"taps\"\n\
         timeout = \"2m\"\nevery = \"1h\"\nkey = \"$.id\"\nshards = [{ nat = \"fr\" }, { nat = \"de\" }]\n\
         env = { KEY = \"${TOKEN}\", N = 7 }",
    );
    assert_eq!(
        words(&exec.command),
        ["/opt/secret-bin/tap", "--token", "hunter2-secret"]
    );
    assert_eq!(
        (exec.output, exec.stream.as_deref()),
        (ExecOutput::Singer, Some("users"))
    );
    assert_eq!(exec.state_arg.as_deref(), Some("--state"), "as taps take it");
    assert_eq!(
        (exec.dir.as_path(), exec.timeout),
        (Path::new("conf/taps"), Duration::from_secs(120))
    );
    let nat = |nat: &str| json!({ "nat": nat }).as_object().unwrap().clone();
    assert_eq!(exec.shards, Shards::Declared(vec![nat("fr"), nat("de")]));
    assert_eq!(exec.program, "${BIN}/tap", "as it is written");
    assert_eq!(
        words(&exec.hidden),
        ["/opt/secret-bin/tap", "hunter2-secret", "hunter2-secret", "7"]
    );
    let shown = format!("{exec:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("secret-bin"), "{shown}");
}

#[test]
fn each_problem_has_its_remedy() {
    let cases = [
        ("", "missing, and it has no default. The program and its arguments"),
        (
            "command = \"python3 people.py\"",
            "is a text, and no shell takes it apart; write for example [\"python3\", \"people.py\"]",
        ),
        ("command = []", "is empty; write for example"),
        ("command = [\" \"]", "has an empty program; write for example"),
        (
            "command = [\"sleep\", 5]",
            "has a whole number in it; write for example",
        ),
        (&format!("{COMMAND}\noutput = \"singr\""), "did you mean \"singer\"?"),
        (
            &format!("{COMMAND}\nurl = \"https://h/\""),
            "has no meaning with kind = \"exec\"; remove it, or write kind = \"http\"",
        ),
        (
            &format!("{COMMAND}\nrate = \"1 in 1m\""),
            "has no meaning with kind = \"exec\"",
        ),
        (
            &format!("{COMMAND}\nstream = \"users\""),
            "has a meaning with output = \"singer\" only; remove it",
        ),
        (
            &format!("{COMMAND}\nshards = 4"),
            "a program cannot be striped; write a list of parameter sets",
        ),
        (
            &format!("{COMMAND}\nshards = [{{ cursor = 1 }}]"),
            "\"cursor\" would be AQUEDUCT_CURSOR, which holds the cursor",
        ),
        (
            &format!("{COMMAND}\nshards = [{{ a-b = 1, a_b = 2 }}]"),
            "are both AQUEDUCT_A_B; rename one",
        ),
        (
            &format!("{COMMAND}\nenv = {{ AQUEDUCT_X = \"1\" }}"),
            "begins with AQUEDUCT_, which is aqueduct's own",
        ),
        (
            &format!("{COMMAND}\nenv = {{ \"a=b\" = \"1\" }}"),
            "is not the name of a variable",
        ),
    ];
    for (source, said) in cases {
        let problems = load(source).map(|_| ()).unwrap_err();
        assert_eq!(problems.len(), 1, "{source}: {problems:#?}");
        assert!(problems[0].contains(said), "{source}: {}", problems[0]);
    }
}

#[test]
fn keys_of_a_program_have_no_meaning_for_an_api() {
    let text = text(COMMAND).replace(
        "kind = \"exec\"",
        "kind = \"http\"\nurl = \"https://h/\"\nrecords = \"$[*]\"",
    );
    let environment = Environment::of([("HOME", "/home/ada")]);
    let problems = config::parse(Path::new("config.toml"), &text, &environment)
        .map(|_| ())
        .unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].to_string().contains("write kind = \"exec\""),
        "{}",
        problems[0]
    );
}

#[test]
fn where_the_guarantee_starts_is_said_of_a_program_that_may_print_no_cursors() {
    let notes = |source: &str| load(source).unwrap().notes;
    let said = notes(COMMAND);
    assert!(
        said.len() == 1 && said[0].to_string().contains("the guarantee starts at the log"),
        "{said:?}"
    );
    for output in ["cursors", "singer"] {
        assert_eq!(notes(&format!("{COMMAND}\noutput = \"{output}\"")), []);
    }
}

#[test]
fn a_variable_of_the_environment_can_override_the_programs_variables() {
    let environment = Environment::of([
        ("HOME", "/home/ada"),
        ("AQUEDUCT__PIPELINE__P__SOURCE__ENV__API_TOKEN", "x"),
        ("AQUEDUCT__PIPELINE__P__SOURCE__COMMAND", "[\"other\"]"),
    ]);
    let loaded = config::parse(Path::new("config.toml"), &text(COMMAND), &environment).unwrap();
    let Source::Exec(exec) = &loaded.settings.pipelines[0].source else {
        panic!("it is a program");
    };
    assert_eq!(words(&exec.command), ["other"]);
    assert_eq!((exec.env[0].0.as_str(), exec.env[0].1.expose()), ("API_TOKEN", "x"));
}
