//! Tokens and links: from page to page, and to the end where there is none.

use aqueduct::{
    config::settings::{Body, Method, Paginate, Place, Secret, Shards, Stop},
    model::Verdict,
};
use serde_json::{Value, json};

use crate::{
    drain::{cursor, items, next_url, settings, sweep},
    server::{Api, Asked, json, with},
};

fn all() -> Vec<u64> {
    (0..25).collect()
}

/// The page that begins at `from`, of 25 records in pages of 10, and the number of the next one.
fn page_at(from: u64) -> (Value, Option<u64>) {
    let to = (from + 10).min(25);
    (items(from, to, json!({})), (to < 25).then_some(to))
}

fn number(token: Option<String>) -> u64 {
    token.map_or(0, |token| token.trim_start_matches('t').parse().unwrap())
}

#[tokio::test]
async fn a_token_leads_through_all_pages_and_its_absence_ends_the_sweep() {
    for end in [json!(null), json!(false), json!(""), json!("absent")] {
        let api = Api::start(move |_, asked: &Asked| {
            let (mut page, next) = page_at(number(asked.param("after")));
            match next {
                Some(next) => page["next"] = json!(format!("t{next}")),
                None if end == "absent" => {}
                None => page["next"] = end.clone(),
            }
            json(page)
        })
        .await;
        let mut settings = settings(api.url(), cursor(None));
        settings.query = vec![("size".to_owned(), "10".to_owned())];
        let swept = sweep(&settings).await;
        assert_eq!((swept.ids.clone(), swept.num_pages), (all(), 3), "{}", swept.failure());
        let lines: Vec<String> = api.asked().into_iter().map(|asked| asked.line).collect();
        assert!(lines[0].starts_with("GET /api?size=10 "), "{lines:?}");
        assert!(lines[2].starts_with("GET /api?size=10&after=t20 "), "{lines:?}");
    }
}

#[tokio::test]
async fn a_token_may_be_the_last_records_id_and_keeps_every_digit() {
    let big = 9_007_199_254_740_993_u64;
    let api = Api::start(move |_, asked: &Asked| match asked.param("after").as_deref() {
        None => json(items(big, big + 1, json!({}))),
        Some("9007199254740993") => json(items(7, 8, json!({}))),
        Some(_) => json(items(0, 0, json!({}))),
    })
    .await;
    let paginate = Paginate::Cursor {
        param: "after".to_owned(),
        path: "$.items[-1].id".to_owned(),
        stop: None,
    };
    assert_eq!(sweep(&settings(api.url(), paginate)).await.ids, [big, 7]);
}

#[tokio::test]
async fn an_empty_page_in_the_middle_does_not_end_a_chain_of_tokens() {
    for stop in [None, Some(Stop::MaxRecords(1_000))] {
        let api = Api::start(|_, asked: &Asked| match asked.param("after").as_deref() {
            None => json(items(0, 2, json!({"next": "a"}))),
            Some("a") => json(items(0, 0, json!({"next": "b"}))),
            Some("b") => json(items(0, 0, json!({"next": "c"}))),
            _ => json(items(2, 4, json!({}))),
        })
        .await;
        assert_eq!(sweep(&settings(api.url(), cursor(stop))).await.ids, [0, 1, 2, 3]);
    }
}

#[tokio::test]
async fn stop_rules_may_end_a_chain_of_tokens_early() {
    for (stop, len) in [
        (Stop::MaxRecords(13), 13),
        (Stop::Last(2), 20),
        (Stop::Empty, 25),
        (Stop::Short, 25),
        (Stop::Total("$.total".to_owned()), 25),
    ] {
        let api = Api::start(|_, asked: &Asked| {
            let from = number(asked.param("after"));
            // This one names a next page for ever.
            json(items(
                from.min(25),
                (from + 10).min(25),
                json!({"next": format!("t{}", from + 10), "total": 25}),
            ))
        })
        .await;
        let swept = sweep(&settings(api.url(), cursor(Some(stop.clone())))).await;
        assert_eq!(swept.ids, (0..len).collect::<Vec<_>>(), "{stop:?}: {}", swept.failure());
    }
}

#[tokio::test]
async fn a_token_goes_into_the_body_as_it_is() {
    let api = Api::start(|_, asked: &Asked| {
        let after = &asked.json()["variables"]["after"];
        match after.as_array().map(|after| after[0].as_u64().unwrap()) {
            None => json(items(0, 2, json!({"next": [2, "x"]}))),
            Some(from) => json(items(from, from + 2, json!({}))),
        }
    })
    .await;
    let paginate = Paginate::Cursor {
        param: "variables.after".to_owned(),
        path: "$.next".to_owned(),
        stop: None,
    };
    let mut settings = settings(api.url(), paginate);
    (settings.method, settings.place) = (Method::Post, Place::Body);
    settings.body = Some(Body::Json(
        json!({"variables": {"first": 2}}).as_object().unwrap().clone(),
    ));
    assert_eq!(sweep(&settings).await.ids, [0, 1, 2, 3]);
    assert_eq!(api.asked()[0].json(), json!({"variables": {"first": 2}}));
    assert_eq!(
        api.asked()[1].json(),
        json!({"variables": {"first": 2, "after": [2, "x"]}})
    );
}

