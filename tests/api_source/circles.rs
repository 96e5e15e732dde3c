//! Paginations that would never end: a clear alarm, and no record twice because of them.

use std::collections::BTreeSet;

use aqueduct::{
    api::ApiError,
    config::settings::{Paginate, Stop},
    model::Verdict,
};
use serde_json::json;

use crate::{
    drain::{Swept, cursor, items, next_url, settings, sweep},
    server::{Api, Asked, json, with},
};

/// The sweep ended with an alarm that a person can use, and brought nothing twice.
fn assert_alarm(swept: &Swept, says: &[&str]) {
    let text = swept.failure();
    for word in says {
        assert!(text.contains(word), "{word} is not in: {text}");
    }
    let error = swept.error.as_ref().unwrap();
    assert!(matches!(error, ApiError::PageLoop { .. }) && error.verdict() == Verdict::Fail);
    assert!(text.contains(" http://127.0.0.1:"), "it names the place: {text}");
    let different: BTreeSet<_> = swept.ids.iter().collect();
    assert_eq!(different.len(), swept.ids.len(), "{:?}", swept.ids);
}

#[tokio::test]
async fn a_token_that_names_its_own_page_is_found_out() {
    let api = Api::start(|number, _| json(items(number as u64, number as u64 + 1, json!({"next": "same"})))).await;
    let swept = sweep(&settings(api.url(), cursor(None))).await;
    assert_alarm(
        &swept,
        &[
            "the page names itself as the next one",
            "stop = \"empty\"",
            "after=same",
        ],
    );
    assert_eq!((swept.ids.len(), api.asked().len()), (1, 2));
}

#[tokio::test]
async fn a_link_that_is_equal_to_the_current_one_is_found_out() {
    for in_header in [false, true] {
        let api = Api::start(move |number, asked: &Asked| {
            let number = number as u64;
            let body = items(number, number + 1, json!({ "next": asked.url().path() })).to_string();
            with(
                "200 OK",
                &[&format!("link: <{}>; rel=next", asked.path())],
                body.as_bytes(),
            )
        })
        .await;
        let paginate = match in_header {
            true => Paginate::LinkHeader { stop: None },
            false => next_url(),
        };
        let swept = sweep(&settings(api.url(), paginate)).await;
        assert_alarm(&swept, &["the page names itself as the next one"]);
        assert_eq!(swept.ids.len(), 1);
    }
}

#[tokio::test]
async fn tokens_that_go_round_are_found_out_before_a_page_comes_again() {
    for length in [2_u64, 3, 30] {
        let api = Api::start(move |_, asked: &Asked| {
            let page = asked.number("after");
            // Back to the second page: back to the first one is another story.
            let next = if page < length { page + 1 } else { 1 };
            json(items(page * 10, page * 10 + 10, json!({ "next": next })))
        })
        .await;
        let swept = sweep(&settings(api.url(), cursor(None))).await;
        assert_alarm(
            &swept,
            &["the page names an earlier page of this sweep as the next one"],
        );
        assert_eq!(swept.num_pages as u64, length);
    }
}

#[tokio::test]
async fn the_same_page_behind_another_token_is_found_out() {
    let api = Api::start(|number, _| json(items(0, 5, json!({ "next": number })))).await;
    let swept = sweep(&settings(api.url(), cursor(None))).await;
    assert_alarm(
        &swept,
        &["the same records as on the page before", "ignore the parameter `after`"],
    );
    assert_eq!(swept.ids.len(), 5);
    let api = Api::start(|number, _| json(items(0, 5, json!({ "next": format!("?n={number}") })))).await;
    let swept = sweep(&settings(api.url(), next_url())).await;
    assert_alarm(&swept, &["one page under two links"]);
}

