//! What is counted for `/metrics` beyond the gauges: requests, transactions, what became of records and rows.
//!
//! Like the gauges these begin at zero with each daemon, as counters of Prometheus do. What is committed is in the ledger.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use prometheus::{Histogram, HistogramOpts};
use tokio::time::Instant;

use crate::model::{RecordCounts, RowCounts};

/// Upper bounds in seconds: from a small transaction on a quiet server to a statement's time limit.
const BUCKETS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0,
];

/// See the module.
#[derive(Debug)]
pub struct Meters {
    requests: Mutex<BTreeMap<&'static str, u64>>,
    retries: AtomicU64,
    rate_waits: AtomicU64,
    rate_wait_ms: AtomicU64,
    asking: Mutex<BTreeMap<i32, Asking>>,
    records: Mutex<RecordCounts>,
    rows: Mutex<BTreeMap<String, RowCounts>>,
    append_seconds: Histogram,
    write_seconds: Histogram,
}

/// A page that is being asked for.
#[derive(Clone, Debug, Default)]
pub struct Asking {
    /// When the request went out that has no answer yet.
    pub unanswered_since: Option<Instant>,
    /// Since when every attempt has failed, and why the last one did.
    pub failing: Option<(DateTime<Utc>, String)>,
}

/// What was counted, at one moment.
#[derive(Clone, Debug, Default)]
pub struct MetersSnapshot {
    /// Requests by the class of their answer: `2xx`, `4xx`, `5xx`, `timeout`, `no_answer`.
    pub requests: BTreeMap<&'static str, u64>,
    /// Requests that were repeated after a failure.
    pub retries: u64,
    /// Times that a request had to wait for `source.rate`.
    pub rate_waits: u64,
    /// How long these waits were meant to last, in seconds.
    pub rate_wait_seconds: f64,
    /// What became of records that this daemon has settled.
    pub records: RecordCounts,
    /// What became of rows, by table.
    pub rows: BTreeMap<String, RowCounts>,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            requests: Mutex::default(),
            retries: AtomicU64::new(0),
            rate_waits: AtomicU64::new(0),
            rate_wait_ms: AtomicU64::new(0),
            asking: Mutex::default(),
            records: Mutex::default(),
            rows: Mutex::default(),
            append_seconds: histogram("append_seconds"),
            write_seconds: histogram("write_seconds"),
        }
    }
}

fn histogram(name: &str) -> Histogram {
    let options = HistogramOpts::new(name, name).buckets(BUCKETS.to_vec());
    Histogram::with_opts(options).expect("the name and the growing buckets are constants")
}

impl Meters {
    /// A shard begins to ask for a page; what is known about it is forgotten when the guard goes.
    pub fn asking(&self, shard: i32) -> AskingGuard<'_> {
        lock(&self.asking).insert(shard, Asking::default());
        AskingGuard { meters: self, shard }
    }

    /// The pages that are being asked for now, by shard.
    pub fn unanswered(&self) -> BTreeMap<i32, Asking> {
        lock(&self.asking).clone()
    }

    /// A transaction of the log was committed.
    pub fn appended(&self, took: Duration) {
        self.append_seconds.observe(took.as_secs_f64());
    }

    /// A batch was settled in PostgreSQL.
    pub fn wrote<'a>(
        &self,
        took: Duration,
        counts: &RecordCounts,
        rows: impl IntoIterator<Item = (&'a str, &'a RowCounts)>,
    ) {
        self.write_seconds.observe(took.as_secs_f64());
        *lock(&self.records) += *counts;
        let mut tables = lock(&self.rows);
        for (table, counts) in rows {
            match tables.get_mut(table) {
                Some(sum) => *sum += *counts,
                None => drop(tables.insert(table.to_owned(), *counts)),
            }
        }
    }

    /// How long transactions of the log took, in seconds.
    pub fn append_seconds(&self) -> &Histogram {
        &self.append_seconds
    }

    /// How long batches took in PostgreSQL, in seconds.
    pub fn write_seconds(&self) -> &Histogram {
        &self.write_seconds
    }

    /// All the counts.
    pub fn snapshot(&self) -> MetersSnapshot {
        MetersSnapshot {
            requests: lock(&self.requests).clone(),
            retries: self.retries.load(Ordering::Relaxed),
            rate_waits: self.rate_waits.load(Ordering::Relaxed),
            rate_wait_seconds: self.rate_wait_ms.load(Ordering::Relaxed) as f64 / 1_000.0,
            records: *lock(&self.records),
            rows: lock(&self.rows).clone(),
        }
    }
}

