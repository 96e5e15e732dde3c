//! What a running simulator remembers, and the switches that can be turned while it runs.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

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

    /// Counts a request; true when this one is to fail.
    pub(super) fn begin(&self) -> bool {
        let number = self.num_requests.fetch_add(1, Ordering::SeqCst) + 1;
        let is_unlucky = self
            .options
            .fail_every
            .is_some_and(|every| number.is_multiple_of(every));
        is_unlucky || self.outage.load(Ordering::SeqCst)
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
