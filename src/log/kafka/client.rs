//! librdkafka clients: what all of them are configured with, and where their log lines and errors go.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, ConsumerContext},
    error::KafkaError,
    types::RDKafkaErrorCode as Code,
};
use slog::{Logger, debug, error, info, o, trace, warn};

use super::{error, properties};
use crate::{config::settings::Secret, log::LogError, model::Verdict};
use properties::Redactor;

mod quiet;
use quiet::Quiet;

/// Makes clients of one cluster.
#[derive(Clone)]
pub(super) struct Clients {
    brokers: Arc<str>,
    user: Arc<[(String, Secret)]>,
    redactor: Arc<Redactor>,
    log: Logger,
}

/// What every client begins with; the user's properties override it.
const DEFAULTS: [(&str, &str); 8] = [
    ("client.id", "aqueduct"),
    ("socket.keepalive.enable", "true"),
    // A connection whose packets are dropped in silence is found when a request on it has run out of time. librdkafka's own
    // minute is as long as a transaction may take.
    ("socket.timeout.ms", "30000"),
    // How soon partitions that a topic has gained are seen.
    ("topic.metadata.refresh.interval.ms", "60000"),
    // Brokers close idle connections; that is no news.
    ("log.connection.close", "false"),
    // Telemetry to the broker: a subscription request a client, and nobody reads it.
    ("enable.metrics.push", "false"),
    ("reconnect.backoff.max.ms", "2000"),
    // A producer would create a deleted topic again, with the broker's defaults.
    ("allow.auto.create.topics", "false"),
];

impl Clients {
    pub(super) fn new(brokers: &str, user: &[(String, Secret)], log: Logger) -> Result<Self, LogError> {
        properties::check(user)?;
        let redactor = Arc::new(Redactor::new(user));
        let clients = Self {
            brokers: brokers.into(),
            user: user.into(),
            redactor,
            log,
        };
        match clients.config(&[], &[]).create_native_config() {
            Ok(_) => Ok(clients),
            Err(problem) => Err(clients.open_error(&problem)),
        }
    }

    pub(super) fn log(&self) -> &Logger {
        &self.log
    }

    /// The same for the topics of one pipeline: its name is on every line.
    pub(super) fn of(&self, pipeline: &str) -> Self {
        Self {
            log: self.log.new(o!("pipeline" => pipeline.to_owned())),
            ..self.clone()
        }
    }

    /// The user's value of a property.
    pub(super) fn user(&self, key: &str) -> Option<&str> {
        self.user
            .iter()
            .rev()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.expose())
    }

    /// `defaults` give way to the user's properties; `fixed` ones do not.
    pub(super) fn config(&self, defaults: &[(&str, &str)], fixed: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Info);
        let is_users = |key: &str| {
            let names = std::iter::once(&key).chain(properties::aliases(key));
            names.copied().any(|name| self.user(name).is_some())
        };
        for (key, value) in DEFAULTS.iter().chain(defaults) {
            // librdkafka fits this one to a shorter transaction by itself, but only where nobody has set it.
            let is_fitted = *key == "socket.timeout.ms" && is_users("transaction.timeout.ms");
            if !is_users(key) && !is_fitted {
                config.set(*key, *value);
            }
        }
        for (key, value) in self.user.iter() {
            config.set(key.as_str(), value.expose());
        }
        config.set("bootstrap.servers", &*self.brokers);
        for (key, value) in fixed {
            config.set(*key, *value);
        }
        config
    }

    /// What a client calls back into.
    pub(super) fn context<T>(&self, side: T) -> Context<T> {
        Context {
            side,
            log: self.log.clone(),
            redactor: Arc::clone(&self.redactor),
            fault: Mutex::new(None),
            num_errors: AtomicU64::new(0),
            quiet: Mutex::new(Quiet::default()),
        }
    }

    /// A client could not be made.
    pub(super) fn open_error(&self, problem: &KafkaError) -> LogError {
        let text = match problem {
            KafkaError::ClientConfig(_, description, key, _) => format!("{key}: {description}"),
            other => other.to_string(),
        };
        LogError::Open {
            log: self.brokers.to_string(),
            source: self.redactor.clean(&text).into(),
        }
    }

    /// A reader that belongs to no group's assignment: for questions, and for partitions at absolute offsets.
    pub(super) fn observer(&self, pipeline: &str) -> Result<Observer, LogError> {
        self.observer_of(pipeline, "read_committed")
    }

    /// The same, for what is not decided yet: its last offset is the high watermark.
    pub(super) fn undecided_observer(&self, pipeline: &str) -> Result<Observer, LogError> {
        self.observer_of(pipeline, "read_uncommitted")
    }

    fn observer_of(&self, pipeline: &str, isolation: &str) -> Result<Observer, LogError> {
        let fixed = [
            // It never joins. A group id is needed to read at all, and the pipeline's own is what grants are given for.
            ("group.id", pipeline),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("isolation.level", isolation),
            ("enable.partition.eof", "true"),
            ("auto.offset.reset", "error"),
            ("partition.assignment.strategy", "cooperative-sticky"),
            // Who asks whether a topic is there must not make it, whatever else the user wants made.
            ("allow.auto.create.topics", "false"),
        ];
        let defaults = [
            // The end of a partition is reported only when the broker has waited this long for more.
            ("fetch.wait.max.ms", "10"),
            ("queued.max.messages.kbytes", "4096"),
            // Its questions and answers are short. Whoever takes over has waited for other connections to be found dead, and
            // asks by this one next.
            ("socket.timeout.ms", "10000"),
        ];
        self.config(&defaults, &fixed)
            .create_with_context(self.context(()))
            .map_err(|problem| self.open_error(&problem))
    }
}

