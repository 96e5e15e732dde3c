//! Numbers without rounding: text to an integer or to a decimal of fixed digits, or the reason why not.

/// Why a number's text cannot become a value of its column exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inexact {
    /// The text is no number.
    NotANumber,
    /// Digits behind the point would be lost.
    Fraction,
    /// The value is out of the type's range.
    Range,
}

/// A number taken apart: its digits without leading and trailing zeros, and how many of them stand before the point
/// (may be negative or more than there are).
struct Digits {
    negative: bool,
    digits: Vec<u8>,
    point: i64,
}

impl Digits {
    /// Reads `-?digits[.digits][e[+-]digits]`; a text from quotes may have leading zeros.
    fn read(text: &[u8]) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix(b"-") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match rest.iter().position(|byte| matches!(byte, b'e' | b'E')) {
            Some(at) => (&rest[..at], exponent(&rest[at + 1..])?),
            None => (rest, 0),
        };
        let (whole, fraction) = match mantissa.iter().position(|&byte| byte == b'.') {
            Some(at) if at + 1 < mantissa.len() => (&mantissa[..at], &mantissa[at + 1..]),
            Some(_) => return None,
            None => (mantissa, &[][..]),
        };
        if whole.is_empty() || !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
            return None;
        }
        let mut digits: Vec<u8> = whole.iter().chain(fraction).copied().collect();
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        let leading = digits.iter().take_while(|&&digit| digit == b'0').count();
        digits.drain(..leading);
        let point = if digits.is_empty() {
            0
        } else {
            whole.len() as i64 - leading as i64 + exponent
        };
        Some(Self {
            negative,
            digits,
            point,
        })
    }

    fn fraction_digits(&self) -> i64 {
        (self.digits.len() as i64 - self.point).max(0)
    }
}

/// An exponent's value, bounded: beyond a million it is out of every range anyway.
fn exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0_i64, |value, digit| {
        (value * 10 + i64::from(digit - b'0')).min(1_000_000)
    });
    Some(if negative { -value } else { value })
}

/// The integer that the text says: `7`, `7.0` and `0.7e1` are all 7.
pub(crate) fn integer(text: &[u8], min: i64, max: i64) -> Result<i64, Inexact> {
    let value = match plain(text) {
        Some(value) => value,
        None => exact(text)?,
    };
    if (min..=max).contains(&value) {
        Ok(value)
    } else {
        Err(Inexact::Range)
    }
}

/// The common form: at most 18 digits, which cannot overflow.
#[inline]
fn plain(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let value = digits.iter().try_fold(0_i64, |value, byte| {
        byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0'))
    })?;
    Some(if negative { -value } else { value })
}

fn exact(text: &[u8]) -> Result<i64, Inexact> {
    let number = Digits::read(text).ok_or(Inexact::NotANumber)?;
    if number.fraction_digits() > 0 {
        return Err(Inexact::Fraction);
    }
    if number.point > 19 {
        return Err(Inexact::Range);
    }
    let zeros = number.point as usize - number.digits.len();
    let digits = number.digits.iter().copied().chain(std::iter::repeat_n(b'0', zeros));
    let value = digits.fold(0_i128, |value, digit| value * 10 + i128::from(digit - b'0'));
    i64::try_from(if number.negative { -value } else { value }).map_err(|_| Inexact::Range)
}

/// `-?digits[.digits]` in units of the last of `scale` digits behind the point; `None` = it is not as simple as that, or does
/// not fit.
pub(crate) fn plain_decimal(text: &[u8], precision: u8, scale: u8) -> Option<i128> {
    // So many digits cannot overflow 64 bits.
    const MOST_DIGITS: usize = 18;
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let point = digits.iter().position(|&byte| byte == b'.');
    let (whole, fraction) = match point {
        Some(at) => (&digits[..at], &digits[at + 1..]),
        None => (digits, &[][..]),
    };
    let most_whole = usize::from(precision.checked_sub(scale)?);
    let zeros = usize::from(scale).checked_sub(fraction.len())?;
    if !(1..=most_whole).contains(&whole.len())
        || point.is_some() && fraction.is_empty()
        || whole.len() + fraction.len() > MOST_DIGITS
    {
        return None;
    }
    let value = whole.iter().chain(fraction).try_fold(0_i64, |value, byte| {
        byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0'))
    })?;
    // `precision` digits in all, of which there are 38 at most.
    let value = i128::from(value) * 10_i128.pow(zeros as u32);
    Some(if negative { -value } else { value })
}

/// The decimal that the text says, in units of its last digit behind the point, if `precision` digits with `scale` of
/// them behind the point can hold it exactly.
pub(crate) fn decimal(text: &[u8], precision: u8, scale: i8) -> Result<i128, Inexact> {
    if let Some(value) = u8::try_from(scale)
        .ok()
        .and_then(|scale| plain_decimal(text, precision, scale))
    {
        return Ok(value);
    }
    let number = Digits::read(text).ok_or(Inexact::NotANumber)?;
    let scale = i64::from(scale);
    if number.point > i64::from(precision) - scale {
        return Err(Inexact::Range);
    }
    if number.fraction_digits() > scale {
        return Err(Inexact::Fraction);
    }
    // No more than `precision` digits in all, of which there are 38 at most: they fit.
    let zeros = usize::try_from(scale + number.point - number.digits.len() as i64).unwrap_or(0);
    let zeros = if number.digits.is_empty() { 0 } else { zeros };
    let digits = number.digits.iter().copied().chain(std::iter::repeat_n(b'0', zeros));
    let value = digits.fold(0_i128, |value, digit| value * 10 + i128::from(digit - b'0'));
    Ok(if number.negative { -value } else { value })
}

