//! What a consumer is given at birth.

use std::{sync::Arc, time::Duration};

use super::routes::Routes;
use crate::{
    config::settings::Batch,
    log::{Log, TopicSpec},
    store::ConnectInfo,
    telemetry::Gauges,
};

/// What a consumer is given at birth.
#[derive(Clone)]
pub struct ConsumerSettings {
    /// The log to read from.
    pub log: Arc<dyn Log>,
    /// The pipeline's topics.
    pub spec: TopicSpec,
    /// When a batch is full.
    pub limits: Batch,
    /// What may be unsettled over all partitions before one of them may read a second batch ahead.
    pub budget_bytes: usize,
    /// Where partitions are claimed.
    pub connect: Arc<ConnectInfo>,
    /// Who claims, for people who look at `aqueduct.offsets`: host and process. The actor's name is added.
    pub owner: String,
    /// Which transformer and writer a partition stays with.
    pub routes: Routes,
    /// Records that wait and do not come for this long: the consumer is replaced.
    pub stall_after: Duration,
    /// Live numbers for status and progress.
    pub gauges: Arc<Gauges>,
}