/// A shard that asks for a page, until dropped.
#[derive(Debug)]
#[must_use = "the shard does not ask any more when the guard is dropped"]
pub struct AskingGuard<'a> {
    meters: &'a Meters,
    shard: i32,
}

impl AskingGuard<'_> {
    /// A request goes out.
    pub fn sent(&self) {
        self.change(|asking| {
            asking.unanswered_since = Some(Instant::now());
        });
    }

    /// `source.rate` is used up for this long.
    pub fn held_back(&self, pause: Duration) {
        self.meters.rate_waits.fetch_add(1, Ordering::Relaxed);
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.meters.rate_wait_ms.fetch_add(pause_ms, Ordering::Relaxed);
        self.change(|asking| asking.unanswered_since = None);
    }

    /// The request ended in this class, well or for good.
    pub fn ended(&self, class: &'static str) {
        *lock(&self.meters.requests).entry(class).or_default() += 1;
        self.change(|asking| asking.unanswered_since = None);
    }

    /// The request failed in this class and will be repeated.
    pub fn will_repeat(&self, class: &'static str, reason: &str) {
        self.ended(class);
        self.meters.retries.fetch_add(1, Ordering::Relaxed);
        self.change(|asking| {
            let since = asking.failing.take().map_or_else(Utc::now, |(since, _)| since);
            asking.failing = Some((since, reason.to_owned()));
        });
    }

    fn change(&self, how: impl FnOnce(&mut Asking)) {
        if let Some(asking) = lock(&self.meters.asking).get_mut(&self.shard) {
            how(asking);
        }
    }
}

impl Drop for AskingGuard<'_> {
    fn drop(&mut self) {
        lock(&self.meters.asking).remove(&self.shard);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_source_is_known_with_its_first_failure_until_it_answers() {
        let meters = Meters::default();
        let asking = meters.asking(3);
        asking.sent();
        assert!(meters.unanswered()[&3].unanswered_since.is_some());
        asking.will_repeat("5xx", "status 503");
        let first = meters.unanswered()[&3].failing.clone().unwrap();
        asking.sent();
        asking.will_repeat("no_answer", "refused");
        let second = meters.unanswered()[&3].failing.clone().unwrap();
        assert_eq!((first.0, second.1.as_str()), (second.0, "refused"));
        asking.ended("2xx");
        drop(asking);
        assert!(meters.unanswered().is_empty());
        let counted = meters.snapshot();
        assert_eq!(counted.retries, 2);
        assert_eq!(
            counted.requests.into_iter().collect::<Vec<_>>(),
            [("2xx", 1), ("5xx", 1), ("no_answer", 1)]
        );
    }

    #[test]
    fn what_was_written_adds_up_by_table() {
        let meters = Meters::default();
        let counts = RecordCounts {
            consumed: 3,
            applied: 2,
            dead: 1,
            ..RecordCounts::default()
        };
        let rows = RowCounts {
            inserted: 2,
            ..RowCounts::default()
        };
        meters.wrote(Duration::from_millis(3), &counts, [("people", &rows)]);
        meters.wrote(Duration::from_millis(3), &counts, [("people", &rows)]);
        let counted = meters.snapshot();
        assert_eq!((counted.records.consumed, counted.rows["people"].inserted), (6, 4));
        assert_eq!(meters.write_seconds().get_sample_count(), 2);
    }
}
