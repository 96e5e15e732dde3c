//! Dates and timestamps without rounding, from text only: a bare number says nothing about its unit.

use chrono::NaiveDate;

/// Why a text cannot become a date or a timestamp exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoTime {
    /// The text is none.
    Form,
    /// It has digits below the microsecond.
    Fraction,
    /// It has a zone, which a timestamp without time zone cannot keep.
    Zone,
}

const MICROS_PER_SECOND: i64 = 1_000_000;

/// Days since 1970 of `YYYY-MM-DD`.
pub(crate) fn date(text: &[u8]) -> Option<i32> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *text.first_chunk::<10>()? else {
        return None;
    };
    if text.len() != 10 {
        return None;
    }
    let year = two(y1, y2)? * 100 + two(y3, y4)?;
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, two(m1, m2)?, two(d1, d2)?)?;
    // A year 0 exists for chrono, but not for PostgreSQL and Spark.
    (year > 0).then(|| date.to_epoch_days())
}

/// Microseconds since 1970 of `YYYY-MM-DD[(T| )hh:mm[:ss[.fraction]][Z|±hh[[:]mm]]]`; without a zone it is UTC.
pub(crate) fn timestamp(text: &[u8], without_zone: bool) -> Result<i64, NoTime> {
    let (day, rest) = text.split_at_checked(10).ok_or(NoTime::Form)?;
    let midnight = i64::from(date(day).ok_or(NoTime::Form)?) * 86_400 * MICROS_PER_SECOND;
    if rest.is_empty() {
        return Ok(midnight);
    }
    let [b'T' | b't' | b' ', h1, h2, b':', m1, m2, rest @ ..] = rest else {
        return Err(NoTime::Form);
    };
    let hours = two(*h1, *h2).filter(|&hours| hours < 24).ok_or(NoTime::Form)?;
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
    let offset = zone(rest)?;
    if without_zone && offset.is_some() {
        return Err(NoTime::Zone);
    }
    let seconds = i64::from(hours * 3600 + minutes * 60 + seconds) - offset.unwrap_or(0);
    Ok(midnight + seconds * MICROS_PER_SECOND + micros)
}

/// The microseconds that the digits behind a point say, and what follows them.
pub(crate) fn fraction(text: &[u8]) -> Result<(i64, &[u8]), NoTime> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(length);
    if digits.is_empty() {
        return Err(NoTime::Form);
    }
    if digits.iter().skip(6).any(|&digit| digit != b'0') {
        return Err(NoTime::Fraction);
    }
    let padded = digits.iter().copied().chain(std::iter::repeat(b'0')).take(6);
    Ok((
        padded.fold(0, |micros, digit| micros * 10 + i64::from(digit - b'0')),
        rest,
    ))
}

/// Seconds east of UTC; `None` = no zone is written.
pub(crate) fn zone(text: &[u8]) -> Result<Option<i64>, NoTime> {
    let (sign, h1, h2, m1, m2) = match text {
        [] => return Ok(None),
        [b'Z' | b'z'] => return Ok(Some(0)),
        [sign @ (b'+' | b'-'), h1, h2] => (sign, h1, h2, &b'0', &b'0'),
        [sign @ (b'+' | b'-'), h1, h2, m1, m2] => (sign, h1, h2, m1, m2),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => (sign, h1, h2, m1, m2),
        _ => return Err(NoTime::Form),
    };
    let hours = two(*h1, *h2).filter(|&hours| hours < 24).ok_or(NoTime::Form)?;
    let minutes = two(*m1, *m2).filter(|&minutes| minutes < 60).ok_or(NoTime::Form)?;
    let seconds = i64::from(hours * 3600 + minutes * 60);
    Ok(Some(if *sign == b'-' { -seconds } else { seconds }))
}

/// The number that two digits say.
pub(crate) fn two(tens: u8, ones: u8) -> Option<u32> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| u32::from(tens - b'0') * 10 + u32::from(ones - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_read_to_the_microsecond() {
        let micros = |text: &str| timestamp(text.as_bytes(), false);
        assert_eq!(micros("1970-01-01T00:00:00Z"), Ok(0));
        assert_eq!(micros("1994-12-31T20:12:33.123Z"), Ok(788_904_753_123_000));
        assert_eq!(micros("1994-12-31 20:12:33.123456"), Ok(788_904_753_123_456));
        assert_eq!(micros("1994-12-31T22:12:33.123000000+02:00"), Ok(788_904_753_123_000));
        assert_eq!(micros("1970-01-01T00:00:00-0130"), Ok(5_400_000_000));
        assert_eq!(micros("1969-12-31T23:59:59.999999Z"), Ok(-1));
        assert_eq!(micros("1970-01-02"), Ok(86_400_000_000));
        assert_eq!(micros("0001-01-01T00:00:00Z"), Ok(-62_135_596_800_000_000));
        assert_eq!(micros("9999-12-31T23:59:59.999999Z"), Ok(253_402_300_799_999_999));
    }

    #[test]
    fn what_would_be_rounded_or_guessed_is_refused() {
        assert_eq!(timestamp(b"1994-12-31T20:12:33.1234567Z", false), Err(NoTime::Fraction));
        assert_eq!(timestamp(b"1994-12-31T20:12:33Z", true), Err(NoTime::Zone));
        assert_eq!(timestamp(b"1994-12-31T20:12:33", true), Ok(788_904_753_000_000));
        for text in [
            "",
            "1994",
            "1994-13-01",
            "1994-02-29T00:00:00Z",
            "1994-12-31T",
            "1994-12-31T24:00:00Z",
            "1994-12-31T20:60:00Z",
            "1994-12-31T20:12:60Z",
            "1994-12-31T20:12:33.Z",
            "1994-12-31T20:12.5",
            "1994-12-31T20:12:33X",
            "1994-12-31T20:12:33+2",
            "1994-12-31T20:12:33 Europe/Paris",
            "0000-01-01",
            "31.12.1994",
            "788904753",
        ] {
            assert_eq!(timestamp(text.as_bytes(), false), Err(NoTime::Form), "{text}");
        }
        assert_eq!(date(b"1994-12-31"), Some(9130));
        assert_eq!(date(b"1994-12-31T00:00:00Z"), None);
        assert_eq!(date(b"1994-2-1"), None);
    }
}
