//! Links to the next page: out of the header `Link` (RFC 8288), resolved (RFC 3986), and as a cursor keeps them.

use reqwest::header::{HeaderMap, LINK};
use url::Url;

/// A longer link would not fit into a cursor, nor into a request.
const MAX_LINK_BYTES: usize = 16 * 1024;

/// The target of the first link with `rel="next"`, as written.
pub(super) fn next_of(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(LINK)
        .iter()
        .filter_map(|value| std::str::from_utf8(value.as_bytes()).ok())
        .find_map(next_in)
}

/// `<target>; rel="prev next"; title="a, b; c", <target>; …`
fn next_in(header: &str) -> Option<String> {
    let mut rest = header;
    while let Some((_, after)) = rest.split_once('<') {
        let (target, after) = after.split_once('>')?;
        let (is_next, after) = parameters(after);
        if is_next {
            return Some(target.trim().to_owned());
        }
        rest = after;
    }
    None
}

/// Reads the parameters of a link up to the comma that ends it: whether it is the next page, and what comes after.
fn parameters(text: &str) -> (bool, &str) {
    let (mut rel, mut has_anchor) = (None, false);
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let Some(parameter) = rest.strip_prefix(';') else {
            break;
        };
        let end = parameter.find([';', ',', '=']).unwrap_or(parameter.len());
        let (name, after) = parameter.split_at(end);
        let (value, after) = match after.strip_prefix('=') {
            Some(after) => value(after.trim_start()),
            None => (String::new(), after),
        };
        match name.trim().to_ascii_lowercase().as_str() {
            // Of several the first one counts.
            "rel" => rel = rel.or(Some(value)),
            // Such a link is about another page than this one.
            "anchor" => has_anchor = true,
            _ => {}
        }
        rest = after;
    }
    let is_next = rel.is_some_and(|rel| rel.split_whitespace().any(|word| word.eq_ignore_ascii_case("next")));
    (is_next && !has_anchor, rest)
}

/// A token or a quoted text, and what comes after it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',']).unwrap_or(text.len());
        return (text[..end].trim().to_owned(), &text[end..]);
    };
    let (mut value, mut letters) = (String::new(), quoted.char_indices());
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            _ => value.push(letter),
        }
    }
    (value, "")
}

/// A link as a cursor keeps it: resolved against the page that it stands on, and without host where it leads to the
/// source's own, so that neither a password in the address nor the key in `hidden` gets into the log. Errors are sentences.
pub(super) fn keep(link: &str, page: &Url, home: &Url, hidden: Option<&str>) -> Result<String, String> {
    let mut target = page
        .join(link.trim())
        .ok()
        .filter(|target| matches!(target.scheme(), "http" | "https") && target.has_host())
        .ok_or("the link to the next page is no http address")?;
    target.set_fragment(None);
    // Behind a proxy that ends TLS, servers name themselves by http; following that would send pages in the clear.
    let is_same_server = target.host() == home.host() && target.port().is_none() && home.port().is_none();
    if home.scheme() == "https" && target.scheme() == "http" && is_same_server {
        // An address with a host can have this scheme.
        let _ = target.set_scheme("https");
    }
    if let Some(name) = hidden {
        remove_param(&mut target, |other, _| other == name);
    }
    let kept = if target.origin() == home.origin() {
        target[url::Position::BeforePath..].to_owned()
    } else {
        let _ = target.set_username("");
        let _ = target.set_password(None);
        target.into()
    };
    if kept.len() > MAX_LINK_BYTES {
        return Err("the link to the next page is longer than 16 KiB".to_owned());
    }
    Ok(kept)
}

/// The address that a kept link means. Errors are sentences.
pub(super) fn address(kept: &str, home: &Url) -> Result<Url, String> {
    // `//host/path` would lead away; a path that begins so is one of the source's own.
    let joined = match kept.starts_with('/') {
        true => home.join("/").map(|mut url| {
            let (path, query) = match kept.split_once('?') {
                Some((path, query)) => (path, Some(query)),
                None => (kept, None),
            };
            url.set_path(path);
            url.set_query(query);
            url
        }),
        false => Url::parse(kept),
    };
    joined
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| "the link in the cursor is no http address".to_owned())
}

