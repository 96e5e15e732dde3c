//! Where the next sweep begins, and what older cursors mean.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aqueduct::config::settings::{Paginate, Stop};
use serde_json::{Value, json};

use crate::{
    drain::{NOW, cursor, items, next_url, offset, settings, source, sweep_from},
    server::{Api, Asked, json},
};

const EVERY: Duration = Duration::from_secs(60);
const LATER: i64 = NOW + 60_000;

#[tokio::test]
async fn a_feed_goes_on_from_the_token_that_it_ended_with() {
    for stop in [Stop::Empty, Stop::Short] {
        let total = Arc::new(AtomicU64::new(25));
        let known = Arc::clone(&total);
        let api = Api::start(move |_, asked: &Asked| {
            let total = known.load(Ordering::SeqCst);
            let from = asked.number("after").min(total);
            let to = (from + 10).min(total);
            json(items(from, to, json!({ "next": to.to_string() })))
        })
        .await;
        let mut settings = settings(api.url(), cursor(Some(stop.clone())));
        settings.every = Some(EVERY);
        let source = source(&settings);
        let shard = source.shards().remove(0);
        let first = sweep_from(&source, &shard, None, NOW).await;
        assert_eq!(first.ids, (0..25).collect::<Vec<_>>(), "{stop:?}: {}", first.failure());
        // Nothing new, and then something.
        let second = sweep_from(&source, &shard, first.cursor.clone(), LATER).await;
        assert_eq!((second.ids.len(), second.num_pages), (0, 1), "{}", second.failure());
        total.store(40, Ordering::SeqCst);
        let third = sweep_from(&source, &shard, second.cursor, LATER + 60_000).await;
        assert_eq!(third.ids, (25..40).collect::<Vec<_>>(), "{stop:?}: {}", third.failure());
    }
}

#[tokio::test]
async fn without_a_token_at_the_end_every_sweep_begins_at_the_first_page() {
    let api = Api::start(|_, asked: &Asked| {
        let from = asked.number("after").max(asked.number("offset"));
        let to = (from + 10).min(25);
        let next = (to < 25).then(|| to.to_string());
        json(items(
            from.min(25),
            to,
            json!({ "next": next.as_ref().map(|n| format!("?after={n}")), "token": next }),
        ))
    })
    .await;
    let token = |stop| Paginate::Cursor {
        param: "after".to_owned(),
        path: "$.token".to_owned(),
        stop,
    };
    for (paginate, len) in [
        (token(None), 25),
        (token(Some(Stop::Short)), 25),
        // These end a sweep while there is a token: the next one begins anew all the same.
        (token(Some(Stop::MaxRecords(12))), 12),
        (token(Some(Stop::Last(1))), 10),
        (next_url(), 25),
        (offset(10, Stop::Empty), 25),
    ] {
        let mut settings = settings(api.url(), paginate.clone());
        settings.every = Some(EVERY);
        let source = source(&settings);
        let shard = source.shards().remove(0);
        let first = sweep_from(&source, &shard, None, NOW).await;
        let second = sweep_from(&source, &shard, first.cursor.clone(), LATER).await;
        assert_eq!(
            first.ids,
            (0..len).collect::<Vec<_>>(),
            "{paginate:?}: {}",
            first.failure()
        );
        assert_eq!(second.ids, first.ids, "{paginate:?}: {}", second.failure());
        assert_eq!(second.cursor.as_ref().unwrap()["sweep"], 2);
    }
}

#[tokio::test]
async fn a_sweep_goes_on_behind_the_committed_page_after_a_restart() {
    let api = Api::start(|_, asked: &Asked| {
        let from = asked.number("after").max(asked.number("offset"));
        let to = (from + 10).min(45);
        let next = (to < 45).then(|| to.to_string());
        json(items(
            from.min(45),
            to,
            json!({ "next": next.as_ref().map(|n| format!("?after={n}")), "token": next }),
        ))
    })
    .await;
    let token = Paginate::Cursor {
        param: "after".to_owned(),
        path: "$.token".to_owned(),
        stop: None,
    };
    for paginate in [token, next_url(), offset(10, Stop::Empty)] {
        let settings = settings(api.url(), paginate);
        let (mut ids, mut committed) = (Vec::new(), None::<Value>);
        loop {
            // Each page by a source of its own, with nothing but the cursor as the log gives it back.
            let fresh = source(&settings);
            let shard = fresh.shards().remove(0);
            let fetched = crate::drain::page(&fresh, &shard, committed.as_ref(), NOW, &mut Vec::new()).await;
            let Some(fetched) = fetched else { break };
            let fetched = fetched.unwrap();
            ids.extend(fetched.records.iter().map(|record| {
                serde_json::from_slice::<Value>(&record.payload).unwrap()["id"]
                    .as_u64()
                    .unwrap()
            }));
            committed = Some(serde_json::from_str(&fetched.cursor_after.to_string()).unwrap());
        }
        assert_eq!(ids, (0..45).collect::<Vec<_>>());
    }
}

#[test]
fn cursors_of_the_first_version_are_still_read() {
    let url = "http://127.0.0.1:1/".parse().unwrap();
    let paginate = Paginate::Page {
        param: "page".to_owned(),
        first: 1,
        stop: Stop::Empty,
    };
    let source = source(&settings(url, paginate));
    let shard = source.shards().remove(0);
    let old = json!({"kind": "page", "sweep": 3, "started_ms": NOW, "next": 7, "records": 600, "last_len": 100,
                     "last_hash": "00000000000000ff", "done": false});
    let Ok(aqueduct::api::pagination::Next::Request(request)) = source.plan(&shard, Some(&old), NOW) else {
        panic!("there is a page to fetch")
    };
    assert_eq!((request.sweep(), request.page()), (3, 7));
    assert_eq!(request.params, [("page".to_owned(), "7".to_owned())]);
}
