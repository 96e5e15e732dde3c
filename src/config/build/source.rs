//! `[pipeline.source]`

use super::{exec, paginate, shards};
use crate::config::{
    keys,
    section::Section,
    settings::{HttpSource, Paginate, Shards, Source},
};

pub(super) fn source(section: &Section<'_>) -> Option<Source> {
    match section.choice("kind") {
        "http" => {
            exec::refuse_keys(section);
            http(section).map(Box::new).map(Source::Http)
        }
        "exec" => exec::exec(section).map(Box::new).map(Source::Exec),
        "none" => {
            nothing_else(section);
            Some(Source::None)
        }
        // Missing, unknown or planned: said already, and what else it needs is anybody's guess.
        _ => None,
    }
}

fn nothing_else(section: &Section<'_>) {
    for name in keys::names_in("pipeline[].source")
        .into_iter()
        .filter(|name| *name != "kind")
    {
        if section.is_set(name) {
            section.problem(
                name,
                "has no meaning with kind = \"none\", which fetches nothing; remove it",
            );
        }
    }
}

fn http(section: &Section<'_>) -> Option<HttpSource> {
    let url = section.http_url("url");
    // The only method so far; another word is a problem already.
    section.choice("method");
    let query = section.plain_map("query");
    let headers = section.secret_map("headers", refuse_header);
    let records = section.json_path("records");
    let key = section.json_path("key");
    let paginate = paginate::paginate(&section.child("paginate", "pipeline[].source.paginate"));
    let every = section.span("every");
    let rate = section.rate("rate");
    let timeout = section.span("timeout");
    let shards = section.parsed("shards", shards::shards);
    if let (Some(paginate), Some(shards)) = (&paginate, &shards) {
        agree(section, &query, paginate, shards);
    }
    let (records, records_text) = records?;
    let (key, key_text) = key.unzip();
    Some(HttpSource {
        url: url?,
        query,
        headers,
        records,
        records_text,
        key,
        key_text,
        paginate: paginate?,
        every,
        rate,
        timeout: timeout?,
        shards: shards?,
    })
}

/// A parameter has one master: the query, the pagination or the shard.
fn agree(section: &Section<'_>, query: &[(String, String)], paginate: &Paginate, shards: &Shards) {
    let in_query = |name: &str| query.iter().any(|(other, _)| other == name);
    let page_param = match paginate {
        Paginate::Page { param, .. } => Some(param.as_str()),
        Paginate::Single => None,
    };
    if let Some(param) = page_param.filter(|param| in_query(param)) {
        section.problem(
            "query",
            format!("has \"{param}\", which paginate sets for every page; remove it there"),
        );
    }
    match shards {
        Shards::Stripes(number) if *number > 1 && page_param.is_none() => {
            let message =
                "one request cannot be striped; write shards = 1, a list of parameter sets, or paginate by \"page\"";
            section.problem("shards", message);
        }
        Shards::Stripes(_) => {}
        Shards::Declared(sets) => {
            let mut names: Vec<&String> = sets.iter().flat_map(|set| set.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                if in_query(name) {
                    section.problem("shards", format!("\"{name}\" is also in query; remove it there"));
                } else if page_param == Some(name) {
                    section.problem(
                        "shards",
                        format!("\"{name}\" is what paginate sets for every page; remove it here"),
                    );
                }
            }
        }
    }
}

/// RFC 9110: a name is a token; a value has no control characters, or one header could smuggle in another.
fn refuse_header(name: &str, value: &str) -> Option<String> {
    let is_token = |letter: char| letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter);
    if name.is_empty() || !name.chars().all(is_token) {
        return Some("is not the name of a header; write letters, digits and -".to_owned());
    }
    let is_clean = value.chars().all(|letter| letter == '\t' || !letter.is_control());
    (!is_clean).then(|| "has a control character in its value; remove it (a line break, perhaps)".to_owned())
}
