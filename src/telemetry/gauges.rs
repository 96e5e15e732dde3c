//! Live numbers of one pipeline: what its actors are at. Written by the actors, read by status and progress bars.
//!
//! They begin at zero with each daemon. What must survive is in the ledger.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::{Deserialize, Serialize};

use super::Meters;
use crate::model::{CursorRecord, LostRange};

/// See the module.
#[derive(Debug, Default)]
pub struct Gauges {
    fetched_records: AtomicU64,
    fetched_pages: AtomicU64,
    fetched_bytes: AtomicU64,
    empty_answers: AtomicU64,
    produced_records: AtomicU64,
    settled_records: AtomicU64,
    dead_records: AtomicU64,
    shards: Mutex<BTreeMap<i32, ShardGauge>>,
    partitions: Mutex<BTreeMap<i32, PartitionGauge>>,
    meters: Meters,
}

/// One shard as its owner sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ShardGauge {
    /// Whether this daemon fetches it.
    pub owned: bool,
    /// What its fetcher is at: `fetching page 7`, `waiting until …`, `finished`.
    pub state: String,
    /// The last commit of this daemon.
    pub committed: Option<CursorRecord>,
}

/// One partition as its owner sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionGauge {
    /// Whether this daemon reads it.
    pub owned: bool,
    /// `reading`, `claiming`, `stopped: …`.
    pub state: String,
    /// The fence's number of this daemon's claim.
    pub epoch: i64,
    /// Everything below is settled.
    pub next_offset: i64,
    /// Why it has stopped, and what leads on.
    #[serde(default)]
    pub lost: Option<LostRange>,
}

/// All of it at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GaugesSnapshot {
    /// Records fetched by this daemon.
    pub fetched_records: u64,
    /// Pages fetched by this daemon.
    pub fetched_pages: u64,
    /// Bytes of records fetched by this daemon.
    pub fetched_bytes: u64,
    /// Pages that were answered without records.
    pub empty_answers: u64,
    /// Records committed to the log by this daemon.
    pub produced_records: u64,
    /// Records settled by this daemon.
    pub settled_records: u64,
    /// Records that this daemon put into the dead letters.
    pub dead_records: u64,
    /// By shard.
    pub shards: BTreeMap<i32, ShardGauge>,
    /// By partition.
    pub partitions: BTreeMap<i32, PartitionGauge>,
}

impl Gauges {
    /// What is counted for `/metrics`.
    pub fn meters(&self) -> &Meters {
        &self.meters
    }

    /// A page has arrived.
    pub fn page_fetched(&self, num_records: usize, size_bytes: usize) {
        self.fetched_pages.fetch_add(1, Ordering::Relaxed);
        self.fetched_records.fetch_add(num_records as u64, Ordering::Relaxed);
        self.fetched_bytes.fetch_add(size_bytes as u64, Ordering::Relaxed);
        self.empty_answers
            .fetch_add(u64::from(num_records == 0), Ordering::Relaxed);
    }

    /// A shard was given to this daemon, or taken away.
    pub fn shard_owned(&self, shard: i32, owned: bool) {
        let mut shards = lock(&self.shards);
        let gauge = shards.entry(shard).or_default();
        gauge.owned = owned;
        gauge.state = if owned { "opening" } else { "with another daemon" }.into();
    }

    /// What a shard's fetcher is at.
    pub fn shard_state(&self, shard: i32, state: impl Into<String>) {
        lock(&self.shards).entry(shard).or_default().state = state.into();
    }

    /// A shard's pages are committed.
    pub fn produced(&self, shard: i32, after: &CursorRecord, num_records: usize) {
        self.produced_records.fetch_add(num_records as u64, Ordering::Relaxed);
        lock(&self.shards).entry(shard).or_default().committed = Some(after.clone());
    }

    /// How many pages this daemon knows to be committed in a shard.
    pub fn committed_pages(&self, shard: i32) -> u64 {
        let shards = lock(&self.shards);
        let committed = shards.get(&shard).and_then(|gauge| gauge.committed.as_ref());
        committed.map_or(0, |committed| committed.pages)
    }

    /// A partition was claimed.
    pub fn partition_claimed(&self, partition: i32, epoch: i64, next_offset: i64) {
        let gauge = PartitionGauge {
            owned: true,
            state: "reading".into(),
            epoch,
            next_offset,
            lost: None,
        };
        lock(&self.partitions).insert(partition, gauge);
    }

    /// What a partition is at.
    pub fn partition_state(&self, partition: i32, owned: bool, state: impl Into<String>) {
        let mut partitions = lock(&self.partitions);
        let gauge = partitions.entry(partition).or_default();
        gauge.owned = owned;
        gauge.state = state.into();
        gauge.lost = None;
    }

    /// A partition's position is lost.
    pub fn partition_stopped(&self, lost: &LostRange) {
        let mut partitions = lock(&self.partitions);
        let gauge = partitions.entry(lost.partition).or_default();
        gauge.owned = true;
        gauge.state = format!("stopped: {}", lost.found);
        gauge.lost = Some(lost.clone());
    }

    /// A batch is settled.
    pub fn settled(&self, partition: i32, next_offset: i64, num_records: usize, num_dead: usize) {
        self.settled_records.fetch_add(num_records as u64, Ordering::Relaxed);
        self.dead_records.fetch_add(num_dead as u64, Ordering::Relaxed);
        lock(&self.partitions).entry(partition).or_default().next_offset = next_offset;
    }

    /// All of it.
    pub fn snapshot(&self) -> GaugesSnapshot {
        GaugesSnapshot {
            fetched_records: self.fetched_records.load(Ordering::Relaxed),
            fetched_pages: self.fetched_pages.load(Ordering::Relaxed),
            fetched_bytes: self.fetched_bytes.load(Ordering::Relaxed),
            empty_answers: self.empty_answers.load(Ordering::Relaxed),
            produced_records: self.produced_records.load(Ordering::Relaxed),
            settled_records: self.settled_records.load(Ordering::Relaxed),
            dead_records: self.dead_records.load(Ordering::Relaxed),
            shards: lock(&self.shards).clone(),
            partitions: lock(&self.partitions).clone(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