#[tokio::test]
async fn declared_shards_each_have_their_own_chain_in_the_query_and_in_the_body() {
    for place in [Place::Query, Place::Body] {
        let api = Api::start(move |_, asked: &Asked| {
            let nat = match place {
                Place::Query => asked.param("nat").unwrap(),
                Place::Body => asked.json()["nat"].as_str().unwrap().to_owned(),
            };
            let base = if nat == "fr" { 0 } else { 100 };
            match asked.param("after").or_else(|| {
                let after = serde_json::from_str::<Value>(&asked.body).ok()?;
                after["after"].as_str().map(str::to_owned)
            }) {
                None => json(items(base, base + 2, json!({"next": format!("{nat}2")}))),
                Some(token) => {
                    assert_eq!(token, format!("{nat}2"));
                    json(items(base + 2, base + 4, json!({})))
                }
            }
        })
        .await;
        let mut settings = settings(api.url(), cursor(None));
        settings.method = if place == Place::Body {
            Method::Post
        } else {
            Method::Get
        };
        settings.place = place;
        settings.shards = Shards::Declared(
            [json!({"nat": "fr"}), json!({"nat": "de"})]
                .map(|set| set.as_object().unwrap().clone())
                .to_vec(),
        );
        assert_eq!(
            sweep(&settings).await.ids,
            [0, 1, 2, 3, 100, 101, 102, 103],
            "{place:?}"
        );
    }
}

#[tokio::test]
async fn links_may_be_absolute_relative_or_only_a_query() {
    for form in [
        "http://{host}/api?from={n}",
        "/api?from={n}",
        "?from={n}",
        "api?from={n}",
        "//{host}/api?from={n}#x",
    ] {
        let api = Api::start(move |_, asked: &Asked| {
            let (mut page, next) = page_at(asked.number("from"));
            let host = asked.header("host").unwrap();
            page["next"] = json!(next.map(|n| form.replace("{host}", host).replace("{n}", &n.to_string())));
            json(page)
        })
        .await;
        let mut settings = settings(api.url(), next_url());
        settings.query = vec![("size".to_owned(), "10".to_owned())];
        let swept = sweep(&settings).await;
        assert_eq!(swept.ids, all(), "{form}: {}", swept.failure());
        // The link says it all.
        assert!(
            api.asked()[1].line.starts_with("GET /api?from=10 "),
            "{}",
            api.asked()[1].line
        );
    }
}

#[tokio::test]
async fn the_link_header_leads_to_the_next_page() {
    let api = Api::start(|_, asked: &Asked| {
        let (page, next) = page_at(asked.number("from"));
        let link = match next {
            Some(next) => format!("link: </api?from=0>; rel=\"first\", <?from={next}>; title=\"a, b\"; rel=\"next\""),
            None => "link: </api?from=0>; rel=\"first\"".to_owned(),
        };
        with("200 OK", &[&link], page.to_string().as_bytes())
    })
    .await;
    let swept = sweep(&settings(api.url(), Paginate::LinkHeader { stop: None })).await;
    assert_eq!((swept.ids.clone(), swept.num_pages), (all(), 3), "{}", swept.failure());
}

#[tokio::test]
async fn a_relative_link_counts_from_where_the_page_was_found() {
    let api = Api::start(|_, asked: &Asked| match asked.path().as_str() {
        "/api" => with("302 Found", &["location: /v2/items/"], b""),
        "/v2/items/" => json(items(0, 2, json!({"next": "page2"}))),
        "/v2/items/page2" => json(items(2, 4, json!({}))),
        _ => with("404 Not Found", &[], b""),
    })
    .await;
    let swept = sweep(&settings(api.url(), next_url())).await;
    assert_eq!(swept.ids, [0, 1, 2, 3], "{}", swept.failure());
}

#[tokio::test]
async fn what_cannot_be_a_token_or_a_link_is_no_page() {
    for (paginate, next, says) in [
        (
            cursor(None),
            json!({"a": 1}),
            "leads to an object where a token should be",
        ),
        (cursor(None), json!(true), "leads to a boolean where a token should be"),
        (
            cursor(None),
            json!("x".repeat(20_000)),
            "leads to more than 16 KiB where a token should be",
        ),
        (next_url(), json!(5), "leads to a number where a link should be"),
        (
            next_url(),
            json!("file:///etc/passwd"),
            "the link to the next page is no http address",
        ),
    ] {
        let api = Api::start(move |_, _| json(items(0, 1, json!({ "next": next })))).await;
        let swept = sweep(&settings(api.url(), paginate)).await;
        assert!(swept.failure().contains(says), "{}", swept.failure());
        assert_eq!(swept.error.unwrap().verdict(), Verdict::Fail);
        assert_eq!(
            (swept.ids.len(), swept.heard.len()),
            (0, 2),
            "it is asked for three times"
        );
    }
}

#[tokio::test]
async fn a_text_is_sent_as_the_body_as_it_is() {
    let api = Api::start(|_, _| json(items(0, 1, json!({})))).await;
    let mut settings = settings(api.url(), Paginate::Single);
    settings.method = Method::Put;
    settings.body = Some(Body::Text(Secret::new("a=1&b=2")));
    settings.headers = vec![(
        "Content-Type".to_owned(),
        Secret::new("application/x-www-form-urlencoded"),
    )];
    assert_eq!(sweep(&settings).await.ids, [0]);
    let asked = api.asked().remove(0);
    assert!(asked.line.starts_with("PUT ") && asked.body == "a=1&b=2", "{asked:?}");
    assert_eq!(asked.header("content-type"), Some("application/x-www-form-urlencoded"));
}
