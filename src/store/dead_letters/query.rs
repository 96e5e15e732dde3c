//! Reads dead letters for people and for replays.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName, RunQueryDsl,
    sql_types::{BigInt, Binary, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid},
};
use serde_json::Value;

use super::filter::{Filter, WHERE, bind};
use crate::{
    model::{Header, LogRecord, PartitionKey, TopicId},
    store::{Session, StoreError, types::PgUuid},
};

/// The most payload bytes of one [`page`]: a replay holds it in memory.
const PAGE_BYTES: i64 = 16 << 20;

/// One dead letter.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// Its number.
    pub id: i64,
    /// The pipeline, topic and partition of its record.
    pub key: PartitionKey,
    /// The topic's identity.
    pub topic_id: TopicId,
    /// `ingest`, `decode`, `transform` or `write`.
    pub stage: String,
    /// Why it was refused.
    pub reason: String,
    /// PostgreSQL's code, where PostgreSQL refused it.
    pub sqlstate: Option<String>,
    /// The table that refused it.
    pub table: Option<String>,
    /// How often it was refused.
    pub attempts: i32,
    /// When it was refused the last time.
    pub failed_at: DateTime<Utc>,
    /// The size of the payload in bytes; `None` = tombstone.
    pub payload_bytes: Option<i32>,
    /// The record; its value and headers are there only where a letter is read whole.
    pub record: LogRecord,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    pipeline: String,
    #[diesel(sql_type = Text)]
    topic: String,
    #[diesel(sql_type = Uuid)]
    topic_id: PgUuid,
    #[diesel(sql_type = Integer)]
    partition: i32,
    #[diesel(sql_type = BigInt)]
    record_offset: i64,
    #[diesel(sql_type = Text)]
    stage: String,
    #[diesel(sql_type = Text)]
    reason: String,
    #[diesel(sql_type = Nullable<Text>)]
    sqlstate: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    table_name: Option<String>,
    #[diesel(sql_type = Nullable<Binary>)]
    key: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Binary>)]
    payload: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Integer>)]
    payload_bytes: Option<i32>,
    #[diesel(sql_type = Jsonb)]
    headers: Value,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    record_timestamp: Option<DateTime<Utc>>,
    #[diesel(sql_type = Timestamptz)]
    failed_at: DateTime<Utc>,
    #[diesel(sql_type = Integer)]
    attempts: i32,
}

#[derive(QueryableByName)]
struct Total {
    #[diesel(sql_type = BigInt)]
    total: i64,
}

/// The letters of one partition that a filter means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Which partition.
    pub key: PartitionKey,
    /// The topic's identity.
    pub topic_id: TopicId,
    /// How many letters.
    pub total: u64,
}

#[derive(QueryableByName)]
struct GroupRow {
    #[diesel(sql_type = Text)]
    pipeline: String,
    #[diesel(sql_type = Text)]
    topic: String,
    #[diesel(sql_type = Uuid)]
    topic_id: PgUuid,
    #[diesel(sql_type = Integer)]
    partition: i32,
    #[diesel(sql_type = BigInt)]
    total: i64,
}

const COLUMNS: &str = "id, pipeline, topic, topic_id, partition, record_offset, stage, reason, sqlstate, table_name, key, \
     octet_length(payload) AS payload_bytes, record_timestamp, failed_at, attempts";

/// The first `limit` letters that a filter means, by number, without payloads and headers.
pub fn list(session: &mut Session, filter: &Filter, limit: i64) -> Result<Vec<DeadLetter>, StoreError> {
    let query = diesel::sql_query(format!(
        "SELECT {COLUMNS}, NULL::bytea AS payload, '[]'::jsonb AS headers FROM aqueduct.dead_letters \
         WHERE {WHERE} ORDER BY id LIMIT $7"
    ));
    let rows: Vec<Row> = bind(query, filter)
        .bind::<BigInt, _>(limit)
        .load(session.conn())
        .map_err(|error| failed(session, "list dead letters", error))?;
    Ok(rows.into_iter().map(Row::letter).collect())
}

/// How many letters a filter means.
pub fn total(session: &mut Session, filter: &Filter) -> Result<u64, StoreError> {
    let query = diesel::sql_query(format!(
        "SELECT count(*) AS total FROM aqueduct.dead_letters WHERE {WHERE}"
    ));
    let row: Total = bind(query, filter)
        .get_result(session.conn())
        .map_err(|error| failed(session, "count dead letters", error))?;
    Ok(row.total.max(0).cast_unsigned())
}

/// One letter, whole.
pub fn get(session: &mut Session, id: i64) -> Result<Option<DeadLetter>, StoreError> {
    let query = format!("SELECT {COLUMNS}, payload, headers FROM aqueduct.dead_letters WHERE id = $1");
    let rows: Vec<Row> = diesel::sql_query(query)
        .bind::<BigInt, _>(id)
        .load(session.conn())
        .map_err(|error| failed(session, "read a dead letter", error))?;
    Ok(rows.into_iter().next().map(Row::letter))
}

