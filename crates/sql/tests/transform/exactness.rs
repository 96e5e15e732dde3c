use aqueduct_sql::arrow::{
    array::AsArray,
    datatypes::{Decimal128Type, Int64Type, TimestampMicrosecondType},
};

use crate::support::*;

#[tokio::test]
async fn large_integers_and_decimals_come_through_equal() {
    let schema = "a BIGINT, b BIGINT, c BIGINT, d DECIMAL(38,18)";
    let value = r#"{"a":228930314431312345,"b":9223372036854775807,"c":-9223372036854775808,
        "d":12345678901234567890.123456789012345678}"#;
    let transformed = run(&mut engine(schema, "SELECT a, b, c, d FROM records"), &[value]).await;
    let batch = &transformed.tables[0];
    let int = |column: usize| batch.column(column).as_primitive::<Int64Type>().value(0);
    assert_eq!((int(0), int(1), int(2)), (228_930_314_431_312_345, i64::MAX, i64::MIN));
    let decimal = batch.column(3).as_primitive::<Decimal128Type>().value(0);
    assert_eq!(decimal, 12_345_678_901_234_567_890_123_456_789_012_345_678);
}

#[tokio::test]
async fn numbers_in_quotes_are_numbers_if_exact() {
    let schema = "a BIGINT, b DECIMAL(38,18), c DOUBLE, d TINYINT";
    let value = r#"{"a":"9223372036854775807","b":"-0.000000000000000001","c":"1.5","d":"\u0031\u0032"}"#;
    assert_eq!(
        row(schema, "SELECT * FROM records", value).await,
        "9223372036854775807|-0.000000000000000001|1.5|12"
    );
}

#[tokio::test]
async fn a_whole_number_may_be_written_with_a_point_or_an_exponent() {
    assert_eq!(
        row(
            "a INT, b INT, c INT",
            "SELECT * FROM records",
            r#"{"a":1.0,"b":1e3,"c":-0.0}"#
        )
        .await,
        "1|1000|0"
    );
}

#[tokio::test]
async fn a_number_in_a_text_column_keeps_its_digits() {
    let value = r#"{"a":1.0,"b":1e3,"c":12345678901234567890123,"d":true,"e":"\u00e9\ud83d\ude00"}"#;
    let schema = "a STRING, b VARCHAR(5), c CHAR(3), d STRING, e STRING";
    assert_eq!(
        row(schema, "SELECT * FROM records", value).await,
        "1.0|1e3|12345678901234567890123|true|é😀"
    );
}

#[tokio::test]
async fn timestamps_are_exact_to_the_microsecond_in_utc() {
    let schema = "a TIMESTAMP, b TIMESTAMP, c TIMESTAMP_NTZ, d DATE, e TIMESTAMP";
    let value = r#"{"a":"1994-12-31T20:12:33.123456Z","b":"0001-01-01T00:00:00+01:00","c":"9999-12-31 23:59:59.999999",
        "d":"1582-10-15","e":"1969-12-31T23:59:59.999999"}"#;
    let transformed = run(&mut engine(schema, "SELECT * FROM records"), &[value]).await;
    assert!(transformed.failures.is_empty(), "{:?}", transformed.failures);
    let micros = |column: usize| {
        transformed.tables[0]
            .column(column)
            .as_primitive::<TimestampMicrosecondType>()
            .value(0)
    };
    assert_eq!(micros(0), 788_904_753_123_456);
    assert_eq!(micros(1), -62_135_600_400_000_000);
    assert_eq!(micros(2), 253_402_300_799_999_999);
    assert_eq!(micros(4), -1);
    assert_eq!(rows(&transformed.tables[0])[0].split('|').nth(3), Some("1582-10-15"));
}

#[tokio::test]
async fn every_type_takes_its_value_and_null() {
    let schema = "a BOOLEAN, b TINYINT, c SMALLINT, d INT, e FLOAT, f DOUBLE, g BINARY, h ARRAY<INT>, \
        i MAP<STRING, DOUBLE>, j STRUCT<x: INT, y: ARRAY<STRING>>";
    let value = r#"{"a":false,"b":-128,"c":32767,"d":-1,"e":0.5,"f":-1e-7,"g":"AP8=","h":[1,null,3],"i":{"x":1.5,"y":null},
        "j":{"y":["a","b"]}}"#;
    let mut engine = engine(schema, "SELECT * FROM records");
    let transformed = run(&mut engine, &[value, "{}", r#"{"j":null,"h":[],"i":{},"g":""}"#]).await;
    assert!(transformed.failures.is_empty(), "{:?}", transformed.failures);
    assert_eq!(
        rows(&transformed.tables[0]),
        [
            "false|-128|32767|-1|0.5|-1e-7|00ff|[1, , 3]|{x: 1.5, y: }|{x: , y: [a, b]}",
            "~|~|~|~|~|~|~|~|~|~",
            "~|~|~|~|~|~||[]|{}|~",
        ]
    );
}

#[tokio::test]
async fn a_decimal_written_in_the_sql_is_a_decimal() {
    assert_eq!(
        row(
            "a DECIMAL(10,2)",
            "SELECT a + 0.1 AS b, a * 0.1 AS c FROM records",
            r#"{"a":0.20}"#
        )
        .await,
        "0.30|0.020"
    );
}

#[tokio::test]
async fn a_failed_cast_is_an_error_and_a_failed_try_cast_is_null() {
    let schema = "a STRING, b BIGINT";
    let value = r#"{"a":"x","b":300}"#;
    assert!(
        reason(schema, "SELECT CAST(a AS INT) AS n FROM records", value)
            .await
            .contains("'x'")
    );
    assert!(
        reason(schema, "SELECT CAST(b AS TINYINT) AS n FROM records", value)
            .await
            .contains("300")
    );
    assert!(
        reason(schema, "SELECT CAST(a AS TIMESTAMP) AS n FROM records", value)
            .await
            .contains("timestamp")
    );
    let query = "SELECT TRY_CAST(a AS INT) AS n, TRY_CAST(b AS TINYINT) AS m FROM records";
    assert_eq!(row(schema, query, value).await, "~|~");
}
