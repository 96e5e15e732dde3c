//! What is wrong with a source: each problem with its line and what to do about it.

use std::path::Path;

use aqueduct::config::{self, Environment};

use crate::{HEAD, TAIL, problems};

/// What is added to the source, and what is said about it.
const PROBLEMS: &[(&str, &[&str])] = &[
    // Stop rules.
    (
        "paginate = { kind = \"offset\", limit = 10 }",
        &[
            "8: pipeline.p.source.paginate: kind = \"offset\" needs a stop rule, or it never ends; write one of stop = \"empty\" (a page \
           without records), stop = \"short\" (a page with fewer records than the one before), last = N (the last offset), \
           max_records = N or total = \"$.path\" (the number of all records, in the page)",
        ],
    ),
    (
        "paginate = { kind = \"cursor\", path = \"$.n\", stop = \"empty\", last = 3 }",
        &["8: pipeline.p.source.paginate.last: stop and last are 2 stop rules; keep exactly one"],
    ),
    (
        "paginate = { kind = \"next_url\", path = \"$.n\", last = 0 }",
        &["8: pipeline.p.source.paginate.last: 0 comes before the first page; write first or more"],
    ),
    // What a kind needs, and what it has no use for.
    (
        "paginate = { kind = \"offset\", stop = \"empty\" }",
        &[
            "8: pipeline.p.source.paginate.limit: missing: kind = \"offset\" needs it; write for example limit = 100, as the API \
           allows",
        ],
    ),
    (
        "[pipeline.source.paginate]\nkind = \"cursor\"",
        &[
            "8: pipeline.p.source.paginate.path: missing: kind = \"cursor\" needs the place of the token in a page; write for \
           example path = \"$.next\"",
        ],
    ),
    (
        "paginate = { kind = \"next_url\", path = \"next\" }",
        &["8: pipeline.p.source.paginate.path: \"next\" is not a JSONPath; write for example \"$.results[*]\""],
    ),
    (
        "[pipeline.source.paginate]\nkind = \"link_header\"\npath = \"$.next\"\nparam = \"x\"",
        &[
            "10: pipeline.p.source.paginate.path: has no meaning with kind = \"link_header\"; remove it, or write kind = \"cursor\" \
             or \"next_url\"",
            "11: pipeline.p.source.paginate.param: has no meaning with kind = \"link_header\"; remove it, or write kind = \"page\", \
             \"offset\" or \"cursor\"",
        ],
    ),
    (
        "paginate = { kind = \"curser\", path = \"$.next\" }",
        &[
            "8: pipeline.p.source.paginate.kind: \"curser\" is unknown; did you mean \"cursor\"? (one of \"single\", \"page\", \
           \"offset\", \"cursor\", \"next_url\" or \"link_header\")",
        ],
    ),
    (
        "paginate = { kind = \"offset\", limit = 10, param = \"limit\", stop = \"empty\" }",
        &["8: pipeline.p.source.paginate.param: limit_param is the same; write the name of another parameter"],
    ),
    // Stripes.
    (
        "shards = 4\npaginate = { kind = \"cursor\", path = \"$.next\" }",
        &[
            "8: pipeline.p.source.shards: each page leads to the next one, so they cannot be striped; write shards = 1, a list of \
           parameter sets, or paginate by \"page\" or \"offset\"",
        ],
    ),
    // Method and body.
    (
        "body = \"hunter2\"",
        &["8: pipeline.p.source.body: has no meaning with method = \"GET\"; remove it, or write method = \"POST\""],
    ),
    (
        "method = \"POST\"\nbody = 5",
        &["9: pipeline.p.source.body: expected a table or a text in quotes, found a whole number"],
    ),
    (
        "method = \"POST\"\nbody = { a = 1, at = 2024-01-01 }",
        &["9: pipeline.p.source.body: has at = a date, which JSON does not have; write a text or a number"],
    ),
    (
        "method = \"post\"",
        &[
            "8: pipeline.p.source.method: \"post\" is unknown; did you mean \"POST\"? (one of \"GET\", \"POST\", \"PUT\" or \"PATCH\")",
        ],
    ),
    (
        "paginate = { kind = \"page\", last = 3, place = \"body\" }",
        &[
            "8: pipeline.p.source.paginate.place: \"body\" has no meaning with method = \"GET\"; write method = \"POST\" in \
           [pipeline.source], or place = \"query\"",
        ],
    ),
    (
        "method = \"POST\"\nbody = \"hunter2\"\npaginate = { kind = \"page\", last = 3, place = \"body\" }",
        &[
            "9: pipeline.p.source.body: is a text, but with paginate.place = \"body\" parameters are put into it; write it as a \
           table",
        ],
    ),
    (
        "method = \"POST\"\nbody = { v = { after = \"x\" } }\npaginate = { kind = \"cursor\", path = \"$.n\", param = \"v.after\", place = \
         \"body\" }",
        &["9: pipeline.p.source.body: has \"after\", which paginate sets for every page; remove it there"],
    ),
    (
        "method = \"POST\"\nbody = { nat = 1 }\nshards = [{ nat = \"fr\" }]\npaginate = { place = \"body\" }",
        &["10: pipeline.p.source.shards: \"nat\" is also in body; remove it there"],
    ),
    (
        "query = { limit = 5 }\npaginate = { kind = \"offset\", limit = 10, last = 3 }",
        &["8: pipeline.p.source.query: has \"limit\", which paginate sets for every page; remove it there"],
    ),
    // Credentials.
    (
        "auth = { kind = \"bearer\" }",
        &[
            "8: pipeline.p.source.auth.token: missing: kind = \"bearer\" needs it; write token = \"${VARIABLE}\" or token_file = \"path\"",
        ],
    ),
    (
        "auth = { kind = \"bearer\", token = \"hunter2\", token_file = \"x\" }",
        &["8: pipeline.p.source.auth.token_file: token is there too; keep one of them"],
    ),
    (
        "auth = { kind = \"bearer\", token = \"hunter2\\n\" }",
        &["8: pipeline.p.source.auth.token: has a control character in its value; remove it (a line break, perhaps)"],
    ),
    (
        "[pipeline.source.auth]\nkind = \"basic\"\nuser = \"a:b\"\npassword_file = \"no-such-file\"",
        &[
            "10: pipeline.p.source.auth.user: has a colon in it, which basic authentication cannot send; use another user",
            "11: pipeline.p.source.auth.password_file: cannot read \"no-such-file\": No such file or directory (os error 2); make \
             it readable for this user",
        ],
    ),
    (
        "[pipeline.source.auth]\nkind = \"api_key\"\nkey = \"hunter2\"\ntoken = \"hunter2\"",
        &[
            "11: pipeline.p.source.auth.token: has no meaning with kind = \"api_key\"; remove it, or write kind = \"bearer\"",
        ],
    ),
    (
        "auth = { kind = \"oauth2\", client_id = \"me\", client_secret = \"hunter2\" }",
        &[
            "8: pipeline.p.source.auth.token_url: missing: kind = \"oauth2\" needs it; write for example token_url = \
           \"https://host/oauth/token\"",
        ],
    ),
    (
        "headers = { authorization = \"hunter2\" }\nauth = { kind = \"bearer\", token = \"hunter2\" }",
        &["8: pipeline.p.source.headers: has Authorization, which auth sets; remove it there"],
    ),
    (
        "query = { appid = \"hunter2\" }\nauth = { kind = \"api_key\", key = \"hunter2\", name = \"appid\", place = \"query\" }",
        &["8: pipeline.p.source.query: has \"appid\", which auth sets; remove it there"],
    ),
    (
        "auth = \"hunter2\"",
        &["8: pipeline.p.source.auth: expected a table, found a text; write [pipeline.source.auth] and its keys below"],
    ),
    (
        "auth = { kind = \"baerer\", token = \"hunter2\" }",
        &[
            "8: pipeline.p.source.auth.kind: \"baerer\" is unknown; did you mean \"bearer\"? (one of \"none\", \"bearer\", \"basic\", \
           \"api_key\" or \"oauth2\")",
        ],
    ),
    // Limits.
    (
        "retry_after_max = \"2days\"",
        &["8: pipeline.p.source.retry_after_max: \"2days\" is out of range; write \"10ms\" to \"1day\""],
    ),
    (
        "max_page = \"1B\"",
        &["8: pipeline.p.source.max_page: \"1B\" is out of range; write \"1KiB\" to \"1GiB\""],
    ),
    (
        "max_pages = 0",
        &["8: pipeline.p.source.max_pages: 0 is out of range; write 1 or more (pages)"],
    ),
];

#[test]
fn each_problem_of_a_source_has_its_line_and_its_remedy_and_shows_no_secret() {
    for (source, expected) in PROBLEMS {
        let expected: Vec<String> = expected
            .iter()
            .map(|problem| format!("config.toml:{problem}"))
            .collect();
        let found = problems(source);
        assert_eq!(found, expected, "{source}");
        assert!(!found.concat().contains("hunter2"));
    }
}

#[test]
fn a_login_in_the_address_and_another_one_are_one_too_many() {
    let text = format!("{HEAD}auth = {{ kind = \"bearer\", token = \"hunter2\" }}\n{TAIL}")
        .replace("https://host", "https://me:hunter2@host");
    let environment = Environment::of([("HOME", "/home/ada")]);
    let problems = config::parse(Path::new("config.toml"), &text, &environment).unwrap_err();
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "config.toml:6: pipeline.p.source.url: has a user or a password, and auth has a credential too; keep one of them"
        ]
    );
}
