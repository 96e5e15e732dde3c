//! Pagination without a network: plan, page, plan, … until the end.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

use std::time::Duration;

use aqueduct::{
    api::{
        ApiError,
        pagination::{Circle, Next, PageFacts, PageRequest, plan, shards},
    },
    config::settings::{HttpSource, Paginate, Shards, Stop},
    model::{ShardId, Verdict},
};
use serde_json::{Value, json};

const NOW: i64 = 1_700_000_000_000;

fn settings(paginate: Paginate, shards: Shards) -> HttpSource {
    HttpSource {
        paginate,
        shards,
        ..HttpSource::new("http://127.0.0.1:1/api/".parse().expect("an address"))
    }
}

fn pages(stop: Stop) -> Paginate {
    Paginate::Page {
        param: "page".to_owned(),
        first: 1,
        stop,
    }
}

/// An API with `total` records in pages of `len`; page numbers start at 1. Says its total on each page.
fn page_of(total: u64, len: u64, number: u64) -> PageFacts {
    let before = (number - 1).saturating_mul(len).min(total);
    PageFacts {
        num_records: (total - before).min(len),
        hash: number,
        total: Some(total),
        token: None,
    }
}

/// Fetches a whole sweep of one shard and says which pages were asked for and how many records were kept.
fn sweep(settings: &HttpSource, shard: &ShardId, api: impl Fn(u64) -> PageFacts) -> (Vec<u64>, u64) {
    let (mut cursor, mut asked, mut kept) = (None::<Value>, vec![], 0);
    loop {
        assert!(asked.len() < 1_000, "the sweep does not end");
        match plan(settings, shard, cursor.as_ref(), NOW).expect("a plan") {
            Next::Finished => return (asked, kept),
            Next::WaitUntil(at) => panic!("there is no `every`, but it waits until {at}"),
            Next::Request(request) => {
                let number = request.page();
                assert!(request.params.contains(&("page".to_owned(), number.to_string())));
                asked.push(number);
                let advance = request.after(&settings.paginate, &api(number)).expect("no loop");
                kept += advance.keep as u64;
                cursor = Some(advance.cursor.to_value());
            }
        }
    }
}

fn only_shard(settings: &HttpSource) -> ShardId {
    shards(&settings.shards).remove(0)
}

fn request(settings: &HttpSource, shard: &ShardId, cursor: Option<&Value>, now_ms: i64) -> PageRequest {
    match plan(settings, shard, cursor, now_ms).expect("a plan") {
        Next::Request(request) => request,
        other => panic!("expected a request, got {other:?}"),
    }
}

#[test]
fn a_single_page_is_fetched_once_and_never_again() {
    let settings = settings(Paginate::Single, Shards::Stripes(1));
    let shard = only_shard(&settings);
    let first = request(&settings, &shard, None, NOW);
    assert_eq!(first.params, []);
    let after = first.after(&settings.paginate, &page_of(7, 7, 1)).expect("no loop");
    assert_eq!((after.keep, after.cursor.done), (7, true));
    let later = NOW + 86_400_000;
    assert_eq!(
        plan(&settings, &shard, Some(&after.cursor.to_value()), later).expect("a plan"),
        Next::Finished
    );
}

#[test]
fn of_many_stripes_only_the_first_takes_a_single_page() {
    let settings = settings(Paginate::Single, Shards::Stripes(3));
    let plans: Vec<bool> = shards(&settings.shards)
        .iter()
        .map(|shard| matches!(plan(&settings, shard, None, NOW), Ok(Next::Request(_))))
        .collect();
    assert_eq!(plans, [true, false, false]);
}

#[test]
fn an_empty_page_ends_the_sweep() {
    let settings = settings(pages(Stop::Empty), Shards::Stripes(1));
    assert_eq!(
        sweep(&settings, &only_shard(&settings), |n| page_of(250, 100, n)),
        (vec![1, 2, 3, 4], 250)
    );
}

#[test]
fn a_page_shorter_than_the_one_before_ends_the_sweep() {
    let settings = settings(pages(Stop::Short), Shards::Stripes(1));
    assert_eq!(
        sweep(&settings, &only_shard(&settings), |n| page_of(250, 100, n)),
        (vec![1, 2, 3], 250)
    );
    assert_eq!(
        sweep(&settings, &only_shard(&settings), |n| page_of(300, 100, n)),
        (vec![1, 2, 3, 4], 300)
    );
    assert_eq!(
        sweep(&settings, &only_shard(&settings), |n| page_of(0, 100, n)),
        (vec![1], 0)
    );
    // Nothing stands before the first page, so only the second can tell that the first was a short one.
    assert_eq!(
        sweep(&settings, &only_shard(&settings), |n| page_of(40, 100, n)),
        (vec![1, 2], 40)
    );
}

