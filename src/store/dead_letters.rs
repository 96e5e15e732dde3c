//! Records that could not be loaded, each with the reason.

mod fate;
mod filter;
mod query;

use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods, QueryDsl, RunQueryDsl,
    sql_types::{Array, BigInt, Binary, Integer, Nullable, Text, Timestamptz, Uuid},
};
use serde_json::{Value, json};

pub use self::{
    fate::{lock, purge, refuse_again, revive},
    filter::Filter,
    query::{DeadLetter, Direction, Group, get, groups, list, page, total},
};
use super::{Session, StoreError, schema::aqueduct::dead_letters as table, types::PgUuid};
use crate::model::{Header, Rejected, Stage, TopicId};

/// The most payload bytes that one statement carries: libpq holds a copy of it.
const STATEMENT_BYTES: usize = 16 << 20;
/// The most letters that one statement carries.
const STATEMENT_LETTERS: usize = 1_000;

/// One text for any number of letters: a statement with a list of rows would be another statement for each length.
const INSERT: &str = "INSERT INTO aqueduct.dead_letters (pipeline, topic, topic_id, partition, record_offset, stage, \
     reason, sqlstate, table_name, key, payload, headers, record_timestamp) \
     SELECT $1, topic, $2, partition, record_offset, stage, reason, sqlstate, table_name, key, payload, \
     headers::jsonb, record_timestamp \
     FROM unnest($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) AS letters (topic, partition, record_offset, stage, \
     reason, sqlstate, table_name, key, payload, headers, record_timestamp) \
     ON CONFLICT (pipeline, topic, topic_id, partition, record_offset) DO NOTHING";

/// Writes dead letters within the caller's transaction and returns how many were new: a record dies once, however often
/// its batch is repeated.
pub fn insert(
    session: &mut Session,
    pipeline: &str,
    topic_id: TopicId,
    rejected: &[Rejected],
) -> Result<usize, StoreError> {
    let mut num_new = 0;
    let mut rest = rejected;
    while !rest.is_empty() {
        let (statement, later) = rest.split_at(statement_len(rest));
        num_new += insert_some(session, pipeline, topic_id, statement)
            .map_err(|error| session.keep_failed("write dead letters", pipeline, error))?;
        rest = later;
    }
    Ok(num_new)
}

/// How many dead letters a pipeline has.
pub fn count(session: &mut Session, pipeline: &str) -> Result<u64, StoreError> {
    let count: i64 = table::table
        .filter(table::pipeline.eq(pipeline))
        .count()
        .get_result(session.conn())
        .map_err(|error| session.keep_failed("count dead letters", pipeline, error))?;
    Ok(count.max(0).cast_unsigned())
}

/// As many letters as fit, at least one.
fn statement_len(rejected: &[Rejected]) -> usize {
    let mut size_bytes = 0;
    let fitting = rejected.iter().take(STATEMENT_LETTERS).take_while(|letter| {
        size_bytes += letter.payload.as_ref().map_or(0, bytes::Bytes::len);
        size_bytes <= STATEMENT_BYTES
    });
    fitting.count().max(1)
}

