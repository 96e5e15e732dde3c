//! `[pipeline.source.paginate]`: how to get from page to page, and when to stop.

use crate::config::{
    section::Section,
    settings::{Paginate, Place, Stop},
};

const STOP_RULES: [&str; 4] = ["stop", "last", "max_records", "total"];

/// The keys that not every kind has, and the kinds that have them.
const KEYS_OF_KINDS: [(&str, &[&str]); 5] = [
    ("param", &["page", "offset", "cursor"]),
    ("first", &["page", "offset"]),
    ("limit", &["offset"]),
    ("limit_param", &["offset"]),
    ("path", &["cursor", "next_url"]),
];

pub(super) fn paginate(section: &Section<'_>) -> Option<Paginate> {
    let kind = section.choice("kind");
    // Missing or unknown: said already.
    if kind.is_empty() {
        return None;
    }
    refuse_others(section, kind);
    match kind {
        "single" => Some(Paginate::Single),
        "page" => {
            let (param, first) = (param(section, kind), first(section, 1));
            let stop = stop(section, kind, first);
            Some(Paginate::Page {
                param: param?,
                first: first?,
                stop: stop?,
            })
        }
        "offset" => {
            let (param, first) = (param(section, kind), first(section, 0));
            let (limit, limit_param) = (section.count("limit"), section.text("limit_param"));
            if !section.is_set("limit") {
                section.missing(
                    "limit",
                    "missing: kind = \"offset\" needs it; write for example limit = 100, as the API allows",
                );
            }
            if param.is_some() && param == limit_param {
                section.problem("param", "limit_param is the same; write the name of another parameter");
            }
            let stop = stop(section, kind, first);
            Some(Paginate::Offset {
                param: param?,
                limit_param: limit_param?,
                limit: limit?,
                first: first?,
                stop: stop?,
            })
        }
        "cursor" => {
            let (param, path, stop) = (param(section, kind), path(section, kind), optional_stop(section, kind));
            Some(Paginate::Cursor {
                param: param?,
                path: path?,
                stop: stop?,
            })
        }
        "next_url" => {
            let (path, stop) = (path(section, kind), optional_stop(section, kind));
            Some(Paginate::NextUrl {
                path: path?,
                stop: stop?,
            })
        }
        "link_header" => optional_stop(section, kind).map(|stop| Paginate::LinkHeader { stop }),
        _ => None,
    }
}

pub(super) fn place(section: &Section<'_>) -> Place {
    match section.choice("place") {
        "body" => Place::Body,
        _ => Place::Query,
    }
}

fn refuse_others(section: &Section<'_>, kind: &str) {
    if kind == "single" {
        for name in ["param", "first", "limit", "limit_param", "path"]
            .into_iter()
            .chain(STOP_RULES)
            .filter(|name| section.is_set(name))
        {
            let message = "has no meaning with kind = \"single\", one request; remove it, or write kind = \"page\"";
            section.problem(name, message);
        }
        return;
    }
    for (name, kinds) in KEYS_OF_KINDS {
        if section.is_set(name) && !kinds.contains(&kind) {
            let listed = crate::config::suggest::listed(kinds.iter().copied());
            section.problem(
                name,
                format!("has no meaning with kind = \"{kind}\"; remove it, or write kind = {listed}"),
            );
        }
    }
}

fn param(section: &Section<'_>, kind: &str) -> Option<String> {
    match section.is_set("param") {
        true => section.text("param"),
        false => Some(kind.to_owned()),
    }
}

fn first(section: &Section<'_>, by_default: u64) -> Option<u64> {
    match section.is_set("first") {
        true => section.count("first"),
        false => Some(by_default),
    }
}

fn path(section: &Section<'_>, kind: &str) -> Option<String> {
    if !section.is_set("path") {
        let what = if kind == "cursor" { "the token" } else { "the link" };
        section.missing(
            "path",
            format!(
                "missing: kind = \"{kind}\" needs the place of {what} in a page; write for example path = \"$.next\""
            ),
        );
    }
    section.json_path("path").map(|(_, text)| text)
}

/// Where pages have tokens, the absence of one is the stop rule; another may come on top. `None` = it is wrong.
fn optional_stop(section: &Section<'_>, kind: &str) -> Option<Option<Stop>> {
    match STOP_RULES.iter().any(|name| section.is_set(name)) {
        true => stop(section, kind, Some(1)).map(Some),
        false => Some(None),
    }
}

fn stop(section: &Section<'_>, kind: &str, first: Option<u64>) -> Option<Stop> {
    let written: Vec<&str> = STOP_RULES.into_iter().filter(|name| section.is_set(name)).collect();
    match written.as_slice() {
        [] => {
            let last = match kind {
                "offset" => "the last offset",
                _ => "the last page's number",
            };
            section.missing(
                "",
                format!(
                    "kind = \"{kind}\" needs a stop rule, or it never ends; write one of stop = \"empty\" (a page without \
                     records), stop = \"short\" (a page with fewer records than the one before), last = N ({last}), \
                     max_records = N or total = \"$.path\" (the number of all records, in the page)"
                ),
            );
            None
        }
        ["stop"] => match section.choice("stop") {
            "empty" => Some(Stop::Empty),
            "short" => Some(Stop::Short),
            _ => None,
        },
        ["last"] => {
            let last = section.count("last")?;
            if first.is_some_and(|first| last < first) {
                section.problem(
                    "last",
                    format!("{last} comes before the first page; write first or more"),
                );
            }
            Some(Stop::Last(last))
        }
        ["max_records"] => section.count("max_records").map(Stop::MaxRecords),
        ["total"] => section.json_path("total").map(|(_, text)| Stop::Total(text)),
        [.., last] => {
            let all = crate::config::suggest::joined(written.iter().map(|name| (*name).to_owned()), "and");
            section.problem(
                last,
                format!("{all} are {} stop rules; keep exactly one", written.len()),
            );
            None
        }
    }
}
