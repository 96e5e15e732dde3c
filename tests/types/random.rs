//! Random values of each type, each with a text that PostgreSQL reads as the same value.

use std::{fmt::Debug, sync::Arc};

use aqueduct::sql::arrow::{
    array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int16Array,
        Int32Array, Int64Array, Int64Builder, IntervalMonthDayNanoArray, ListBuilder, StringArray, StringBuilder,
        Time64MicrosecondArray, TimestampMicrosecondArray,
    },
    datatypes::IntervalMonthDayNano,
};
use proptest::prelude::*;

/// Rows of a batch.
pub const ROWS: usize = 24;

/// Values, and the text of each.
pub type Values = (ArrayRef, Vec<Option<String>>);

/// A column of a random table.
pub struct Column {
    pub type_name: &'static str,
    pub values: BoxedStrategy<Values>,
}

fn column<V: Clone + Debug + 'static>(
    type_name: &'static str,
    value: impl Strategy<Value = (V, String)> + 'static,
    build: fn(Vec<Option<V>>) -> ArrayRef,
) -> Column {
    let values = prop::collection::vec(prop::option::weighted(0.9, value), ROWS)
        .prop_map(move |values| {
            let (values, texts) = values.into_iter().map(Option::unzip).unzip();
            (build(values), texts)
        })
        .boxed();
    Column { type_name, values }
}

/// A column whose values are their own texts.
fn text_column(type_name: &'static str, value: impl Strategy<Value = String> + 'static) -> Column {
    let twice = value.prop_map(|text| (text.clone(), text));
    column(type_name, twice, |values| Arc::new(StringArray::from(values)))
}

fn shown<V: ToString>(value: V) -> (V, String) {
    let text = value.to_string();
    (value, text)
}

fn text(most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(any::<char>().prop_filter("no U+0000", |c| *c != '\0'), 0..most)
        .prop_map(|characters| characters.into_iter().collect())
}

/// `digits` of a number with `scale` of them behind the point.
fn decimal(unscaled: i128, scale: usize) -> String {
    let digits = format!("{:0width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{}{whole}.{fraction}", if unscaled < 0 { "-" } else { "" })
}

fn clock(micros: i64) -> String {
    let (seconds, below) = (micros / 1_000_000, micros % 1_000_000);
    format!(
        "{:02}:{:02}:{:02}.{below:06}",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    )
}

fn moment(micros: i64) -> String {
    let moment = chrono::DateTime::from_timestamp_micros(micros).unwrap();
    moment.format("%Y-%m-%d %H:%M:%S%.6f+00").to_string()
}

/// The years 1 to 9999.
const MOMENTS: std::ops::Range<i64> = -62_135_596_800_000_000..253_402_300_800_000_000;

fn interval_text((months, days, micros): (i32, i32, i64)) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    format!("{months} mons {days} days {sign}{}", clock(micros.abs()))
}

fn interval() -> impl Strategy<Value = (i32, i32, i64)> {
    let micros = -9_223_372_036_854_775_i64..=9_223_372_036_854_775;
    (
        -2_000_000_000..2_000_000_000,
        any::<i32>(),
        prop_oneof![micros, -100_000_i64..100_000],
    )
}

fn network(cidr: bool) -> impl Strategy<Value = String> {
    let v4 = (any::<u32>(), 0_u32..=32).prop_map(move |(address, bits)| {
        let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
        let address = std::net::Ipv4Addr::from(if cidr { address & mask } else { address });
        format!("{address}/{bits}")
    });
    let v6 = (any::<u128>(), 0_u32..=128).prop_map(move |(address, bits)| {
        let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
        let address = std::net::Ipv6Addr::from(if cidr { address & mask } else { address });
        format!("{address}/{bits}")
    });
    prop_oneof![v4, v6]
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        text(8).prop_map(Into::into),
    ];
    let value = leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec((text(4), inner), 0..4)
                .prop_map(|pairs| serde_json::Value::Object(pairs.into_iter().collect())),
        ]
    });
    value.prop_map(|value| value.to_string())
}

/// An array as PostgreSQL reads it.
fn array_text<T>(elements: &[Option<T>], text: impl Fn(&T) -> String) -> String {
    let element = |element: &Option<T>| match element {
        None => "NULL".to_owned(),
        Some(value) => format!("\"{}\"", text(value).replace('\\', "\\\\").replace('"', "\\\"")),
    };
    format!("{{{}}}", elements.iter().map(element).collect::<Vec<_>>().join(","))
}

fn list<V: Clone + Debug>(value: impl Strategy<Value = V>) -> impl Strategy<Value = Vec<Option<V>>> {
    prop::collection::vec(prop::option::weighted(0.8, value), 0..6)
}

