//! Intervals as text: ISO 8601 (`P1Y2M3DT4H5M6.5S`) and PostgreSQL's own form (`1 year 2 mons -3 days 04:05:06.5`).
//!
//! What PostgreSQL would spread over smaller units (`1.5 months`) or guess (`5` without a unit) is refused.

use super::{
    Refusal,
    clock::below_hours,
    interval::{Interval, out_of_range},
    refusal,
};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// So many months.
    Months(i64),
    /// So many days.
    Days(i64),
    /// So many microseconds.
    Micros(i64),
}

enum Bad {
    Form,
    Range,
}

/// The sum so far.
#[derive(Default)]
struct Sum {
    months: i64,
    days: i64,
    micros: i64,
}

pub(super) fn parse(text: &str) -> Result<Interval, Box<Refusal>> {
    let (sign, unsigned) = match text.as_bytes() {
        [b'-', b'P', ..] => (-1, &text[1..]),
        [b'+', b'P', ..] => (1, &text[1..]),
        _ => (1, text),
    };
    let parsed = match unsigned.strip_prefix('P') {
        Some(rest) => iso(rest),
        None => words(text),
    };
    parsed.and_then(|sum| sum.times(sign)).map_err(|bad| match bad {
        Bad::Form => refusal("22007", "invalid input syntax for type interval"),
        Bad::Range => out_of_range(),
    })
}

impl Sum {
    fn add(&mut self, number: Number<'_>, unit: Unit) -> Result<(), Bad> {
        let (sum, size) = match unit {
            Unit::Months(size) => (&mut self.months, size),
            Unit::Days(size) => (&mut self.days, size),
            Unit::Micros(size) => (&mut self.micros, size),
        };
        let whole = number.whole.checked_mul(size).ok_or(Bad::Range)?;
        let part = match (unit, number.fraction) {
            (_, "") => 0,
            (Unit::Micros(size), digits) => fraction(digits, size)?,
            // How long half a month is depends on the month.
            _ => return Err(Bad::Form),
        };
        let value = whole.checked_add(part).ok_or(Bad::Range)?;
        let value = if number.negative { -value } else { value };
        *sum = sum.checked_add(value).ok_or(Bad::Range)?;
        Ok(())
    }

    fn times(self, sign: i64) -> Result<Interval, Bad> {
        let narrow = |value: i64| i32::try_from(value * sign).map_err(|_| Bad::Range);
        Ok(Interval {
            months: narrow(self.months)?,
            days: narrow(self.days)?,
            micros: self.micros.checked_mul(sign).ok_or(Bad::Range)?,
        })
    }
}

/// `0.digits` of `unit` microseconds; it must come out even.
fn fraction(digits: &str, unit: i64) -> Result<i64, Bad> {
    let digits = digits.trim_end_matches('0');
    if digits.len() > 12 {
        return Err(Bad::Form);
    }
    let scale = 10_i128.pow(digits.len() as u32);
    let value = digits
        .bytes()
        .fold(0_i128, |value, digit| value * 10 + i128::from(digit - b'0'))
        * i128::from(unit);
    if value % scale != 0 {
        return Err(Bad::Form);
    }
    i64::try_from(value / scale).map_err(|_| Bad::Range)
}

struct Number<'a> {
    negative: bool,
    whole: i64,
    /// The digits behind the point.
    fraction: &'a str,
}

/// A number at the beginning, and what follows it.
fn number(text: &str) -> Result<(Number<'_>, &str), Bad> {
    let (negative, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = unsigned.split_at(digits(unsigned));
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => rest.split_at(digits(rest)),
        Some(_) => return Err(Bad::Form),
        None => ("", rest),
    };
    if whole.is_empty() {
        return Err(Bad::Form);
    }
    let whole = whole.parse().map_err(|_| Bad::Range)?;
    Ok((
        Number {
            negative,
            whole,
            fraction,
        },
        rest,
    ))
}

