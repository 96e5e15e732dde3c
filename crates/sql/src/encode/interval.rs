//! `interval`: microseconds, days and months, which are kept apart because neither days nor months have a fixed length
//! (`interval_recv` in `utils/adt/timestamp.c`).

use arrow::{
    array::{Array, AsArray},
    datatypes::{
        DataType, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType,
        IntervalDayTimeType, IntervalMonthDayNanoType, IntervalUnit, IntervalYearMonthType, TimeUnit,
    },
};

use super::{
    Refusal,
    bytes::text_at,
    interval_text, refusal,
    write::{Writer, sized},
};

const DAY_MICROS: i128 = 86_400_000_000;
const DAYS_PER_MONTH: i128 = 30;

/// An interval as PostgreSQL keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Interval {
    pub months: i32,
    pub days: i32,
    pub micros: i64,
}

impl Interval {
    fn new(months: i32, days: i32, micros: i64) -> Self {
        Self { months, days, micros }
    }

    /// By which PostgreSQL compares: a month is 30 days and a day 24 hours (`interval_cmp_value`).
    pub(super) fn span(self) -> i128 {
        (i128::from(self.months) * DAYS_PER_MONTH + i128::from(self.days)) * DAY_MICROS + i128::from(self.micros)
    }
}

/// Reads one row's interval.
pub(super) type IntervalAt<'a> = Box<dyn Fn(usize) -> Result<Interval, Box<Refusal>> + 'a>;

pub(super) fn interval_at(array: &dyn Array) -> Option<IntervalAt<'_>> {
    if let Some(at) = text_at(array) {
        return Some(Box::new(move |row| interval_text::parse(at(row))));
    }
    macro_rules! duration {
        ($type:ty, $micros:expr) => {{
            let values = array.as_primitive_opt::<$type>()?.values();
            let micros: fn(i64) -> Option<i64> = $micros;
            Box::new(move |row| {
                let micros = micros(values[row]).ok_or_else(out_of_range)?;
                Ok(Interval::new(0, 0, micros))
            })
        }};
    }
    Some(match array.data_type() {
        DataType::Interval(IntervalUnit::YearMonth) => {
            let values = array.as_primitive_opt::<IntervalYearMonthType>()?.values();
            Box::new(move |row| Ok(Interval::new(values[row], 0, 0)))
        }
        DataType::Interval(IntervalUnit::DayTime) => {
            let values = array.as_primitive_opt::<IntervalDayTimeType>()?.values();
            Box::new(move |row| {
                let value = values[row];
                Ok(Interval::new(0, value.days, i64::from(value.milliseconds) * 1_000))
            })
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let values = array.as_primitive_opt::<IntervalMonthDayNanoType>()?.values();
            Box::new(move |row| {
                let value = values[row];
                if value.nanoseconds % 1_000 != 0 {
                    return Err(refusal("22008", "interval with digits below the microsecond"));
                }
                Ok(Interval::new(value.months, value.days, value.nanoseconds / 1_000))
            })
        }
        DataType::Duration(TimeUnit::Second) => duration!(DurationSecondType, |value| value.checked_mul(1_000_000)),
        DataType::Duration(TimeUnit::Millisecond) => {
            duration!(DurationMillisecondType, |value| value.checked_mul(1_000))
        }
        DataType::Duration(TimeUnit::Microsecond) => duration!(DurationMicrosecondType, Some),
        DataType::Duration(TimeUnit::Nanosecond) => {
            duration!(DurationNanosecondType, |value| Some(value.div_euclid(1_000)))
        }
        _ => return None,
    })
}

/// The SQLSTATE and the words of PostgreSQL.
pub(super) fn out_of_range() -> Box<Refusal> {
    refusal("22015", "interval field value out of range")
}

pub(super) fn interval(array: &dyn Array) -> Option<Writer<'_>> {
    let at = interval_at(array)?;
    Some(Box::new(move |row, out| {
        let Interval { months, days, micros } = at(row)?;
        sized(out, |out| {
            out.extend_from_slice(&micros.to_be_bytes());
            out.extend_from_slice(&days.to_be_bytes());
            out.extend_from_slice(&months.to_be_bytes());
            Ok(())
        })
    }))
}
