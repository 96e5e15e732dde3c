//! Apache Kafka behind the traits of [`crate::log`].
//!
//! What librdkafka does at each call, and which code it answers with, decides the shape of everything here: ownership is
//! the assignment of partitions of `<pipeline>.cursors`, exactly once comes from `transactional.id = <pipeline>-<shard>`,
//! readers are assigned at absolute offsets that somebody else keeps, and a topic is known by its id, not by its name.

use std::sync::Arc;

use slog::{Logger, o};

use super::{Cancel, IngestMember, Inspector, LoadMember, Log, LogError, Ownership, ShardWriter, TopicSpec, Waker};
use crate::{
    config::settings::Secret,
    model::{Finding, ShardId},
};

mod audit;
mod class;
mod client;
mod close;
mod count;
mod cursor_read;
mod delivery;
mod describe;
mod error;
mod ingest_member;
mod inspector;
mod limits;
mod load_group;
mod load_member;
mod markers;
mod members;
mod open_shard;
mod prepare;
mod properties;
mod record;
mod shard_writer;
mod topic_id;
mod transaction;
mod wait;

use client::Clients;
use limits::Limits;

/// A place between the steps of a shard's transaction at which a test may stop a writer dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The transaction is open; nothing is sent yet.
    Begun,
    /// Records and cursor are acknowledged, the transaction is not committed.
    Sent,
    /// The transaction is committed; the caller does not know it yet.
    Committed,
}

/// Answers whether the writer shall be dropped at this step, as a crash would: nothing is aborted or cleaned up.
pub type Failpoint = Arc<dyn Fn(Step) -> bool + Send + Sync>;

/// The log in an Apache Kafka cluster.
pub struct KafkaLog {
    clients: Clients,
    limits: Limits,
    failpoint: Option<Failpoint>,
}

impl KafkaLog {
    /// Checks the properties; connects nowhere yet.
    ///
    /// `brokers` is `host:port,…`; `properties` go to librdkafka as they are and override aqueduct's own choices. Those
    /// that a guarantee stands on are refused with [`LogError::Mismatch`], those that librdkafka does not take with
    /// [`LogError::Open`].
    pub fn new(brokers: &str, properties: &[(String, Secret)], log: Logger) -> Result<Self, LogError> {
        let clients = Clients::new(brokers, properties, log.new(o!("log" => "kafka")))?;
        Ok(Self {
            clients,
            limits: Limits::default(),
            failpoint: None,
        })
    }

    /// Tries everything that a pipeline will need of the cluster: topics, grants, groups, transactions. Appends nothing and
    /// fences nobody. Blocks, up to half a minute.
    pub fn audit(&self, spec: &TopicSpec) -> Vec<Finding> {
        audit::audit(&self.clients, spec)
    }

    /// Lets a test stop writers dead between the steps of a transaction.
    #[doc(hidden)]
    pub fn with_failpoint(mut self, failpoint: Failpoint) -> Self {
        self.failpoint = Some(failpoint);
        self
    }
}

impl Log for KafkaLog {
    fn prepare(&self, spec: &TopicSpec, cancel: &Cancel) -> Result<(), LogError> {
        prepare::prepare(&self.clients.of(&spec.pipeline), &self.limits, spec, cancel)
    }

    fn join_ingest(&self, spec: &TopicSpec, waker: Waker) -> Result<Box<dyn IngestMember>, LogError> {
        Ok(Box::new(ingest_member::KafkaIngestMember::join(
            &self.clients.of(&spec.pipeline),
            spec,
            waker,
        )?))
    }

    fn open_shard(
        &self,
        spec: &TopicSpec,
        shard: &ShardId,
        own: &Ownership,
        cancel: &Cancel,
    ) -> Result<Box<dyn ShardWriter>, LogError> {
        let writer = open_shard::open(
            &self.clients.of(&spec.pipeline),
            &self.limits,
            self.failpoint.clone(),
            spec,
            shard,
            own,
            cancel,
        )?;
        Ok(Box::new(writer))
    }

    fn join_load(&self, spec: &TopicSpec, waker: Waker) -> Result<Box<dyn LoadMember>, LogError> {
        Ok(Box::new(load_member::KafkaLoadMember::join(
            &self.clients.of(&spec.pipeline),
            &self.limits,
            spec,
            waker,
        )?))
    }

    fn inspector(&self, spec: &TopicSpec) -> Result<Arc<dyn Inspector>, LogError> {
        Ok(Arc::new(inspector::KafkaInspector::open(
            &self.clients.of(&spec.pipeline),
            spec,
        )?))
    }
}
