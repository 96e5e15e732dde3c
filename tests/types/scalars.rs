use std::sync::Arc;

use aqueduct::sql::arrow::{
    array::{
        ArrayRef, BinaryArray, DurationMicrosecondArray, Float64Array, IntervalDayTimeArray, IntervalMonthDayNanoArray,
        IntervalYearMonthArray, StringArray, Time32SecondArray, Time64MicrosecondArray, Time64NanosecondArray,
    },
    buffer::NullBuffer,
    datatypes::{IntervalDayTime, IntervalMonthDayNano},
};

use crate::{
    load::texts,
    values::{all, round_trip, states, written},
};

#[test]
fn times_arrive_equal_from_text_and_from_values() {
    let micros = vec![0, 86_399_999_999, 86_400_000_000, 43_200_500_000];
    let expected = all(&["00:00:00", "23:59:59.999999", "24:00:00", "12:00:00.5"]);
    assert_eq!(
        round_trip("time", Arc::new(Time64MicrosecondArray::from(micros))),
        expected
    );
    let text = || texts(["00:00", "23:59:59.999999", "24:00:00", "12:00:00.500000000"]);
    assert_eq!(round_trip("time", text()), expected);
    assert_eq!(
        round_trip("time", Arc::new(Time32SecondArray::from(vec![3_661]))),
        all(&["01:01:01"])
    );
    assert_eq!(
        round_trip("time", Arc::new(Time64NanosecondArray::from(vec![1_000]))),
        all(&["00:00:00.000001"])
    );
    assert_eq!(
        round_trip("time(0)", texts(["12:00:00.5"])),
        all(&["12:00:01"]),
        "PostgreSQL rounds to the column"
    );
    let zoned = texts([
        "12:00+02",
        "12:00:00.25-0330",
        "12:00Z",
        "12:00",
        "23:59:59+15:59",
        "24:00:00-15:59",
    ]);
    assert_eq!(
        round_trip("timetz", zoned),
        all(&[
            "12:00:00+02",
            "12:00:00.25-03:30",
            "12:00:00+00",
            "12:00:00+00",
            "23:59:59+15:59",
            "24:00:00-15:59"
        ])
    );
    assert_eq!(
        round_trip("timetz", Arc::new(Time64MicrosecondArray::from(vec![1]))),
        all(&["00:00:00.000001+00"])
    );
}

#[test]
fn intervals_keep_months_days_and_microseconds_apart() {
    let text = texts([
        "P1Y2M3DT4H5M6.789S",
        "-1 mons +2 days -00:00:00.000001",
        "100:00:00",
        "P2W",
        "2147483647 mons -2147483648 days",
        "9223372036854775807 us",
        "PT0S",
    ]);
    let expected = [
        "1 year 2 mons 3 days 04:05:06.789",
        "-1 mons +2 days -00:00:00.000001",
        "100:00:00",
        "14 days",
        "178956970 years 7 mons -2147483648 days",
        "2562047788:00:54.775807",
        "00:00:00",
    ];
    assert_eq!(round_trip("interval", text), all(&expected));
    let values = IntervalMonthDayNanoArray::from(vec![
        IntervalMonthDayNano::new(14, -3, 6_789_000),
        IntervalMonthDayNano::new(0, 0, i64::MIN / 1_000 * 1_000),
    ]);
    assert_eq!(
        round_trip("interval", Arc::new(values)),
        all(&["1 year 2 mons -3 days +00:00:00.006789", "-2562047:47:16.854775"])
    );
    let days = IntervalDayTimeArray::from(vec![IntervalDayTime::new(-1, 1_500)]);
    assert_eq!(round_trip("interval", Arc::new(days)), all(&["-1 days +00:00:01.5"]));
    assert_eq!(
        round_trip("interval", Arc::new(IntervalYearMonthArray::from(vec![-13]))),
        all(&["-1 years -1 mons"])
    );
    assert_eq!(
        round_trip(
            "interval",
            Arc::new(DurationMicrosecondArray::from(vec![86_400_000_001]))
        ),
        all(&["24:00:00.000001"])
    );
}

#[test]
fn addresses_and_networks_arrive_equal() {
    let text = || {
        texts([
            "10.0.0.0/8",
            "192.168.1.7",
            "0.0.0.0/0",
            "2001:db8::/32",
            "::1",
            "::ffff:1.2.3.4",
        ])
    };
    assert_eq!(
        round_trip("inet", text()),
        all(&[
            "10.0.0.0/8",
            "192.168.1.7/32",
            "0.0.0.0/0",
            "2001:db8::/32",
            "::1/128",
            "::ffff:1.2.3.4/128"
        ])
    );
    assert_eq!(
        round_trip("cidr", text()),
        all(&[
            "10.0.0.0/8",
            "192.168.1.7/32",
            "0.0.0.0/0",
            "2001:db8::/32",
            "::1/128",
            "::ffff:1.2.3.4/128"
        ])
    );
    assert_eq!(round_trip("inet", texts(["10.1.2.3/8"])), all(&["10.1.2.3/8"]));
}

