//! Asks about a topic, and finds out why when nobody answers.

use std::time::Duration;

use rdkafka::{consumer::Consumer, types::RDKafkaErrorCode as Code};

use super::{
    client::{Observer, serve},
    error::{self, Reported},
    topic_id::{self, Description},
};
use crate::log::{Cancel, LogError};

/// How long the brokers may take for an answer.
pub(super) const LIMIT: Duration = Duration::from_secs(5);

/// The part of it after which a wait looks at its [`Cancel`] again.
const GLANCE: Duration = Duration::from_secs(1);

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
    let answer = match reach(observer, topic, cancel) {
        Ok(()) => topic_id::describe(observer.client(), topic, LIMIT, cancel),
        Err(problem) => Err(problem),
    };
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

/// Waits until some broker answers an ordinary question.
///
/// `DescribeTopics` goes to the controller. While that one is known and away, librdkafka connects to it again as fast as it is
/// refused, past its own back-off, for as long as the question lasts: a whole core of it. Here it keeps the back-off.
fn reach(observer: &Observer, topic: &str, cancel: &Cancel) -> Result<(), Reported> {
    let mut left = LIMIT;
    loop {
        let Err(problem) = observer.client().fetch_metadata(Some(topic), GLANCE) else {
            return Ok(());
        };
        left = left.saturating_sub(GLANCE);
        if left.is_zero() || cancel.is_cancelled() {
            return Err(Reported {
                code: error::code(&problem).unwrap_or(Code::Fail),
                reason: "no broker answers".to_owned(),
            });
        }
    }
}
