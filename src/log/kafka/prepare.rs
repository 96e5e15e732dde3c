//! Creates the topics that are missing and checks those that are there.

use rdkafka::{
    admin::{AdminClient, NewPartitions, NewTopic, TopicReplication},
    consumer::Consumer,
    types::RDKafkaErrorCode as Code,
};
use slog::info;

use super::{
    client::{Clients, Context, Observer},
    close::close,
    describe::{LIMIT, describe},
    error, limits,
    limits::Limits,
    topic_id::Description,
    wait,
};
use crate::log::{Cancel, LogError, TopicSpec};

/// How often a new topic is asked for until it is known with all its leaders: about 30 s.
const VISIBLE_TRIES: usize = 150;

/// Settings of `<pipeline>.cursors`. Small segments: only closed ones are compacted, and who opens a shard reads what is
/// not compacted yet.
const CURSORS: [(&str, &str); 4] = [
    ("cleanup.policy", "compact"),
    ("segment.bytes", "1048576"),
    ("segment.ms", "3600000"),
    ("min.cleanable.dirty.ratio", "0.1"),
];

/// See [`crate::log::Log::prepare`].
pub(super) fn prepare(clients: &Clients, limits: &Limits, spec: &TopicSpec, cancel: &Cancel) -> Result<(), LogError> {
    let observer = clients.observer(&spec.pipeline)?;
    let preparation = Preparation {
        clients,
        observer: &observer,
        limits,
        spec,
        cancel,
    };
    let result = wait::retrying(clients.log(), cancel, "prepare topics", &spec.topic, || {
        preparation.run()
    });
    close(clients.log(), &spec.topic, observer);
    result
}

struct Preparation<'a> {
    clients: &'a Clients,
    observer: &'a Observer,
    limits: &'a Limits,
    spec: &'a TopicSpec,
    cancel: &'a Cancel,
}

/// What one of the two topics should be like.
struct Wanted<'a> {
    name: &'a str,
    num_partitions: i32,
    settings: &'a [(&'a str, &'a str)],
}

