//! The redb file: topics, values, ends, cursors, and what retention takes away again.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use uuid::Uuid;

use super::codec::{self, ValueBuilder};
use crate::{
    failpoint,
    log::{Bounds, LogError, Waker},
    model::{CursorRecord, LogRecord, Page, PageRecord, TopicId, Verdict},
};

/// name -> (number, identity, partitions)
const TOPICS: TableDefinition<&str, (u32, u128, i32)> = TableDefinition::new("topics");
/// (topic, partition, base offset) -> the records of one transaction
const VALUES: TableDefinition<(u32, i32, i64), &[u8]> = TableDefinition::new("values");
/// (topic, partition) -> (low, end)
const BOUNDS: TableDefinition<(u32, i32), (i64, i64)> = TableDefinition::new("bounds");
/// (cursors topic, shard content) -> the cursor as JSON
const CURSORS: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("cursors");

/// When settled records are deleted. Records that PostgreSQL has not settled are never deleted: in an embedded log there
/// is nobody else to keep them.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Older settled records go.
    pub age: Duration,
    /// The oldest settled records go until a partition holds no more bytes than this.
    pub bytes_a_partition: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            age: Duration::from_secs(24 * 3600),
            bytes_a_partition: 256 << 20,
        }
    }
}

/// What redb may hold of the file; its default is a gigabyte. Records are written once and read once, and what was written
/// last is in the system's cache too.
const CACHE_BYTES: usize = 64 << 20;

#[derive(Clone, Debug)]
pub(super) struct Topic {
    pub(super) name: Arc<str>,
    number: u32,
    pub(super) id: TopicId,
    pub(super) num_partitions: i32,
}

pub(super) struct Storage {
    place: String,
    database: Database,
    retention: Retention,
    /// The ends as last committed: an idle reader asks here, not the file.
    ends: Mutex<HashMap<(u32, i32), Arc<AtomicI64>>>,
    readers: Mutex<Vec<Waker>>,
    /// The number of the newest writer of each shard; an older one is fenced.
    writers: Mutex<HashMap<(String, String), u64>>,
}