/// A column for each type.
pub fn columns() -> Vec<Column> {
    vec![
        column("boolean", any::<bool>().prop_map(shown), |values| {
            Arc::new(BooleanArray::from(values))
        }),
        column("smallint", any::<i16>().prop_map(shown), |values| {
            Arc::new(Int16Array::from(values))
        }),
        column("integer", any::<i32>().prop_map(shown), |values| {
            Arc::new(Int32Array::from(values))
        }),
        column("bigint", any::<i64>().prop_map(shown), |values| {
            Arc::new(Int64Array::from(values))
        }),
        column(
            "numeric(38, 18)",
            prop_oneof![-10_i128.pow(38) + 1..10_i128.pow(38), -1_000_000_i128..1_000_000]
                .prop_map(|unscaled| (unscaled, decimal(unscaled, 18))),
            |values| Arc::new(Decimal128Array::from(values).with_precision_and_scale(38, 18).unwrap()),
        ),
        column(
            "real",
            prop::num::f32::ANY.prop_map(|value| (value, format!("{value:e}"))),
            |values| Arc::new(Float32Array::from(values)),
        ),
        column(
            "double precision",
            prop::num::f64::ANY.prop_map(|value| (value, format!("{value:e}"))),
            |values| Arc::new(Float64Array::from(values)),
        ),
        text_column("text", text(40)),
        text_column("varchar(9)", text(10)),
        text_column("char(9)", text(10)),
        column(
            "bytea",
            prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                (bytes, format!("\\x{hex}"))
            }),
            |values| Arc::new(values.iter().map(|bytes| bytes.as_deref()).collect::<BinaryArray>()),
        ),
        text_column(
            "uuid",
            any::<u128>().prop_map(|bits| uuid::Uuid::from_u128(bits).braced().to_string()),
        ),
        column(
            "date",
            (-719_162..2_932_897).prop_map(|days| {
                let epoch = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
                (days, (epoch + chrono::TimeDelta::days(i64::from(days))).to_string())
            }),
            |values| Arc::new(Date32Array::from(values)),
        ),
        column(
            "timestamptz",
            MOMENTS.prop_map(|micros| (micros, moment(micros))),
            |values| Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC")),
        ),
        column(
            "timestamp",
            MOMENTS.prop_map(|micros| (micros, moment(micros))),
            |values| Arc::new(TimestampMicrosecondArray::from(values)),
        ),
        column(
            "time",
            (0..=86_400_000_000_i64).prop_map(|micros| (micros, clock(micros))),
            |values| Arc::new(Time64MicrosecondArray::from(values)),
        ),
        text_column("time", (0..=86_400_000_000_i64).prop_map(clock)),
        text_column(
            "timetz",
            (0..=86_400_000_000_i64, -15_i32..=15, 0..60)
                .prop_map(|(micros, hours, minutes)| format!("{}{hours:+03}:{minutes:02}", clock(micros))),
        ),
        column(
            "interval",
            interval().prop_map(|value| (value, interval_text(value))),
            |values| {
                let value = |(months, days, micros)| IntervalMonthDayNano::new(months, days, micros * 1_000);
                Arc::new(
                    values
                        .into_iter()
                        .map(|v| v.map(value))
                        .collect::<IntervalMonthDayNanoArray>(),
                )
            },
        ),
        text_column("interval", interval().prop_map(interval_text)),
        text_column(
            "interval",
            (
                -9_999..9_999,
                -50..50,
                -9_999..9_999,
                -9_999..9_999,
                0_i128..999_999_999,
            )
                .prop_map(|(y, m, d, h, micros)| format!("P{y}Y{m}M{d}DT{h}H{}S", decimal(micros, 6))),
        ),
        text_column("inet", network(false)),
        text_column("cidr", network(true)),
        text_column("jsonb", json()),
        text_column("json", json()),
        text_column(
            "mood",
            prop_oneof![Just("sad".to_owned()), Just("so \"so\"".to_owned())],
        ),
        text_column("zip", (0..99_999_u32).prop_map(|zip| zip.to_string())),
        column(
            "bigint[]",
            list(any::<i64>()).prop_map(|list| (list.clone(), array_text(&list, i64::to_string))),
            |values| {
                let mut builder = ListBuilder::new(Int64Builder::new());
                values.into_iter().for_each(|list| builder.append_option(list));
                Arc::new(builder.finish())
            },
        ),
        column(
            "text[]",
            list(text(8)).prop_map(|list| (list.clone(), array_text(&list, String::clone))),
            |values| {
                let mut builder = ListBuilder::new(StringBuilder::new());
                values.into_iter().for_each(|list| builder.append_option(list));
                Arc::new(builder.finish())
            },
        ),
        column(
            "interval[]",
            list(interval().prop_map(interval_text)).prop_map(|list| (list.clone(), array_text(&list, String::clone))),
            |values| {
                let mut builder = ListBuilder::new(StringBuilder::new());
                values.into_iter().for_each(|list| builder.append_option(list));
                Arc::new(builder.finish())
            },
        ),
        column(
            "integer[]",
            (0_usize..4, 1_usize..4).prop_flat_map(|(outer, inner)| {
                prop::collection::vec(
                    prop::collection::vec(prop::option::weighted(0.8, any::<i64>().prop_map(|n| n >> 33)), inner),
                    outer,
                )
                .prop_map(|grid| {
                    let rows: Vec<String> = grid.iter().map(|row| array_text(row, i64::to_string)).collect();
                    (grid, format!("{{{}}}", rows.join(",")))
                })
            }),
            |values| {
                let mut builder = ListBuilder::new(ListBuilder::new(Int64Builder::new()));
                for grid in values {
                    let is_some = grid.is_some();
                    grid.into_iter()
                        .flatten()
                        .for_each(|row| builder.values().append_value(row));
                    builder.append(is_some);
                }
                Arc::new(builder.finish())
            },
        ),
    ]
}
