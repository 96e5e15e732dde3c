//! Groups and transactions: whether the cluster has them, and whether we may use them.

use std::time::Duration;

use rdkafka::{
    Offset, TopicPartitionList, consumer::Consumer, error::KafkaError, producer::Producer,
    types::RDKafkaErrorCode as Code,
};
use tokio::time::Instant;

use super::{
    super::{
        class::{Class, TRY, class},
        close::close,
        delivery::Tally,
        error,
        transaction::ShardProducer,
        wait,
    },
    Audit, finding, is_refusal, refused,
};
use crate::{log::LogError, model::Finding};

/// How long a coordinator may take to come up.
const LIMIT: Duration = Duration::from_secs(15);
const ASK_LIMIT: Duration = Duration::from_secs(5);

impl Audit<'_> {
    pub(super) fn groups(&self, are_there: &[&str], findings: &mut Vec<Finding>) {
        let spec = self.spec;
        let mut groups = vec![spec.pipeline.to_string()];
        if spec.shards.is_empty() {
            for group in groups {
                findings.extend(self.group(&group));
            }
            return;
        }
        groups.push(format!("{}.ingest", spec.pipeline));
        let described: Vec<(String, Option<Finding>)> = groups
            .into_iter()
            .map(|group| {
                let found = self.group(&group);
                (group, found)
            })
            .collect();
        // No shard's: `init_transactions` fences whoever bears the id.
        let id = format!("{}-check", spec.pipeline);
        let place = format!("transactions of {}", spec.pipeline);
        let producer = match self.producer(&id) {
            Ok(producer) => producer,
            Err(problem) => {
                findings.push(finding(&place, &problem));
                return;
            }
        };
        match self.init(&producer) {
            Err(found) => {
                findings.push(found(&place, &id));
                findings.extend(described.into_iter().filter_map(|(_, found)| found));
            }
            Ok(()) => {
                findings.push(Finding::fine(&place, "the brokers support them, and let us"));
                for (group, found) in described {
                    let found = found.or_else(|| {
                        let topic = if group.ends_with(".ingest") {
                            are_there.get(1)
                        } else {
                            are_there.first()
                        };
                        topic.and_then(|topic| self.joinable(&producer, &group, topic))
                    });
                    findings.extend(found);
                }
            }
        }
        close(self.clients.log(), &id, producer);
    }

    /// Reads the group's offsets, which needs Describe. `None` = fine.
    fn group(&self, group: &str) -> Option<Finding> {
        let place = format!("group {group}");
        let observer = match self.clients.observer(group) {
            Ok(observer) => observer,
            Err(problem) => return Some(finding(&place, &problem)),
        };
        let mut partition = TopicPartitionList::new();
        partition.add_partition(&self.spec.topic, 0);
        let asked = observer.committed_offsets(partition, ASK_LIMIT);
        close(self.clients.log(), group, observer);
        let problem = asked.err()?;
        match error::code(&problem) {
            Some(Code::GroupAuthorizationFailed) => Some(refused_group(group, Code::GroupAuthorizationFailed)),
            // The topic is not there, or may not be seen: said above.
            Some(
                Code::UnknownTopicOrPartition
                | Code::UnknownTopic
                | Code::UnknownPartition
                | Code::TopicAuthorizationFailed,
            ) => None,
            _ => Some(finding(&place, &error::call("read the offsets of", group, problem))),
        }
    }

    /// An offset within a transaction that is aborted: it needs Read on the group, as joining does, and nobody ever sees it.
    fn joinable(&self, producer: &ShardProducer, group: &str, topic: &str) -> Option<Finding> {
        let observer = self.clients.observer(group).ok()?;
        let tried = producer.begin_transaction().and_then(|()| {
            let mut partition = TopicPartitionList::new();
            partition.add_partition_offset(topic, 0, Offset::Offset(0))?;
            match observer.group_metadata() {
                Some(metadata) => producer.send_offsets_to_transaction(&partition, &metadata, ASK_LIMIT),
                None => Ok(()),
            }
        });
        let begin = Instant::now();
        while producer
            .abort_transaction(TRY)
            .is_err_and(|problem| matches!(class(&problem), Class::SameCall))
            && begin.elapsed() < LIMIT
        {
            wait::pause(&self.cancel, TRY / 2);
        }
        close(self.clients.log(), group, observer);
        match tried.err().as_ref().and_then(error::code) {
            Some(code @ Code::GroupAuthorizationFailed) => Some(refused_group(group, code)),
            _ => None,
        }
    }

    fn producer(&self, id: &str) -> Result<ShardProducer, LogError> {
        self.clients
            .config(&[], &[("transactional.id", id), ("enable.idempotence", "true")])
            .create_with_context(self.clients.context(Tally::default()))
            .map_err(|problem| self.clients.open_error(&problem))
    }

    fn init(&self, producer: &ShardProducer) -> Result<(), impl FnOnce(&str, &str) -> Finding + use<>> {
        let begin = Instant::now();
        let problem = loop {
            let Err(problem) = producer.init_transactions(TRY) else {
                return Ok(());
            };
            let goes_on = matches!(class(&problem), Class::SameCall);
            if !goes_on || begin.elapsed() > LIMIT {
                break problem;
            }
            wait::pause(&self.cancel, TRY / 10);
        };
        Err(move |place: &str, id: &str| no_transactions(place, id, problem))
    }
}

fn refused_group(group: &str, code: Code) -> Finding {
    refused(
        &format!("group {group}"),
        "let it be joined",
        code,
        &format!("--operation Read --operation Describe --group {group}"),
    )
}

fn no_transactions(place: &str, id: &str, problem: KafkaError) -> Finding {
    let prefix = id.trim_end_matches("check");
    match error::code(&problem) {
        Some(code) if is_refusal(code) => refused(
            place,
            &format!("let the transactional id {id} be used"),
            code,
            &format!(
                "--operation Write --operation Describe --transactional-id {prefix} --resource-pattern-type prefixed"
            ),
        ),
        Some(code @ (Code::UnsupportedFeature | Code::UnsupportedVersion)) => Finding::bad(
            place,
            format!(
                "the brokers have no transactions ({code:?}): Kafka 0.11 or later is needed, and a version that is not throttled by inter.broker.protocol.version"
            ),
        ),
        Some(code @ Code::InvalidTransactionTimeout) => Finding::bad(
            place,
            format!(
                "the brokers refuse transaction.timeout.ms ({code:?}): set it in [kafka.properties] to at most the brokers' transaction.max.timeout.ms"
            ),
        ),
        _ if matches!(class(&problem), Class::SameCall) => Finding::away(
            place,
            format!(
                "no transaction coordinator answers within {} s ({problem}): does __transaction_state have as many brokers as \
                 transaction.state.log.replication.factor wants?",
                LIMIT.as_secs()
            ),
        ),
        _ => finding(place, &error::call("init transactions", id, problem)),
    }
}