/// What follows the P.
fn iso(text: &str) -> Result<Sum, Bad> {
    const DATE: [(u8, Unit); 4] = [
        (b'Y', Unit::Months(12)),
        (b'M', Unit::Months(1)),
        (b'W', Unit::Days(7)),
        (b'D', Unit::Days(1)),
    ];
    const TIME: [(u8, Unit); 3] = [
        (b'H', Unit::Micros(HOUR)),
        (b'M', Unit::Micros(MINUTE)),
        (b'S', Unit::Micros(SECOND)),
    ];
    let (date, time) = match text.split_once('T') {
        Some((_, "")) => return Err(Bad::Form),
        Some((date, time)) => (date, time),
        None => (text, ""),
    };
    if date.is_empty() && time.is_empty() {
        return Err(Bad::Form);
    }
    let mut sum = Sum::default();
    for (mut rest, units) in [(date, &DATE[..]), (time, &TIME[..])] {
        let mut units = units.iter();
        while !rest.is_empty() {
            // PostgreSQL takes no plus here.
            if rest.starts_with('+') {
                return Err(Bad::Form);
            }
            let (value, after) = number(rest)?;
            let letter = after.bytes().next().ok_or(Bad::Form)?;
            // In this order, each at most once.
            let (_, unit) = units.find(|(name, _)| *name == letter).ok_or(Bad::Form)?;
            sum.add(value, *unit)?;
            rest = &after[1..];
        }
    }
    Ok(sum)
}

fn words(text: &str) -> Result<Sum, Bad> {
    let text = text.strip_prefix('@').map_or(text, str::trim_start);
    let (text, ago) = match text.strip_suffix(" ago") {
        Some(text) => (text, true),
        None => (text, false),
    };
    let mut sum = Sum::default();
    let mut seen = 0_u32;
    // Each unit at most once, as in PostgreSQL.
    let mut take = |units: u32| {
        let fresh = seen & units == 0;
        seen |= units;
        if fresh { Ok(()) } else { Err(Bad::Form) }
    };
    let mut words = text.split_ascii_whitespace().peekable();
    if words.peek().is_none() {
        return Err(Bad::Form);
    }
    while let Some(word) = words.next() {
        if word.contains(':') {
            take(HOURS_AND_BELOW)?;
            sum.add(time_of_day(word)?, Unit::Micros(1))?;
            continue;
        }
        let (value, attached) = number(word)?;
        let name = if attached.is_empty() {
            words.next().ok_or(Bad::Form)?
        } else {
            attached
        };
        let (place, unit) = unit(name)?;
        let below = if value.fraction.is_empty() { 0 } else { (1 << place) - 1 };
        take(1 << place | below)?;
        sum.add(value, unit)?;
    }
    if ago {
        sum.months = -sum.months;
        sum.days = -sum.days;
        sum.micros = -sum.micros;
    }
    Ok(sum)
}

/// `[±]hours:mm[:ss[.fraction]]`; there may be more than 24 hours.
fn time_of_day(word: &str) -> Result<Number<'static>, Bad> {
    let (hours, rest) = number(word)?;
    if !hours.fraction.is_empty() {
        return Err(Bad::Form);
    }
    let micros = match below_hours(rest.as_bytes()) {
        Ok((micros, [])) => micros,
        _ => return Err(Bad::Form),
    };
    let whole = hours
        .whole
        .checked_mul(HOUR)
        .and_then(|hours| hours.checked_add(micros));
    Ok(Number {
        negative: hours.negative,
        whole: whole.ok_or(Bad::Range)?,
        fraction: "",
    })
}

