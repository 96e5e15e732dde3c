//! Every type arrives as it was sent, exactly.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

use std::sync::Arc;

use aqueduct::sql::arrow::{
    array::{
        Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float32Array,
        Float64Array, Int16Array, Int32Array, Int64Array, ListBuilder, StringArray, StringBuilder,
        TimestampMicrosecondArray, TimestampSecondArray, UInt64Array,
    },
    datatypes::SchemaRef,
};

#[path = "support/load.rs"]
mod load;

use load::{Branch, append, rows, settled};

/// Writes `array` into a column of `type_name` and returns what PostgreSQL holds, as text.
fn round_trip(type_name: &str, array: ArrayRef) -> Vec<Option<String>> {
    let num_records = array.len();
    let batch = rows(vec![("n", load::ints(0..num_records as i64)), ("x", array)]);
    let schema: SchemaRef = batch.schema();
    let ddl = format!("CREATE TABLE t (n bigint PRIMARY KEY, x {type_name}); SET extra_float_digits = 3");
    let mut branch = Branch::new(&ddl, &[(append("t"), schema)]);
    let (counts, _, dead) = settled(branch.write(num_records, vec![batch]));
    assert_eq!(
        (counts.applied, counts.dead),
        (num_records as u64, 0),
        "{type_name}: {dead:?}"
    );
    (0..num_records)
        .map(|n| branch.ask(&format!("SELECT x::text FROM t WHERE n = {n}")))
        .collect()
}

fn all(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|value| Some((*value).to_owned())).collect()
}

#[test]
fn integers_arrive_equal() {
    let big = || {
        Arc::new(Int64Array::from(vec![
            228_930_314_431_312_345,
            i64::MAX,
            i64::MIN,
            0,
            -1,
        ]))
    };
    let expected = [
        "228930314431312345",
        "9223372036854775807",
        "-9223372036854775808",
        "0",
        "-1",
    ];
    assert_eq!(round_trip("bigint", big()), all(&expected));
    assert_eq!(round_trip("numeric", big()), all(&expected));
    assert_eq!(
        round_trip("integer", Arc::new(Int64Array::from(vec![i64::from(i32::MIN), 7]))),
        all(&["-2147483648", "7"])
    );
    assert_eq!(
        round_trip("smallint", Arc::new(Int32Array::from(vec![-32_768, 32_767]))),
        all(&["-32768", "32767"])
    );
    assert_eq!(round_trip("bigint", Arc::new(Int16Array::from(vec![-5]))), all(&["-5"]));
    assert_eq!(
        round_trip("numeric", Arc::new(UInt64Array::from(vec![u64::MAX]))),
        all(&["18446744073709551615"])
    );
}

#[test]
fn decimals_arrive_equal() {
    let decimals = |values: Vec<i128>, precision, scale| -> ArrayRef {
        Arc::new(
            Decimal128Array::from(values)
                .with_precision_and_scale(precision, scale)
                .unwrap(),
        )
    };
    let values = vec![
        12_345_678_901_234_567_890_123_456_789_012_345_678,
        -1,
        0,
        10_i128.pow(18),
        10_i128.pow(38) - 1,
    ];
    let expected = [
        "12345678901234567890.123456789012345678",
        "-0.000000000000000001",
        "0.000000000000000000",
        "1.000000000000000000",
        "99999999999999999999.999999999999999999",
    ];
    assert_eq!(
        round_trip("numeric(38, 18)", decimals(values.clone(), 38, 18)),
        all(&expected)
    );
    assert_eq!(round_trip("numeric", decimals(values, 38, 18)), all(&expected));
    assert_eq!(
        round_trip("numeric", decimals(vec![123, -4], 5, -2)),
        all(&["12300", "-400"])
    );
    // The column's scale is PostgreSQL's to apply.
    assert_eq!(
        round_trip("numeric(6, 2)", decimals(vec![1_005, -99], 9, 3)),
        all(&["1.01", "-0.10"])
    );
    assert_eq!(
        round_trip("double precision", decimals(vec![1, 123_456], 9, 1)),
        all(&["0.1", "12345.6"])
    );
    assert_eq!(
        round_trip("bigint", decimals(vec![i128::from(i64::MAX)], 38, 0)),
        all(&["9223372036854775807"])
    );
}

