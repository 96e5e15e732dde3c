//! What a running simulator remembers, and the switches that can be turned while it runs.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use uuid::Uuid;

use super::{Options, page::Page, query::Query, quota::Quota};

/// Shared by the server's workers and the handle.
pub(super) struct State {
    pub options: Options,
    pub quota: Quota,
    pub outage: AtomicBool,
    num_requests: AtomicU64,
    served: Mutex<Served>,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Good,
    /// An answer with this status and no page.
    Status(u16),
    /// The connection ends in the middle of the page.
    CutOff,
}

/// What was served.
#[derive(Default)]
struct Served {
    /// Records by seed and page.
    records: BTreeMap<(String, u64), u64>,
    uuids: Vec<Uuid>,
}

impl State {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            quota: Quota::default(),
            outage: AtomicBool::new(false),
            num_requests: AtomicU64::new(0),
            served: Mutex::default(),
        }
    }

    /// Counts a request and says what becomes of it.
    pub(super) fn begin(&self) -> Fate {
        let number = self.num_requests.fetch_add(1, Ordering::SeqCst) + 1;
        let is_unlucky = self
            .options
            .fail_every
            .is_some_and(|every| number.is_multiple_of(every));
        if is_unlucky || self.outage.load(Ordering::SeqCst) {
            return Fate::Status(self.options.fail_status);
        }
        self.options.flaky.map_or(Fate::Good, |seed| flaky(seed, number))
    }

    pub(super) fn num_requests(&self) -> u64 {
        self.num_requests.load(Ordering::SeqCst)
    }

    /// Notes a page that goes out.
    pub(super) fn note(&self, query: &Query, page: &Page) {
        if self.options.remember {
            let mut served = self.lock();
            *served.records.entry((query.seed.clone(), query.page)).or_default() += page.uuids.len() as u64;
            served.uuids.extend(&page.uuids);
        }
    }

    pub(super) fn records(&self) -> BTreeMap<(String, u64), u64> {
        self.lock().records.clone()
    }

    pub(super) fn uuids(&self) -> Vec<Uuid> {
        self.lock().uuids.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Served> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request in ten fails, at random, and for the same seed always the same ones.
fn flaky(seed: u64, number: u64) -> Fate {
    let mut random = StdRng::seed_from_u64(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    match random.random_range(0..30) {
        0 => Fate::Status(500),
        1 => Fate::Status(429),
        2 => Fate::CutOff,
        _ => Fate::Good,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flaky_source_fails_one_request_in_ten_in_each_way_and_again_the_same() {
        let fates: Vec<Fate> = (1..=3_000).map(|number| flaky(7, number)).collect();
        for fate in [Fate::Status(500), Fate::Status(429), Fate::CutOff] {
            let count = fates.iter().filter(|it| **it == fate).count();
            assert!((60..140).contains(&count), "{fate:?}: {count} in 3,000");
        }
        assert!((1..=3_000).map(|number| flaky(7, number)).eq(fates));
    }
}