impl Preparation<'_> {
    fn run(&self) -> Result<(), LogError> {
        let admin = limits::admin(self.clients)?;
        let records = Wanted {
            name: &self.spec.topic,
            num_partitions: self.spec.num_partitions,
            settings: &[],
        };
        let description = self.ensure(&admin, &records)?;
        self.limits
            .remember_partitions(records.name, description.num_partitions);
        self.limits.remember(
            records.name,
            &limits::topic_settings(&admin, self.clients, records.name, self.cancel)?,
        );
        if self.spec.shards.is_empty() {
            return Ok(());
        }

        let name = self.spec.cursors_topic();
        let cursors = Wanted {
            name: &name,
            num_partitions: self.num_shards(),
            settings: &CURSORS,
        };
        let description = self.ensure(&admin, &cursors)?;
        if description.num_partitions < cursors.num_partitions {
            self.widen(&admin, &cursors)?;
        }
        self.check_cleanup(&admin, &name)
    }

    /// Partition `n` is shard `n`, so that the highest number counts.
    fn num_shards(&self) -> i32 {
        self.spec
            .shards
            .iter()
            .map(|shard| shard.number.saturating_add(1))
            .max()
            .unwrap_or(0)
    }

    fn ensure(&self, admin: &AdminClient<Context<()>>, wanted: &Wanted<'_>) -> Result<Description, LogError> {
        match self.describe(wanted.name)? {
            Some(description) if description.num_partitions > 0 => Ok(description),
            _ => {
                self.create(admin, wanted)?;
                self.until_visible(wanted.name, 1)
            }
        }
    }

    fn describe(&self, topic: &str) -> Result<Option<Description>, LogError> {
        describe(self.observer, topic, true, self.cancel)
    }

    fn create(&self, admin: &AdminClient<Context<()>>, wanted: &Wanted<'_>) -> Result<(), LogError> {
        let operation = "create topic";
        let replication = TopicReplication::Fixed(self.spec.replication);
        let mut topic = NewTopic::new(wanted.name, wanted.num_partitions, replication);
        for (key, value) in wanted.settings {
            topic = topic.set(key, value);
        }
        let answer = wait::answer(self.cancel, admin.create_topics([&topic], &limits::options()))
            .ok_or_else(|| LogError::Cancelled {
                operation,
                place: wanted.name.to_owned(),
            })?
            .map_err(|problem| error::call(operation, wanted.name, problem))?;
        match answer.into_iter().next() {
            None | Some(Ok(_)) => {
                info!(self.clients.log(), "topic created"; "topic" => wanted.name,
                    "partitions" => wanted.num_partitions, "replication" => self.spec.replication);
                Ok(())
            }
            // Another daemon was faster.
            Some(Err((_, Code::TopicAlreadyExists))) => Ok(()),
            Some(Err((_, code))) => Err(self.creation_error(operation, wanted, code)),
        }
    }

    fn creation_error(&self, operation: &'static str, wanted: &Wanted<'_>, code: Code) -> LogError {
        let mismatch = |problem| LogError::Mismatch {
            place: wanted.name.to_owned(),
            problem,
        };
        match code {
            Code::InvalidReplicationFactor => {
                let found = self
                    .observer
                    .fetch_metadata(None, LIMIT)
                    .map_or(0, |metadata| metadata.brokers().len());
                let wanted_brokers = usize::try_from(self.spec.replication).unwrap_or(1);
                // Brokers that are only just coming back do not count yet: that is an outage.
                if found == 0 || found >= wanted_brokers {
                    let reason = "no broker can hold a replica now";
                    return error::reported(operation, wanted.name, Code::BrokerNotAvailable, reason);
                }
                mismatch(format!(
                    "cannot be created with replication {}: only {found} broker(s) can hold a replica now; start more \
                     brokers or lower `topic.replication`",
                    self.spec.replication
                ))
            }
            Code::InvalidPartitions => mismatch(format!(
                "cannot be created with {} partitions; `topic.partitions` is at least 1",
                wanted.num_partitions
            )),
            Code::InvalidTopic => mismatch(
                "is not a name that Kafka takes: letters, digits, `.`, `_` and `-`, at most 249 of them".to_owned(),
            ),
            Code::PolicyViolation => mismatch(
                "cannot be created: the cluster's policy forbids it; create it by hand and start again".to_owned(),
            ),
            // Under ZooKeeper: its session has just run out, and it makes a new one.
            Code::Unknown => {
                let reason = "the controller had an error of its own";
                error::reported(operation, wanted.name, Code::BrokerNotAvailable, reason)
            }
            code => error::reported(operation, wanted.name, code, "the controller refused it"),
        }
    }

    fn widen(&self, admin: &AdminClient<Context<()>>, wanted: &Wanted<'_>) -> Result<(), LogError> {
        let operation = "add partitions";
        let count = usize::try_from(wanted.num_partitions).unwrap_or(0);
        let partitions = NewPartitions::new(wanted.name, count);
        let answer = wait::answer(self.cancel, admin.create_partitions([&partitions], &limits::options()))
            .ok_or_else(|| LogError::Cancelled {
                operation,
                place: wanted.name.to_owned(),
            })?
            .map_err(|problem| error::call(operation, wanted.name, problem))?;
        match answer.into_iter().next() {
            // Another daemon was faster: it has as many already.
            None | Some(Ok(_) | Err((_, Code::InvalidPartitions))) => {}
            Some(Err((_, code))) => return Err(error::reported(operation, wanted.name, code, "one partition a shard")),
        }
        self.until_visible(wanted.name, wanted.num_partitions).map(|_| ())
    }

    fn until_visible(&self, topic: &str, num_partitions: i32) -> Result<Description, LogError> {
        for _ in 0..VISIBLE_TRIES {
            match self.describe(topic)? {
                Some(found) if found.num_partitions >= num_partitions && found.is_led => return Ok(found),
                _ => {}
            }
            if wait::pause(self.cancel, 2 * wait::SLICE) {
                break;
            }
        }
        Err(error::reported(
            "create topic",
            topic,
            Code::OperationTimedOut,
            "the new topic is not known everywhere yet",
        ))
    }

    /// With another policy the cursors would be deleted after a while, and every record fetched again.
    fn check_cleanup(&self, admin: &AdminClient<Context<()>>, topic: &str) -> Result<(), LogError> {
        let settings = limits::topic_settings(admin, self.clients, topic, self.cancel)?;
        match settings.cleanup {
            Some(policy) if policy.trim() != "compact" => Err(LogError::Mismatch {
                place: topic.to_owned(),
                problem: format!(
                    "has cleanup.policy={policy}, under which Kafka deletes cursors; set it to `compact` with kafka-configs"
                ),
            }),
            _ => Ok(()),
        }
    }
}
