use aqueduct_sql::{EngineError, FailedAt, Program};

use crate::support::*;

#[tokio::test]
async fn one_bad_record_alone_in_its_batch_is_rejected() {
    let mut engine = engine("n STRING", "SELECT CAST(n AS INT) AS n FROM records");
    let transformed = run(&mut engine, &[r#"{"n":"bad"}"#]).await;
    assert_eq!(transformed.failures.len(), 1);
    assert_eq!(
        (transformed.failures[0].at, transformed.failures[0].table),
        (FailedAt::Transform, Some(0))
    );
}

#[tokio::test]
async fn a_batch_of_nothing_but_bad_records_is_rejected_record_by_record() {
    let mut engine = engine("n STRING", "SELECT CAST(n AS INT) AS n FROM records");
    let transformed = run(&mut engine, &vec![r#"{"n":"bad"}"#; 100]).await;
    assert_eq!(transformed.failures.len(), 100);
    assert_eq!(rows(&run(&mut engine, &[r#"{"n":"1"}"#]).await.tables[0]), ["1"]);
}

#[tokio::test]
async fn scattered_bad_records_are_all_found_and_their_neighbours_keep_their_rows() {
    let mut engine = engine("id INT, n STRING", "SELECT id, 100 / CAST(n AS INT) AS q FROM records");
    let bad = |id: usize| id.is_multiple_of(97) || (500..510).contains(&id);
    let value = |id: usize| {
        let n = if !bad(id) {
            "4"
        } else if id.is_multiple_of(2) {
            "x"
        } else {
            "0"
        };
        format!("{{\"id\":{id},\"n\":\"{n}\"}}")
    };
    let values: Vec<_> = (0..3000).map(value).collect();
    for _ in 0..3 {
        let transformed = run(&mut engine, &values).await;
        let failed: Vec<_> = transformed
            .failures
            .iter()
            .map(|failure| failure.record as usize)
            .collect();
        assert_eq!(failed, (0..3000).filter(|id| bad(*id)).collect::<Vec<_>>());
        let expected: Vec<_> = (0..3000).filter(|id| !bad(*id)).map(|id| format!("{id}|25")).collect();
        assert_eq!(rows(&transformed.tables[0]), expected);
    }
}

#[tokio::test]
async fn a_query_that_fails_whatever_the_record_stops_the_pipeline() {
    // The failure depends on the record only by its form, so no check before the first record can see it.
    let mut engine = engine(
        "n STRING",
        "SELECT CAST(concat('x', coalesce(n, '')) AS INT) AS n FROM records",
    );
    let error = try_run(&mut engine, &[r#"{"n":"1"}"#, r#"{"n":"2"}"#])
        .await
        .err()
        .unwrap();
    assert!(
        matches!(&error, EngineError::Query { table, .. } if table == "t0"),
        "{error}"
    );
}

#[tokio::test]
async fn a_query_that_has_worked_once_is_not_blamed_for_bad_records() {
    let mut engine = engine("n STRING", "SELECT CAST(coalesce(n, 'none') AS INT) AS n FROM records");
    assert!(try_run(&mut engine, &["{}"]).await.is_err());
    assert_eq!(rows(&run(&mut engine, &[r#"{"n":"1"}"#]).await.tables[0]), ["1"]);
    let transformed = run(&mut engine, &["{}"]).await;
    assert_eq!(transformed.failures.len(), 1);
}

#[tokio::test]
async fn a_batch_too_large_for_the_memory_is_halved() {
    let mut declaration = declaration(
        "id INT, tags ARRAY<STRING>",
        &["SELECT id, unnest(tags) AS t FROM records"],
    );
    declaration.memory_limit_bytes = 64 << 10;
    let mut engine = Program::compile(&declaration).unwrap().engine().unwrap();
    let values: Vec<_> = (0..1000)
        .map(|id| format!("{{\"id\":{id},\"tags\":[\"{}\",\"b\"]}}", "a".repeat(200)))
        .collect();
    let transformed = run(&mut engine, &values).await;
    assert!(transformed.failures.is_empty(), "{:?}", transformed.failures.first());
    assert_eq!(transformed.tables[0].num_rows(), 2000);

    let mut values = values;
    values[500] = format!("{{\"id\":500,\"tags\":[\"{}\"]}}", "a".repeat(100_000));
    let transformed = run(&mut engine, &values).await;
    assert_eq!(
        reasons(&transformed),
        [(500, "needs more than the 65536 bytes of memory by itself")]
    );
    assert_eq!(transformed.tables[0].num_rows(), 1998);
}

#[tokio::test]
async fn a_reason_does_not_hold_the_whole_value() {
    let mut engine = engine("n STRING", "SELECT CAST(n AS INT) AS n FROM records");
    let value = format!("{{\"n\":\"{}\"}}", "secret".repeat(10_000));
    let transformed = run(&mut engine, &[value]).await;
    assert!(
        transformed.failures[0].reason.len() < 400,
        "{}",
        transformed.failures[0].reason
    );
}
