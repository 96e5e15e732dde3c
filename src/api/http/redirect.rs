//! Where a redirect leads, and what goes along: to another origin no credential.

use reqwest::{
    Method, Response, StatusCode,
    header::{ACCEPT, ACCEPT_LANGUAGE, HeaderMap, HeaderName, LOCATION, USER_AGENT},
};
use url::Url;

use super::question::Question;

/// Configured headers that go along to another origin; any other may carry a credential.
pub(super) const HARMLESS_HEADERS: [HeaderName; 3] = [ACCEPT, ACCEPT_LANGUAGE, USER_AGENT];

pub(super) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Leaves only what may go to another origin.
pub(super) fn strip(headers: &mut HeaderMap) {
    let harmful: Vec<HeaderName> = headers
        .keys()
        .filter(|name| !HARMLESS_HEADERS.contains(name))
        .cloned()
        .collect();
    for name in harmful {
        headers.remove(name);
    }
}

/// The request that the answer to another one asks for. Errors are sentences.
pub(super) fn target(asked: &Question, home: &Url, response: &Response) -> Result<Question, String> {
    let status = response.status().as_u16();
    let url = location(&asked.url, home, response)?;
    match status {
        // RFC 9110: clients make a GET of a POST here. Its answer would be another one, and nobody would notice.
        301 | 302 if asked.method != Method::GET => Err(format!(
            "status {status} would turn the {} into a GET; write the address that it leads to as `url`",
            asked.method
        )),
        303 => Ok(Question {
            method: Method::GET,
            url,
            body: None,
        }),
        _ => Ok(Question { url, ..asked.clone() }),
    }
}

fn location(from: &Url, home: &Url, response: &Response) -> Result<Url, String> {
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
    let is_home = target.origin() == home.origin();
    let (user, password) = if is_home {
        (home.username(), home.password())
    } else {
        ("", None)
    };
    target
        .set_username(user)
        .and_then(|()| target.set_password(password))
        .map_err(|()| no_address())?;
    Ok(target)
}