/// The float nearest to the number that the text says, if it is finite.
pub(crate) fn float<T: std::str::FromStr>(text: &[u8], is_finite: impl Fn(&T) -> bool) -> Result<T, Inexact> {
    let text = str::from_utf8(text).map_err(|_| Inexact::NotANumber)?;
    // Rust also reads "inf", "nan", "+1", "1.", "1.e5" and ".5", which are no numbers of JSON.
    if !is_json(text.as_bytes()) {
        return Err(Inexact::NotANumber);
    }
    let value = text.parse().map_err(|_| Inexact::NotANumber)?;
    if is_finite(&value) {
        Ok(value)
    } else {
        Err(Inexact::Range)
    }
}

/// Whether it is a number as JSON writes them, but for zeros in front, which do no harm.
fn is_json(text: &[u8]) -> bool {
    let mut rest = text.strip_prefix(b"-").unwrap_or(text);
    if !take_digits(&mut rest) {
        return false;
    }
    if let Some(fraction) = rest.strip_prefix(b".") {
        rest = fraction;
        if !take_digits(&mut rest) {
            return false;
        }
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        rest = match exponent {
            [b'+' | b'-', digits @ ..] => digits,
            digits => digits,
        };
        if !take_digits(&mut rest) {
            return false;
        }
    }
    rest.is_empty()
}

/// Passes over digits; `false` = there is none.
fn take_digits(text: &mut &[u8]) -> bool {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    *text = &text[count..];
    count > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(text: &str) -> Result<i64, Inexact> {
        integer(text.as_bytes(), i64::MIN, i64::MAX)
    }

    fn dec(text: &str, precision: u8, scale: i8) -> Result<i128, Inexact> {
        decimal(text.as_bytes(), precision, scale)
    }

    fn double(text: &str) -> Result<f64, Inexact> {
        float(text.as_bytes(), |value: &f64| value.is_finite())
    }

    #[test]
    fn integers_are_exact_or_refused() {
        assert_eq!(int("228930314431312345"), Ok(228_930_314_431_312_345));
        assert_eq!(int("9223372036854775807"), Ok(i64::MAX));
        assert_eq!(int("-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(int("9223372036854775808"), Err(Inexact::Range));
        assert_eq!(int("-9223372036854775809"), Err(Inexact::Range));
        assert_eq!(int("7.0"), Ok(7));
        assert_eq!(int("1e3"), Ok(1000));
        assert_eq!(int("12.5e1"), Ok(125));
        assert_eq!(int("0e999999999999"), Ok(0));
        assert_eq!(int("-0"), Ok(0));
        assert_eq!(int("007"), Ok(7));
        assert_eq!(int("1.7"), Err(Inexact::Fraction));
        assert_eq!(int("1e-1"), Err(Inexact::Fraction));
        assert_eq!(int("1e400"), Err(Inexact::Range));
        assert_eq!(integer(b"128", -128, 127), Err(Inexact::Range));
        for text in [
            "", "-", "+1", "1.", ".5", "abc", " 1", "1 ", "0x10", "1e", "1e+", "--1", "1_000",
        ] {
            assert_eq!(int(text), Err(Inexact::NotANumber), "{text:?}");
        }
    }

    #[test]
    fn decimals_are_exact_or_refused() {
        let long = "12345678901234567890.123456789012345678";
        assert_eq!(
            dec(long, 38, 18),
            Ok(12_345_678_901_234_567_890_123_456_789_012_345_678)
        );
        assert_eq!(dec(&"9".repeat(38), 38, 0), Ok(10_i128.pow(38) - 1));
        assert_eq!(dec("1.5e2", 10, 2), Ok(15_000));
        assert_eq!(dec("1.230", 3, 2), Ok(123));
        assert_eq!(dec("-0.001", 5, 3), Ok(-1));
        assert_eq!(dec("1e-3", 5, 3), Ok(1));
        assert_eq!(dec("-0.0", 5, 3), Ok(0));
        assert_eq!(dec("0e9", 5, 3), Ok(0));
        assert_eq!(dec("007.5", 5, 1), Ok(75));
        assert_eq!(dec("20", 3, 0), Ok(20));
        assert_eq!(dec("1.234", 5, 2), Err(Inexact::Fraction));
        assert_eq!(dec("1000", 5, 2), Err(Inexact::Range));
        assert_eq!(dec("1e999999999999", 38, 0), Err(Inexact::Range));
        assert_eq!(dec("1e-999999999999", 38, 18), Err(Inexact::Fraction));
        assert_eq!(dec("NaN", 38, 18), Err(Inexact::NotANumber));
    }

    #[test]
    fn floats_are_finite() {
        for text in ["0", "-1.5", "1e308", "4.9e-324"] {
            assert_eq!(double(text), text.parse().map_err(|_| Inexact::NotANumber), "{text}");
        }
        assert_eq!(double("1e400"), Err(Inexact::Range));
        assert_eq!(float(b"1e39", |value: &f32| value.is_finite()), Err(Inexact::Range));
        for text in [
            "NaN", "inf", "Infinity", "", "-", "1.", ".5", "+1", "e5", "1.e5", "1e", "1e+", "1-2",
        ] {
            assert_eq!(double(text), Err(Inexact::NotANumber), "{text}");
        }
    }
}
