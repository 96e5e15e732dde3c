//! Redirects and links to another host: followed, but no credential goes along.

use aqueduct::{
    api::ApiError,
    config::settings::{Auth, Body, Credential, HttpSource, Method, Paginate, Secret},
    model::Verdict,
};
use serde_json::json;

use crate::{
    drain::{items, next_url, settings, sweep},
    server::{Api, Asked, json, with},
};

const SECRET: &str = "s3cret-of-mine";

fn credential() -> Credential {
    Credential {
        value: Secret::new(SECRET),
        file: None,
    }
}

fn credentials() -> [Auth; 4] {
    [
        Auth::Bearer { token: credential() },
        Auth::Basic {
            user: "ada".to_owned(),
            password: credential(),
        },
        Auth::ApiKey {
            name: "X-Key".to_owned(),
            key: credential(),
            in_query: false,
        },
        Auth::ApiKey {
            name: "appid".to_owned(),
            key: credential(),
            in_query: true,
        },
    ]
}

/// A source with a secret in every place that there is.
fn secretive(url: url::Url, auth: Auth, paginate: Paginate) -> HttpSource {
    let mut settings = settings(url, paginate);
    settings.auth = auth;
    settings.headers = vec![
        ("X-Tenant".to_owned(), Secret::new(SECRET)),
        ("Cookie".to_owned(), Secret::new(SECRET)),
    ];
    settings
}

fn bears_a_secret(asked: &Asked) -> bool {
    // Base64 of `ada:s3cret-of-mine` ends like this.
    let text = format!("{asked:?}");
    text.contains(SECRET)
        || text.contains("c2VjcmV0")
        || text.contains("YWRhOn")
        || asked.header("authorization").is_some()
}

#[tokio::test]
async fn every_request_to_the_own_host_bears_the_credential() {
    for (auth, shown) in credentials().into_iter().zip([
        "(\"authorization\", \"Bearer s3cret-of-mine\")",
        "(\"authorization\", \"Basic YWRhOnMzY3JldC1vZi1taW5l\")",
        "(\"x-key\", \"s3cret-of-mine\")",
        "appid=s3cret-of-mine",
    ]) {
        let api = Api::start(|_, asked: &Asked| match asked.path().as_str() {
            "/api" => with("307 Elsewhere", &["location: /moved"], b""),
            "/moved" => json(items(0, 1, json!({"next": "/page2?appid=stale"}))),
            _ => json(items(1, 2, json!({}))),
        })
        .await;
        let swept = sweep(&secretive(api.url(), auth, next_url())).await;
        assert_eq!(swept.ids, [0, 1], "{}", swept.failure());
        for asked in api.asked() {
            assert!(format!("{asked:?}").contains(shown), "{shown} is not in {asked:?}");
            assert!(
                !shown.starts_with("appid") || !asked.line.contains("stale"),
                "{}",
                asked.line
            );
        }
        assert_eq!(api.asked().len(), 3);
        assert!(!swept.cursor.unwrap().to_string().contains(SECRET));
    }
}

#[tokio::test]
async fn a_redirect_to_another_host_carries_no_credential() {
    for status in ["301", "302", "303", "307", "308"] {
        for auth in credentials() {
            let away = Api::start(|_, _| json(items(0, 1, json!({})))).await;
            let address = away.url();
            let home = Api::start(move |_, _| {
                // Some servers copy the query into the address.
                let location = format!("location: {address}?appid={SECRET}&q=1");
                with(&format!("{status} Elsewhere"), &[&location], b"")
            })
            .await;
            let swept = sweep(&secretive(home.url(), auth.clone(), Paginate::Single)).await;
            assert_eq!(swept.ids, [0], "{}", swept.failure());
            let strange = away.asked().remove(0);
            let in_query = matches!(auth, Auth::ApiKey { in_query: true, .. });
            if in_query {
                assert!(strange.line.starts_with("GET /api?q=1 "), "{}", strange.line);
            }
            // What the server itself puts into the address is the server's business where it is not our key's parameter.
            let headers = Asked {
                line: String::new(),
                ..strange
            };
            assert!(!bears_a_secret(&headers), "{status} {auth:?}: {headers:?}");
        }
    }
}

#[tokio::test]
async fn a_link_to_another_host_is_followed_without_credentials() {
    for auth in credentials() {
        let away = Api::start(|_, _| json(items(1, 2, json!({})))).await;
        let address = away.url();
        let home =
            Api::start(move |_, _| json(items(0, 1, json!({ "next": format!("{address}?n=2&appid={SECRET}") })))).await;
        let in_query = matches!(auth, Auth::ApiKey { in_query: true, .. });
        let swept = sweep(&secretive(home.url(), auth, next_url())).await;
        assert_eq!(swept.ids, [0, 1], "{}", swept.failure());
        let mut strange = away.asked().remove(0);
        if !in_query {
            strange.line = String::new();
        }
        assert!(!bears_a_secret(&strange), "{strange:?}");
    }
}

#[tokio::test]
async fn a_body_goes_to_no_other_host() {
    let away = Api::start(|_, _| json(items(0, 1, json!({})))).await;
    let address = away.url();
    let home = Api::start(move |_, _| with("307 Elsewhere", &[&format!("location: {address}")], b"")).await;
    let mut settings = settings(home.url(), Paginate::Single);
    settings.method = Method::Post;
    settings.body = Some(Body::Text(Secret::new(SECRET)));
    let swept = sweep(&settings).await;
    assert!(
        swept.failure().contains("does not get the body of the request"),
        "{}",
        swept.failure()
    );
    assert!(away.asked().is_empty());
}

#[tokio::test]
async fn a_redirect_makes_no_get_of_a_post_in_silence() {
    for (status, outcome) in [
        ("301", None),
        ("302", None),
        ("303", Some("GET")),
        ("307", Some("POST")),
        ("308", Some("POST")),
    ] {
        let api = Api::start(move |_, asked: &Asked| match asked.path().as_str() {
            "/api" => with(&format!("{status} Elsewhere"), &["location: /moved"], b""),
            _ => json(items(0, 1, json!({}))),
        })
        .await;
        let mut settings = settings(api.url(), Paginate::Single);
        settings.method = Method::Post;
        settings.body = Some(Body::Text(Secret::new("{}")));
        let swept = sweep(&settings).await;
        let second = api.asked().get(1).map(|asked| (asked.line.clone(), asked.body.clone()));
        match outcome {
            None => assert!(
                swept
                    .failure()
                    .contains("would turn the POST into a GET; write the address that it leads to as `url`"),
                "{}",
                swept.failure()
            ),
            Some(method) => {
                let (line, body) = second.unwrap();
                assert!(line.starts_with(method), "{line}");
                assert_eq!(body.is_empty(), method == "GET");
            }
        }
    }
}

#[tokio::test]
async fn redirects_in_a_circle_are_an_error_that_names_where_they_lead() {
    let api = Api::start(|_, asked: &Asked| {
        let location = if asked.path() == "/a" { "/b" } else { "/a" };
        with("302 Found", &[&format!("location: {location}")], b"")
    })
    .await;
    let swept = sweep(&settings(api.url(), Paginate::Single)).await;
    let error = swept.error.as_ref().unwrap();
    assert!(matches!(error, ApiError::Redirect { .. }) && error.verdict() == Verdict::Fail);
    assert!(
        swept
            .failure()
            .contains("more than 10 redirects; the last one leads to GET http://"),
        "{}",
        swept.failure()
    );
    assert_eq!(api.asked().len(), 11);
}
