//! Asks about a topic, and finds out why when nobody answers.

use std::time::Duration;

use rdkafka::consumer::Consumer;

use super::{
    client::{Observer, serve},
    error,
    topic_id::{self, Description},
};
use crate::log::{Cancel, LogError};

/// How long the brokers may take for an answer.
pub(super) const LIMIT: Duration = Duration::from_secs(5);

const OPERATION: &str = "describe topic";

/// The topic as the cluster knows it; `None` = there is none.
///
/// Wrong credentials look like brokers that do not answer; the client's own error, which comes out when its queue is
/// served, says what it is. `serve_queue` is false while somebody else polls the observer for records.
pub(super) fn describe(
    observer: &Observer,
    topic: &str,
    serve_queue: bool,
    cancel: &Cancel,
) -> Result<Option<Description>, LogError> {
    let answer = topic_id::describe(observer.client(), topic, LIMIT, cancel);
    if serve_queue {
        serve(observer);
    }
    if cancel.is_cancelled() {
        return Err(LogError::Cancelled {
            operation: OPERATION,
            place: topic.to_owned(),
        });
    }
    answer.map_err(|problem| {
        let fault = observer.context().take_fault(OPERATION, topic);
        fault.unwrap_or_else(|| error::reported(OPERATION, topic, problem.code, problem.reason))
    })
}
