//! The log: reachable, with the topics and grants that a pipeline needs.

use slog::Logger;

use crate::{
    config::settings::{Brokers, Pipeline, Settings, Source},
    log::{TopicSpec, kafka::KafkaLog},
    model::Finding,
    supervision::chain,
};

/// Everything that one pipeline needs of it.
pub(super) fn audit(settings: &Settings, pipeline: &Pipeline, log: &Logger) -> Vec<Finding> {
    let Brokers::Hosts(brokers) = &settings.kafka.brokers else {
        return vec![Finding::fine("log", "embedded, one file in state_dir")];
    };
    let kafka = match KafkaLog::new(brokers, &settings.kafka.properties, log.clone()) {
        Ok(kafka) => kafka,
        Err(error) => return vec![Finding::bad("Kafka", chain(&error))],
    };
    let shards = match &pipeline.source {
        Source::Http(source) => crate::api::shards(&source.shards),
        Source::Exec(source) => crate::api::shards(&source.shards),
        Source::None => Vec::new(),
    };
    let count = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    kafka.audit(&TopicSpec {
        pipeline: pipeline.name.clone(),
        topic: pipeline.topic.name.clone(),
        num_partitions: count(pipeline.topic.partitions),
        replication: count(pipeline.topic.replication),
        shards: shards.into(),
    })
}
