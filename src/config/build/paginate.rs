//! `[pipeline.source.paginate]`: how to get from page to page, and when to stop.

use crate::config::{
    section::Section,
    settings::{Paginate, Stop},
};

const STOP_RULES: [&str; 4] = ["stop", "last", "max_records", "total"];

const ALLOWED: &str = "stop = \"empty\" (a page without records), stop = \"short\" (a page with fewer records than the one \
                       before), last = N (the last page's number), max_records = N or total = \"$.path\" (the number of all \
                       records, in the page)";

pub(super) fn paginate(section: &Section<'_>) -> Option<Paginate> {
    match section.choice("kind") {
        "single" => {
            for name in ["param", "first"].into_iter().chain(STOP_RULES) {
                if section.is_set(name) {
                    let message =
                        "has no meaning with kind = \"single\", one request; remove it, or write kind = \"page\"";
                    section.problem(name, message);
                }
            }
            Some(Paginate::Single)
        }
        "page" => {
            let (param, first) = (section.text("param"), section.count("first"));
            let stop = stop(section, first);
            Some(Paginate::Page {
                param: param?,
                first: first?,
                stop: stop?,
            })
        }
        _ => None,
    }
}

fn stop(section: &Section<'_>, first: Option<u64>) -> Option<Stop> {
    let written: Vec<&str> = STOP_RULES.into_iter().filter(|name| section.is_set(name)).collect();
    match written.as_slice() {
        [] => {
            section.missing(
                "",
                format!("kind = \"page\" needs a stop rule, or it never ends; write one of {ALLOWED}"),
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