/// The names that PostgreSQL takes, without the rarest.
const UNITS: [(&[&str], Unit); 11] = [
    (&["us", "usec", "usecs", "microsecond", "microseconds"], Unit::Micros(1)),
    (
        &["ms", "msec", "msecs", "millisecond", "milliseconds"],
        Unit::Micros(1_000),
    ),
    (&["s", "sec", "secs", "second", "seconds"], Unit::Micros(SECOND)),
    (&["m", "min", "mins", "minute", "minutes"], Unit::Micros(MINUTE)),
    (&["h", "hr", "hrs", "hour", "hours"], Unit::Micros(HOUR)),
    (&["d", "day", "days"], Unit::Days(1)),
    (&["w", "week", "weeks"], Unit::Days(7)),
    (&["mon", "mons", "month", "months"], Unit::Months(1)),
    (&["y", "yr", "yrs", "year", "years"], Unit::Months(12)),
    (&["decade", "decades"], Unit::Months(120)),
    (&["century", "centuries"], Unit::Months(1_200)),
];

/// The first places of [`UNITS`].
const HOURS_AND_BELOW: u32 = 0b1_1111;

/// The unit and its place in [`UNITS`].
fn unit(name: &str) -> Result<(usize, Unit), Bad> {
    let is_name = |known: &&str| known.eq_ignore_ascii_case(name);
    let place = UNITS
        .iter()
        .position(|(names, _)| names.iter().any(is_name))
        .ok_or(Bad::Form)?;
    Ok((place, UNITS[place].1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(i32, i32, i64)> {
        parse(text)
            .ok()
            .map(|Interval { months, days, micros }| (months, days, micros))
    }

    #[test]
    fn both_forms_say_the_same() {
        let all = Some((14, 3, 4 * HOUR + 5 * MINUTE + 6 * SECOND + 789_000));
        assert_eq!(read("P1Y2M3DT4H5M6.789S"), all);
        assert_eq!(read("1 year 2 mons 3 days 04:05:06.789"), all);
        assert_eq!(read("@ 1 year 2 mons 3 days 4 hours 5 mins 6.789 secs"), all);
        assert_eq!(read("1y 2 months 3d 4h 5m 6s 789ms"), all);
        assert_eq!(read("P2W"), Some((0, 14, 0)));
        assert_eq!(read("-P1DT1H"), Some((0, -1, -HOUR)));
        assert_eq!(read("P-1DT1H"), Some((0, -1, HOUR)));
        assert_eq!(
            read("-1 days +02:03:04"),
            Some((0, -1, 2 * HOUR + 3 * MINUTE + 4 * SECOND))
        );
        assert_eq!(read("-100:00:00.000001"), Some((0, 0, -100 * HOUR - 1)));
        assert_eq!(read("1 day 1 hour ago"), Some((0, -1, -HOUR)));
        assert_eq!(read("1.5 hours"), Some((0, 0, HOUR + HOUR / 2)));
        assert_eq!(read("PT0S"), Some((0, 0, 0)));
    }

    #[test]
    fn what_would_be_guessed_or_rounded_is_refused() {
        for text in [
            "",
            "P",
            "PT",
            "P1",
            "P1H",
            "PT1D",
            "P1DT",
            "P1D1Y",
            "P1M1M",
            "PT+1H",
            "5",
            "1.5 months",
            "P0.5D",
            "0.0000001 s",
            "1 fortnight",
            "day",
            "1 day 2",
            "01:60:00",
            "1:2",
            "--1 day",
            "1. mon",
            "1 day 1 day",
            "1 hour 02:00",
            "12:30.5",
            "1..5 hours",
            "P1Y2M3DT4H5M6.789S x",
            "é",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_too_large_is_out_of_range_and_no_panic() {
        for text in [
            "99999999999999999999 days",
            "2147483648 days",
            "9223372036854775807 hours",
            "PT9223372036854775807H",
            "3000000000:00",
        ] {
            let refusal = parse(text).err().unwrap();
            assert_eq!(refusal.sqlstate, "22015", "{text}");
        }
        assert_eq!(read("-2147483648 days"), Some((0, i32::MIN, 0)));
    }
}
