//! A pipeline's load branch without actors: batches by hand, written to a database of the test's own.

#![allow(dead_code)]

use std::sync::Arc;

use aqueduct::{
    config::settings::{Mode, Table},
    model::{LogRecord, PartitionKey, RecordCounts, RowCounts, TopicId},
    sql::{
        LINEAGE, Transformed,
        arrow::{
            array::{ArrayRef, Int64Array, RecordBatch, StringArray, UInt32Array},
            datatypes::{DataType, Field, Schema, SchemaRef},
        },
    },
    store::{
        Session, StoreError,
        load::{LoadBatch, Loader, Outcome, TableSpec},
        offsets::{self, Fence},
    },
};
use diesel::{QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_types};

#[path = "postgres.rs"]
pub mod postgres;

use postgres::TestDatabase;

/// One partition of one pipeline, claimed, with a session to write through.
pub struct Branch {
    pub database: TestDatabase,
    pub session: Session,
    pub loader: Loader,
    pub fence: Fence,
    pub next: i64,
}

#[derive(QueryableByName)]
struct TextRow {
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    value: Option<String>,
}

/// The only column of the first row, as text.
pub fn ask(session: &mut Session, query: &str) -> Option<String> {
    let rows: Vec<TextRow> = diesel::sql_query(format!("SELECT (SELECT ({query})::text) AS value"))
        .load(session.conn())
        .unwrap();
    rows.into_iter().next().and_then(|row| row.value)
}

pub fn connect(database: &TestDatabase) -> Session {
    database.session("test")
}

pub fn key(partition: i32) -> PartitionKey {
    PartitionKey {
        pipeline: "people".into(),
        topic: "people".into(),
        partition,
    }
}

pub const TOPIC: TopicId = TopicId(uuid::Uuid::from_u128(7));

pub fn claim(session: &mut Session, partition: i32) -> Fence {
    let key = key(partition);
    let claimed = offsets::claim(session, &key, TOPIC, 0, "test").unwrap();
    Fence {
        key,
        topic_id: TOPIC,
        epoch: claimed.epoch,
        expected: claimed.next_offset,
    }
}

pub fn append(name: &str) -> Table {
    let sql = String::new();
    Table {
        name: name.into(),
        mode: Mode::Append,
        key: Vec::new(),
        order_by: None,
        sql,
        create: false,
    }
}

pub fn upsert(name: &str, key: &[&str]) -> Table {
    Table {
        mode: Mode::Upsert,
        key: key.iter().map(|&name| name.to_owned()).collect(),
        ..append(name)
    }
}

impl Branch {
    /// A database with `ddl` run in it, and a loader for these tables.
    pub fn new(ddl: &str, tables: &[(Table, SchemaRef)]) -> Self {
        let database = TestDatabase::new();
        let mut session = connect(&database);
        session.conn().batch_execute(&format!("SELECT 1; {ddl}")).unwrap();
        let fence = claim(&mut session, 0);
        Self {
            database,
            session,
            loader: loader(tables),
            fence,
            next: 0,
        }
    }

    /// Writes these rows as the partition's next records, one record an entry of the tables' lineage.
    pub fn write(&mut self, num_records: usize, tables: Vec<RecordBatch>) -> Result<Outcome, StoreError> {
        let records = records(self.next, num_records);
        let rows = Transformed {
            tables,
            failures: Vec::new(),
        };
        let next = self.next + num_records as i64;
        let fence = Fence {
            expected: self.next,
            ..self.fence.clone()
        };
        let batch = LoadBatch::whole(fence, next, &records, &rows, &[]);
        let outcome = self.loader.write_batch(&mut self.session, &batch, &mut || true)?;
        if let Outcome::Settled { next_offset, .. } = outcome {
            self.next = next_offset;
        }
        Ok(outcome)
    }

    pub fn ask(&mut self, query: &str) -> Option<String> {
        ask(&mut self.session, query)
    }

    pub fn run(&mut self, statement: &str) {
        self.session.conn().batch_execute(statement).unwrap();
    }
}

pub fn loader(tables: &[(Table, SchemaRef)]) -> Loader {
    let spec = |(table, schema): &(Table, SchemaRef)| TableSpec {
        table: table.clone(),
        schema: schema.clone(),
    };
    Loader::new(tables.iter().map(spec).collect())
}

pub fn records(first_offset: i64, num_records: usize) -> Vec<LogRecord> {
    let record = |offset: i64| LogRecord {
        offset,
        timestamp_ms: Some(1_700_000_000_000),
        key: None,
        value: Some(format!("{{\"offset\":{offset}}}").into()),
        headers: Vec::new(),
    };
    (first_offset..first_offset + num_records as i64).map(record).collect()
}

/// A batch of the given columns and the lineage, one row a record from 0 on.
pub fn rows(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let num_rows = columns.first().map_or(0, |(_, array)| array.len());
    rows_of((0..num_rows as u32).collect(), columns)
}

/// The same with the record of each row.
pub fn rows_of(records: Vec<u32>, mut columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let ordinals = vec![0_u32; records.len()];
    columns.push((LINEAGE[0], Arc::new(UInt32Array::from(records))));
    columns.push((LINEAGE[1], Arc::new(UInt32Array::from(ordinals))));
    let fields: Vec<_> = columns
        .iter()
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
        .collect();
    RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        columns.into_iter().map(|(_, array)| array).collect(),
    )
    .unwrap()
}

pub fn ints(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

pub fn texts<T: AsRef<str>>(values: impl IntoIterator<Item = T>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

/// The columns `id BIGINT` and `name STRING`.
pub fn id_and_name() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("name", DataType::Utf8, true),
    ]))
}

/// Rows of [`id_and_name`], one record each.
pub fn people<T: AsRef<str>>(people: impl IntoIterator<Item = (i64, T)>) -> RecordBatch {
    let (ids, names): (Vec<i64>, Vec<T>) = people.into_iter().unzip();
    rows(vec![("id", ints(ids)), ("name", texts(names))])
}

/// The counts and letters of a settled batch; anything else is a failure of the test.
pub fn settled(outcome: Result<Outcome, StoreError>) -> (RecordCounts, Vec<RowCounts>, Vec<aqueduct::model::Rejected>) {
    match outcome {
        Ok(Outcome::Settled { counts, rows, dead, .. }) => (counts, rows, dead),
        other => panic!("not settled: {other:?}"),
    }
}
