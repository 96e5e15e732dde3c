//! Answers questions about a pipeline's topics, with one client that is kept.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use rdkafka::consumer::Consumer;
use tokio::time::Instant;

use super::{
    client::{Clients, Observer, lock},
    close::close,
    count, cursor_read,
    describe::describe,
    members,
    topic_id::Description,
    wait::{self, SLICE},
};
use crate::{
    log::{Bounds, Cancel, Inspector, LogError, TopicSpec},
    model::{CursorRecord, GroupMember, ShardId, TopicId},
};

/// How long a topic may be unknown before it is gone: under ZooKeeper a broker serves before it has heard of any topic.
const MISSED_LIMIT: Duration = Duration::from_secs(5);

/// See [`Inspector`]. Outages are errors with the verdict `Retry`, after 5 s.
///
/// A commit is answered before its markers are written: for some milliseconds (more on a busy broker) its records are not
/// below the last stable offset and its cursor is not the last one. Opening the shard waits for that; asking does not.
pub(super) struct KafkaInspector {
    clients: Clients,
    spec: TopicSpec,
    /// `None` only while it is dropped or replaced.
    observer: Mutex<Option<Arc<Observer>>>,
    /// The observer reads one cursor at a time.
    reading: Mutex<()>,
    /// Since when the brokers have not known the topic.
    missed_since: Mutex<Option<Instant>>,
}

impl KafkaInspector {
    pub(super) fn open(clients: &Clients, spec: &TopicSpec) -> Result<Self, LogError> {
        let observer = Mutex::new(Some(Arc::new(clients.observer(&spec.pipeline)?)));
        Ok(Self {
            clients: clients.clone(),
            spec: spec.clone(),
            observer,
            reading: Mutex::new(()),
            missed_since: Mutex::new(None),
        })
    }

    /// The client, made anew when a fatal error has made it useless.
    fn observer(&self) -> Result<Arc<Observer>, LogError> {
        let mut kept = lock(&self.observer);
        match &*kept {
            Some(observer) if observer.client().fatal_error().is_none() => Ok(Arc::clone(observer)),
            _ => {
                let fresh = Arc::new(self.clients.observer(&self.spec.pipeline)?);
                let useless = kept.replace(Arc::clone(&fresh));
                close(self.clients.log(), &self.spec.topic, useless);
                Ok(fresh)
            }
        }
    }

    /// Waits a while for a topic that the brokers do not know: one that has just started may not yet.
    fn describe(&self) -> Result<Description, LogError> {
        let observer = self.observer()?;
        loop {
            // Not while a cursor is read: the reader would miss its records.
            let is_free = self.reading.try_lock();
            let found = describe(&observer, &self.spec.topic, is_free.is_ok(), &Cancel::new())?;
            drop(is_free);
            let mut missed_since = lock(&self.missed_since);
            if let Some(found) = found {
                *missed_since = None;
                return Ok(found);
            }
            if missed_since.get_or_insert_with(Instant::now).elapsed() > MISSED_LIMIT {
                return Err(LogError::Gone {
                    topic: self.spec.topic.to_string(),
                });
            }
            drop(missed_since);
            wait::pause(&Cancel::new(), SLICE);
        }
    }
}

impl Inspector for KafkaInspector {
    fn topic_id(&self) -> Result<TopicId, LogError> {
        Ok(self.describe()?.id)
    }

    fn num_partitions(&self) -> Result<i32, LogError> {
        Ok(self.describe()?.num_partitions)
    }

    fn bounds(&self, partition: i32) -> Result<Bounds, LogError> {
        let observer = self.observer()?;
        let is_free = self.reading.try_lock();
        cursor_read::bounds(&observer, &self.spec.topic, partition, is_free.is_ok())
    }

    fn count_records(&self, partition: i32, from: i64, to: i64) -> Result<u64, LogError> {
        count::records(&self.clients, &self.spec, partition, from, to)
    }

    fn cursors(&self) -> Result<Vec<(ShardId, Option<CursorRecord>)>, LogError> {
        let observer = self.observer()?;
        let _reading = lock(&self.reading);
        let cancel = Cancel::new();
        let read = |shard: &ShardId| {
            cursor_read::read(&observer, &self.spec, shard, &cancel).map(|cursor| (shard.clone(), cursor))
        };
        self.spec.shards.iter().map(read).collect()
    }

    fn members(&self) -> Result<Vec<GroupMember>, LogError> {
        let observer = self.observer()?;
        members::members(&observer, &self.spec)
    }
}

impl Drop for KafkaInspector {
    fn drop(&mut self) {
        let observer = lock(&self.observer).take();
        close(self.clients.log(), &self.spec.topic, observer);
    }
}