#[test]
fn floats_arrive_equal() {
    let values = vec![
        0.1,
        -0.0,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MAX,
        f64::MIN_POSITIVE,
    ];
    let expected = [
        "0.1",
        "-0",
        "NaN",
        "Infinity",
        "-Infinity",
        "1.7976931348623157e+308",
        "2.2250738585072014e-308",
    ];
    assert_eq!(
        round_trip("double precision", Arc::new(Float64Array::from(values))),
        all(&expected)
    );
    let values = vec![0.1_f32, -0.0, f32::NAN, f32::INFINITY];
    assert_eq!(
        round_trip("real", Arc::new(Float32Array::from(values))),
        all(&["0.1", "-0", "NaN", "Infinity"])
    );
    assert_eq!(
        round_trip("real", Arc::new(Float64Array::from(vec![0.5]))),
        all(&["0.5"])
    );
    assert_eq!(
        round_trip("double precision", Arc::new(Int64Array::from(vec![1 << 53]))),
        all(&["9.007199254740992e+15"])
    );
}

#[test]
fn dates_and_times_arrive_equal_on_both_sides_of_every_epoch() {
    let day = |value: &str| -> i32 {
        let parts: Vec<i32> = value.split('-').map(|part| part.parse().unwrap()).collect();
        let date = chrono::NaiveDate::from_ymd_opt(parts[0], parts[1] as u32, parts[2] as u32).unwrap();
        (date - chrono::NaiveDate::from_ymd_opt(1970, 1, 1).unwrap()).num_days() as i32
    };
    let days = vec![
        day("1970-01-01"),
        day("1969-12-31"),
        day("2000-02-29"),
        day("0001-01-01"),
        day("9999-12-31"),
        -2_440_588,
        2_145_042_541 - 365,
    ];
    let expected = [
        "1970-01-01",
        "1969-12-31",
        "2000-02-29",
        "0001-01-01",
        "9999-12-31",
        "4714-11-24 BC",
    ];
    let arrived = round_trip("date", Arc::new(Date32Array::from(days)));
    assert_eq!(arrived[..6], all(&expected));
    assert!(
        arrived[6].as_ref().is_some_and(|last| last.starts_with("58748")),
        "{arrived:?}"
    );

    let micros = vec![
        -1,
        0,
        1,
        788_904_733_123_456,
        -62_135_596_800_000_000,
        -210_866_803_200_000_000,
    ];
    let expected = [
        "1969-12-31 23:59:59.999999",
        "1970-01-01 00:00:00",
        "1970-01-01 00:00:00.000001",
        "1994-12-31 20:12:13.123456",
        "0001-01-01 00:00:00",
        "4714-11-24 00:00:00 BC",
    ];
    let naive = || TimestampMicrosecondArray::from(micros.clone());
    assert_eq!(round_trip("timestamp", Arc::new(naive())), all(&expected));
    assert_eq!(
        round_trip("timestamp", Arc::new(naive().with_timezone("UTC"))),
        all(&expected)
    );
    let zoned: Vec<String> = expected
        .iter()
        .map(|text| match text.strip_suffix(" BC") {
            Some(text) => format!("{text}+00 BC"),
            None => format!("{text}+00"),
        })
        .collect();
    let zoned: Vec<&str> = zoned.iter().map(String::as_str).collect();
    assert_eq!(
        round_trip("timestamptz", Arc::new(naive().with_timezone("UTC"))),
        all(&zoned)
    );
    assert_eq!(
        round_trip("timestamptz", Arc::new(naive().with_timezone("+02:00"))),
        all(&zoned)
    );
    assert_eq!(
        round_trip("timestamp", Arc::new(TimestampSecondArray::from(vec![-1]))),
        all(&["1969-12-31 23:59:59"])
    );
    assert_eq!(
        round_trip("timestamp", Arc::new(Date32Array::from(vec![-1]))),
        all(&["1969-12-31 00:00:00"])
    );
}

