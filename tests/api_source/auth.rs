//! Credentials that expire, are replaced, or are wrong.

use std::{
    fs,
    sync::{Arc, Mutex},
};

use aqueduct::{
    config::settings::{Auth, Credential, HttpSource, Secret},
    model::Verdict,
};
use serde_json::json;
use url::Url;

use crate::{
    drain::{cursor, items, settings, sweep},
    server::{Answer, Api, Asked, json, with},
};

/// Pages of ten for whoever bears the token of the hour: which one that is says `is_good` for the number of the request.
async fn api(is_good: impl Fn(usize, &str) -> bool + Send + Sync + 'static) -> Api {
    Api::start(move |number, asked: &Asked| match asked.header("authorization") {
        Some(authorization) if is_good(number, authorization) => page(asked),
        _ => refusal(asked),
    })
    .await
}

fn page(asked: &Asked) -> Answer {
    let from = asked.number("after");
    let next = (from < 40).then_some(from + 10);
    json(items(from, from + 10, json!({ "next": next })))
}

/// Some APIs repeat the token in their anger.
fn refusal(asked: &Asked) -> Answer {
    let authorization = asked.header("authorization").unwrap_or_default();
    with(
        "401 Unauthorized",
        &[],
        format!("bad token: {authorization}").as_bytes(),
    )
}

fn all() -> Vec<u64> {
    (0..50).collect()
}

fn with_auth(url: Url, auth: Auth) -> HttpSource {
    let mut settings = settings(url, cursor(None));
    settings.auth = auth;
    settings
}

fn fixed(secret: &str) -> Credential {
    Credential {
        value: Secret::new(secret),
        file: None,
    }
}

fn oauth2(token_url: Url) -> Auth {
    Auth::Oauth2 {
        token_url,
        client_id: "me & co".to_owned(),
        client_secret: fixed("client-s3cret"),
        scope: Some("read:items".to_owned()),
    }
}

/// A server that gives out `token-0001`, `token-0002`, …
async fn token_server(expires_in: serde_json::Value) -> Api {
    Api::start(move |number, _| {
        let token = format!("token-{:04}", number + 1);
        json(json!({"access_token": token, "token_type": "bearer", "expires_in": expires_in}))
    })
    .await
}

#[tokio::test]
async fn a_wrong_credential_of_the_configuration_is_an_error_at_once_and_is_not_shown() {
    let api = api(|_, _| false).await;
    for auth in [
        Auth::Bearer {
            token: fixed("t0ken-of-mine"),
        },
        Auth::Basic {
            user: "ada".to_owned(),
            password: fixed("t0ken-of-mine"),
        },
    ] {
        let swept = sweep(&with_auth(api.url(), auth)).await;
        assert!(
            swept.failure().contains("status 401: bad token: B"),
            "{}",
            swept.failure()
        );
        let shown = format!("{} {:?}", swept.failure(), swept.error);
        assert!(!shown.contains("t0ken-of-mine") && !shown.contains("YWRhOn"), "{shown}");
        assert_eq!(swept.error.unwrap().verdict(), Verdict::Fail);
    }
    assert_eq!(api.asked().len(), 2);
}

#[tokio::test]
async fn a_token_file_is_read_again_when_the_token_has_expired() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    fs::write(&path, "token-0001\n").unwrap();
    let file = path.clone();
    // The third request finds that the token has expired; somebody has written the next one into the file.
    let api = api(move |number, authorization| {
        if number == 2 {
            fs::write(&file, "token-0002\n").unwrap();
        }
        authorization
            == if number < 2 {
                "Bearer token-0001"
            } else {
                "Bearer token-0002"
            }
    })
    .await;
    let token = Credential {
        value: Secret::new("token-0001"),
        file: Some(path),
    };
    let swept = sweep(&with_auth(api.url(), Auth::Bearer { token })).await;
    assert_eq!(swept.ids, all(), "{}", swept.failure());
    let lines: Vec<String> = api.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(
        (lines.len(), &lines[2]),
        (6, &lines[3]),
        "the page goes on where it was"
    );
}

#[tokio::test]
async fn a_token_file_that_does_not_change_is_looked_at_a_few_times() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    fs::write(&path, "token-0001").unwrap();
    let api = api(|_, _| false).await;
    let token = Credential {
        value: Secret::new("token-0001"),
        file: Some(path),
    };
    let swept = sweep(&with_auth(api.url(), Auth::Bearer { token })).await;
    assert!(
        swept.failure().contains("status 401: bad token: Bearer ***"),
        "{}",
        swept.failure()
    );
    assert_eq!(api.asked().len(), 4);
}

#[tokio::test]
async fn an_oauth2_token_is_asked_for_once_and_used_for_all_pages() {
    let tokens = token_server(json!(3_600)).await;
    let api = api(|_, authorization| authorization == "Bearer token-0001").await;
    let swept = sweep(&with_auth(api.url(), oauth2(tokens.url()))).await;
    assert_eq!(swept.ids, all(), "{}", swept.failure());
    let asked = tokens.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].body, "grant_type=client_credentials&scope=read%3Aitems");
    // Base64 of `me+%26+co:client-s3cret`.
    assert_eq!(
        asked[0].header("authorization"),
        Some("Basic bWUrJTI2K2NvOmNsaWVudC1zM2NyZXQ=")
    );
    assert_eq!(
        asked[0].header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
}