#[test]
fn a_text_that_does_not_parse_rejects_its_record_with_the_column_and_the_type() {
    for (type_name, bad, good, sqlstate) in [
        ("time", "25:00", "23:00", "22007"),
        ("time", "12:00+01", "12:00:00", "22007"),
        ("time", "12:00:00.1234567", "12:00:00", "22008"),
        ("timetz", "12:00+16", "12:00+15", "22009"),
        ("interval", "1.5 months", "1 month", "22007"),
        ("interval", "99999999999 days", "1 day", "22015"),
        ("inet", "1.2.3.256", "1.2.3.4", "22P02"),
        ("cidr", "10.0.0.1/8", "10.0.0.0/8", "22P02"),
        ("uuid", "nonsense", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "22P02"),
        ("jsonb", "{", "{}", "22P02"),
    ] {
        let (arrived, dead) = written("SELECT 1", type_name, texts([good, bad, good]));
        assert_eq!(arrived.len(), 2, "{type_name}");
        assert_eq!(states(&dead), [sqlstate], "{type_name}");
        assert!(dead[0].contains("column \"x\""), "{}", dead[0]);
        assert!(
            !dead[0].contains(bad) || bad.len() < 3,
            "no value in a reason: {}",
            dead[0]
        );
    }
    let nanos = IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(0, 0, 1)]);
    let (_, dead) = written("SELECT 1", "interval", Arc::new(nanos));
    assert_eq!(states(&dead), ["22008"]);
}

#[test]
fn bytes_arrive_equal_from_none_to_a_megabyte() {
    let megabyte: Vec<u8> = (0..1_u32 << 20).map(|n| (n % 251) as u8).collect();
    let arrived = round_trip(
        "bytea",
        Arc::new(BinaryArray::from(vec![&b""[..], &[0, 255, b'\\'], &megabyte])),
    );
    assert_eq!(arrived[..2], all(&["\\x", "\\x00ff5c"]));
    let hex: String = megabyte.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(arrived[2].as_deref() == Some(&format!("\\x{hex}")));
}

#[test]
fn enums_and_domains_over_each_kind_of_base_take_what_the_base_takes() {
    let moods = "CREATE TYPE mood AS ENUM ('sad', 'so so')";
    let (arrived, dead) = written(moods, "mood", texts(["so so", "angry", "sad", "SAD", ""]));
    assert_eq!(arrived, all(&["so so", "sad"]));
    assert_eq!(states(&dead), ["22P02"; 3]);
    assert!(dead[0].contains("invalid input value for enum mood"), "{}", dead[0]);
    for (base, check, good, bad) in [
        ("interval", "VALUE > '0'", "P1D", "P0D"),
        ("inet", "family(VALUE) = 4", "1.2.3.4", "::1"),
        ("time", "VALUE < '12:00'", "08:00", "13:00"),
        ("jsonb", "VALUE ? 'a'", r#"{"a":1}"#, r#"{"b":1}"#),
        (
            "uuid",
            "VALUE <> '00000000-0000-0000-0000-000000000000'",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "{00000000000000000000000000000000}",
        ),
        ("mood", "VALUE::text <> 'sad'", "so so", "sad"),
        ("varchar(3)", "VALUE <> 'no'", "yes", "no"),
    ] {
        let ddl = format!("{moods}; CREATE DOMAIN inner_d AS {base}; CREATE DOMAIN d AS inner_d CHECK ({check})");
        let (arrived, dead) = written(&ddl, "d", texts([good, bad]));
        assert_eq!(arrived.len(), 1, "{base}");
        assert_eq!(states(&dead), ["23514"], "{base}");
        assert!(dead[0].contains("domain d"), "{}", dead[0]);
    }
    let (arrived, dead) = written(
        "CREATE DOMAIN even AS integer CHECK (VALUE % 2 = 0); CREATE DOMAIN must AS even NOT NULL",
        "must",
        Arc::new(aqueduct::sql::arrow::array::Int64Array::from(vec![
            Some(2),
            Some(3),
            None,
        ])),
    );
    assert_eq!(arrived, all(&["2"]));
    assert_eq!(states(&dead), ["23514", "23502"]);
}

#[test]
fn fixed_lengths_are_postgresqls_to_apply() {
    let (arrived, dead) = written("SELECT 1", "char(3)", texts(["ab", "abc  ", "abcd", ""]));
    assert_eq!(arrived, all(&["ab", "abc", ""]));
    assert_eq!(states(&dead), ["22001"]);
    let (arrived, dead) = written(
        "SELECT 1",
        "varchar(2)[]",
        crate::arrays::list_of([Some("ab")].as_slice()),
    );
    assert_eq!((arrived, dead.len()), (all(&["{ab}"]), 0));
}

#[test]
fn json_values_look_as_spark_writes_them() {
    use aqueduct::sql::arrow::{
        array::StructArray,
        datatypes::{Field, Fields},
    };
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![Some(&b"fo"[..]), None]));
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, -1.5]));
    let fields: Fields = [("b", &bytes), ("f", &floats)]
        .map(|(name, array)| Field::new(name, array.data_type().clone(), true))
        .into_iter()
        .collect();
    let value = StructArray::new(fields, vec![bytes, floats], None::<NullBuffer>);
    assert_eq!(
        round_trip("jsonb", Arc::new(value)),
        all(&[r#"{"b": "Zm8=", "f": "NaN"}"#, r#"{"b": null, "f": -1.5}"#])
    );
    assert_eq!(
        round_trip("json", Arc::new(StringArray::from(vec![r#"{"a":"\u0000"}"#]))),
        all(&[r#"{"a":"\u0000"}"#]),
        "json keeps the text"
    );
}
