//! Whatever the numbers: every record once, and no cursor makes anything panic.

use aqueduct::{
    api::pagination::{Next, PageFacts, plan, shards},
    config::settings::{HttpSource, Paginate, Shards, Stop},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::drain::{NOW, cursor, next_url, offset};

/// An API of `total` records, which gives at most `most` at once.
#[derive(Clone, Copy)]
struct Numbers {
    total: u64,
    most: u64,
}

impl Numbers {
    /// The records that a request gets: from, and up to before.
    fn answer(self, params: &[(String, String)]) -> (u64, u64) {
        let number = |name: &str| {
            let param = params.iter().find(|(other, _)| other == name);
            param.map(|(_, value)| value.parse::<u64>().unwrap())
        };
        let from = match (number("offset"), number("page"), number("after")) {
            (Some(offset), _, _) => offset,
            (_, Some(page), _) => (page - 1) * self.most,
            (_, _, after) => after.unwrap_or(0),
        };
        let from = from.min(self.total);
        (
            from,
            (from + number("limit").unwrap_or(self.most).min(self.most)).min(self.total),
        )
    }
}

/// All records that the shards take, in order of their numbers.
fn take_all(settings: &HttpSource, api: Numbers) -> Vec<u64> {
    let mut taken = Vec::new();
    for shard in shards(&settings.shards) {
        let (mut committed, mut num_pages) = (None::<Value>, 0);
        while let Next::Request(request) = plan(settings, &shard, committed.as_ref(), NOW).unwrap() {
            let (from, to) = api.answer(&request.params);
            let page = PageFacts {
                num_records: to - from,
                hash: from + 1,
                total: Some(api.total),
                token: (settings.paginate.has_tokens() && to < api.total).then(|| to.to_string()),
            };
            let advance = request.after(&settings.paginate, &page).unwrap();
            taken.extend((from..to).take(advance.keep));
            committed = Some(advance.cursor.to_value());
            num_pages += 1;
            assert!(num_pages < 1_000, "it does not end");
        }
    }
    taken.sort_unstable();
    taken
}

fn rule(number: usize) -> Stop {
    match number {
        0 => Stop::Empty,
        1 => Stop::Short,
        2 => Stop::MaxRecords(1_000_000),
        _ => Stop::Total("$.total".to_owned()),
    }
}

fn settings(paginate: Paginate, stripes: u32) -> HttpSource {
    HttpSource {
        paginate,
        shards: Shards::Stripes(stripes),
        ..HttpSource::new("http://127.0.0.1:1/".parse().unwrap())
    }
}

fn page(stop: Stop) -> Paginate {
    Paginate::Page {
        param: "page".to_owned(),
        first: 1,
        stop,
    }
}

proptest! {
    #[test]
    fn every_record_comes_once(
        total in 0_u64..400, limit in 1_u64..60, most in 1_u64..80, stripes in 1_u32..6, number in 0_usize..4,
    ) {
        let (all, api) = ((0..total).collect::<Vec<_>>(), Numbers { total, most });
        prop_assert_eq!(&take_all(&settings(offset(limit, rule(number)), stripes), api), &all);
        prop_assert_eq!(&take_all(&settings(page(rule(number)), stripes), api), &all);
        prop_assert_eq!(&take_all(&settings(cursor(Some(rule(number))), 1), api), &all);
        prop_assert_eq!(&take_all(&settings(cursor(None), 1), api), &all);
    }

    #[test]
    fn max_records_is_kept_to_the_record(
        total in 0_u64..400, limit in 1_u64..60, most in 1_u64..80, max in 1_u64..500,
    ) {
        let api = Numbers { total, most };
        let expected: Vec<u64> = (0..total.min(max)).collect();
        for paginate in [offset(limit, Stop::MaxRecords(max)), page(Stop::MaxRecords(max)), cursor(Some(Stop::MaxRecords(max)))] {
            prop_assert_eq!(&take_all(&settings(paginate, 1), api), &expected);
        }
    }

    #[test]
    fn no_cursor_and_no_page_makes_it_panic(
        kind in "(single|page|offset|cursor|next_url|link_header)", done: bool, limit in proptest::option::of(any::<u64>()),
        numbers in any::<[u64; 4]>(), started in any::<i64>(), now in any::<i64>(), token in proptest::option::of("\\PC{0,20}"),
        page_of in any::<[u64; 3]>(), stripes in 1_u32..4,
    ) {
        let [sweep, next, records, pages] = numbers;
        let old = json!({
            "kind": kind, "sweep": sweep, "started_ms": started, "next": next, "records": records, "pages": pages % 1_000_000,
            "limit": limit, "token": token, "done": done,
        });
        let paginations = [
            offset(7, Stop::Last(100)), offset(u64::MAX, Stop::Empty), page(Stop::Total("$.t".to_owned())), cursor(None),
            next_url(), Paginate::LinkHeader { stop: Some(Stop::Short) },
        ];
        for paginate in paginations {
            let mut settings = settings(paginate, stripes);
            settings.every = Some(std::time::Duration::from_secs(1));
            for shard in shards(&settings.shards) {
                if let Ok(Next::Request(request)) = plan(&settings, &shard, Some(&old), now) {
                    let facts = PageFacts {
                        num_records: page_of[0], hash: page_of[1], total: Some(page_of[2]), token: token.clone(),
                    };
                    let _ = request.after(&settings.paginate, &facts);
                }
            }
        }
    }
}
