//! The embedded log: one redb file behind the same traits as Kafka, for one daemon on one machine.
//!
//! A transaction's records and its cursor are one redb transaction, flushed to the disk before it is answered; kill -9
//! at any moment leaves either all of it or nothing. There is one value a (partition, base offset) which holds all
//! records that the transaction gave to the partition: a value a record is three times slower
//! (DESIGN section 10, measured).

mod codec;
mod group;
mod ingest;
mod inspector;
mod load;
mod storage;

use std::{path::Path, sync::Arc, time::Duration};

use self::{group::Group, storage::Storage};
use super::{Cancel, IngestMember, Inspector, LoadMember, Log, LogError, Ownership, ShardWriter, TopicSpec, Waker};
use crate::model::ShardId;

pub use self::storage::Retention;

/// How long a re-opened shard waits after a fence. Within one process a moment is enough.
const HEARTBEAT: Duration = Duration::from_millis(100);

/// The log in one file. The file is locked: a second process that opens it is told so.
pub struct EmbeddedLog {
    storage: Arc<Storage>,
    groups: group::Groups,
}

impl EmbeddedLog {
    /// Opens the file, creates it when it is missing, and gives back the space that retention has freed.
    pub fn open(path: &Path, retention: Retention) -> Result<Self, LogError> {
        Ok(Self {
            storage: Arc::new(Storage::open(path, retention)?),
            groups: group::Groups::default(),
        })
    }
}

impl Log for EmbeddedLog {
    fn prepare(&self, spec: &TopicSpec, _cancel: &Cancel) -> Result<(), LogError> {
        self.storage.create_topic(&spec.topic, spec.num_partitions)
    }

    fn join_ingest(&self, spec: &TopicSpec, waker: Waker) -> Result<Box<dyn IngestMember>, LogError> {
        let group = self.groups.named(
            &spec.cursors_topic(),
            i32::try_from(spec.shards.len()).unwrap_or(i32::MAX),
        );
        Ok(Box::new(ingest::Member::join(group, spec.shards.clone(), waker)))
    }

    fn open_shard(
        &self,
        spec: &TopicSpec,
        shard: &ShardId,
        _own: &Ownership,
        _cancel: &Cancel,
    ) -> Result<Box<dyn ShardWriter>, LogError> {
        Ok(Box::new(ingest::Writer::open(self.storage.clone(), spec, shard)?))
    }

    fn join_load(&self, spec: &TopicSpec, waker: Waker) -> Result<Box<dyn LoadMember>, LogError> {
        let topic = self.storage.topic(&spec.topic)?;
        let group: Arc<Group> = self
            .groups
            .named(&format!("{}:{}", spec.pipeline, spec.topic), topic.num_partitions);
        Ok(Box::new(load::Member::join(self.storage.clone(), topic, group, waker)))
    }

    fn inspector(&self, spec: &TopicSpec) -> Result<Arc<dyn Inspector>, LogError> {
        Ok(Arc::new(inspector::EmbeddedInspector {
            storage: self.storage.clone(),
            spec: spec.clone(),
        }))
    }
}
