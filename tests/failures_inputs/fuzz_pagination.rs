//! APIs of any shape, walked as a fetcher would: each record comes once, or the walk stops with an alarm before one comes
//! twice, and it always stops.

use std::collections::BTreeSet;

use aqueduct::{
    api::pagination::{Circle, Next, PageFacts, plan, shards},
    config::settings::{HttpSource, Paginate, Shards, Stop},
};
use proptest::{prelude::*, test_runner::TestCaseResult};
use serde_json::Value;

use crate::fuzz::{Tape, fuzz};

/// Pages that name the next one: some go back, or stay, or serve what another one serves.
struct Chain {
    pages: Vec<(Vec<u64>, Option<usize>)>,
}

impl Chain {
    fn new(tape: &mut Tape<'_>) -> Self {
        let count = 1 + tape.below(30);
        let mut pages: Vec<(Vec<u64>, Option<usize>)> = Vec::new();
        for at in 0..count {
            let records = match tape.below(12) {
                // What an API serves for a page that it does not know.
                10 if at > 0 => pages[0].0.clone(),
                11 if at > 0 => pages[at - 1].0.clone(),
                len => (0..len as u64 % 5).map(|index| at as u64 * 10 + index).collect(),
            };
            let next = match tape.below(24) {
                22 => Some(tape.below(at + 1)),
                23 => Some(at),
                _ => (at + 1 < count).then_some(at + 1),
            };
            pages.push((records, next));
        }
        Self { pages }
    }

    /// The pages in the order in which they name each other, and whether that comes to an end.
    fn order(&self) -> (Vec<usize>, bool) {
        let (mut order, mut at) = (Vec::new(), Some(0));
        while let Some(page) = at {
            if order.contains(&page) {
                return (order, false);
            }
            order.push(page);
            at = self.pages[page].1;
        }
        (order, true)
    }
}

fn hash(records: &[u64]) -> u64 {
    records.iter().fold(records.len() as u64, |hash, id| {
        hash.wrapping_mul(31).wrapping_add(*id + 1)
    })
}

fn settings(paginate: Paginate, stripes: u32) -> HttpSource {
    HttpSource {
        paginate,
        shards: Shards::Stripes(stripes),
        max_pages: 500,
        ..HttpSource::new("http://127.0.0.1:1/".parse().unwrap())
    }
}

/// Walks one shard; `serve` gives the records, the total and the token for the page that was asked for: a number, or none
/// for the first. Returns the ids that were kept, and the alarm.
fn walk(
    settings: &HttpSource,
    shard: usize,
    serve: impl Fn(Option<u64>) -> (Vec<u64>, Option<u64>, Option<u64>),
) -> Result<(Vec<u64>, Option<Circle>), TestCaseError> {
    let shard = shards(&settings.shards).remove(shard);
    let (mut kept, mut cursor, mut num_pages) = (Vec::new(), None::<Value>, 0);
    loop {
        let request = match plan(settings, &shard, cursor.as_ref(), 0) {
            Ok(Next::Request(request)) => request,
            Ok(_) => return Ok((kept, None)),
            Err(error) => return Err(TestCaseError::fail(format!("after {num_pages} pages: {error}"))),
        };
        num_pages += 1;
        let asked = request
            .params
            .iter()
            .find(|(name, _)| matches!(name.as_str(), "after" | "page" | "offset"));
        let asked = asked.map(|(_, value)| value.as_str()).or(request.link.as_deref());
        let (records, total, token) = serve(asked.map(|text| text.parse().unwrap()));
        let facts = PageFacts {
            num_records: records.len() as u64,
            hash: hash(&records),
            total,
            token: token.map(|token| token.to_string()),
        };
        match request.after(&settings.paginate, &facts) {
            Err(circle) => return Ok((kept, Some(circle))),
            Ok(advance) => {
                kept.extend(records.into_iter().take(advance.keep));
                // As it lies in the log.
                cursor = Some(serde_json::from_str(&advance.cursor.to_value().to_string()).unwrap());
            }
        }
    }
}

fn no_double(kept: &[u64]) -> TestCaseResult {
    let different: BTreeSet<_> = kept.iter().collect();
    prop_assert_eq!(different.len(), kept.len(), "{:?}", kept);
    Ok(())
}