/// Removes the parameters that `is_meant` names; leaves the query as it is where there are none.
pub(super) fn remove_param(url: &mut Url, is_meant: impl Fn(&str, &str) -> bool) {
    let all: Vec<(String, String)> = url
        .query_pairs()
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    let kept: Vec<&(String, String)> = all.iter().filter(|(name, value)| !is_meant(name, value)).collect();
    if kept.len() == all.len() {
        return;
    }
    url.set_query(None);
    if !kept.is_empty() {
        url.query_pairs_mut()
            .extend_pairs(kept.into_iter().map(|(name, value)| (name, value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().expect("an address")
    }

    #[test]
    fn the_next_link_is_found_among_others() {
        for (header, next) in [
            ("<https://h/?page=2>; rel=\"next\"", Some("https://h/?page=2")),
            ("</a>; rel=prev, </b>; rel=next", Some("/b")),
            (
                "</a>; title=\"x, <y>; rel=next\"; rel=\"last\", <?p=3> ; REL = \"last NEXT\"",
                Some("?p=3"),
            ),
            ("</a,b;c>; rel=\"next\"; type=\"a/b\"", Some("/a,b;c")),
            (
                "</a>; title=\"say \\\"hi\\\", next\"; rel=first,</b>;rel=next",
                Some("/b"),
            ),
            ("</a>; rel=\"prev\"; rel=\"next\"", None),
            ("</a>; rel=next; anchor=\"#part\"", None),
            ("</a>; rel=\"nextish\"", None),
            ("</a>", None),
            ("", None),
            ("<unclosed; rel=next", None),
            ("</a>; rel=\"next", Some("/a")),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(LINK, "</first>; rel=first".parse().expect("a header"));
            headers.append(LINK, header.parse().expect("a header"));
            assert_eq!(next_of(&headers).as_deref(), next, "{header}");
        }
    }

    #[test]
    fn links_are_kept_without_host_and_secrets() {
        let (home, page) = (url("https://me:pass@h/v1/items?a=1"), url("https://h/v1/items?a=1"));
        for (link, kept) in [
            ("https://h/v1/items?page=2#top", "/v1/items?page=2"),
            ("/v1/items?page=2", "/v1/items?page=2"),
            ("?page=2", "/v1/items?page=2"),
            ("items/next", "/v1/items/next"),
            ("http://h/v1/items?page=2", "/v1/items?page=2"),
            ("?page=2&api_key=s3cret&q=a%20b", "/v1/items?page=2&q=a+b"),
            ("?page=2&q=a%20b", "/v1/items?page=2&q=a%20b"),
            ("https://you:them@other/x?y", "https://other/x?y"),
            ("http://h:8080/x", "http://h:8080/x"),
        ] {
            assert_eq!(keep(link, &page, &home, Some("api_key")).as_deref(), Ok(kept), "{link}");
        }
        for link in ["file:///etc/passwd", "javascript:1", "http://", "mailto:a@b"] {
            assert!(keep(link, &page, &home, None).is_err(), "{link}");
        }
        assert!(keep(&format!("?x={}", "y".repeat(20_000)), &page, &home, None).is_err());
    }

    #[test]
    fn a_kept_link_leads_where_it_led() {
        let home = url("https://me:pass@h:8443/v1/items?a=1");
        for (kept, address_of) in [
            (
                "/v1/items?page=2&q=a%20b",
                "https://me:pass@h:8443/v1/items?page=2&q=a%20b",
            ),
            ("/", "https://me:pass@h:8443/"),
            ("//evil/x", "https://me:pass@h:8443//evil/x"),
            ("https://other/x?y", "https://other/x?y"),
        ] {
            assert_eq!(address(kept, &home).as_ref().map(Url::as_str), Ok(address_of), "{kept}");
        }
        assert!(address("file:///x", &home).is_err() && address("x", &home).is_err());
    }
}
