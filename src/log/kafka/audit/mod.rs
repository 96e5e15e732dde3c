//! Tries what a pipeline will need of a cluster, before it runs.
//!
//! Invariant: nothing is appended, committed or fenced. Topics are created in the broker's mind only (`validate_only`),
//! transactions are aborted and bear an id that no shard has, records are sent that the broker must refuse for their size,
//! and no group is joined: a running daemon does not notice.

mod groups;
mod topics;
mod writes;

use rdkafka::types::RDKafkaErrorCode as Code;

use super::{client::Clients, close::close};
use crate::{
    log::{Cancel, LogError, TopicSpec},
    model::{Finding, Verdict},
};

/// What all probes share.
struct Audit<'a> {
    clients: &'a Clients,
    spec: &'a TopicSpec,
    cancel: Cancel,
}

/// A topic that is to be there.
struct Wanted<'a> {
    name: &'a str,
    num_partitions: i32,
    is_cursors: bool,
}

/// See [`super::KafkaLog::audit`].
pub(super) fn audit(clients: &Clients, spec: &TopicSpec) -> Vec<Finding> {
    let audit = Audit {
        clients,
        spec,
        cancel: Cancel::new(),
    };
    let observer = match clients.observer(&spec.pipeline) {
        Ok(observer) => observer,
        Err(error) => return vec![finding("Kafka", &error)],
    };
    let cursors = spec.cursors_topic();
    let mut wanted = vec![Wanted {
        name: &spec.topic,
        num_partitions: spec.num_partitions,
        is_cursors: false,
    }];
    if !spec.shards.is_empty() {
        wanted.push(Wanted {
            name: &cursors,
            num_partitions: i32::try_from(spec.shards.len()).unwrap_or(i32::MAX),
            is_cursors: true,
        });
    }
    let mut findings = Vec::new();
    let mut are_there = Vec::new();
    for topic in &wanted {
        match audit.topic(&observer, topic, &mut findings) {
            Reached::There => are_there.push(topic.name),
            Reached::Missing => {}
            // Everything else would wait in vain for the same brokers.
            Reached::Nobody => {
                close(clients.log(), &spec.topic, observer);
                return findings;
            }
        }
    }
    for topic in &are_there {
        audit.readable(&observer, topic, &mut findings);
    }
    close(clients.log(), &spec.topic, observer);
    if !spec.shards.is_empty() {
        for topic in &are_there {
            audit.writable(topic, &mut findings);
        }
    }
    audit.groups(&are_there, &mut findings);
    findings
}

/// What became of a topic.
enum Reached {
    There,
    Missing,
    Nobody,
}

/// An error that a probe met, with the remedy where the code tells it.
fn finding(place: &str, error: &LogError) -> Finding {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    let text = match cause {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    match error.verdict() {
        Verdict::Retry => Finding::away(
            place,
            format!("{text}; is kafka.brokers right, and do the brokers run?"),
        ),
        _ => Finding::bad(place, text),
    }
}

/// A grant that is missing, as a sentence with its remedy.
fn refused(place: &str, what: &str, code: Code, grant: &str) -> Finding {
    Finding::bad(
        place,
        format!(
            "the broker refuses to {what} ({code:?}): grant it, `kafka-acls --add --allow-principal User:… {grant}`"
        ),
    )
}

fn is_refusal(code: Code) -> bool {
    matches!(
        code,
        Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
    )
}