#[test]
fn texts_and_bytes_arrive_equal() {
    let texts = || -> ArrayRef { Arc::new(StringArray::from(vec!["", "Zoë 'n\u{1F600}\t\\N\n", "سلام"])) };
    let expected = all(&["", "Zoë 'n\u{1F600}\t\\N\n", "سلام"]);
    for type_name in ["text", "varchar", "varchar(20)", "name"] {
        assert_eq!(round_trip(type_name, texts()), expected, "{type_name}");
    }
    assert_eq!(
        round_trip("char(3)", Arc::new(StringArray::from(vec!["ab"]))),
        all(&["ab"])
    );
    assert_eq!(
        round_trip("bytea", Arc::new(BinaryArray::from(vec![&[0_u8, 255][..]]))),
        all(&["\\x00ff"])
    );
    assert_eq!(
        round_trip("boolean", Arc::new(BooleanArray::from(vec![true, false]))),
        all(&["true", "false"])
    );
    assert_eq!(
        round_trip("text", Arc::new(StringArray::from(vec![None::<&str>]))),
        [None]
    );
}

#[test]
fn uuids_arrive_equal_from_text_and_from_bytes() {
    let expected = all(&["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]);
    for text in [
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "{A0EEBC999C0B4EF8BB6D6BB9BD380A11}",
    ] {
        assert_eq!(round_trip("uuid", Arc::new(StringArray::from(vec![text]))), expected);
    }
    let bytes = uuid::Uuid::parse_str("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")
        .unwrap()
        .into_bytes();
    let fixed = FixedSizeBinaryArray::try_from_iter([bytes].into_iter()).unwrap();
    assert_eq!(round_trip("uuid", Arc::new(fixed)), expected);
    assert_eq!(
        round_trip("uuid", Arc::new(BinaryArray::from(vec![&bytes[..]]))),
        expected
    );
}

#[test]
fn json_arrives_as_text_or_as_value() {
    let text = || -> ArrayRef {
        Arc::new(StringArray::from(vec![
            r#"{"b": 228930314431312345, "a":[1.10, null]}"#,
        ]))
    };
    assert_eq!(
        round_trip("jsonb", text()),
        all(&[r#"{"a": [1.10, null], "b": 228930314431312345}"#])
    );
    assert_eq!(
        round_trip("json", text()),
        all(&[r#"{"b": 228930314431312345, "a":[1.10, null]}"#])
    );
    let mut list = ListBuilder::new(StringBuilder::new());
    list.append_value([Some("é\"x"), None]);
    assert_eq!(
        round_trip("jsonb", Arc::new(list.finish())),
        all(&[r#"["é\"x", null]"#])
    );
    assert_eq!(
        round_trip("jsonb", Arc::new(Int64Array::from(vec![i64::MAX]))),
        all(&["9223372036854775807"])
    );
}

#[test]
fn domains_and_enums_take_what_their_base_takes() {
    let batch = rows(vec![
        ("mood", load::texts(["sad", "happy"])),
        ("zip", load::texts(["123", "45678"])),
    ]);
    let ddl = "CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE DOMAIN short AS varchar(5); \
               CREATE DOMAIN zip AS short CHECK (VALUE ~ '^[0-9]+$') NOT NULL; CREATE TABLE t (mood mood, zip zip)";
    let mut branch = Branch::new(ddl, &[(append("t"), batch.schema())]);
    settled(branch.write(2, vec![batch]));
    assert_eq!(
        branch
            .ask("SELECT string_agg(mood || zip, ',' ORDER BY zip) FROM t")
            .as_deref(),
        Some("sad123,happy45678")
    );
    let bad = rows(vec![
        ("mood", load::texts(["angry", "sad", "sad"])),
        ("zip", load::texts(["1", "x", "123456"])),
    ]);
    let (counts, _, dead) = settled(branch.write(3, vec![bad]));
    assert_eq!(counts.dead, 3);
    let states: Vec<_> = dead.iter().map(|letter| &letter.reason[..5]).collect();
    assert_eq!(states, ["22P02", "23514", "22001"]);
}
