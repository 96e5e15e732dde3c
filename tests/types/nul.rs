use aqueduct::sql::OnNul;

use crate::{load::append, records::Through};

const SCHEMA: &str = "id INT, a STRING, tags ARRAY<STRING>, s STRUCT<x: STRING>, m MAP<STRING, STRING>, doc STRING";

const DDL: &str =
    "CREATE TABLE t (id int, a text, v varchar(20), tags text[], s jsonb, m jsonb, raw jsonb, doc jsonb, plain json)";

const QUERY: &str = "SELECT id, a, a AS v, tags, s, m, _raw AS raw, doc, doc AS plain FROM records";

const RECORDS: [&str; 7] = [
    r#"{"id":0,"a":"clean","doc":"{\"k\":\"\\\\u0000\"}"}"#,
    r#"{"id":1,"a":"x\u0000y"}"#,
    r#"{"id":2,"tags":["ok","\u0000"]}"#,
    r#"{"id":3,"s":{"x":"\u0000z"}}"#,
    r#"{"id":4,"m":{"k\u0000":"v"}}"#,
    r#"{"id":5,"doc":"{\"k\\u0000\":[{\"n\":\"a\\u0000b\"}]}"}"#,
    r#"{"id":6,"undeclared\u0000":"\u0000"}"#,
];

fn written(on_nul: OnNul) -> (Vec<String>, u64, Vec<String>) {
    let mut through = Through::new(DDL, append("t"), SCHEMA, QUERY, on_nul);
    let (applied, reasons) = through.write(&RECORDS);
    let row = |id: usize| {
        let query = format!("SELECT concat_ws('|', a, v, tags, s, m, doc, raw) FROM t WHERE id = {id}");
        through.ask(&query).unwrap_or_default()
    };
    ((0..RECORDS.len()).map(row).collect(), applied, reasons)
}

const CLEAN: &str = r#"clean|clean|{"k": "\\u0000"}|{"a": "clean", "id": 0, "doc": "{\"k\":\"\\\\u0000\"}"}"#;

#[test]
fn a_record_with_a_nul_character_is_rejected_wherever_it_stands() {
    let (rows, applied, reasons) = written(OnNul::Reject);
    assert_eq!((rows[0].as_str(), applied), (CLEAN, 1));
    assert_eq!(reasons.len(), 6);
    assert!(
        reasons.iter().all(|reason| reason.contains("holds U+0000")),
        "{reasons:?}"
    );
    assert!(
        reasons[5].starts_with("22P05 column \"raw\": holds U+0000"),
        "{reasons:?}"
    );
}

#[test]
fn a_nul_character_is_stripped_from_texts_arrays_and_json_with_its_keys() {
    let (rows, applied, reasons) = written(OnNul::Strip);
    assert_eq!((rows[0].as_str(), applied, reasons.len()), (CLEAN, 7, 0));
    assert_eq!(rows[1], r#"xy|xy|{"a": "xy", "id": 1}"#);
    assert_eq!(rows[2], r#"{ok,""}|{"id": 2, "tags": ["ok", ""]}"#);
    assert_eq!(rows[3], r#"{"x": "z"}|{"s": {"x": "z"}, "id": 3}"#);
    assert_eq!(rows[4], r#"{"k": "v"}|{"m": {"k": "v"}, "id": 4}"#);
    assert!(rows[5].starts_with(r#"{"k": [{"n": "ab"}]}|"#), "{}", rows[5]);
    assert_eq!(rows[6], r#"{"id": 6, "undeclared": ""}"#);
}

#[test]
fn a_nul_character_is_replaced_in_texts_arrays_and_json_with_its_keys() {
    let (rows, applied, reasons) = written(OnNul::Replace);
    assert_eq!((rows[0].as_str(), applied, reasons.len()), (CLEAN, 7, 0));
    assert_eq!(rows[1], "x\u{FFFD}y|x\u{FFFD}y|{\"a\": \"x\u{FFFD}y\", \"id\": 1}");
    assert!(rows[2].starts_with("{ok,\u{FFFD}}|"), "{}", rows[2]);
    assert!(rows[3].starts_with("{\"x\": \"\u{FFFD}z\"}|"), "{}", rows[3]);
    assert!(rows[4].starts_with("{\"k\u{FFFD}\": \"v\"}|"), "{}", rows[4]);
    assert!(
        rows[5].starts_with("{\"k\u{FFFD}\": [{\"n\": \"a\u{FFFD}b\"}]}|"),
        "{}",
        rows[5]
    );
    assert_eq!(rows[6], "{\"id\": 6, \"undeclared\u{FFFD}\": \"\u{FFFD}\"}");
}
