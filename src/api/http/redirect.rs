//! Where a redirect leads, and what goes along: to another origin no credential.

use reqwest::{
    Response, StatusCode,
    header::{ACCEPT, ACCEPT_LANGUAGE, HeaderMap, HeaderName, LOCATION, USER_AGENT},
};
use url::Url;

/// Configured headers that go along to another origin; any other may carry a credential.
pub(super) const HARMLESS_HEADERS: [HeaderName; 3] = [ACCEPT, ACCEPT_LANGUAGE, USER_AGENT];

pub(super) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The headers for a request to `url`, of those that are meant for `start`.
pub(super) fn headers(configured: &HeaderMap, url: &Url, start: &Url) -> HeaderMap {
    let mut headers = configured.clone();
    if url.origin() != start.origin() {
        for name in configured.keys().filter(|name| !HARMLESS_HEADERS.contains(name)) {
            headers.remove(name);
        }
    }
    headers
}

/// Where the answer to a request to `from` leads. Errors are sentences.
pub(super) fn target(from: &Url, start: &Url, response: &Response) -> Result<Url, String> {
    let status = response.status().as_u16();
    let location = response
        .headers()
        .get(LOCATION)
        .and_then(|location| std::str::from_utf8(location.as_bytes()).ok())
        .ok_or_else(|| format!("status {status} without a place to go to"))?;
    let no_address = || format!("status {status} leads to a place that is no http address");
    let mut target = from
        .join(location)
        .ok()
        .filter(|target| matches!(target.scheme(), "http" | "https"))
        .ok_or_else(no_address)?;
    // The address's own user and password stay with its origin.
    let is_home = target.origin() == start.origin();
    let (user, password) = if is_home {
        (start.username(), start.password())
    } else {
        ("", None)
    };
    target
        .set_username(user)
        .and_then(|()| target.set_password(password))
        .map_err(|()| no_address())?;
    Ok(target)
}
