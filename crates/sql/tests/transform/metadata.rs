use aqueduct_sql::InputRecord;

use crate::support::*;

#[tokio::test]
async fn a_query_may_read_where_a_record_came_from() {
    let query = "SELECT _key, _topic, _partition, _offset, _timestamp, _headers['trace'] AS trace, _raw FROM records";
    let mut engine = engine("id INT", query);
    let headers: &[(&str, Option<&[u8]>)] = &[("trace", Some(b"abc")), ("none", None), ("binary", Some(b"\xff\x00"))];
    let full = InputRecord {
        key: Some("schlüssel".as_bytes()),
        value: Some(br#"{ "id": 1 }"#),
        offset: i64::MAX,
        timestamp_ms: Some(1_700_000_000_123),
        headers,
    };
    let bare = InputRecord {
        key: None,
        value: Some(b"{}"),
        offset: 0,
        timestamp_ms: None,
        headers: &[],
    };
    let transformed = engine.run(ORIGIN, &[full, bare]).await.unwrap();
    assert!(transformed.failures.is_empty(), "{:?}", transformed.failures);
    assert_eq!(
        rows(&transformed.tables[0]),
        [
            "schlüssel|users|3|9223372036854775807|2023-11-14T22:13:20.123Z|abc|{ \"id\": 1 }",
            "~|users|3|0|~|~|{}",
        ]
    );
}

#[tokio::test]
async fn a_key_that_is_no_text_matters_only_if_it_is_used() {
    let odd = InputRecord {
        key: Some(b"\xff"),
        value: Some(br#"{"id":1}"#),
        offset: 0,
        timestamp_ms: None,
        headers: &[],
    };
    let good = InputRecord { key: Some(b"k"), ..odd };
    let transformed = engine("id INT", "SELECT id FROM records")
        .run(ORIGIN, &[odd])
        .await
        .unwrap();
    assert_eq!(rows(&transformed.tables[0]), ["1"]);
    let transformed = engine("id INT", "SELECT id, _key FROM records")
        .run(ORIGIN, &[good, odd, good])
        .await
        .unwrap();
    assert_eq!(rows(&transformed.tables[0]), ["1|k", "1|k"]);
    assert_eq!(
        reasons(&transformed),
        [(1, "column _key: the record's key is not UTF-8")]
    );
}

#[tokio::test]
async fn headers_are_a_map_of_texts() {
    let headers: &[(&str, Option<&[u8]>)] = &[("a", Some(b"1")), ("b", None)];
    let record = InputRecord {
        key: None,
        value: Some(b"{}"),
        offset: 0,
        timestamp_ms: None,
        headers,
    };
    let transformed = engine("id INT", "SELECT _headers FROM records")
        .run(ORIGIN, &[record])
        .await
        .unwrap();
    assert_eq!(rows(&transformed.tables[0]), ["{a: 1, b: }"]);
}