#[tokio::test]
async fn an_api_that_begins_anew_behind_its_last_page_is_found_out_before_a_record_comes_twice() {
    for stop in [Some(Stop::Empty), None] {
        let api = Api::start(|_, asked: &Asked| {
            // A hundred pages: more than the tokens that a cursor remembers.
            let page = (asked.number("page").max(asked.number("after") + 1) - 1) % 100;
            json(items(page * 3, page * 3 + 3, json!({ "next": (page + 1) % 100 })))
        })
        .await;
        let paginate = match stop {
            Some(stop) => Paginate::Page {
                param: "page".to_owned(),
                first: 1,
                stop,
            },
            None => cursor(None),
        };
        let swept = sweep(&settings(api.url(), paginate)).await;
        assert_alarm(
            &swept,
            &[
                "the same records as on the first page of this sweep",
                "begin anew behind its last page",
                "`last = N`",
            ],
        );
        assert_eq!((swept.num_pages, swept.ids.len()), (100, 300));
    }
}

#[tokio::test]
async fn one_record_alone_may_come_again() {
    let api = Api::start(|_, asked: &Asked| {
        let after = asked.number("after");
        // A counter that stands at 5 now and then.
        let id = if after.is_multiple_of(2) { 5 } else { 7 };
        json(items(id, id + 1, json!({ "next": (after < 9).then_some(after + 1) })))
    })
    .await;
    let swept = sweep(&settings(api.url(), cursor(None))).await;
    assert_eq!((swept.num_pages, swept.failure().as_str()), (10, ""));
}

/// An inclusive filter over times that many records share: the same page for ever.
#[tokio::test]
async fn a_plateau_of_equal_times_under_an_inclusive_filter_is_found_out() {
    for stop in [None, Some(Stop::Empty), Some(Stop::Short)] {
        let api = Api::start(|_, asked: &Asked| {
            let since = asked.number("after");
            let records: Vec<_> = (0..100_u64)
                .map(|id| json!({"id": id, "at": if id < 17 { id } else { 17 }}))
                .filter(|record| record["at"].as_u64().unwrap() >= since)
                .take(10)
                .collect();
            json(json!({ "items": records }))
        })
        .await;
        let paginate = Paginate::Cursor {
            param: "after".to_owned(),
            path: "$.items[-1].at".to_owned(),
            stop,
        };
        let swept = sweep(&settings(api.url(), paginate)).await;
        let text = swept.failure();
        assert!(
            text.contains("after=17: the page names itself as the next one")
                && text.contains("then more of them have it than a page takes: ask for larger pages"),
            "{text}"
        );
        // 0 to 9, 9 to 18: nothing behind the plateau's first page, and nothing of what comes before is missing.
        assert_eq!(swept.ids, (0..10).chain(9..19).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn pages_have_an_end_whatever_the_api_says() {
    let api = Api::start(|number, _| {
        let from = number as u64 * 2;
        json(items(from, from + 2, json!({ "next": number })))
    })
    .await;
    let page = Paginate::Page {
        param: "page".to_owned(),
        first: 1,
        stop: Stop::Empty,
    };
    for paginate in [cursor(None), page] {
        let mut settings = settings(api.url(), paginate);
        settings.max_pages = 40;
        let swept = sweep(&settings).await;
        assert_eq!((swept.num_pages, swept.ids.len()), (40, 80));
        assert_alarm(
            &swept,
            &["shard 0 has 40 pages in this sweep and no end", "raise `max_pages`"],
        );
    }
}

#[tokio::test]
async fn an_empty_page_that_names_itself_is_the_end_only_by_the_stop_rule() {
    let api = Api::start(|_, asked: &Asked| match asked.param("after") {
        None => json(items(0, 2, json!({"next": "end"}))),
        Some(_) => json(items(0, 0, json!({"next": "end"}))),
    })
    .await;
    let swept = sweep(&settings(api.url(), cursor(Some(Stop::Empty)))).await;
    assert_eq!(
        (swept.ids.len(), swept.error.is_none()),
        (2, true),
        "{}",
        swept.failure()
    );
    assert_alarm(
        &sweep(&settings(api.url(), cursor(None))).await,
        &["say `stop = \"empty\"`"],
    );
}
