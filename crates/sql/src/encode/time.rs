//! `date`, `timestamp` and `timestamptz`: days and microseconds since 2000-01-01.

use arrow::{
    array::{Array, AsArray},
    datatypes::{
        DataType, Date32Type, Date64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
        TimestampNanosecondType, TimestampSecondType,
    },
};

use super::{
    refusal,
    write::{Writer, fixed},
};

/// From 1970-01-01 to 2000-01-01.
const EPOCH_DAYS: i64 = 10_957;
const DAY_MICROS: i64 = 86_400_000_000;
const DAY_MILLIS: i64 = 86_400_000;
const EPOCH_MICROS: i64 = EPOCH_DAYS * DAY_MICROS;

/// 4714-11-24 BC to 5874897-12-31 (`datatype/timestamp.h`: `DATETIME_MIN_JULIAN`, `DATE_END_JULIAN`).
const DATES: std::ops::Range<i64> = -2_451_545..2_145_031_949;

/// 4714-11-24 BC to 294276-12-31 (`MIN_TIMESTAMP`, `END_TIMESTAMP`).
const TIMESTAMPS: std::ops::Range<i64> = -211_813_488_000_000_000..9_223_371_331_200_000_000;

/// Reads one row's days or microseconds since 2000; `None` = beyond what 64 bits can say.
pub(super) type SinceEpochAt<'a> = Box<dyn Fn(usize) -> Option<i64> + 'a>;

pub(super) fn days_at(array: &dyn Array) -> Option<SinceEpochAt<'_>> {
    Some(match array.data_type() {
        DataType::Date32 => {
            let values = array.as_primitive_opt::<Date32Type>()?.values();
            Box::new(move |row| Some(i64::from(values[row]) - EPOCH_DAYS))
        }
        DataType::Date64 => {
            let values = array.as_primitive_opt::<Date64Type>()?.values();
            Box::new(move |row| Some(values[row].div_euclid(DAY_MILLIS) - EPOCH_DAYS))
        }
        _ => return None,
    })
}

/// A zone does not change the number: with one, Arrow counts from 1970 in UTC as PostgreSQL does; without one it is the
/// wall clock, which a `timestamptz` takes as UTC (the engine's `time_zone`).
pub(super) fn micros_at(array: &dyn Array) -> Option<SinceEpochAt<'_>> {
    macro_rules! at {
        ($type:ty, $micros:expr) => {{
            let values = array.as_primitive_opt::<$type>()?.values();
            let micros: fn(i64) -> Option<i64> = $micros;
            Box::new(move |row| micros(values[row]).and_then(|micros| micros.checked_sub(EPOCH_MICROS)))
        }};
    }
    Some(match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => at!(TimestampSecondType, |value| value.checked_mul(1_000_000)),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            at!(TimestampMillisecondType, |value| value.checked_mul(1_000))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => at!(TimestampMicrosecondType, Some),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            at!(TimestampNanosecondType, |value| Some(value.div_euclid(1_000)))
        }
        _ => {
            let days = days_at(array)?;
            Box::new(move |row| days(row).and_then(|days| days.checked_mul(DAY_MICROS)))
        }
    })
}

pub(super) fn date(array: &dyn Array) -> Option<Writer<'_>> {
    let at = days_at(array)?;
    Some(Box::new(move |row, out| match at(row) {
        Some(days) if DATES.contains(&days) => {
            fixed(out, (days as i32).to_be_bytes());
            Ok(())
        }
        _ => Err(refusal("22008", "date out of range")),
    }))
}

pub(super) fn timestamp(array: &dyn Array) -> Option<Writer<'_>> {
    let at = micros_at(array)?;
    Some(Box::new(move |row, out| match at(row) {
        Some(micros) if TIMESTAMPS.contains(&micros) => {
            fixed(out, micros.to_be_bytes());
            Ok(())
        }
        _ => Err(refusal("22008", "timestamp out of range")),
    }))
}