/// The partitions whose letters a filter means.
pub fn groups(session: &mut Session, filter: &Filter) -> Result<Vec<Group>, StoreError> {
    let query = diesel::sql_query(format!(
        "SELECT pipeline, topic, topic_id, partition, count(*) AS total FROM aqueduct.dead_letters WHERE {WHERE} \
         GROUP BY pipeline, topic, topic_id, partition ORDER BY pipeline, topic, topic_id, partition"
    ));
    let rows: Vec<GroupRow> = bind(query, filter)
        .load(session.conn())
        .map_err(|error| failed(session, "group dead letters", error))?;
    let group = |row: GroupRow| Group {
        key: PartitionKey {
            pipeline: row.pipeline.into(),
            topic: row.topic.into(),
            partition: row.partition,
        },
        topic_id: row.topic_id.into(),
        total: row.total.max(0).cast_unsigned(),
    };
    Ok(rows.into_iter().map(group).collect())
}

/// In which order a partition's letters are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The last offsets first.
    NewestFirst,
    /// The first offsets first.
    OldestFirst,
}

/// The next letters of one partition, whole, in offset order: those before (or behind) `beyond`, nearest first, at most
/// `limit` and a bounded size, but at least one.
pub fn page(
    session: &mut Session,
    filter: &Filter,
    group: &Group,
    direction: Direction,
    beyond: i64,
    limit: i64,
) -> Result<Vec<DeadLetter>, StoreError> {
    let (compare, order) = match direction {
        Direction::NewestFirst => ("<", "DESC"),
        Direction::OldestFirst => (">", "ASC"),
    };
    let query = diesel::sql_query(format!(
        "SELECT {COLUMNS}, payload, headers FROM aqueduct.dead_letters WHERE id IN ( \
           SELECT id FROM ( \
             SELECT id, sum(size) OVER (ORDER BY record_offset {order}) - size AS before FROM ( \
               SELECT id, record_offset, coalesce(octet_length(payload), 0)::bigint AS size FROM aqueduct.dead_letters \
               WHERE {WHERE} AND pipeline = $7 AND topic = $8 AND topic_id = $9 AND partition = $10 \
               AND record_offset {compare} $11 ORDER BY record_offset {order} LIMIT $12) AS nearest) AS sized \
           WHERE before < $13) ORDER BY record_offset"
    ));
    let rows: Vec<Row> = bind(query, filter)
        .bind::<Text, _>(group.key.pipeline.to_string())
        .bind::<Text, _>(group.key.topic.to_string())
        .bind::<Uuid, _>(PgUuid::from(group.topic_id))
        .bind::<Integer, _>(group.key.partition)
        .bind::<BigInt, _>(beyond)
        .bind::<BigInt, _>(limit)
        .bind::<BigInt, _>(PAGE_BYTES)
        .load(session.conn())
        .map_err(|error| failed(session, "read dead letters", error))?;
    Ok(rows.into_iter().map(Row::letter).collect())
}

pub(super) fn failed(session: &mut Session, operation: &'static str, error: diesel::result::Error) -> StoreError {
    let place = session.place().to_owned();
    session.keep_failed(operation, place, error)
}

impl Row {
    fn letter(self) -> DeadLetter {
        DeadLetter {
            id: self.id,
            key: PartitionKey {
                pipeline: self.pipeline.into(),
                topic: Arc::from(self.topic),
                partition: self.partition,
            },
            topic_id: self.topic_id.into(),
            stage: self.stage,
            reason: self.reason,
            sqlstate: self.sqlstate,
            table: self.table_name,
            attempts: self.attempts,
            failed_at: self.failed_at,
            payload_bytes: self.payload_bytes,
            record: LogRecord {
                offset: self.record_offset,
                timestamp_ms: self.record_timestamp.map(|time| time.timestamp_millis()),
                key: self.key.map(Bytes::from),
                value: self.payload.map(Bytes::from),
                headers: headers(&self.headers),
            },
        }
    }
}

/// The headers as they were, from the form in which they are kept.
fn headers(kept: &Value) -> Vec<Header> {
    let header = |header: &Value| {
        let value = match (header["value"].as_str(), header["hex"].as_str()) {
            (Some(text), _) => Some(Bytes::from(text.to_owned())),
            (None, Some(hex)) => Some(Bytes::from(bytes(hex))),
            (None, None) => None,
        };
        let name = header["name"].as_str().unwrap_or_default().to_owned();
        Header { name, value }
    };
    kept.as_array().into_iter().flatten().map(header).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    let byte = |pair: &[u32]| pair.iter().fold(0_u8, |byte, digit| byte << 4 | *digit as u8);
    digits.chunks_exact(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_as_they_were() {
        let of = |name: &str, value: Option<&'static [u8]>| Header {
            name: name.into(),
            value: value.map(Bytes::from_static),
        };
        let written = [of("a", Some(b"x")), of("a", None), of("b", Some(&[0, 255, 16]))];
        assert_eq!(headers(&super::super::headers(&written)), written);
        assert_eq!(headers(&Value::Null), []);
    }
}
