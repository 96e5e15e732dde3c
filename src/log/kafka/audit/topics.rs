//! Topics: there as configured, or to be made; and whether they can be read.

use std::time::Duration;

use rdkafka::{
    Offset, TopicPartitionList,
    admin::{NewTopic, TopicReplication},
    consumer::Consumer,
    error::KafkaError,
    types::RDKafkaErrorCode as Code,
};
use tokio::time::Instant;

use super::{
    super::{client::Observer, describe::describe, error, limits, topic_id::Description, wait},
    Audit, Reached, Wanted, finding, is_refusal, refused,
};
use crate::{
    log::LogError,
    model::{Finding, Verdict},
};

/// How long a first fetch may take.
const FETCH_LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);

impl Audit<'_> {
    pub(super) fn topic(&self, observer: &Observer, wanted: &Wanted<'_>, findings: &mut Vec<Finding>) -> Reached {
        let place = format!("topic {}", wanted.name);
        match describe(observer, wanted.name, true, &self.cancel) {
            Ok(Some(found)) if found.num_partitions > 0 => {
                findings.push(as_configured(&place, wanted, &found));
                findings.extend(self.settings(&place, wanted));
                Reached::There
            }
            Ok(_) => {
                findings.push(self.could_be_created(&place, wanted));
                Reached::Missing
            }
            Err(problem) if problem.verdict() == Verdict::Retry => {
                findings.push(finding("Kafka", &problem));
                Reached::Nobody
            }
            Err(problem) => {
                findings.push(match code_of(&problem) {
                    Some(code) if is_refusal(code) => {
                        let grant = format!(
                            "--operation Describe --operation Read --operation Write --topic {}",
                            wanted.name
                        );
                        refused(&place, "describe it", code, &grant)
                    }
                    _ => finding(&place, &problem),
                });
                // Credentials that are refused are refused everywhere.
                match code_of(&problem) {
                    Some(code) if is_refusal(code) => Reached::Missing,
                    _ => Reached::Nobody,
                }
            }
        }
    }

    /// What of the topic's settings would lose something.
    fn settings(&self, place: &str, wanted: &Wanted<'_>) -> Option<Finding> {
        let admin = limits::admin(self.clients).ok()?;
        let settings = limits::topic_settings(&admin, self.clients, wanted.name, &self.cancel).ok()?;
        let cleanup = settings.cleanup?;
        if wanted.is_cursors && cleanup.trim() != "compact" {
            return Some(Finding::bad(
                place,
                format!(
                    "has cleanup.policy={cleanup}, under which Kafka deletes cursors; set it to `compact` with kafka-configs"
                ),
            ));
        }
        let loses = !wanted.is_cursors && cleanup.contains("compact");
        loses.then(|| {
            Finding::note(
                place,
                format!(
                    "has cleanup.policy={cleanup}: of records with the same key only the newest is sure to be loaded"
                ),
            )
        })
    }

    /// Asks the controller without creating anything.
    fn could_be_created(&self, place: &str, wanted: &Wanted<'_>) -> Finding {
        let admin = match limits::admin(self.clients) {
            Ok(admin) => admin,
            Err(problem) => return finding(place, &problem),
        };
        let replication = self.spec.replication;
        let topic = NewTopic::new(wanted.name, wanted.num_partitions, TopicReplication::Fixed(replication));
        let options = limits::options().validate_only(true);
        let answer = wait::answer(&self.cancel, admin.create_topics([&topic], &options));
        let code = match answer {
            Some(Ok(results)) => results
                .into_iter()
                .next()
                .and_then(|result| result.err())
                .map(|(_, code)| code),
            Some(Err(problem)) => return finding(place, &error::call("create topic", wanted.name, problem)),
            None => return Finding::away(place, "nobody answers"),
        };
        let num_partitions = wanted.num_partitions;
        let by_hand = format!(
            "`kafka-topics --create --topic {} --partitions {num_partitions} --replication-factor {replication}{}`",
            wanted.name,
            if wanted.is_cursors {
                " --config cleanup.policy=compact"
            } else {
                ""
            }
        );
        match code {
            None => Finding::note(
                place,
                format!("is not there yet; the first run creates it with {num_partitions} partition(s)"),
            ),
            Some(Code::TopicAlreadyExists) => Finding::fine(place, "is there"),
            Some(code) if is_refusal(code) => Finding::bad(
                place,
                format!(
                    "is not there, and the broker refuses to create it ({code:?}): create it by hand, {by_hand}, or grant it, \
                     `kafka-acls --add --allow-principal User:… --operation Create --topic {}`",
                    wanted.name
                ),
            ),
            Some(Code::InvalidReplicationFactor) => Finding::bad(
                place,
                format!(
                    "is not there, and cannot be created with replication {replication}: there are not as many brokers; \
                     lower topic.replication or start more brokers"
                ),
            ),
            Some(code) => Finding::bad(
                place,
                format!("is not there, and the cluster would not create it ({code:?}); create it by hand, {by_hand}"),
            ),
        }
    }

    /// A fetch from the end: it needs Describe and Read, and moves nothing.
    pub(super) fn readable(&self, observer: &Observer, topic: &str, findings: &mut Vec<Finding>) {
        let place = format!("topic {topic}");
        let mut end = TopicPartitionList::new();
        let assigned = end
            .add_partition_offset(topic, 0, Offset::End)
            .and_then(|()| observer.assign(&end));
        if let Err(problem) = assigned {
            findings.push(finding(&place, &error::call("read", topic, problem)));
            return;
        }
        let begin = Instant::now();
        let found = loop {
            match observer.poll(POLL) {
                Some(Err(KafkaError::PartitionEOF(_)) | Ok(_)) => break None,
                Some(Err(problem)) => match error::code(&problem) {
                    Some(code) if is_refusal(code) => {
                        break Some(refused(
                            &place,
                            "let it be read",
                            code,
                            &format!("--operation Read --topic {topic}"),
                        ));
                    }
                    Some(code) if error::verdict(code) == Verdict::Retry => {}
                    _ => break Some(finding(&place, &error::call("read", topic, problem))),
                },
                None => {}
            }
            if begin.elapsed() > FETCH_LIMIT {
                break Some(Finding::away(
                    &place,
                    format!(
                        "could not be read within {} s: has its partition 0 a leader?",
                        FETCH_LIMIT.as_secs()
                    ),
                ));
            }
        };
        findings.extend(found);
        let _ = observer.unassign();
    }
}