fn insert_some(
    session: &mut Session,
    pipeline: &str,
    topic_id: TopicId,
    letters: &[Rejected],
) -> diesel::QueryResult<usize> {
    let reasons: Vec<String> = letters.iter().map(|letter| without_nul(&letter.reason)).collect();
    let sqlstates: Vec<Option<&str>> = letters
        .iter()
        .map(|letter| {
            (letter.stage == Stage::Write)
                .then(|| sqlstate(&letter.reason))
                .flatten()
        })
        .collect();
    let headers: Vec<String> = letters
        .iter()
        .map(|letter| headers(&letter.headers).to_string())
        .collect();
    let timestamps: Vec<Option<DateTime<Utc>>> = letters
        .iter()
        .map(|letter| letter.timestamp_ms.and_then(DateTime::from_timestamp_millis))
        .collect();
    fn each<'a, T>(letters: &'a [Rejected], part: impl Fn(&'a Rejected) -> T) -> Vec<T> {
        letters.iter().map(part).collect()
    }
    diesel::sql_query(INSERT)
        .bind::<Text, _>(pipeline)
        .bind::<Uuid, _>(PgUuid::from(topic_id))
        .bind::<Array<Text>, _>(each(letters, |letter| &*letter.position.topic))
        .bind::<Array<Integer>, _>(each(letters, |letter| letter.position.partition))
        .bind::<Array<BigInt>, _>(each(letters, |letter| letter.position.offset))
        .bind::<Array<Text>, _>(each(letters, |letter| letter.stage.as_str()))
        .bind::<Array<Text>, _>(reasons)
        .bind::<Array<Nullable<Text>>, _>(sqlstates)
        .bind::<Array<Nullable<Text>>, _>(each(letters, |letter| letter.table.as_deref()))
        .bind::<Array<Nullable<Binary>>, _>(each(letters, |letter| letter.key.as_deref()))
        .bind::<Array<Nullable<Binary>>, _>(each(letters, |letter| letter.payload.as_deref()))
        .bind::<Array<Text>, _>(headers)
        .bind::<Array<Nullable<Timestamptz>>, _>(timestamps)
        .execute(session.conn())
}

/// Text and jsonb take every character but this one.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The SQLSTATE in front of a reason.
fn sqlstate(reason: &str) -> Option<&str> {
    let first = reason.split([' ', ':']).next()?;
    let is_code = first.len() == 5
        && first
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
    is_code.then_some(first)
}

fn headers(headers: &[Header]) -> Value {
    let header = |header: &Header| {
        let name = without_nul(&header.name);
        match &header.value {
            None => json!({ "name": name, "value": null }),
            Some(value) => match std::str::from_utf8(value) {
                Ok(text) if !text.contains('\0') => json!({ "name": name, "value": text }),
                _ => json!({ "name": name, "hex": hex(value) }),
            },
        }
    };
    headers.iter().map(header).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::model::Position;

    fn letter(payload_bytes: usize) -> Rejected {
        Rejected {
            position: Position {
                topic: "t".into(),
                partition: 0,
                offset: 0,
            },
            stage: Stage::Write,
            reason: String::new(),
            table: None,
            key: None,
            payload: Some(Bytes::from(vec![b'x'; payload_bytes])),
            headers: Vec::new(),
            timestamp_ms: None,
        }
    }

    #[test]
    fn a_statement_is_bounded_in_letters_and_bytes_and_never_empty() {
        assert_eq!(statement_len(&vec![letter(1); 2_500]), STATEMENT_LETTERS);
        assert_eq!(
            statement_len(&[letter(STATEMENT_BYTES / 2), letter(STATEMENT_BYTES / 2), letter(1)]),
            2
        );
        assert_eq!(statement_len(&[letter(STATEMENT_BYTES + 1), letter(1)]), 1);
    }

    #[test]
    fn an_sqlstate_is_taken_from_the_front_of_a_reason_only() {
        assert_eq!(sqlstate("22001 value too long"), Some("22001"));
        assert_eq!(sqlstate("P0001: raised"), Some("P0001"));
        assert_eq!(sqlstate("value too long 22001"), None);
        assert_eq!(sqlstate(""), None);
    }

    #[test]
    fn headers_of_any_bytes_fit_into_jsonb() {
        let of = |name: &str, value: Option<&'static [u8]>| Header {
            name: name.into(),
            value: value.map(Bytes::from_static),
        };
        let value = headers(&[
            of("a", Some(b"x")),
            of("a", None),
            of("b\0", Some(&[0, 255])),
            of("c", Some(b"\0")),
        ]);
        let expected = json!([
            { "name": "a", "value": "x" }, { "name": "a", "value": null },
            { "name": "b\u{fffd}", "hex": "00ff" }, { "name": "c", "hex": "00" },
        ]);
        assert_eq!(value, expected);
    }
}