#[test]
fn the_last_page_is_the_last_page() {
    let settings = settings(pages(Stop::Last(3)), Shards::Stripes(1));
    assert_eq!(
        sweep(&settings, &only_shard(&settings), |n| page_of(1_000, 100, n)),
        (vec![1, 2, 3], 300)
    );
}

#[test]
fn max_records_cuts_the_last_page_to_fit() {
    let settings = settings(pages(Stop::MaxRecords(250)), Shards::Stripes(1));
    assert_eq!(
        sweep(&settings, &only_shard(&settings), |n| page_of(10_000, 100, n)),
        (vec![1, 2, 3], 250)
    );
}

#[test]
fn max_records_ends_with_an_api_that_runs_out_sooner() {
    let settings = settings(pages(Stop::MaxRecords(250)), Shards::Stripes(1));
    assert_eq!(
        sweep(&settings, &only_shard(&settings), |n| page_of(120, 100, n)),
        (vec![1, 2, 3], 120)
    );
}

#[test]
fn max_records_over_stripes_is_exact_and_no_page_is_fetched_twice() {
    for (of, max) in [(1, 10_000), (3, 10_000), (4, 10_000), (4, 3), (7, 1_001)] {
        let settings = settings(pages(Stop::MaxRecords(max)), Shards::Stripes(of));
        let swept: Vec<_> = shards(&settings.shards)
            .iter()
            .map(|shard| sweep(&settings, shard, |n| page_of(1 << 40, 500, n)))
            .collect();
        assert_eq!(swept.iter().map(|(_, kept)| kept).sum::<u64>(), max, "{of} stripes");
        let mut asked: Vec<u64> = swept.into_iter().flat_map(|(pages, _)| pages).collect();
        let num_asked = asked.len();
        asked.sort_unstable();
        asked.dedup();
        assert_eq!(asked.len(), num_asked, "{of} stripes");
    }
}

#[test]
fn stripes_cover_every_page_once() {
    for stop in [
        Stop::Empty,
        Stop::Short,
        Stop::Last(11),
        Stop::Total("$.total".to_owned()),
    ] {
        let settings = settings(pages(stop.clone()), Shards::Stripes(4));
        let swept: Vec<_> = shards(&settings.shards)
            .iter()
            .map(|shard| sweep(&settings, shard, |n| page_of(1_050, 100, n)))
            .collect();
        assert_eq!(swept.iter().map(|(_, kept)| kept).sum::<u64>(), 1_050, "{stop:?}");
        assert_eq!(swept[1].0[..2], [2, 6], "{stop:?}");
    }
}

#[test]
fn a_stripe_beyond_the_last_page_asks_for_nothing() {
    let settings = settings(pages(Stop::Last(2)), Shards::Stripes(4));
    let shards = shards(&settings.shards);
    assert_eq!(plan(&settings, &shards[2], None, NOW).expect("a plan"), Next::Finished);
}

#[test]
fn the_total_that_the_page_names_ends_the_sweep_without_a_further_request() {
    let settings = settings(pages(Stop::Total("$.total".to_owned())), Shards::Stripes(1));
    assert_eq!(
        sweep(&settings, &only_shard(&settings), |n| page_of(300, 100, n)),
        (vec![1, 2, 3], 300)
    );
    assert_eq!(
        sweep(&settings, &only_shard(&settings), |n| page_of(301, 100, n)),
        (vec![1, 2, 3, 4], 301)
    );
    let lying = |n| PageFacts {
        total: Some(1_000),
        ..page_of(150, 100, n)
    };
    // An empty page may lie in the middle; two of them are the end, whatever the API promised.
    assert_eq!(sweep(&settings, &only_shard(&settings), lying), (vec![1, 2, 3, 4], 150));
}

#[test]
fn declared_sets_are_sent_with_every_page() {
    let sets = [json!({"nat": "fr"}), json!({"nat": "de"})].map(|set| set.as_object().expect("a set").clone());
    let settings = settings(pages(Stop::MaxRecords(5)), Shards::Declared(sets.to_vec()));
    let shards = shards(&settings.shards);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        request(&settings, &shards[1], None, NOW).params,
        [pair("nat", "de"), pair("page", "1")]
    );
    assert_eq!(sweep(&settings, &shards[0], |n| page_of(1_000, 2, n)).1, 3);
    assert_eq!(sweep(&settings, &shards[1], |n| page_of(1_000, 2, n)).1, 2);
}

