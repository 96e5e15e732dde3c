//! `time` and `timetz`: microseconds since midnight, and for the latter the seconds west of UTC (`time_recv` and
//! `timetz_recv` in `utils/adt/date.c`).

use arrow::{
    array::{Array, AsArray},
    datatypes::{
        DataType, Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    },
};

use super::{
    Refusal,
    bytes::text_at,
    refusal,
    write::{Writer, fixed, sized},
};
use crate::decode::time::{NoTime, fraction, two, zone};

const SECOND_MICROS: i64 = 1_000_000;
/// 24:00:00 is a time, and the last one.
const LAST: i64 = 86_400 * SECOND_MICROS;
/// `TZDISP_LIMIT`: zones are less than 16 hours away from UTC.
const MAX_ZONE_SECONDS: i64 = 16 * 3_600;

/// Microseconds since midnight.
pub(super) type TimeAt<'a> = Box<dyn Fn(usize) -> Result<i64, Box<Refusal>> + 'a>;

/// Microseconds since midnight, and seconds *west* of UTC.
pub(super) type TimeTzAt<'a> = Box<dyn Fn(usize) -> Result<(i64, i32), Box<Refusal>> + 'a>;

pub(super) fn time_at(array: &dyn Array) -> Option<TimeAt<'_>> {
    if let Some(at) = text_at(array) {
        return Some(Box::new(move |row| match clock(at(row).as_bytes()) {
            Ok((micros, [])) => Ok(micros),
            // The zone of a `time` says nothing without its day; PostgreSQL would drop it in silence.
            Ok(_) => Err(no_time(NoTime::Form, "time")),
            Err(why) => Err(no_time(why, "time")),
        }));
    }
    value_at(array)
}

pub(super) fn timetz_at(array: &dyn Array) -> Option<TimeTzAt<'_>> {
    if let Some(at) = text_at(array) {
        return Some(Box::new(move |row| {
            let wrong = |why| no_time(why, "time with time zone");
            let (micros, rest) = clock(at(row).as_bytes()).map_err(wrong)?;
            let east = zone(rest).map_err(wrong)?.unwrap_or(0);
            if east.abs() >= MAX_ZONE_SECONDS {
                return Err(refusal("22009", "time zone displacement out of range"));
            }
            Ok((micros, -(east as i32)))
        }));
    }
    let at = value_at(array)?;
    Some(Box::new(move |row| Ok((at(row)?, 0))))
}

fn value_at(array: &dyn Array) -> Option<TimeAt<'_>> {
    macro_rules! at {
        ($type:ty, $micros:expr) => {{
            let values = array.as_primitive_opt::<$type>()?.values();
            let micros: fn(i64) -> i64 = $micros;
            Box::new(move |row| match micros(i64::from(values[row])) {
                micros if (0..=LAST).contains(&micros) => Ok(micros),
                _ => Err(refusal("22008", "time out of range")),
            })
        }};
    }
    Some(match array.data_type() {
        DataType::Time32(TimeUnit::Second) => at!(Time32SecondType, |value| value.saturating_mul(SECOND_MICROS)),
        DataType::Time32(TimeUnit::Millisecond) => at!(Time32MillisecondType, |value| value.saturating_mul(1_000)),
        DataType::Time64(TimeUnit::Microsecond) => at!(Time64MicrosecondType, |value| value),
        DataType::Time64(TimeUnit::Nanosecond) => at!(Time64NanosecondType, |value| value.div_euclid(1_000)),
        _ => return None,
    })
}

pub(super) fn time(array: &dyn Array) -> Option<Writer<'_>> {
    let at = time_at(array)?;
    Some(Box::new(move |row, out| {
        fixed(out, at(row)?.to_be_bytes());
        Ok(())
    }))
}

pub(super) fn timetz(array: &dyn Array) -> Option<Writer<'_>> {
    let at = timetz_at(array)?;
    Some(Box::new(move |row, out| {
        let (micros, west) = at(row)?;
        sized(out, |out| {
            out.extend_from_slice(&micros.to_be_bytes());
            out.extend_from_slice(&west.to_be_bytes());
            Ok(())
        })
    }))
}

/// Microseconds of `hh:mm[:ss[.fraction]]`, and what follows it.
fn clock(text: &[u8]) -> Result<(i64, &[u8]), NoTime> {
    let [h1, h2, rest @ ..] = text else {
        return Err(NoTime::Form);
    };
    let hours = two(*h1, *h2).filter(|&hours| hours <= 24).ok_or(NoTime::Form)?;
    let (micros, rest) = below_hours(rest)?;
    let micros = i64::from(hours) * 3_600 * SECOND_MICROS + micros;
    if micros > LAST {
        return Err(NoTime::Form);
    }
    Ok((micros, rest))
}

/// Microseconds of `:mm[:ss[.fraction]]`, and what follows it.
pub(super) fn below_hours(text: &[u8]) -> Result<(i64, &[u8]), NoTime> {
    let [b':', m1, m2, rest @ ..] = text else {
        return Err(NoTime::Form);
    };
    let minutes = two(*m1, *m2).filter(|&minutes| minutes < 60).ok_or(NoTime::Form)?;
    // Without seconds a point would make them of the minutes.
    let (seconds, micros, rest) = match rest {
        [b':', s1, s2, rest @ ..] => {
            let seconds = two(*s1, *s2).filter(|&seconds| seconds < 60).ok_or(NoTime::Form)?;
            let (micros, rest) = match rest {
                [b'.', rest @ ..] => fraction(rest)?,
                rest => (0, rest),
            };
            (seconds, micros, rest)
        }
        rest => (0, 0, rest),
    };
    Ok((i64::from(minutes * 60 + seconds) * SECOND_MICROS + micros, rest))
}

fn no_time(why: NoTime, type_name: &str) -> Box<Refusal> {
    match why {
        NoTime::Fraction => refusal("22008", format!("{type_name} with digits below the microsecond")),
        NoTime::Form | NoTime::Zone => refusal("22007", format!("invalid input syntax for type {type_name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_read_to_the_microsecond() {
        assert_eq!(clock(b"00:00"), Ok((0, &b""[..])));
        assert_eq!(clock(b"23:59:59.999999"), Ok((86_399_999_999, &b""[..])));
        assert_eq!(clock(b"12:00:01.5000000+02"), Ok((43_201_500_000, &b"+02"[..])));
        assert_eq!(clock(b"24:00:00"), Ok((LAST, &b""[..])));
    }

    #[test]
    fn what_is_no_clock_is_refused() {
        for text in [
            "",
            "1:00",
            "24:00:01",
            "25:00",
            "12:60",
            "12:00:60",
            "12.30",
            "12:00:00.",
        ] {
            assert_eq!(clock(text.as_bytes()), Err(NoTime::Form), "{text}");
        }
        assert_eq!(clock(b"12:00:00.0000001"), Err(NoTime::Fraction));
        assert_eq!(
            clock(b"12:30.5"),
            Ok((45_000_000_000, &b".5"[..])),
            "the caller wants no rest"
        );
    }
}
