//! `[pipeline.source]`

use super::{
    agree::{Claims, agree},
    auth, exec, paginate, request, shards,
};
use crate::config::{
    keys,
    section::Section,
    settings::{HttpSource, Source},
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
    let paging = section.child("paginate", "pipeline[].source.paginate");
    let url = section.http_url("url");
    let method = request::method(section);
    let query = section.plain_map("query");
    let headers = section.secret_map("headers", request::refuse_header);
    let auth = auth::auth(&section.child("auth", "pipeline[].source.auth"));
    let records = section.json_path("records");
    let key = section.json_path("key");
    let (paginate, place) = (paginate::paginate(&paging), paginate::place(&paging));
    let body = request::body(section, &paging, method, place);
    let every = section.span("every");
    let rate = section.rate("rate");
    let (timeout, retry_after_max) = (section.span("timeout"), section.span("retry_after_max"));
    let (max_page_bytes, max_pages) = (section.size("max_page"), section.count("max_pages"));
    let shards = section.parsed("shards", shards::shards);
    agree(
        section,
        &Claims {
            query: &query,
            headers: &headers,
            url: url.as_ref(),
            body: body.as_ref(),
            auth: auth.as_ref(),
            paginate: paginate.as_ref(),
            place,
            shards: shards.as_ref(),
        },
    );
    let (records, records_text) = records?;
    let (key, key_text) = key.unzip();
    Some(HttpSource {
        url: url?,
        method,
        query,
        headers,
        body,
        auth: auth?,
        records,
        records_text,
        key,
        key_text,
        paginate: paginate?,
        place,
        every,
        rate,
        timeout: timeout?,
        retry_after_max: retry_after_max?,
        max_page_bytes,
        max_pages: max_pages?,
        shards: shards?,
    })
}
