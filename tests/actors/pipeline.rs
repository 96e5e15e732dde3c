//! A small pipeline for the rooms behind the log: people with an id and a name.

use std::{sync::Arc, time::Duration};

use aqueduct::{
    config::settings::{Actors, Batch, Engine, Mode, OnNul, Pipeline, Rate, Source, Table, Topic},
    log::IdentityCheck,
    messages::{Claim, RawBatch, Route, RowBatch},
    model::{LogRecord, PartitionKey},
    sql::{self, InputRecord, Origin, Program},
};
use futures::executor::block_on;

use crate::load::TOPIC;

pub const SCHEMA: &str = "id BIGINT, name STRING";

pub fn table() -> Table {
    Table {
        name: "people".into(),
        mode: Mode::Append,
        key: Vec::new(),
        order_by: None,
        sql: "SELECT id, name FROM records".into(),
        create: false,
    }
}

pub fn pipeline(dead_letters_max: u32) -> Arc<Pipeline> {
    Arc::new(Pipeline {
        name: "people".into(),
        engine: Engine::Datafusion,
        schema: SCHEMA.into(),
        on_nul: OnNul::Reject,
        dead_letters_max: Rate {
            count: dead_letters_max,
            per: Duration::from_secs(60),
        },
        source: Source::None,
        topic: Topic {
            name: "people".into(),
            partitions: 2,
            replication: 1,
        },
        actors: Actors {
            fetchers: 2,
            producers: 2,
            consumers: 2,
            transformers: 2,
            writers: 2,
        },
        batch: Batch {
            rows: 100,
            bytes: 1 << 20,
            age: Duration::from_millis(50),
        },
        tables: vec![table()],
    })
}

pub fn program() -> Arc<Program> {
    let table = table();
    Program::compile(&sql::Declaration {
        schema: SCHEMA.into(),
        tables: vec![sql::TableQuery {
            table: table.name,
            sql: table.sql,
        }],
        on_nul: sql::OnNul::Reject,
        memory_limit_bytes: 64 << 20,
    })
    .expect("a program")
}

pub fn claim(epoch: i64) -> Arc<Claim> {
    Arc::new(Claim {
        key: PartitionKey {
            pipeline: "people".into(),
            topic: "people".into(),
            partition: 0,
        },
        topic_id: TOPIC,
        epoch,
        route: Route {
            transformer: 0,
            writer: 0,
        },
    })
}

/// The records as one batch, as they come from a consumer.
pub fn raw(claim: &Arc<Claim>, records: Vec<LogRecord>, identity: IdentityCheck) -> RawBatch {
    let (first, last) = (records.first().unwrap(), records.last().unwrap());
    RawBatch {
        claim: claim.clone(),
        expected_offset: first.offset,
        next_offset: last.offset + 1,
        records,
        identity,
    }
}

/// The same after its SQL, as it comes from a transformer.
pub fn transformed(batch: RawBatch) -> RowBatch {
    let inputs: Vec<InputRecord<'_>> = batch
        .records
        .iter()
        .map(|record| InputRecord {
            key: None,
            value: record.value.as_deref(),
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            headers: &[],
        })
        .collect();
    let origin = Origin {
        topic: "people",
        partition: 0,
    };
    let rows = block_on(program().engine().unwrap().run(origin, &inputs)).unwrap();
    assert!(rows.failures.is_empty(), "the writer's part alone");
    RowBatch {
        claim: batch.claim,
        expected_offset: batch.expected_offset,
        next_offset: batch.next_offset,
        records: batch.records,
        rows,
        rejected: Vec::new(),
        identity: batch.identity,
    }
}