impl Storage {
    pub(super) fn open(path: &Path, retention: Retention) -> Result<Self, LogError> {
        let place = path.display().to_string();
        let open = |source: redb::DatabaseError| LogError::Open {
            log: place.clone(),
            source: Box::new(source),
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|source| LogError::Open {
                log: place.clone(),
                source: Box::new(source),
            })?;
        }
        let mut database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create(path)
            .map_err(open)?;
        database.compact().map_err(|source| LogError::Open {
            log: place.clone(),
            source: Box::new(source),
        })?;
        let storage = Self {
            place,
            database,
            retention,
            ends: Mutex::default(),
            readers: Mutex::default(),
            writers: Mutex::default(),
        };
        storage.write("create tables", |txn| {
            txn.open_table(TOPICS)?;
            txn.open_table(VALUES)?;
            txn.open_table(BOUNDS)?;
            txn.open_table(CURSORS)?;
            Ok(())
        })?;
        Ok(storage)
    }

    /// Runs `change` in one transaction, which is on the disk when this returns.
    fn write<T>(
        &self,
        operation: &'static str,
        change: impl FnOnce(&redb::WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, LogError> {
        let run = || {
            let txn = self.database.begin_write()?;
            let value = change(&txn)?;
            txn.commit()?;
            Ok(value)
        };
        run().map_err(|source| self.failed(operation, source))
    }

    fn read<T>(
        &self,
        operation: &'static str,
        query: impl FnOnce(&redb::ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, LogError> {
        let run = || query(&self.database.begin_read()?);
        run().map_err(|source| self.failed(operation, source))
    }

    fn failed(&self, operation: &'static str, source: redb::Error) -> LogError {
        LogError::Call {
            operation,
            place: self.place.clone(),
            verdict: Verdict::Fail,
            source: Box::new(source),
        }
    }

    pub(super) fn create_topic(&self, name: &str, num_partitions: i32) -> Result<(), LogError> {
        let existing = self.write("create topic", |txn| {
            let mut topics = txn.open_table(TOPICS)?;
            let known = topics.get(name)?.map(|guard| guard.value());
            if known.is_none() {
                let number = topics.iter()?.count() as u32;
                topics.insert(name, (number, Uuid::new_v4().as_u128(), num_partitions))?;
                let mut bounds = txn.open_table(BOUNDS)?;
                for partition in 0..num_partitions {
                    bounds.insert((number, partition), (0, 0))?;
                }
            }
            Ok(known)
        })?;
        match existing {
            Some((_, _, have)) if have != num_partitions => Err(LogError::Mismatch {
                place: format!("topic {name} in {}", self.place),
                problem: format!(
                    "it has {have} partitions and the configuration says {num_partitions}; set topic.partitions = {have}, or \
                     name another topic"
                ),
            }),
            _ => Ok(()),
        }
    }

    pub(super) fn topic(&self, name: &str) -> Result<Topic, LogError> {
        let found = self.read("describe topic", |txn| {
            Ok(txn.open_table(TOPICS)?.get(name)?.map(|guard| guard.value()))
        })?;
        let (number, id, num_partitions) = found.ok_or_else(|| LogError::Gone { topic: name.into() })?;
        Ok(Topic {
            name: name.into(),
            number,
            id: TopicId(Uuid::from_u128(id)),
            num_partitions,
        })
    }

    pub(super) fn bounds(&self, topic: &Topic, partition: i32) -> Result<Bounds, LogError> {
        let found = self.read("read bounds", |txn| {
            Ok(txn
                .open_table(BOUNDS)?
                .get((topic.number, partition))?
                .map(|guard| guard.value()))
        })?;
        let (low, end) = found.unwrap_or_default();
        Ok(Bounds { low, last_stable: end })
    }

    /// The end of a partition, kept in memory and moved by every commit.
    pub(super) fn end(&self, topic: &Topic, partition: i32) -> Result<Arc<AtomicI64>, LogError> {
        let key = (topic.number, partition);
        if let Some(end) = lock(&self.ends).get(&key) {
            return Ok(end.clone());
        }
        let bounds = self.bounds(topic, partition)?;
        let end = lock(&self.ends).entry(key).or_default().clone();
        end.fetch_max(bounds.last_stable, Ordering::SeqCst);
        Ok(end)
    }

    pub(super) fn add_reader(&self, waker: Waker) {
        lock(&self.readers).push(waker);
    }

    pub(super) fn remove_reader(&self, waker: &Waker) {
        lock(&self.readers).retain(|other| !Arc::ptr_eq(other, waker));
    }

    pub(super) fn open_writer(&self, cursors: &str, content: &str) -> u64 {
        let mut writers = lock(&self.writers);
        let number = writers.entry((cursors.to_owned(), content.to_owned())).or_default();
        *number += 1;
        *number
    }

    pub(super) fn cursor(&self, cursors: &str, content: &str) -> Result<Option<CursorRecord>, LogError> {
        let found = self.read("read cursor", |txn| {
            Ok(txn
                .open_table(CURSORS)?
                .get((cursors, content))?
                .map(|guard| guard.value().to_vec()))
        })?;
        let parse = |bytes: Vec<u8>| {
            serde_json::from_slice(&bytes).map_err(|source| LogError::Call {
                operation: "read cursor",
                place: format!("shard {content} in {}", self.place),
                verdict: Verdict::Fail,
                source: Box::new(source),
            })
        };
        found.map(parse).transpose()
    }

    /// Appends the pages' records and the cursor after them. Fails with `Lost` when the writer is not the newest one.
    pub(super) fn append(
        &self,
        topic: &Topic,
        writer: &super::ingest::WriterKey,
        pages: &[Page],
        after: &CursorRecord,
    ) -> Result<(), LogError> {
        let cursor = serde_json::to_vec(after).map_err(|source| LogError::Call {
            operation: "write cursor",
            place: self.place.clone(),
            verdict: Verdict::Fail,
            source: Box::new(source),
        })?;
        let values = split_by_partition(topic.num_partitions, pages.iter().flat_map(|page| &page.records));
        // Held until the commit: the newest writer cannot change between the check and the append.
        let writers = lock(&self.writers);
        if writers.get(&(writer.cursors.clone(), writer.content.clone())) != Some(&writer.number) {
            return Err(LogError::Lost {
                place: format!("shard {} in {}", writer.content, self.place),
            });
        }
        failpoint::reach("embedded-before-append");
        let ends = self.write("append", |txn| {
            let mut table = txn.open_table(VALUES)?;
            let mut bounds = txn.open_table(BOUNDS)?;
            let mut ends = Vec::with_capacity(values.len());
            for (partition, count, value) in values {
                let key = (topic.number, partition);
                let (low, base) = bounds.get(key)?.map(|guard| guard.value()).unwrap_or_default();
                table.insert((topic.number, partition, base), value.as_ref())?;
                let end = base + i64::from(count);
                bounds.insert(key, (low, end))?;
                ends.push((key, end));
            }
            failpoint::reach("embedded-after-records");
            txn.open_table(CURSORS)?
                .insert((writer.cursors.as_str(), writer.content.as_str()), cursor.as_slice())?;
            failpoint::reach("embedded-after-cursor");
            Ok(ends)
        })?;
        failpoint::reach("embedded-after-commit");
        drop(writers);
        {
            let mut known = lock(&self.ends);
            for (key, end) in ends {
                known.entry(key).or_default().fetch_max(end, Ordering::SeqCst);
            }
        }
        lock(&self.readers).iter().for_each(|waker| waker());
        Ok(())
    }

    /// The records of the value that holds offset `next`, from `next` on; empty at the end of the partition.
    pub(super) fn records_from(&self, topic: &Topic, partition: i32, next: i64) -> Result<Vec<LogRecord>, LogError> {
        let found = self.read("read records", |txn| {
            let table = txn.open_table(VALUES)?;
            let first = (topic.number, partition, i64::MIN);
            let entry = table
                .range(first..=(topic.number, partition, next))?
                .next_back()
                .transpose()?;
            Ok(entry.map(|(key, value)| (key.value().2, Bytes::copy_from_slice(value.value()))))
        })?;
        let Some((base, value)) = found else {
            return Ok(Vec::new());
        };
        let mut records = codec::decode(base, &value).ok_or_else(|| LogError::Mismatch {
            place: format!("{}[{partition}]@{base} in {}", topic.name, self.place),
            problem: "the value is damaged or of a newer version; restore the file, or skip the range".into(),
        })?;
        let before = usize::try_from(next - base).unwrap_or(0).min(records.len());
        records.drain(..before);
        Ok(records)
    }

    /// Deletes what is settled and too old or too much; moves the low bound.
    pub(super) fn retain(&self, topic: &Topic, partition: i32, settled: i64, now_ms: i64) -> Result<(), LogError> {
        let oldest_ms = now_ms.saturating_sub(i64::try_from(self.retention.age.as_millis()).unwrap_or(i64::MAX));
        self.write("retain", |txn| {
            let mut table = txn.open_table(VALUES)?;
            let mut held = Vec::new();
            for entry in table.range((topic.number, partition, i64::MIN)..=(topic.number, partition, i64::MAX))? {
                let (key, value) = entry?;
                let (timestamp_ms, count) = codec::head(value.value()).unwrap_or((i64::MAX, 0));
                held.push((
                    key.value().2,
                    i64::from(count),
                    timestamp_ms,
                    value.value().len() as u64,
                ));
            }
            let mut total: u64 = held.iter().map(|(.., size)| size).sum();
            let mut low = None;
            for (base, count, timestamp_ms, size) in held {
                let surplus = total > self.retention.bytes_a_partition || timestamp_ms < oldest_ms;
                if base + count > settled || !surplus {
                    break;
                }
                table.remove((topic.number, partition, base))?;
                total -= size;
                low = Some(base + count);
            }
            if let Some(low) = low {
                let mut bounds = txn.open_table(BOUNDS)?;
                let end = bounds
                    .get((topic.number, partition))?
                    .map_or(low, |guard| guard.value().1);
                bounds.insert((topic.number, partition), (low, end))?;
            }
            Ok(())
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Records with a key go where all records of that key go; those without take turns.
fn split_by_partition<'a>(
    num_partitions: i32,
    records: impl Iterator<Item = &'a PageRecord>,
) -> Vec<(i32, u32, Bytes)> {
    let now_ms = chrono::Utc::now().timestamp_millis();
    let mut builders: Vec<Option<ValueBuilder>> = (0..num_partitions).map(|_| None).collect();
    for (index, record) in records.enumerate() {
        let partition = match &record.key {
            Some(key) => fnv1a(key) % num_partitions as u64,
            None => index as u64 % num_partitions as u64,
        };
        builders[partition as usize]
            .get_or_insert_with(|| ValueBuilder::new(now_ms))
            .push(record);
    }
    let filled = (0..)
        .zip(builders)
        .filter_map(|(partition, builder)| Some((partition, builder?)));
    filled
        .map(|(partition, builder)| (partition, builder.count(), builder.finish()))
        .collect()
}

/// FNV-1a, 64 bits: stable over versions and machines, which std's hasher does not promise.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
