//! What a producer is given at birth.

use std::sync::Arc;

use crate::{
    log::{Log, TopicSpec},
    telemetry::Gauges,
};

/// What a producer is given at birth.
#[derive(Clone)]
pub struct ProducerSettings {
    /// The log to append to.
    pub log: Arc<dyn Log>,
    /// The pipeline's topics.
    pub spec: TopicSpec,
    /// When a transaction takes no further pages.
    pub transaction: Transaction,
    /// Live numbers for status and progress.
    pub gauges: Arc<Gauges>,
}

/// How large a transaction may grow by further pages.
#[derive(Clone, Copy, Debug)]
pub struct Transaction {
    /// Records.
    pub records: usize,
    /// Bytes of payloads: a transaction has to reach the broker within its time-out.
    pub bytes: usize,
}
