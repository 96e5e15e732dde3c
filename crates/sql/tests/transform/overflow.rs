use crate::support::*;

const MAX: &str = r#"{"a":9223372036854775807,"b":-9223372036854775808,"s":32767,"i":2147483647,"t":-128}"#;
const SCHEMA: &str = "a BIGINT, b BIGINT, s SMALLINT, i INT, t TINYINT";

#[tokio::test]
async fn integer_arithmetic_fails_instead_of_wrapping() {
    for expression in [
        "a + 1",
        "b - 1",
        "a * 2",
        "a + a",
        "-b",
        "abs(b)",
        "b / -1",
        "(a + 1) - 1",
        "CASE WHEN a > 0 THEN a * 3 ELSE 0 END",
        "CAST(a + 1 AS DOUBLE)",
        "s * s * i * a",
        "-t * a",
        "-(t)+ -b",
    ] {
        let query = format!("SELECT {expression} AS x FROM records");
        let reason = reason(SCHEMA, &query, MAX).await;
        assert!(reason.to_lowercase().contains("overflow"), "{expression}: {reason}");
    }
    let reason = reason(SCHEMA, "SELECT a FROM records WHERE a + 1 > 0", MAX).await;
    assert!(reason.contains("Overflow"), "{reason}");
}

#[tokio::test]
async fn arithmetic_within_the_range_is_plain_arithmetic() {
    let value = r#"{"a":7,"b":-3,"s":2,"i":5,"t":1}"#;
    let query = "SELECT a + b AS p, a - b AS q, a * b AS r, -a AS u, a / s AS v, a % i AS w, a + t + 0.5 AS x, abs(b) AS y, \
        a + CAST(NULL AS INT) AS z FROM records";
    assert_eq!(row(SCHEMA, query, value).await, "4|10|-21|-7|3|2|8.5|3|~");
}

#[tokio::test]
async fn one_overflow_in_a_batch_rejects_one_record() {
    let mut engine = engine("a BIGINT", "SELECT a * 10 AS x FROM records");
    let mut values: Vec<_> = (0..3000).map(|n| format!("{{\"a\":{n}}}")).collect();
    values[1999] = r#"{"a":9223372036854775807}"#.into();
    let transformed = run(&mut engine, &values).await;
    assert_eq!(reasons(&transformed).len(), 1);
    assert_eq!(reasons(&transformed)[0].0, 1999);
    let expected: Vec<_> = (0..3000).filter(|n| *n != 1999).map(|n| (n * 10).to_string()).collect();
    assert_eq!(rows(&transformed.tables[0]), expected);
}

#[test]
fn a_constant_that_overflows_is_found_before_the_first_record() {
    for expression in [
        "9223372036854775807 + 1",
        "-9223372036854775807 - 2",
        "CAST('abc' AS INT)",
        "1 / 0",
    ] {
        let query = format!("SELECT {expression} AS x FROM records");
        let found = problems(SCHEMA, &[&query]);
        assert_eq!(found.len(), 1, "{expression}");
    }
}

#[tokio::test]
async fn functions_do_not_wrap_either() {
    for expression in [
        "factorial(a)",
        "lcm(a, b)",
        "to_timestamp(a)",
        "to_timestamp_seconds(a)",
        "CAST(a AS INT)",
        "CAST(a AS DECIMAL(10,2))",
        "CAST(CAST(a AS DECIMAL(38,0)) * 100000000000000000000 AS BIGINT)",
    ] {
        let query = format!("SELECT {expression} AS x FROM records");
        let transformed = run(&mut engine(SCHEMA, &query), &[MAX]).await;
        assert_eq!(
            transformed.failures.len(),
            1,
            "{expression}: {:?}",
            rows(&transformed.tables[0])
        );
    }
}

#[tokio::test]
async fn a_branch_that_is_not_taken_does_not_fail() {
    let query =
        "SELECT CASE WHEN a IS NULL THEN 1 / 0 WHEN a > 100 THEN a + 9223372036854775807 ELSE a END AS x FROM records";
    let mut engine = engine("a BIGINT", query);
    let transformed = run(&mut engine, &[r#"{"a":5}"#, "{}", r#"{"a":101}"#]).await;
    assert_eq!(rows(&transformed.tables[0]), ["5"]);
    assert_eq!(
        reasons(&transformed)
            .iter()
            .map(|(record, _)| *record)
            .collect::<Vec<_>>(),
        [1, 2]
    );
}
