use aqueduct_sql::{FailedAt, OnNul, Program};

use crate::support::*;

const SCHEMA: &str = "id INT, a STRING, tags ARRAY<STRING>, s STRUCT<x: STRING>, m MAP<STRING, STRING>";

async fn with(on_nul: OnNul, query: &str, values: &[&str]) -> (Vec<String>, Vec<u32>) {
    let mut declaration = declaration(SCHEMA, &[query]);
    declaration.on_nul = on_nul;
    let mut engine = Program::compile(&declaration).unwrap().engine().unwrap();
    let transformed = run(&mut engine, values).await;
    assert!(
        transformed
            .failures
            .iter()
            .all(|failure| failure.at == FailedAt::Transform && failure.table == Some(0))
    );
    (
        rows(&transformed.tables[0]),
        transformed.failures.iter().map(|failure| failure.record).collect(),
    )
}

const VALUES: [&str; 6] = [
    r#"{"id":0,"a":"clean"}"#,
    r#"{"id":1,"a":"x\u0000y"}"#,
    r#"{"id":2,"tags":["ok","\u0000"]}"#,
    r#"{"id":3,"s":{"x":"\u0000z"}}"#,
    r#"{"id":4,"m":{"k\u0000":"v"}}"#,
    r#"{"id":5,"a":"clean too","tags":["t"],"s":{"x":"s"},"m":{"k":"v"}}"#,
];

#[tokio::test]
async fn a_nul_character_rejects_its_record_or_is_stripped_or_replaced() {
    let all = "SELECT * FROM records";
    let (kept, rejected) = with(OnNul::Reject, all, &VALUES).await;
    assert_eq!(kept, ["0|clean|~|~|~", "5|clean too|[t]|{x: s}|{k: v}"]);
    assert_eq!(rejected, [1, 2, 3, 4]);
    let (kept, rejected) = with(OnNul::Strip, all, &VALUES).await;
    assert_eq!(
        kept[1..5],
        ["1|xy|~|~|~", "2|~|[ok, ]|~|~", "3|~|~|{x: z}|~", "4|~|~|~|{k: v}"]
    );
    assert!(rejected.is_empty());
    let (kept, rejected) = with(OnNul::Replace, all, &VALUES).await;
    assert_eq!(
        kept[1..5],
        [
            "1|x\u{FFFD}y|~|~|~",
            "2|~|[ok, \u{FFFD}]|~|~",
            "3|~|~|{x: \u{FFFD}z}|~",
            "4|~|~|~|{k\u{FFFD}: v}"
        ]
    );
    assert!(rejected.is_empty());
}

#[tokio::test]
async fn a_nul_character_that_no_column_puts_out_does_no_harm() {
    let (kept, rejected) = with(OnNul::Reject, "SELECT id, length(a) AS n FROM records", &VALUES).await;
    assert_eq!((kept.len(), rejected.len()), (6, 0));
    assert_eq!(kept[1], "1|3");
}

#[tokio::test]
async fn a_nul_character_made_by_the_query_is_found_too() {
    let (kept, rejected) = with(
        OnNul::Reject,
        "SELECT concat(a, arrow_cast(decode('00', 'hex'), 'Utf8')) AS t FROM records WHERE id = 0",
        &VALUES,
    )
    .await;
    assert_eq!((kept.len(), rejected), (0, vec![0]));
}
