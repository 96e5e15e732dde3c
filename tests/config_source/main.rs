//! The HTTP source's part of the configuration: what it means, and what is wrong with it.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

mod problems;

use std::{fs, path::Path, time::Duration};

use aqueduct::config::{self, Environment, settings::*};
use serde_json::json;

/// A source; what a test adds to it begins at line 8.
const HEAD: &str = r#"[[pipeline]]
name = "p"
schema = "id INT"
[pipeline.source]
kind = "http"
url = "https://host/items"
records = "$.items[*]"
"#;
const TAIL: &str = r#"
[[pipeline.table]]
name = "t"
mode = "append"
sql = "SELECT id FROM records"
"#;

fn parse(source: &str) -> Result<config::Loaded, Vec<config::Problem>> {
    let environment = Environment::of([("HOME", "/home/ada"), ("TOKEN", "hunter2")]);
    config::parse(Path::new("config.toml"), &format!("{HEAD}{source}{TAIL}"), &environment)
}

fn http(source: &str) -> HttpSource {
    let loaded = parse(source).unwrap_or_else(|problems| panic!("{problems:#?}"));
    match &loaded.settings.pipelines[0].source {
        Source::Http(http) => (**http).clone(),
        _ => panic!("the source is http"),
    }
}

fn problems(source: &str) -> Vec<String> {
    match parse(source) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

fn credential(text: &str) -> Credential {
    Credential {
        value: Secret::new(text),
        file: None,
    }
}

#[test]
fn every_pagination_is_read_with_its_defaults() {
    for (written, paginate) in [
        ("", Paginate::Single),
        (
            "paginate = { kind = \"page\", stop = \"short\" }",
            Paginate::Page {
                param: "page".to_owned(),
                first: 1,
                stop: Stop::Short,
            },
        ),
        (
            "paginate = { kind = \"offset\", limit = 50, total = \"$.total\" }",
            Paginate::Offset {
                param: "offset".to_owned(),
                limit_param: "limit".to_owned(),
                limit: 50,
                first: 0,
                stop: Stop::Total("$.total".to_owned()),
            },
        ),
        (
            "paginate = { kind = \"cursor\", path = \"$.meta.next\" }",
            Paginate::Cursor {
                param: "cursor".to_owned(),
                path: "$.meta.next".to_owned(),
                stop: None,
            },
        ),
        (
            "paginate = { kind = \"next_url\", path = \"$.next\", max_records = 7 }",
            Paginate::NextUrl {
                path: "$.next".to_owned(),
                stop: Some(Stop::MaxRecords(7)),
            },
        ),
        (
            "paginate = { kind = \"link_header\", stop = \"empty\" }",
            Paginate::LinkHeader {
                stop: Some(Stop::Empty),
            },
        ),
    ] {
        assert_eq!(http(written).paginate, paginate, "{written}");
    }
    let http = http("");
    assert_eq!(
        (http.method, http.place, &http.body, &http.auth),
        (Method::Get, Place::Query, &None, &Auth::None)
    );
    assert_eq!(
        (http.retry_after_max, http.max_page_bytes, http.max_pages),
        (Duration::from_secs(600), 64 << 20, 1_000_000)
    );
    let defaults = HttpSource::new("https://host/items".parse().unwrap());
    assert_eq!(
        format!(
            "{:?}",
            HttpSource {
                records_text: http.records_text.clone(),
                ..defaults
            }
        ),
        format!("{http:?}")
    );
}

#[test]
fn a_body_is_a_table_of_any_json_or_a_text() {
    let table = "method = \"POST\"\nbody = { q = \"${TOKEN}\", n = [1, 2.5, { deep = true }] }\npaginate = { place = \"body\" }";
    let read = http(table);
    let expected = json!({"q": "hunter2", "n": [1, 2.5, {"deep": true}]});
    assert_eq!((read.method, read.place), (Method::Post, Place::Body));
    assert_eq!(read.body, Some(Body::Json(expected.as_object().unwrap().clone())));
    assert!(!format!("{read:?}").contains("hunter2"));
    let text = http("method = \"PUT\"\nbody = \"a=${TOKEN}\"");
    assert_eq!(text.body, Some(Body::Text(Secret::new("a=hunter2"))));
    assert!(!format!("{text:?}").contains("hunter2"));
    let below = http("method = \"PATCH\"\n[pipeline.source.body]\nfilter.active = true\n");
    assert_eq!(
        below.body,
        Some(Body::Json(
            json!({"filter": {"active": true}}).as_object().unwrap().clone()
        ))
    );
}

#[test]
fn every_credential_is_read_and_none_is_printed() {
    for (written, auth) in [
        (
            "auth = { kind = \"bearer\", token = \"${TOKEN}\" }",
            Auth::Bearer {
                token: credential("hunter2"),
            },
        ),
        (
            "auth = { kind = \"basic\", user = \"ada\", password = \"${TOKEN}\" }",
            Auth::Basic {
                user: "ada".to_owned(),
                password: credential("hunter2"),
            },
        ),
        (
            "auth = { kind = \"api_key\", key = \"hunter2\" }",
            Auth::ApiKey {
                name: "X-Api-Key".to_owned(),
                key: credential("hunter2"),
                in_query: false,
            },
        ),
        (
            "auth = { kind = \"api_key\", key = \"hunter2\", name = \"appid\", place = \"query\" }",
            Auth::ApiKey {
                name: "appid".to_owned(),
                key: credential("hunter2"),
                in_query: true,
            },
        ),
        (
            "[pipeline.source.auth]\nkind = \"oauth2\"\ntoken_url = \"https://id/token\"\nclient_id = \"me\"\n\
             client_secret = \"hunter2\"\nscope = \"a b\"",
            Auth::Oauth2 {
                token_url: "https://id/token".parse().unwrap(),
                client_id: "me".to_owned(),
                client_secret: credential("hunter2"),
                scope: Some("a b".to_owned()),
            },
        ),
    ] {
        let read = http(written);
        assert_eq!(read.auth, auth, "{written}");
        assert!(!format!("{read:?}").contains("hunter2"), "{read:?}");
    }
}

#[test]
fn a_credential_may_be_in_a_file_a_systemd_credential_or_a_variable() {
    let dir = tempfile::tempdir().unwrap();
    let credentials = dir.path().join("credentials");
    fs::create_dir(&credentials).unwrap();
    fs::write(dir.path().join("beside"), "of the file\n").unwrap();
    fs::write(credentials.join("token"), "of systemd\n").unwrap();
    let directory = credentials.display().to_string();
    let load = |name: &str, more: &[(&str, &str)]| {
        let text = format!("{HEAD}auth = {{ kind = \"bearer\", token_file = \"{name}\" }}\n{TAIL}");
        let variables = [("HOME", "/home/ada"), ("CREDENTIALS_DIRECTORY", directory.as_str())];
        let environment = Environment::of(variables.iter().chain(more).copied());
        let settings = config::parse(&dir.path().join("config.toml"), &text, &environment)
            .unwrap()
            .settings;
        match &settings.pipelines[0].source {
            Source::Http(http) => http.auth.clone(),
            _ => panic!("the source is http"),
        }
    };
    let bearer = |text: &str, file: Option<std::path::PathBuf>| Auth::Bearer {
        token: Credential {
            value: Secret::new(text),
            file,
        },
    };
    assert_eq!(
        load("beside", &[]),
        bearer("of the file", Some(dir.path().join("beside")))
    );
    assert_eq!(
        load("token", &[]),
        bearer("of systemd", Some(credentials.join("token")))
    );
    let variable = [("AQUEDUCT__PIPELINE__P__SOURCE__AUTH__TOKEN", "of the variable")];
    assert_eq!(load("token", &variable), bearer("of the variable", None));
}
