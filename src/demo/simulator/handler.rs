//! From a request to an answer.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH},
    },
    web,
};
use bytes::Bytes;
use futures::stream;
use sha1::{Digest, Sha1};

use super::{
    page::page,
    query::Query,
    quota::MAX_USERS,
    state::{Fate, State},
};

const VERSIONS: [&str; 5] = ["1.0", "1.1", "1.2", "1.3", "1.4"];
const NEWEST: &str = "1.4";
const OUTAGE: &str =
    r#"{"error":"Uh oh, something has gone wrong. Please tweet us @randomapi about the issue. Thank you."}"#;

/// The routes of the API.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    for path in ["/api", "/api/", "/api/{version}", "/api/{version}/"] {
        config.route(path, web::get().to(users));
    }
    config.default_service(web::to(async || not_found()));
}

fn not_found() -> HttpResponse {
    HttpResponse::NotFound()
        .content_type("text/plain; charset=utf-8")
        .body("Not Found")
}

async fn users(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    let version = request.match_info().get("version").unwrap_or(NEWEST);
    let Some(version) = VERSIONS.into_iter().find(|known| *known == version) else {
        return not_found();
    };
    let fate = state.begin();
    if !state.options.delay.is_zero() {
        actix_web::rt::time::sleep(state.options.delay).await;
    }
    if let Fate::Status(status) = fate {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        return error(status, OUTAGE.to_owned());
    }
    let mut query = Query::parse(request.query_string());
    let client = request
        .peer_addr()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    if state.options.rate_limit && !state.quota.take(client, query.results) {
        return error(
            StatusCode::TOO_MANY_REQUESTS,
            format!(
                r#"{{"error":"Whoa, ease up there cowboy. You've requested {MAX_USERS} users in the last minute. Help us keep this service free and spare some bandwidth for other users please :)"}}"#
            ),
        );
    }
    if state.options.last_page.is_some_and(|last| query.page > last) {
        query.results = 0;
    }
    // Thousands of people take their time: not on the thread that accepts connections.
    let made = web::block(move || (page(&query, version, state.options.corrupt.as_ref()), query, state)).await;
    let Ok((mut page, query, state)) = made else {
        return error(StatusCode::INTERNAL_SERVER_ERROR, OUTAGE.to_owned());
    };

    let digest = Sha1::digest(page.body.as_bytes());
    let hash = digest
        .iter()
        .take(8)
        .fold(0, |hash, byte| (hash << 8) | u64::from(*byte));
    let etag = format!("W/\"{:x}-{hash:016x}\"", page.body.len());
    let known = request
        .headers()
        .get(IF_NONE_MATCH)
        .and_then(|etags| etags.to_str().ok())
        .unwrap_or_default();
    if known.split(',').any(|known| known.trim() == etag) {
        return HttpResponse::NotModified().insert_header((ETAG, etag)).finish();
    }
    let mut body = Bytes::from(std::mem::take(&mut page.body));
    let end = if fate == Fate::CutOff {
        body.truncate(body.len() / 2);
        Some(Err(io::Error::from(io::ErrorKind::ConnectionReset)))
    } else {
        state.note(&query, &page);
        None
    };
    HttpResponse::Ok()
        .content_type(page.content_type)
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((ETAG, etag))
        // A stream has no length, so it is sent in chunks, as by the real server.
        .streaming(stream::iter([Ok(body)].into_iter().chain(end)))
}

fn error(status: StatusCode, body: String) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("application/json; charset=utf-8")
        .body(body)
}
