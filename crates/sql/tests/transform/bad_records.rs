use aqueduct_sql::{FailedAt, InputRecord};

use crate::support::*;

const SCHEMA: &str = "id BIGINT NOT NULL, name STRING, price DECIMAL(10,2), n INT, f FLOAT, ok BOOLEAN, at TIMESTAMP, \
    born DATE, local TIMESTAMP_NTZ, raw BINARY, tags ARRAY<INT>, attrs MAP<STRING, INT>, \
    street STRUCT<number: INT, name: STRING NOT NULL>, items ARRAY<STRUCT<price: DOUBLE>>";

/// Each kind of bad record, and what its reason says.
fn bad() -> Vec<(Vec<u8>, &'static str)> {
    let deep = format!("{{\"id\":1,\"x\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let texts = [
        ("", "the record is empty"),
        ("   ", "the record is empty"),
        ("[1]", "no JSON object but an array"),
        ("7", "no JSON object but a number"),
        ("null", "no JSON object but null"),
        ("\"{}\"", "no JSON object but a text"),
        ("<html>", "no JSON object but no JSON at all"),
        ("{\"id\":1", "the text ends in the middle of a value"),
        ("{\"id\":1,\"name\":\"a", "the text ends in the middle of a string"),
        (r#"{"id":1}{"id":2}"#, "follows the end of the object"),
        ("{\"id\":1}\n{\"id\":2}", "follows the end of the object"),
        (r#"{"id":1} trailing"#, "follows the end of the object"),
        (r#"{"id":1}]"#, "follows the end of the object"),
        (r#"{"id":1 "name":"x"}"#, "where a comma or } is expected"),
        (r#"{"id":1,}"#, "where a name in double quotes is expected"),
        (r#"{"id":1,,"name":"x"}"#, "where a name in double quotes is expected"),
        (r#"{"id":1,"tags":[1 2]}"#, "where a comma or ] is expected"),
        (r#"{"id":1,"f":NaN}"#, "where a value is expected"),
        (r#"{"id":1,"unused":Infinity}"#, "where a value is expected"),
        (r#"{"id":01}"#, "not valid JSON"),
        ("{\"id\":1,\"name\":\"a\nb\"}", "an unescaped control character"),
        (r#"{"id":1,"name":"\x"}"#, "a broken escape"),
        (
            r#"{"id":1,"name":"\ud800"}"#,
            "column name: has half of a surrogate pair",
        ),
        (
            r#"{"id":1,"name":"\ud800A"}"#,
            "column name: has half of a surrogate pair",
        ),
        (r#"{"id":1,"id":2}"#, "column id: appears twice in one object"),
        (r#"{"id":1,"\u0069d":2}"#, "column id: appears twice in one object"),
        (
            r#"{"id":1,"attrs":{"a":1,"a":2}}"#,
            "column attrs[\"a\"]: appears twice in one map",
        ),
        (r#"{"name":"x"}"#, "column id: is missing, but declared NOT NULL"),
        (r#"{"id":null}"#, "column id: is null, but declared NOT NULL"),
        (
            r#"{"id":1,"street":{"number":1}}"#,
            "column street.name: is missing, but declared NOT NULL",
        ),
        (r#"{"id":"abc"}"#, "column id: BIGINT expected, found the text \"abc\""),
        (
            r#"{"id":1.7}"#,
            "column id: BIGINT expected, found 1.7, which would have to be rounded",
        ),
        (
            r#"{"id":9223372036854775808}"#,
            "column id: BIGINT expected, found 9223372036854775808, which is out of range",
        ),
        (r#"{"id":true}"#, "column id: BIGINT expected, found true"),
        (r#"{"id":{}}"#, "column id: BIGINT expected, found an object"),
        (
            r#"{"id":1,"n":2147483648}"#,
            "column n: INT expected, found 2147483648, which is out of range",
        ),
        (
            r#"{"id":1,"price":1.234}"#,
            "column price: DECIMAL(10,2) expected, found 1.234, which would have to be rounded",
        ),
        (
            r#"{"id":1,"price":123456789}"#,
            "column price: DECIMAL(10,2) expected, found 123456789, which is out of range",
        ),
        (
            r#"{"id":1,"f":1e400}"#,
            "column f: FLOAT expected, found 1e400, which is out of range",
        ),
        (
            r#"{"id":1,"f":"NaN"}"#,
            "column f: FLOAT expected, found the text \"NaN\"",
        ),
        (
            r#"{"id":1,"ok":"yes"}"#,
            "column ok: BOOLEAN expected, found the text \"yes\"",
        ),
        (r#"{"id":1,"ok":1}"#, "column ok: BOOLEAN expected, found the number 1"),
        (
            r#"{"id":1,"name":{"a":1}}"#,
            "column name: STRING expected, found an object",
        ),
        (
            r#"{"id":1,"at":788904753}"#,
            "column at: TIMESTAMP expected, found the number 788904753",
        ),
        (
            r#"{"id":1,"at":"yesterday"}"#,
            "column at: TIMESTAMP expected, found the text \"yesterday\"",
        ),
        (
            r#"{"id":1,"at":"2024-01-01T00:00:00.0000001Z"}"#,
            "with digits below the microsecond",
        ),
        (
            r#"{"id":1,"born":"2024-02-30"}"#,
            "column born: DATE expected, found the text \"2024-02-30\"",
        ),
        (
            r#"{"id":1,"born":19000}"#,
            "column born: DATE expected, found the number 19000",
        ),
        (
            r#"{"id":1,"local":"2024-01-01T00:00:00Z"}"#,
            "column local: TIMESTAMP_NTZ expected",
        ),
        (r#"{"id":1,"raw":"???"}"#, "no base64"),
        (
            r#"{"id":1,"tags":[1,2,"x"]}"#,
            "column tags[2]: INT expected, found the text \"x\"",
        ),
        (
            r#"{"id":1,"tags":7}"#,
            "column tags: an array expected, found the number 7",
        ),
        (
            r#"{"id":1,"attrs":[]}"#,
            "column attrs: an object expected, found an array",
        ),
        (
            r#"{"id":1,"street":"Main"}"#,
            "column street: an object expected, found the text \"Main\"",
        ),
        (
            r#"{"id":1,"street":{"name":"x","number":1.5}}"#,
            "column street.number: INT expected, found 1.5",
        ),
        (
            r#"{"id":1,"items":[{"price":1},{"price":[]}]}"#,
            "column items[1].price: DOUBLE expected, found an array",
        ),
        (&deep, "nests more than 128 brackets deep"),
    ];
    let mut all: Vec<_> = texts
        .into_iter()
        .map(|(text, says)| (text.as_bytes().to_vec(), says))
        .collect();
    all.push((
        b"{\"id\":1,\"name\":\"\xff\"}".to_vec(),
        "not UTF-8: a broken character at byte 17",
    ));
    all.push((b"{\"id\":1,\"unused\":\"\xc3\"}".to_vec(), "not UTF-8"));
    all.push((b"\xff\xfe{\0}\0".to_vec(), "not UTF-8"));
    all
}

#[tokio::test]
async fn one_bad_record_of_each_kind_in_a_thousand_goes_alone_and_its_neighbours_stay() {
    let mut engine = engine(SCHEMA, "SELECT * FROM records");
    for (value, says) in bad() {
        let mut values: Vec<_> = (0..1000)
            .map(|n| format!("{{\"id\":{n},\"name\":\"n{n}\"}}").into_bytes())
            .collect();
        values[617] = value.clone();
        let transformed = run(&mut engine, &values).await;
        let glimpse = String::from_utf8_lossy(&value[..value.len().min(80)]).into_owned();
        assert_eq!(transformed.failures.len(), 1, "{glimpse}");
        let failure = &transformed.failures[0];
        assert_eq!(
            (failure.record, failure.at, failure.table),
            (617, FailedAt::Decode, None),
            "{glimpse}"
        );
        assert!(failure.reason.contains(says), "{glimpse}: {}", failure.reason);
        assert!(failure.reason.len() < 300, "{}", failure.reason);
        let records: Vec<_> = lineage(&transformed.tables[0])
            .into_iter()
            .map(|(record, _)| record)
            .collect();
        assert_eq!(records, (0..617).chain(618..1000).collect::<Vec<_>>(), "{glimpse}");
    }
}

#[tokio::test]
async fn all_kinds_of_bad_records_in_one_batch_are_each_rejected_for_their_own_reason() {
    let mut engine = engine(SCHEMA, "SELECT id FROM records");
    let mut values = Vec::new();
    for (value, _) in bad() {
        values.push(value);
        values.push(br#"{"id":1,"street":{"name":"x"}}"#.to_vec());
    }
    let transformed = run(&mut engine, &values).await;
    // Of unused columns only the grammar is checked, so some of these records are good here.
    assert!(transformed.failures.iter().all(|failure| failure.record % 2 == 0));
    assert_eq!(
        transformed.tables[0].num_rows() + transformed.failures.len(),
        values.len()
    );
}

#[tokio::test]
async fn a_value_in_a_reason_is_cut_short() {
    let long = "x".repeat(100_000);
    let reason = reason("id INT", "SELECT id FROM records", &format!("{{\"id\":\"{long}\"}}")).await;
    assert!(reason.len() < 150, "{reason}");
    assert!(reason.contains(&"x".repeat(64)) && reason.contains('…'), "{reason}");
}

#[tokio::test]
async fn what_no_query_uses_is_checked_for_its_grammar_only() {
    let value = r#"{"id":7,"n":"not a number","name":"\ud800","id2":1,"id2":2}"#;
    assert_eq!(
        row("id INT, n INT, name STRING", "SELECT id FROM records", value).await,
        "7"
    );
}

#[tokio::test]
async fn a_not_null_field_is_demanded_even_if_no_query_uses_it() {
    let schema = "id INT, must STRUCT<a: INT NOT NULL> NOT NULL";
    let query = "SELECT id FROM records";
    assert!(
        reason(schema, query, r#"{"id":1}"#)
            .await
            .contains("column must: is missing")
    );
    assert!(
        reason(schema, query, r#"{"id":1,"must":{}}"#)
            .await
            .contains("column must.a: is missing")
    );
    assert_eq!(row(schema, query, r#"{"id":1,"must":{"a":1}}"#).await, "1");
}

#[tokio::test]
async fn a_byte_order_mark_is_ignored() {
    assert_eq!(row("id INT", "SELECT id FROM records", "\u{FEFF}{\"id\":7}").await, "7");
}

#[tokio::test]
async fn a_tombstone_has_no_row_and_is_no_failure() {
    let mut engine = engine("id INT", "SELECT id FROM records");
    let tombstone = InputRecord {
        key: Some(b"k"),
        value: None,
        offset: 0,
        timestamp_ms: None,
        headers: &[],
    };
    let records = [record(br#"{"id":1}"#), tombstone, record(br#"{"id":2}"#)];
    let transformed = engine.run(ORIGIN, &records).await.unwrap();
    assert!(transformed.failures.is_empty());
    assert_eq!(rows(&transformed.tables[0]), ["1", "2"]);
    assert_eq!(lineage(&transformed.tables[0]), [(0, 0), (2, 0)]);

    let transformed = engine.run(ORIGIN, &[tombstone]).await.unwrap();
    assert_eq!((transformed.tables[0].num_rows(), transformed.failures.len()), (0, 0));
}

#[tokio::test]
async fn a_deep_but_bounded_record_passes() {
    let deep = format!("{{\"id\":1,\"x\":{}{}}}", "[".repeat(127), "]".repeat(127));
    assert_eq!(row("id INT", "SELECT id FROM records", &deep).await, "1");
}

#[tokio::test]
async fn an_empty_batch_has_no_rows_and_no_failures() {
    let transformed = run(&mut engine("id INT", "SELECT id FROM records"), &[] as &[&str]).await;
    assert_eq!((transformed.tables[0].num_rows(), transformed.failures.len()), (0, 0));
}

#[tokio::test]
async fn a_record_that_one_table_rejects_has_no_row_in_any() {
    let program = compile(
        "id INT, n STRING",
        &["SELECT id FROM records", "SELECT CAST(n AS INT) AS n FROM records"],
    );
    let mut engine = program.engine().unwrap();
    let values = [
        r#"{"id":1,"n":"1"}"#,
        r#"{"id":2,"n":"two"}"#,
        r#"{"id":3,"n":"3"}"#,
        r#"{"id":4.5}"#,
    ];
    let transformed = run(&mut engine, &values).await;
    assert_eq!(rows(&transformed.tables[0]), ["1", "3"]);
    assert_eq!(rows(&transformed.tables[1]), ["1", "3"]);
    let failed: Vec<_> = transformed.failures.iter().map(|f| (f.record, f.at, f.table)).collect();
    assert_eq!(failed, [(1, FailedAt::Transform, Some(1)), (3, FailedAt::Decode, None)]);
}