#[test]
fn fuzz_a_chain_of_tokens_or_links_is_followed_to_its_end_or_its_circle_is_found_before_a_record_comes_twice() {
    let paginations = [
        Paginate::Cursor {
            param: "after".to_owned(),
            path: "$.next".to_owned(),
            stop: None,
        },
        Paginate::NextUrl {
            path: "$.next".to_owned(),
            stop: None,
        },
        Paginate::LinkHeader { stop: None },
    ];
    fuzz(file!(), 400, &prop::collection::vec(any::<u8>(), 0..150), |bytes| {
        let chain = Chain::new(&mut Tape::new(&bytes));
        let (order, ends) = chain.order();
        for paginate in &paginations {
            let (kept, alarm) = walk(&settings(paginate.clone(), 1), 0, |asked| {
                let (records, next) = &chain.pages[asked.unwrap_or(0) as usize];
                (records.clone(), None, next.map(|next| next as u64))
            })?;
            let all: Vec<u64> = order.iter().flat_map(|page| chain.pages[*page].0.clone()).collect();
            let shown = format!("{:?} {order:?}: {kept:?}, {alarm:?}", chain.pages);
            prop_assert!(all.starts_with(&kept), "{}", shown);
            match alarm {
                None => prop_assert!(ends && kept == all, "{}", shown),
                Some(Circle::SameToken | Circle::OldToken) => prop_assert!(!ends, "{}", shown),
                Some(Circle::SamePage | Circle::FirstPage) => {}
            }
            // One record that is served again may be another one that looks the same; that is not for pagination to judge.
            let served_again = |pages: &[usize]| {
                pages.iter().any(|page| {
                    *page > 0 && chain.pages[*page].0.len() == 1 && chain.pages[*page].0 == chain.pages[0].0
                })
            };
            if !served_again(&order) && !repeats_apart(&chain, &order) {
                no_double(&kept)?;
            }
        }
        Ok(())
    });
}

/// Whether two pages that are not neighbours in the order, and not the first, serve the same: neighbours in number do.
fn repeats_apart(chain: &Chain, order: &[usize]) -> bool {
    order.iter().enumerate().any(|(at, page)| {
        let records = &chain.pages[*page].0;
        !records.is_empty()
            && order[..at.saturating_sub(1)]
                .iter()
                .skip(1)
                .any(|other| chain.pages[*other].0 == *records)
    })
}

/// What an API serves beyond its last page.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Beyond {
    Nothing,
    TheLastPage,
    TheFirstPage,
}

#[test]
fn fuzz_numbered_pages_come_once_each_whatever_the_api_serves_beyond_the_last_one() {
    fuzz(file!(), 400, &prop::collection::vec(any::<u8>(), 0..40), |bytes| {
        let mut tape = Tape::new(&bytes);
        let (num_pages, len) = (1 + tape.below(40) as u64, 2 + tape.below(5) as u64);
        let last_len = 1 + tape.below(len as usize) as u64;
        let beyond = tape.one(&[Beyond::Nothing, Beyond::TheLastPage, Beyond::TheFirstPage]);
        let stripes = 1 + tape.below(4) as u32;
        let total = (num_pages - 1) * len + last_len;
        let records = |page: u64| {
            let page = match beyond {
                _ if page < num_pages => page,
                Beyond::Nothing => return Vec::new(),
                Beyond::TheLastPage => num_pages - 1,
                Beyond::TheFirstPage => 0,
            };
            (page * len..((page + 1) * len).min(total)).collect()
        };
        for stop in [
            Stop::Empty,
            Stop::Last(num_pages),
            Stop::Total("$.total".to_owned()),
            Stop::MaxRecords(total),
        ] {
            // Of stripes each has a fair share, whichever records that are: only one shard has all of them.
            if matches!(stop, Stop::MaxRecords(_)) && stripes > 1 {
                continue;
            }
            let paginate = Paginate::Page {
                param: "page".to_owned(),
                first: 1,
                stop: stop.clone(),
            };
            let settings = settings(paginate, stripes);
            let (mut kept, mut alarms) = (Vec::new(), Vec::new());
            for shard in 0..stripes as usize {
                let (more, alarm) = walk(&settings, shard, |asked| {
                    (records(asked.unwrap() - 1), Some(total), None)
                })?;
                kept.extend(more);
                alarms.extend(alarm);
            }
            let shown =
                format!("{stop:?} {beyond:?}: {num_pages} pages of {len}, {stripes} stripes: {kept:?} {alarms:?}");
            // A stripe sees a part of the pages only, and its beginning is not the beginning.
            if stripes == 1 || beyond == Beyond::Nothing {
                kept.sort_unstable();
                no_double(&kept)?;
                prop_assert!(kept.iter().copied().eq(0..total), "{}", shown);
            }
            if beyond == Beyond::Nothing || matches!(stop, Stop::Last(_)) {
                prop_assert!(alarms.is_empty(), "{}", shown);
            }
        }
        Ok(())
    });
}