#[test]
fn the_next_sweep_starts_every_after_the_start_of_the_last_one() {
    let mut settings = settings(pages(Stop::Last(1)), Shards::Stripes(1));
    settings.every = Some(Duration::from_secs(60));
    let shard = only_shard(&settings);
    let first = request(&settings, &shard, None, NOW);
    let done = first
        .after(&settings.paginate, &page_of(9, 9, 1))
        .expect("no loop")
        .cursor
        .to_value();
    assert_eq!(
        plan(&settings, &shard, Some(&done), NOW + 59_999).expect("a plan"),
        Next::WaitUntil(NOW + 60_000)
    );
    let second = request(&settings, &shard, Some(&done), NOW + 60_000);
    assert_eq!((second.sweep(), second.page()), (2, 1));
    // The same page in the next sweep is no loop.
    let done = second
        .after(&settings.paginate, &page_of(9, 9, 1))
        .expect("no loop")
        .cursor;
    assert_eq!((done.started_ms, done.records, done.done), (NOW + 60_000, 9, true));
    // A clock that was set back by a day does not stop the pipeline for a day.
    let earlier = NOW - 86_400_000;
    assert_eq!(
        plan(&settings, &shard, Some(&done.to_value()), earlier).expect("a plan"),
        Next::WaitUntil(earlier + 60_000)
    );
}

#[test]
fn a_sweep_goes_on_from_its_cursor() {
    let settings = settings(pages(Stop::Empty), Shards::Stripes(2));
    let shard = shards(&settings.shards).remove(1);
    let first = request(&settings, &shard, None, NOW);
    assert_eq!(first.page(), 2);
    let cursor = first
        .after(&settings.paginate, &page_of(1_000, 10, 2))
        .expect("no loop")
        .cursor
        .to_value();
    assert_eq!(request(&settings, &shard, Some(&cursor), NOW + 5).page(), 4);
    assert_eq!(request(&settings, &shard, Some(&Value::Null), NOW).page(), 2);
}

#[test]
fn the_same_page_twice_is_a_loop_but_two_empty_ones_are_not() {
    let settings = settings(pages(Stop::Last(9)), Shards::Stripes(1));
    let shard = only_shard(&settings);
    let page = PageFacts {
        num_records: 3,
        hash: 42,
        ..PageFacts::default()
    };
    let cursor = request(&settings, &shard, None, NOW)
        .after(&settings.paginate, &page)
        .expect("no loop")
        .cursor;
    let again = request(&settings, &shard, Some(&cursor.to_value()), NOW);
    assert_eq!(again.after(&settings.paginate, &page), Err(Circle::SamePage));
    let empty = PageFacts {
        num_records: 0,
        hash: 7,
        ..PageFacts::default()
    };
    let cursor = again.after(&settings.paginate, &empty).expect("no loop").cursor;
    let third = request(&settings, &shard, Some(&cursor.to_value()), NOW);
    assert!(third.after(&settings.paginate, &empty).is_ok());
}

#[test]
fn a_cursor_of_another_source_is_refused_with_a_sentence() {
    let single = settings(Paginate::Single, Shards::Stripes(1));
    let paged = settings(pages(Stop::Empty), Shards::Stripes(1));
    let shard = only_shard(&single);
    let cursor = request(&single, &shard, None, NOW)
        .after(&single.paginate, &page_of(1, 1, 1))
        .expect("no loop")
        .cursor
        .to_value();
    for (foreign, says) in [
        (cursor, "belongs to"),
        (json!({"token": "abc"}), "cannot be read"),
        (json!(5), "cannot be read"),
        (
            json!({"kind": "page", "sweep": -1, "started_ms": 0, "next": 1, "records": 0, "done": false}),
            "cannot be read",
        ),
    ] {
        let error = plan(&paged, &shard, Some(&foreign), NOW).expect_err("a refusal");
        assert!(matches!(error, ApiError::Cursor { .. }) && error.verdict() == Verdict::Fail);
        assert!(error.to_string().contains(says), "{error}");
    }
    let stranger = shards(&Shards::Stripes(2)).remove(1);
    assert!(matches!(
        plan(&paged, &stranger, None, NOW),
        Err(ApiError::Cursor { .. })
    ));
}

#[test]
fn page_numbers_that_run_out_end_the_sweep() {
    let mut settings = settings(pages(Stop::Empty), Shards::Stripes(2));
    settings.paginate = Paginate::Page {
        param: "page".to_owned(),
        first: u64::MAX,
        stop: Stop::Empty,
    };
    let shards = shards(&settings.shards);
    let endless = |n| PageFacts {
        num_records: 1,
        hash: n,
        ..PageFacts::default()
    };
    assert_eq!(sweep(&settings, &shards[0], endless), (vec![u64::MAX], 1));
    assert_eq!(plan(&settings, &shards[1], None, NOW).expect("a plan"), Next::Finished);
}