#[tokio::test]
async fn a_token_that_expires_in_mid_pagination_is_refreshed_and_the_page_goes_on() {
    let tokens = token_server(json!(null)).await;
    // Each token is good for two requests.
    let used: Arc<Mutex<Vec<String>>> = Arc::default();
    let api = api(move |_, authorization| {
        let mut used = used.lock().unwrap();
        used.push(authorization.to_owned());
        used.iter().filter(|other| *other == authorization).count() <= 2
    })
    .await;
    let swept = sweep(&with_auth(api.url(), oauth2(tokens.url()))).await;
    assert_eq!((swept.ids.clone(), swept.num_pages), (all(), 5), "{}", swept.failure());
    assert_eq!((tokens.asked().len(), api.asked().len()), (3, 7));
    assert_eq!(swept.heard, Vec::<String>::new(), "an expired token is no outage");
}

#[tokio::test]
async fn a_token_that_expires_during_a_429_wait_is_refreshed_and_the_page_goes_on() {
    let tokens = token_server(json!(null)).await;
    let api = Api::start(|number, asked: &Asked| {
        let token = asked.header("authorization").unwrap_or_default();
        match number {
            0 => page(asked),
            1 | 3 | 5 => with("429 Too Many Requests", &["retry-after: 86400"], b"slow"),
            // Meanwhile the token has expired, and after the next wait the next one has.
            2 | 4 | 6 => refusal(asked),
            _ if token == "Bearer token-0004" => page(asked),
            _ => refusal(asked),
        }
    })
    .await;
    let swept = sweep(&with_auth(api.url(), oauth2(tokens.url()))).await;
    assert_eq!(swept.ids, all(), "{}", swept.failure());
    let asked = api.asked();
    assert!(
        asked[1..8].iter().all(|other| other.line == asked[1].line),
        "the page is not begun from the first"
    );
}

#[tokio::test]
async fn a_token_that_is_about_to_expire_is_not_used() {
    // A life of no time at all: each request has a token of its own, and none is refused.
    let tokens = token_server(json!("0")).await;
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let api = api(move |_, authorization| {
        let mut seen = seen.lock().unwrap();
        let is_new = !seen.contains(&authorization.to_owned());
        seen.push(authorization.to_owned());
        is_new
    })
    .await;
    let swept = sweep(&with_auth(api.url(), oauth2(tokens.url()))).await;
    assert_eq!(swept.ids, all(), "{}", swept.failure());
    assert_eq!((tokens.asked().len(), api.asked().len()), (5, 5));
}

#[tokio::test]
async fn an_outage_of_the_token_server_is_waited_out() {
    let tokens = Api::start(|number, _| match number {
        0 => with("503 Busy", &["retry-after: 86400"], b"later"),
        1 => Vec::new(),
        _ => json(json!({"access_token": "token-0001"})),
    })
    .await;
    let api = api(|_, _| true).await;
    let swept = sweep(&with_auth(api.url(), oauth2(tokens.url()))).await;
    assert_eq!(swept.ids, all(), "{}", swept.failure());
    assert_eq!(swept.heard.len(), 2, "{:?}", swept.heard);
    let says = format!("POST {}: status 503: later", tokens.url());
    assert_eq!(swept.heard[0], says);
}

#[tokio::test]
async fn a_token_server_that_gives_no_token_is_an_error_without_secrets() {
    for (answer, says) in [
        (
            with("401 Unauthorized", &[], b"wrong: client-s3cret"),
            "status 401: wrong: ***",
        ),
        (with("302 Found", &["location: /login"], b""), "status 302"),
        (
            with("200 OK", &[], b"<html>"),
            "no token: the answer is no JSON object with an `access_token`",
        ),
        (
            json(json!({"access_token": ""})),
            "no token: the answer has another `token_type` than Bearer, or an empty token",
        ),
        (
            json(json!({"access_token": "x", "token_type": "mac"})),
            "another `token_type` than Bearer",
        ),
        (
            json(json!({"access_token": "a\nb"})),
            "no token: it has characters that no header may have",
        ),
    ] {
        let tokens = Api::start(move |_, _| answer.clone()).await;
        let api = api(|_, _| true).await;
        let swept = sweep(&with_auth(api.url(), oauth2(tokens.url()))).await;
        assert!(
            swept.failure().contains(says) && swept.failure().starts_with("POST http://"),
            "{}",
            swept.failure()
        );
        assert!(!format!("{:?}", swept.error).contains("client-s3cret"));
        assert_eq!(swept.error.unwrap().verdict(), Verdict::Fail);
        assert_eq!((tokens.asked().len(), api.asked().len()), (1, 0));
    }
}

#[tokio::test]
async fn an_api_that_refuses_every_new_token_is_not_asked_for_ever() {
    let tokens = token_server(json!(3_600)).await;
    let api = api(|_, _| false).await;
    let swept = sweep(&with_auth(api.url(), oauth2(tokens.url()))).await;
    assert!(
        swept.failure().contains("status 401: bad token: Bearer ***"),
        "{}",
        swept.failure()
    );
    assert_eq!((tokens.asked().len(), api.asked().len()), (4, 4));
}
