//! `[pipeline.source.auth]`

use super::request::refuse_header;
use crate::config::{
    keys,
    section::Section,
    settings::{Auth, Credential},
};

const TABLE: &str = "pipeline[].source.auth";

/// The kinds, and the keys that each has.
const KEYS_OF_KINDS: [(&str, &[&str]); 5] = [
    ("none", &[]),
    ("bearer", &["token", "token_file"]),
    ("basic", &["user", "password", "password_file"]),
    ("api_key", &["key", "key_file", "name", "place"]),
    (
        "oauth2",
        &["token_url", "client_id", "client_secret", "client_secret_file", "scope"],
    ),
];

pub(super) fn auth(section: &Section<'_>) -> Option<Auth> {
    let kind = section.choice("kind");
    // An unknown kind is said already, and what else it needs is anybody's guess.
    let (_, own) = KEYS_OF_KINDS.iter().find(|(name, _)| *name == kind)?;
    for name in keys::names_in(TABLE) {
        if name != "kind" && section.is_set(name) && !own.contains(&name) {
            let needs = KEYS_OF_KINDS.iter().find(|(_, keys)| keys.contains(&name));
            let other = needs.map_or("", |(kind, _)| kind);
            section.problem(
                name,
                format!("has no meaning with kind = \"{kind}\"; remove it, or write kind = \"{other}\""),
            );
        }
    }
    match kind {
        "bearer" => {
            let token = section.credential("token", "kind = \"bearer\"");
            refuse_value(section, "token", token.as_ref());
            Some(Auth::Bearer { token: token? })
        }
        "basic" => {
            let user = needed(section, "user", "basic", "ada");
            if user.as_ref().is_some_and(|user| user.contains(':')) {
                section.problem(
                    "user",
                    "has a colon in it, which basic authentication cannot send; use another user",
                );
            }
            let password = section.credential("password", "kind = \"basic\"");
            Some(Auth::Basic {
                user: user?,
                password: password?,
            })
        }
        "api_key" => {
            let in_query = section.choice("place") == "query";
            let name = section.text("name");
            let key = section.credential("key", "kind = \"api_key\"");
            if !in_query {
                if let Some(problem) = name.as_ref().and_then(|name| refuse_header(name, "")) {
                    section.problem("name", problem);
                }
                refuse_value(section, "key", key.as_ref());
            }
            Some(Auth::ApiKey {
                name: name?,
                key: key?,
                in_query,
            })
        }
        "oauth2" => {
            if !section.is_set("token_url") {
                section.missing(
                    "token_url",
                    "missing: kind = \"oauth2\" needs it; write for example token_url = \"https://host/oauth/token\"",
                );
            }
            let token_url = section.http_url("token_url");
            let client_id = needed(section, "client_id", "oauth2", "aqueduct");
            let client_secret = section.credential("client_secret", "kind = \"oauth2\"");
            let scope = section.text("scope");
            Some(Auth::Oauth2 {
                token_url: token_url?,
                client_id: client_id?,
                client_secret: client_secret?,
                scope,
            })
        }
        _ => Some(Auth::None),
    }
}

fn needed(section: &Section<'_>, name: &str, kind: &str, example: &str) -> Option<String> {
    if !section.is_set(name) {
        section.missing(
            name,
            format!("missing: kind = \"{kind}\" needs it; write for example {name} = \"{example}\""),
        );
    }
    section.text(name)
}

fn refuse_value(section: &Section<'_>, name: &str, credential: Option<&Credential>) {
    let Some(credential) = credential else { return };
    if let Some(problem) = refuse_header("x", credential.value.expose()) {
        let file = format!("{name}_file");
        section.problem(if section.is_set(&file) { &file } else { name }, problem);
    }
}
