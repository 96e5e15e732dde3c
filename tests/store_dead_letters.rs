//! `aqueduct.dead_letters`, on a real server.

// Helpers of a test may panic like the test.
#![allow(clippy::unwrap_used)]

#[path = "support/postgres.rs"]
mod postgres;

use aqueduct::{
    model::{Header, Position, Rejected, Stage, TopicId},
    store::{StoreError, dead_letters},
};
use bytes::Bytes;
use diesel::{
    QueryableByName, RunQueryDsl,
    sql_types::{Binary, Jsonb, Nullable, Text, Timestamptz},
};
use postgres::TestDatabase;

const TOPIC: TopicId = TopicId(uuid::Uuid::from_u128(0x1234));

fn letter(offset: i64) -> Rejected {
    Rejected {
        position: Position {
            topic: "users".into(),
            partition: 1,
            offset,
        },
        stage: Stage::Decode,
        reason: String::from("it does not decode"),
        table: None,
        key: None,
        payload: Some(Bytes::from_static(b"{")),
        headers: Vec::new(),
        timestamp_ms: None,
    }
}

#[derive(Debug, PartialEq, QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    place: String,
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
    #[diesel(sql_type = Jsonb)]
    headers: serde_json::Value,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    record_timestamp: Option<chrono::DateTime<chrono::Utc>>,
}

fn rows(database: &TestDatabase) -> Vec<Row> {
    let select = "SELECT concat_ws(' ', pipeline, topic, topic_id, partition, record_offset) AS place, stage, reason, \
                  sqlstate, table_name, key, payload, headers, record_timestamp \
                  FROM aqueduct.dead_letters ORDER BY record_offset";
    diesel::sql_query(select).load(&mut database.connection()).unwrap()
}

#[test]
fn a_letter_keeps_all_that_was_known_of_its_record() {
    let database = TestDatabase::new();
    let session = &mut database.session("users writer-0");
    let payload: Vec<u8> = (0..=255).collect();
    let full = Rejected {
        stage: Stage::Write,
        reason: String::from("23514 violates check\0constraint"),
        table: Some(String::from("users")),
        key: Some(Bytes::from_static(&[0, 159, 146, 150])),
        payload: Some(Bytes::from(payload.clone())),
        headers: vec![
            Header {
                name: String::from("trace"),
                value: Some(Bytes::from_static("ü".as_bytes())),
            },
            Header {
                name: String::from("trace"),
                value: Some(Bytes::from_static(&[0xff])),
            },
        ],
        timestamp_ms: Some(1_700_000_000_123),
        ..letter(7)
    };
    let tombstone = Rejected {
        payload: None,
        ..letter(8)
    };
    assert_eq!(
        dead_letters::insert(session, "users", TOPIC, &[full, tombstone]).unwrap(),
        2
    );
    let expected = Row {
        place: String::from("users users 00000000-0000-0000-0000-000000001234 1 7"),
        stage: String::from("write"),
        reason: String::from("23514 violates check\u{fffd}constraint"),
        sqlstate: Some(String::from("23514")),
        table_name: Some(String::from("users")),
        key: Some(vec![0, 159, 146, 150]),
        payload: Some(payload),
        headers: serde_json::json!([{ "name": "trace", "value": "ü" }, { "name": "trace", "hex": "ff" }]),
        record_timestamp: chrono::DateTime::from_timestamp_millis(1_700_000_000_123),
    };
    let rows = rows(&database);
    assert_eq!(rows[0], expected);
    assert_eq!(
        (&rows[1].payload, &rows[1].sqlstate, &*rows[1].stage),
        (&None, &None, "decode")
    );
}

#[test]
fn a_record_dies_once_however_often_its_batch_is_repeated() {
    let database = TestDatabase::new();
    let session = &mut database.session("users writer-0");
    assert_eq!(
        dead_letters::insert(session, "users", TOPIC, &[letter(1), letter(2)]).unwrap(),
        2
    );
    assert_eq!(
        dead_letters::insert(session, "users", TOPIC, &[letter(1), letter(2), letter(3)]).unwrap(),
        1
    );
    assert_eq!(dead_letters::count(session, "users").unwrap(), 3);
    let made_again = TopicId(uuid::Uuid::from_u128(0x5678));
    assert_eq!(
        dead_letters::insert(session, "users", made_again, &[letter(1)]).unwrap(),
        1
    );
    assert_eq!(dead_letters::insert(session, "others", TOPIC, &[letter(1)]).unwrap(), 1);
    assert_eq!(dead_letters::count(session, "users").unwrap(), 4);
}

#[test]
fn letters_share_the_fate_of_their_transaction() {
    let database = TestDatabase::new();
    let session = &mut database.session("users writer-0");
    let outcome = session.transaction(|session| {
        dead_letters::insert(session, "users", TOPIC, &[letter(1)])?;
        Err::<(), _>(StoreError::Mismatch {
            place: String::new(),
            problem: String::from("the batch failed later on"),
        })
    });
    assert!(outcome.is_err());
    assert_eq!(dead_letters::count(session, "users").unwrap(), 0);
}

#[test]
fn thousands_of_letters_go_in_few_statements_of_one_text() {
    let database = TestDatabase::new();
    let session = &mut database.session("users writer-0");
    let letters: Vec<Rejected> = (0..2_500).map(letter).collect();
    assert_eq!(dead_letters::insert(session, "users", TOPIC, &letters).unwrap(), 2_500);
    assert_eq!(dead_letters::insert(session, "users", TOPIC, &[]).unwrap(), 0);
    assert_eq!(dead_letters::count(session, "users").unwrap(), 2_500);
}
