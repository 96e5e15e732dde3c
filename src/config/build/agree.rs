//! A parameter has one master: the query, the body, the pagination, the shard or the credential.

use serde_json::{Map, Value};

use crate::config::{
    section::Section,
    settings::{Auth, Body, Paginate, Place, Secret, Shards},
};

/// What may claim a parameter.
pub(super) struct Claims<'a> {
    pub query: &'a [(String, String)],
    pub headers: &'a [(String, Secret)],
    pub url: Option<&'a url::Url>,
    pub body: Option<&'a Body>,
    pub auth: Option<&'a Auth>,
    pub paginate: Option<&'a Paginate>,
    pub place: Place,
    pub shards: Option<&'a Shards>,
}

pub(super) fn agree(section: &Section<'_>, claims: &Claims<'_>) {
    let of_pages = claims.paginate.map(params).unwrap_or_default();
    pages(section, claims, &of_pages);
    if let (Some(shards), Some(paginate)) = (claims.shards, claims.paginate) {
        stripes(section, shards, paginate);
        sets(section, claims, shards, &of_pages);
    }
    if let Some(auth) = claims.auth {
        credentials(section, claims, auth, &of_pages);
    }
}

/// The parameters that differ from page to page.
fn params(paginate: &Paginate) -> Vec<&str> {
    match paginate {
        Paginate::Page { param, .. } | Paginate::Cursor { param, .. } => vec![param],
        Paginate::Offset { param, limit_param, .. } => vec![param, limit_param],
        Paginate::Single | Paginate::NextUrl { .. } | Paginate::LinkHeader { .. } => vec![],
    }
}

fn pages(section: &Section<'_>, claims: &Claims<'_>, of_pages: &[&str]) {
    for param in of_pages {
        match (claims.place, claims.body) {
            (Place::Query, _) if has(claims.query, param) => section.problem(
                "query",
                format!("has \"{param}\", which paginate sets for every page; remove it there"),
            ),
            (Place::Body, Some(Body::Json(body))) => {
                if let Some(problem) = collision(body, param) {
                    section.problem(
                        "body",
                        format!("{problem}, which paginate sets for every page; remove it there"),
                    );
                }
            }
            _ => {}
        }
    }
}

fn stripes(section: &Section<'_>, shards: &Shards, paginate: &Paginate) {
    if !matches!(shards, Shards::Stripes(number) if *number > 1) {
        return;
    }
    if matches!(paginate, Paginate::Single) {
        let message =
            "one request cannot be striped; write shards = 1, a list of parameter sets, or paginate by \"page\"";
        section.problem("shards", message);
    } else if paginate.has_tokens() {
        let message = "each page leads to the next one, so they cannot be striped; write shards = 1, a list of parameter \
                       sets, or paginate by \"page\" or \"offset\"";
        section.problem("shards", message);
    }
}

fn sets(section: &Section<'_>, claims: &Claims<'_>, shards: &Shards, of_pages: &[&str]) {
    let Shards::Declared(sets) = shards else { return };
    let mut names: Vec<&String> = sets.iter().flat_map(|set| set.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let in_body = match claims.body {
            Some(Body::Json(body)) if claims.place == Place::Body => collision(body, name),
            _ => None,
        };
        if claims.place == Place::Query && has(claims.query, name) {
            section.problem("shards", format!("\"{name}\" is also in query; remove it there"));
        } else if in_body.is_some() {
            section.problem("shards", format!("\"{name}\" is also in body; remove it there"));
        } else if of_pages.contains(&name.as_str()) {
            section.problem(
                "shards",
                format!("\"{name}\" is what paginate sets for every page; remove it here"),
            );
        } else if key_param(claims.auth) == Some(name) {
            section.problem("shards", format!("\"{name}\" is the key of auth; remove it here"));
        }
    }
}

fn credentials(section: &Section<'_>, claims: &Claims<'_>, auth: &Auth, of_pages: &[&str]) {
    if let Some(name) = key_param(Some(auth)) {
        if has(claims.query, name) {
            section.problem("query", format!("has \"{name}\", which auth sets; remove it there"));
        } else if claims.place == Place::Query && of_pages.contains(&name) {
            section.problem(
                "auth",
                format!("\"{name}\" is what paginate sets for every page; write another name"),
            );
        }
        return;
    }
    let header = match auth {
        Auth::None => return,
        Auth::ApiKey { name, .. } => name.as_str(),
        _ => "Authorization",
    };
    if claims.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(header)) {
        section.problem("headers", format!("has {header}, which auth sets; remove it there"));
    }
    let has_login = |url: &url::Url| !url.username().is_empty() || url.password().is_some();
    if header == "Authorization" && claims.url.is_some_and(has_login) {
        section.problem(
            "url",
            "has a user or a password, and auth has a credential too; keep one of them",
        );
    }
}

fn key_param(auth: Option<&Auth>) -> Option<&str> {
    match auth {
        Some(Auth::ApiKey {
            name, in_query: true, ..
        }) => Some(name),
        _ => None,
    }
}

fn has(query: &[(String, String)], name: &str) -> bool {
    query.iter().any(|(other, _)| other == name)
}

/// Why a name with dots cannot be put into the body.
fn collision(body: &Map<String, Value>, name: &str) -> Option<String> {
    let (head, rest) = match name.split_once('.') {
        Some((head, rest)) => (head, Some(rest)),
        None => (name, None),
    };
    match (body.get(head)?, rest) {
        (Value::Object(below), Some(rest)) => collision(below, rest),
        _ => Some(format!("has \"{head}\"")),
    }
}
