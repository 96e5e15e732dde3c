//! What a topic takes and how it is set, as far as the brokers say it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use rdkafka::{
    admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier},
    types::RDKafkaErrorCode as Code,
};
use slog::warn;

use super::{
    client::{Clients, Context, lock},
    close::close,
    describe::describe,
    error, wait,
};
use crate::log::{Cancel, LogError, TopicSpec};

const REQUEST_LIMIT: Duration = Duration::from_secs(5);

/// librdkafka's own default, for topics whose settings we may not read.
const CAUTIOUS_BYTES: usize = 1_000_000;

/// What a batch of one record adds to it: the batch's header and the record's own numbers.
const BATCH_OVERHEAD_BYTES: usize = 256;

/// The settings of a topic that matter to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TopicSettings {
    /// `max.message.bytes`: the largest batch of records.
    pub(super) max_batch_bytes: Option<usize>,
    /// `cleanup.policy`.
    pub(super) cleanup: Option<String>,
}

/// Remembers what topics take, so that a shard is opened without asking again.
#[derive(Clone, Default)]
pub(super) struct Limits {
    max_batch_bytes: Arc<Mutex<HashMap<String, usize>>>,
    num_partitions: Arc<Mutex<HashMap<String, i32>>>,
}

impl Limits {
    /// The largest key, payload and headers together that fit in a batch of the topic, and that the user allows.
    pub(super) fn max_message_bytes(
        &self,
        clients: &Clients,
        spec: &TopicSpec,
        cancel: &Cancel,
    ) -> Result<usize, LogError> {
        let topic = &*spec.topic;
        let users = clients
            .user("message.max.bytes")
            .and_then(|bytes| bytes.parse().ok())
            .unwrap_or(usize::MAX);
        if let Some(bytes) = lock(&self.max_batch_bytes).get(topic) {
            return Ok(fitting(*bytes).min(users));
        }
        let observer = clients.observer(&spec.pipeline)?;
        let asked = wait::retrying(clients.log(), cancel, "describe topic", topic, || {
            // First by a client that can say why nobody answers: nobody serves the queue of one for administration.
            describe(&observer, topic, true, cancel)?;
            topic_settings(&admin(clients)?, clients, topic, cancel)
        });
        close(clients.log(), topic, observer);
        let settings = asked?;
        self.remember(topic, &settings);
        Ok(settings.max_batch_bytes.map_or(CAUTIOUS_BYTES, fitting).min(users))
    }

    pub(super) fn remember(&self, topic: &str, settings: &TopicSettings) {
        if let Some(bytes) = settings.max_batch_bytes {
            lock(&self.max_batch_bytes).insert(topic.to_owned(), bytes);
        }
    }

    /// A broker found a record too large that should have fit: ask again.
    pub(super) fn forget(&self, topic: &str) {
        lock(&self.max_batch_bytes).remove(topic);
    }

    pub(super) fn remember_partitions(&self, topic: &str, count: i32) {
        lock(&self.num_partitions).insert(topic.to_owned(), count);
    }

    /// The topic's partitions when it was last described.
    pub(super) fn num_partitions(&self, topic: &str) -> Option<i32> {
        lock(&self.num_partitions).get(topic).copied()
    }
}

fn fitting(max_batch_bytes: usize) -> usize {
    // librdkafka takes no less than 1000 for `message.max.bytes`, and no more than 1 GB.
    max_batch_bytes
        .saturating_sub(BATCH_OVERHEAD_BYTES)
        .clamp(1_000, 1_000_000_000)
}

/// A client for administration. Short-lived: nobody polls its main queue.
pub(super) fn admin(clients: &Clients) -> Result<AdminClient<Context<()>>, LogError> {
    clients
        .config(&[], &[])
        .create_with_context(clients.context(()))
        .map_err(|problem| clients.open_error(&problem))
}

/// The time limits of a request to the controller.
pub(super) fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(REQUEST_LIMIT))
        .operation_timeout(Some(REQUEST_LIMIT))
}

/// Asks for a topic's settings. Where they may not be read, they are unknown, which is no error.
pub(super) fn topic_settings(
    admin: &AdminClient<Context<()>>,
    clients: &Clients,
    topic: &str,
    cancel: &Cancel,
) -> Result<TopicSettings, LogError> {
    let operation = "describe topic";
    let resources = [ResourceSpecifier::Topic(topic)];
    let answer =
        wait::answer(cancel, admin.describe_configs(&resources, &options())).ok_or_else(|| LogError::Cancelled {
            operation,
            place: topic.to_owned(),
        })?;
    let unknown = TopicSettings {
        max_batch_bytes: None,
        cleanup: None,
    };
    let resource: ConfigResource = match answer {
        Ok(resources) => match resources.into_iter().next() {
            Some(Ok(resource)) => resource,
            Some(Err(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed)) | None => return Ok(unknown),
            Some(Err(code)) => return Err(error::reported(operation, topic, code, "describe configs")),
        },
        Err(problem) => match error::code(&problem) {
            Some(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed) => return Ok(unknown),
            _ => return Err(error::call(operation, topic, problem)),
        },
    };
    let value = |name| resource.get(name).and_then(|entry| entry.value.clone());
    let settings = TopicSettings {
        max_batch_bytes: value("max.message.bytes").and_then(|bytes| bytes.parse().ok()),
        cleanup: value("cleanup.policy"),
    };
    if settings.max_batch_bytes.is_none() {
        warn!(clients.log(), "the topic's settings cannot be read: DescribeConfigs is not granted";
            "topic" => topic, "assumed_max_record_bytes" => CAUTIOUS_BYTES);
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_fits_with_its_batch_header_and_within_what_librdkafka_takes() {
        assert_eq!(fitting(1_048_588), 1_048_332);
        assert_eq!(fitting(100), 1_000);
        assert_eq!(fitting(usize::MAX), 1_000_000_000);
    }
}