fn as_configured(place: &str, wanted: &Wanted<'_>, found: &Description) -> Finding {
    let (has, wants) = (found.num_partitions, wanted.num_partitions);
    if !found.is_led {
        return Finding::away(place, "has partitions without a leader: are all brokers up?");
    }
    match has.cmp(&wants) {
        // The daemon adds what the cursors lack: a partition a shard.
        std::cmp::Ordering::Less if !wanted.is_cursors => Finding::bad(
            place,
            format!(
                "has {has} partition(s), the configuration says {wants}: write topic.partitions = {has}, or add some, \
                 `kafka-topics --alter --topic {} --partitions {wants}` (records of one key then change partition)",
                wanted.name
            ),
        ),
        std::cmp::Ordering::Greater if !wanted.is_cursors => Finding::note(
            place,
            format!("has {has} partitions, the configuration says {wants}: all of them are read"),
        ),
        _ => Finding::fine(place, format!("is there: {has} partition(s), identity {}", found.id)),
    }
}

/// The code within an error of ours.
pub(super) fn code_of(problem: &LogError) -> Option<Code> {
    let LogError::Call { source, .. } = problem else {
        return None;
    };
    match source.downcast_ref::<KafkaError>() {
        Some(native) => error::code(native),
        None => source.downcast_ref::<error::Reported>().map(|reported| reported.code),
    }
}
