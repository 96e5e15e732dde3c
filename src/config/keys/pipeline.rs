//! `[[pipeline]]` with its topic, actors, batches and tables.

use std::time::Duration;

use super::{Fallback::*, Key, Kind};

const fn actors(name: &'static str, default: &'static str, sentence: &'static str) -> Key {
    let kind = Kind::Count {
        unit: name,
        min: 1,
        max: 256,
    };
    Key {
        table: "pipeline[].actors",
        name,
        kind,
        default: Is(default),
        sentence,
    }
}

pub(super) const KEYS: &[Key] = &[
    Key {
        table: "pipeline[]",
        name: "name",
        kind: Kind::PipelineName,
        default: Required,
        sentence: "The pipeline's name: a-z, 0-9, _ and -, a letter first, at most 63 characters; it becomes part of \
                   topics, consumer groups and rows.",
    },
    Key {
        table: "pipeline[]",
        name: "engine",
        kind: Kind::Choice {
            built: &["datafusion"],
            planned: &["spark"],
        },
        default: Is("\"datafusion\""),
        sentence: "What runs the SQL: \"datafusion\", inside the daemon.",
    },
    Key {
        table: "pipeline[]",
        name: "schema",
        kind: Kind::Text,
        default: Required,
        sentence: "The records' schema as Spark DDL; fields that it does not name are ignored, fields that a record lacks \
                   are NULL.",
    },
    Key {
        table: "pipeline[]",
        name: "on_nul",
        kind: Kind::Choice {
            built: &["reject", "strip", "replace"],
            planned: &[],
        },
        default: Is("\"reject\""),
        sentence: "What happens with U+0000 in text, which PostgreSQL cannot store: \"reject\" the record, \"strip\" the \
                   character, or \"replace\" it by U+FFFD.",
    },
    Key {
        table: "pipeline[].dead_letters",
        name: "max",
        kind: Kind::Rate,
        default: Is("\"100 in 1m\""),
        sentence: "The brake, as \"count in duration\": more dead letters than this and the pipeline parks instead of \
                   filling the table with them.",
    },
    Key {
        table: "pipeline[].topic",
        name: "name",
        kind: Kind::TopicName,
        default: Follows("the pipeline's name"),
        sentence: "The topic's name: letters, digits, '.', '_' and '-', at most 249 characters.",
    },
    Key {
        table: "pipeline[].topic",
        name: "partitions",
        kind: Kind::Count {
            unit: "partitions",
            min: 1,
            max: 10_000,
        },
        default: Is("4"),
        sentence: "The number of partitions if the topic has to be created; it bounds how many consumers, transformers \
                   and writers have work.",
    },
    Key {
        table: "pipeline[].topic",
        name: "replication",
        kind: Kind::Count {
            unit: "replicas",
            min: 1,
            max: 100,
        },
        default: Is("1"),
        sentence: "The number of replicas if the topic has to be created; 3 is usual where there are several brokers.",
    },
    actors(
        "fetchers",
        "1",
        "Actors that read the source; more than there are shards stay idle.",
    ),
    actors(
        "producers",
        "1",
        "Actors that append to the log, a transaction at a time for each shard.",
    ),
    actors(
        "consumers",
        "1",
        "Actors that read the log; each is a member of the consumer group.",
    ),
    actors(
        "transformers",
        "2",
        "Actors that run the SQL; each keeps one CPU core busy.",
    ),
    actors(
        "writers",
        "2",
        "Actors that write to PostgreSQL; each has a connection of its own.",
    ),
    Key {
        table: "pipeline[].batch",
        name: "rows",
        kind: Kind::Count {
            unit: "records",
            min: 1,
            max: 1_000_000,
        },
        default: Is("20000"),
        sentence: "Records in a batch; larger batches are faster, smaller ones take less memory.",
    },
    Key {
        table: "pipeline[].batch",
        name: "bytes",
        kind: Kind::Size {
            min: 1 << 10,
            max: 1 << 30,
        },
        default: Is("\"8MiB\""),
        sentence: "The size of a batch's payloads.",
    },
    Key {
        table: "pipeline[].batch",
        name: "age",
        kind: Kind::Span {
            min: Duration::from_millis(1),
            max: Duration::from_secs(3_600),
        },
        default: Is("\"200ms\""),
        sentence: "The time that the oldest record of a batch may wait for more.",
    },
    Key {
        table: "pipeline[].table[]",
        name: "name",
        kind: Kind::TableName,
        default: Required,
        sentence: "The target, as \"table\" or \"schema.table\", in the case in which PostgreSQL has it.",
    },
    Key {
        table: "pipeline[].table[]",
        name: "mode",
        kind: Kind::Choice {
            built: &["append", "upsert"],
            planned: &["merge"],
        },
        default: Required,
        sentence: "How rows are written: \"append\" (every row is new) or \"upsert\" (insert, or update by key).",
    },
    Key {
        table: "pipeline[].table[]",
        name: "key",
        kind: Kind::Texts,
        default: Unset,
        sentence: "The columns by which \"upsert\" knows a row; the table needs a unique index on them, and they are NOT NULL.",
    },
    Key {
        table: "pipeline[].table[]",
        name: "order_by",
        kind: Kind::Text,
        default: Unset,
        sentence: "With \"upsert\": the column of the query that decides which version of a row is the newer one; without \
                   it the later offset wins.",
    },
    Key {
        table: "pipeline[].table[]",
        name: "create",
        kind: Kind::Bool,
        default: Is("false"),
        sentence: "Whether to create the table from the query's columns, with the key as primary key, if it is missing.",
    },
    Key {
        table: "pipeline[].table[]",
        name: "sql",
        kind: Kind::Text,
        default: Required,
        sentence: "The query over `records`, row by row: projection, filter, unnest.",
    },
];