/// See [`Clients::observer`].
pub(super) type Observer = BaseConsumer<Context<()>>;

/// Serves a client's queue, so that its log lines and errors come out; drops whatever else is in it.
pub(super) fn serve(observer: &Observer) {
    // Each call handles at least one event; a broker that is away makes a few in a second.
    for _ in 0..32 {
        let _ = observer.poll(std::time::Duration::ZERO);
    }
}

/// Receives a client's log lines and errors; `T` holds what one kind of client needs besides.
pub(super) struct Context<T> {
    pub(super) side: T,
    log: Logger,
    redactor: Arc<Redactor>,
    fault: Mutex<Option<(Code, String)>>,
    num_errors: AtomicU64,
    quiet: Mutex<Quiet>,
}

impl<T> Context<T> {
    pub(super) fn log_to(&self) -> &Logger {
        &self.log
    }

    /// How many errors the client has met so far: a broker that went away is one.
    pub(super) fn num_errors(&self) -> u64 {
        self.num_errors.load(Ordering::Relaxed)
    }

    /// The last error that waiting cannot mend. Calls of librdkafka only time out on wrong credentials; this tells why.
    pub(super) fn take_fault(&self, operation: &'static str, place: &str) -> Option<LogError> {
        let (code, reason) = lock(&self.fault).take()?;
        Some(error::reported(operation, place, code, reason))
    }
}

impl<T: Send + Sync> ClientContext for Context<T> {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // Properties of consumers on a producer and the like: the user gives one list for all kinds of clients. And a
        // coordinator that is being loaded, at the first transaction.
        let is_routine = facility.contains("CONFWARN") || (facility == "GETPID" && message.ends_with("retrying"));
        let message = self.redactor.clean(message);
        match level {
            RDKafkaLogLevel::Debug => trace!(self.log, "{}", message; "facility" => facility),
            RDKafkaLogLevel::Info | RDKafkaLogLevel::Notice => {
                debug!(self.log, "{}", message; "facility" => facility);
            }
            _ if is_routine => debug!(self.log, "{}", message; "facility" => facility),
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
                if let Some(num_suppressed) = lock(&self.quiet).admits(facility) {
                    warn!(self.log, "{}", message; "facility" => facility, "suppressed" => num_suppressed);
                }
            }
            _ => error!(self.log, "{}", message; "facility" => facility),
        }
    }

    fn stats_raw(&self, _: &[u8]) {}

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error::code(&error) else { return };
        let reason = self.redactor.clean(reason);
        self.num_errors.fetch_add(1, Ordering::Relaxed);
        match code {
            // Not errors: the end of a partition, and an offset that is gone, which `read` tells its caller.
            Code::PartitionEOF | Code::AutoOffsetReset => return,
            // Said to a member that joins before its topic is known everywhere.
            Code::UnknownTopicOrPartition => {}
            code if error::verdict(code) == Verdict::Fail => {
                *lock(&self.fault) = Some((code, reason.clone()));
            }
            _ => {}
        }
        if let Some(num_suppressed) = lock(&self.quiet).admits(&format!("{code:?}")) {
            if error::verdict(code) == Verdict::Lost {
                info!(self.log, "Kafka client has lost its place"; "code" => ?code, "reason" => reason);
            } else {
                warn!(self.log, "Kafka client reports an error";
                    "code" => ?code, "reason" => reason, "suppressed" => num_suppressed);
            }
        }
    }
}

impl ConsumerContext for Context<()> {}

/// A lock that a panic elsewhere does not take away.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use slog::Discard;

    use super::*;

    fn clients(pairs: &[(&str, &str)]) -> Result<Clients, LogError> {
        let user: Vec<_> = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), Secret::new(*value)))
            .collect();
        Clients::new("localhost:1", &user, Logger::root(Discard, o!()))
    }

    fn text(result: Result<Clients, LogError>) -> String {
        let error = result.err().expect("an error");
        format!(
            "{error}: {}",
            std::error::Error::source(&error)
                .map(ToString::to_string)
                .unwrap_or_default()
        )
    }

    #[test]
    fn the_users_properties_override_ours_but_not_the_fixed_ones() {
        let clients = clients(&[("client.id", "theirs"), ("queue.buffering.max.ms", "50")]).unwrap();
        let config = clients.config(&[("linger.ms", "1")], &[("group.id", "ours")]);
        assert_eq!(config.get("client.id"), Some("theirs"));
        assert_eq!(config.get("linger.ms"), None, "two names of one property would race");
        assert_eq!(config.get("group.id"), Some("ours"));
    }

    #[test]
    fn an_unknown_property_is_named() {
        let text = text(clients(&[("sesion.timeout.ms", "6000")]));
        assert!(text.contains("sesion.timeout.ms"), "{text}");
    }

    #[test]
    fn a_secret_is_not_printed_even_when_it_is_refused() {
        let text = text(clients(&[
            ("ssl.key.password", "hunter2"),
            ("ssl.ca.pem", "hunter2"),
            ("session.timeout.ms", "hunter2"),
        ]));
        assert!(
            text.contains("session.timeout.ms") && !text.contains("hunter2"),
            "{text}"
        );
    }

    #[test]
    fn an_error_that_waiting_cannot_mend_is_kept() {
        let context = clients(&[]).unwrap().context(());
        context.error(KafkaError::Global(Code::BrokerTransportFailure), "connection refused");
        assert!(context.take_fault("poll", "users").is_none());
        context.error(KafkaError::Global(Code::Authentication), "no such user");
        let fault = context.take_fault("poll", "users").unwrap();
        assert_eq!(fault.verdict(), Verdict::Fail);
        assert!(context.take_fault("poll", "users").is_none(), "it is told once");
    }
}
