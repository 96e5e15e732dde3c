//! One scalar: admitted if its column can hold it exactly.
//!
//! The exactness is decided here, on the text as it came.

use super::{
    bad::{Bad, Outcome, shown},
    columns::Column,
    cursor::Text,
    number::{self, Inexact},
    shape::Scalar,
    time::{self, NoTime},
};

impl Scalar {
    /// The declared type, for reasons.
    fn name(self) -> String {
        match self {
            Self::Text => "STRING".into(),
            Self::Boolean => "BOOLEAN".into(),
            Self::Integer { name, .. } => name.into(),
            Self::Float { single: true } => "FLOAT".into(),
            Self::Float { single: false } => "DOUBLE".into(),
            Self::Decimal { precision, scale } => format!("DECIMAL({precision},{scale})"),
            Self::Date => "DATE".into(),
            Self::Timestamp { without_zone: false } => "TIMESTAMP".into(),
            Self::Timestamp { without_zone: true } => "TIMESTAMP_NTZ".into(),
            Self::Binary => "BINARY".into(),
        }
    }

    pub(crate) fn mismatch(self, found: &str) -> Box<Bad> {
        Bad::value(format!("{} expected, found {found}", self.name()))
    }

    /// A bare number.
    #[inline]
    pub(crate) fn number(self, text: &[u8], column: &mut Column) -> Outcome {
        match self {
            // The text of the number, digit for digit, as Spark has it too.
            Self::Text => {
                column.push_bytes(text);
                Ok(())
            }
            Self::Integer { .. } | Self::Float { .. } | Self::Decimal { .. } => self.numeric(text, column),
            Self::Boolean | Self::Date | Self::Timestamp { .. } | Self::Binary => {
                Err(self.mismatch(&format!("the number {}", shown(text))))
            }
        }
    }

    pub(crate) fn boolean(self, value: bool, column: &mut Column) -> Outcome {
        let word = if value { "true" } else { "false" };
        match self {
            Self::Text => {
                column.push_bytes(word.as_bytes());
                Ok(())
            }
            Self::Boolean => {
                column.push_boolean(value);
                Ok(())
            }
            _ => Err(self.mismatch(word)),
        }
    }

    /// A string; numbers may come in quotes.
    #[inline]
    pub(crate) fn string(self, text: Text<'_>, column: &mut Column) -> Outcome {
        if self == Self::Text && !text.escaped {
            column.push_bytes(text.raw);
            return Ok(());
        }
        self.uncommon_string(text, column)
    }

    fn uncommon_string(self, text: Text<'_>, column: &mut Column) -> Outcome {
        if self == Self::Text {
            column.push_bytes(&text.resolved()?);
            return Ok(());
        }
        let value = text.resolved()?;
        let found = || format!("the text \"{}\"", shown(&value));
        match self {
            Self::Text | Self::Boolean => Err(self.mismatch(&found())),
            Self::Integer { .. } | Self::Float { .. } | Self::Decimal { .. } => self.numeric(&value, column),
            Self::Date => {
                let days = time::date(&value).ok_or_else(|| self.mismatch(&found()))?;
                column.push_days(days);
                Ok(())
            }
            Self::Timestamp { without_zone } => match time::timestamp(&value, without_zone) {
                Ok(micros) => {
                    column.push_micros(micros);
                    Ok(())
                }
                Err(NoTime::Form) => Err(self.mismatch(&found())),
                Err(NoTime::Fraction) => Err(self.mismatch(&format!("{} with digits below the microsecond", found()))),
                Err(NoTime::Zone) => Err(self.mismatch(&format!("{} with a time zone", found()))),
            },
            Self::Binary => {
                let bytes = base64(&value).ok_or_else(|| self.mismatch(&format!("{}, no base64", found())))?;
                column.push_bytes(&bytes);
                Ok(())
            }
        }
    }

    #[inline]
    fn numeric(self, text: &[u8], column: &mut Column) -> Outcome {
        let written = match self {
            Self::Integer { min, max, .. } => number::integer(text, min, max).map(|value| column.push_integer(value)),
            Self::Decimal { precision, scale } => {
                number::decimal(text, precision, scale).map(|value| column.push_decimal(value))
            }
            Self::Float { single: true } => {
                number::float(text, |value: &f32| value.is_finite()).map(|value| column.push_float(value))
            }
            Self::Float { single: false } => {
                number::float(text, |value: &f64| value.is_finite()).map(|value| column.push_double(value))
            }
            _ => Err(Inexact::NotANumber),
        };
        written.map_err(|inexact| {
            let found = shown(text);
            match inexact {
                Inexact::NotANumber => self.mismatch(&format!("the text \"{found}\"")),
                Inexact::Fraction => self.mismatch(&format!("{found}, which would have to be rounded")),
                Inexact::Range => self.mismatch(&format!("{found}, which is out of range")),
            }
        })
    }
}

/// What base64 (RFC 4648, with its padding) stands for.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let padding = text.iter().rev().take(2).take_while(|&&byte| byte == b'=').count();
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for (at, four) in text.chunks_exact(4).enumerate() {
        let padded = if (at + 1) * 4 == text.len() { padding } else { 0 };
        let bits = four[..4 - padded]
            .iter()
            .try_fold(0_u32, |bits, &byte| Some(bits << 6 | sextet(byte)?))?;
        let bits = bits << (6 * padded);
        if padded > 0 && bits & ((1 << (8 * padded)) - 1) != 0 {
            return None;
        }
        bytes.extend_from_slice(&bits.to_be_bytes()[1..4 - padded]);
    }
    Some(bytes)
}

fn sextet(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_becomes_bytes() {
        for (text, expected) in [
            ("", &b""[..]),
            ("Zg==", b"f"),
            ("Zm8=", b"fo"),
            ("Zm9v", b"foo"),
            ("Zm9vYg==", b"foob"),
            ("//79/A==", b"\xff\xfe\xfd\xfc"),
        ] {
            assert_eq!(base64(text.as_bytes()).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn broken_base64_is_refused() {
        for text in [
            "Z", "Zg=", "Zg", "Z===", "====", "Zh==", "Zm9=", "Zg==Zg==", "Zm 9v", "-_-_",
        ] {
            assert_eq!(base64(text.as_bytes()), None, "{text}");
        }
    }
}
