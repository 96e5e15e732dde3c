//! Offsets: every record once, also where the API gives fewer than were asked for.

use aqueduct::config::settings::{Body, Method, Place, Shards, Stop};
use serde_json::json;

use crate::{
    drain::{NOW, items, offset, settings, source, sweep, sweep_from},
    server::{Api, Asked, json},
};

/// An API of `total` records that gives no more than `most` at once.
async fn api(total: u64, most: u64) -> Api {
    Api::start(move |_, asked: &Asked| {
        let from = asked.number("offset").min(total);
        let to = (from + asked.number("limit").min(most)).min(total);
        json(items(from, to, json!({ "total": total })))
    })
    .await
}

fn stops() -> [Stop; 5] {
    [
        Stop::Empty,
        Stop::Short,
        Stop::Last(400),
        Stop::MaxRecords(100_000),
        Stop::Total("$.total".to_owned()),
    ]
}

#[tokio::test]
async fn offsets_take_every_record_once_under_each_stop_rule() {
    for total in [0, 1, 99, 100, 250] {
        let api = api(total, 100).await;
        for stop in stops() {
            let swept = sweep(&settings(api.url(), offset(100, stop.clone()))).await;
            assert_eq!(
                swept.ids,
                (0..total).collect::<Vec<_>>(),
                "{stop:?} of {total}: {}",
                swept.failure()
            );
        }
    }
}

#[tokio::test]
async fn an_api_with_a_lower_limit_of_its_own_loses_no_record() {
    let api = api(250, 30).await;
    for stop in stops() {
        let swept = sweep(&settings(api.url(), offset(100, stop.clone()))).await;
        assert_eq!(swept.ids, (0..250).collect::<Vec<_>>(), "{stop:?}: {}", swept.failure());
    }
}

#[tokio::test]
async fn stripes_of_offsets_take_every_record_once() {
    for most in [100, 60, 7] {
        let api = api(1_050, most).await;
        for stop in stops() {
            let mut settings = settings(api.url(), offset(100, stop.clone()));
            settings.shards = Shards::Stripes(4);
            let end = if stop == Stop::Last(400) { 500 } else { 1_050 };
            let mut ids = sweep(&settings).await.ids;
            ids.sort_unstable();
            assert_eq!(ids, (0..end).collect::<Vec<_>>(), "{stop:?}, at most {most}");
        }
    }
}

#[tokio::test]
async fn an_api_that_ignores_the_limit_gives_no_stripe_what_is_anothers() {
    let api = Api::start(|_, asked: &Asked| {
        let from = asked.number("offset").min(1_050);
        json(items(from, (from + 1_000).min(1_050), json!({})))
    })
    .await;
    let mut settings = settings(api.url(), offset(100, Stop::Empty));
    settings.shards = Shards::Stripes(3);
    let mut ids = sweep(&settings).await.ids;
    ids.sort_unstable();
    assert_eq!(ids, (0..1_050).collect::<Vec<_>>());
}

#[tokio::test]
async fn max_records_is_exact_over_stripes_of_offsets() {
    let api = api(1_000_000, 100).await;
    let mut settings = settings(api.url(), offset(100, Stop::MaxRecords(777)));
    settings.shards = Shards::Stripes(4);
    let mut ids = sweep(&settings).await.ids;
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 777);
}

#[tokio::test]
async fn an_api_that_ignores_the_offset_is_found_out() {
    let api = Api::start(|_, _| json(items(0, 5, json!({})))).await;
    let swept = sweep(&settings(api.url(), offset(5, Stop::Empty))).await;
    assert_eq!(swept.ids, [0, 1, 2, 3, 4]);
    assert!(
        swept.failure().contains("the same records as on the page before") && swept.failure().contains("`offset`"),
        "{}",
        swept.failure()
    );
}

#[tokio::test]
async fn an_empty_page_in_the_middle_is_passed_over_where_the_rule_knows_better() {
    let api = Api::start(|_, asked: &Asked| {
        let from = asked.number("offset");
        let is_gap = from == 20;
        json(items(
            from,
            if is_gap { from } else { (from + 10).min(40) },
            json!({ "total": 40 }),
        ))
    })
    .await;
    for stop in [Stop::Last(30), Stop::Total("$.total".to_owned())] {
        let swept = sweep(&settings(api.url(), offset(10, stop))).await;
        assert_eq!(swept.ids, (0..20).chain(30..40).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn stripes_keep_the_limit_with_which_the_sweep_began() {
    let api = api(1_000, 1_000).await;
    let mut begun = settings(api.url(), offset(100, Stop::Last(800)));
    begun.shards = Shards::Stripes(2);
    let shard = source(&begun).shards().remove(1);
    let mut heard = Vec::new();
    let first = crate::drain::page(&source(&begun), &shard, None, NOW, &mut heard)
        .await
        .unwrap()
        .unwrap();
    let mut changed = begun.clone();
    changed.paginate = offset(50, Stop::Last(800));
    let swept = sweep_from(&source(&changed), &shard, Some(first.cursor_after.clone()), NOW).await;
    assert!(
        swept
            .failure()
            .contains("begun with `paginate.limit = 100`, the settings say 50; put the old limit back"),
        "{}",
        swept.failure()
    );
    let swept = sweep_from(&source(&begun), &shard, Some(first.cursor_after), NOW).await;
    assert_eq!(swept.ids.first(), Some(&300));
}

#[tokio::test]
async fn offsets_in_a_body_are_numbers_beside_what_is_there() {
    let api = Api::start(|_, asked: &Asked| {
        let page = &asked.json()["page"];
        let (from, limit) = (page["from"].as_u64().unwrap().min(25), page["size"].as_u64().unwrap());
        json(items(from, (from + limit).min(25), json!({})))
    })
    .await;
    let mut settings = settings(api.url(), offset(10, Stop::Empty));
    (settings.method, settings.place) = (Method::Post, Place::Body);
    settings.body = Some(Body::Json(
        json!({"filter": {"active": true}}).as_object().unwrap().clone(),
    ));
    if let aqueduct::config::settings::Paginate::Offset { param, limit_param, .. } = &mut settings.paginate {
        (*param, *limit_param) = ("page.from".to_owned(), "page.size".to_owned());
    }
    assert_eq!(sweep(&settings).await.ids, (0..25).collect::<Vec<_>>());
    let second = &api.asked()[1];
    assert!(second.line.starts_with("POST /api HTTP"), "{}", second.line);
    assert_eq!(
        second.json(),
        json!({"filter": {"active": true}, "page": {"from": 10, "size": 10}})
    );
    assert_eq!(second.header("content-type"), Some("application/json"));
}
