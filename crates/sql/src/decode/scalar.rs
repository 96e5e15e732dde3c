//! One scalar: admitted if its column can hold it exactly, and written so that arrow-json cannot misread it.
//!
//! Integers and decimals are written in plain digits, timestamps and dates as the raw units that arrow-json takes a
//! number for, binary as the hexadecimal that it expects. So the exactness is decided here, on the text as it came.

use super::{
    bad::{Bad, Outcome, shown},
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
    pub(crate) fn number(self, text: &[u8], out: &mut Vec<u8>) -> Outcome {
        match self {
            // The text of the number, digit for digit, as Spark has it too.
            Self::Text => {
                out.extend_from_slice(text);
                Ok(())
            }
            Self::Integer { .. } | Self::Float { .. } | Self::Decimal { .. } => self.numeric(text, out),
            Self::Boolean | Self::Date | Self::Timestamp { .. } | Self::Binary => {
                Err(self.mismatch(&format!("the number {}", shown(text))))
            }
        }
    }

    pub(crate) fn boolean(self, value: bool, out: &mut Vec<u8>) -> Outcome {
        let word = if value { "true" } else { "false" };
        match self {
            Self::Text | Self::Boolean => {
                out.extend_from_slice(word.as_bytes());
                Ok(())
            }
            _ => Err(self.mismatch(word)),
        }
    }

    /// A string; numbers may come in quotes.
    #[inline]
    pub(crate) fn string(self, text: Text<'_>, out: &mut Vec<u8>) -> Outcome {
        if self == Self::Text {
            if text.escaped {
                // arrow-json resolves the escapes again; here they are only proved to stand for characters.
                text.resolved()?;
            }
            out.push(b'"');
            out.extend_from_slice(text.raw);
            out.push(b'"');
            return Ok(());
        }
        let value = text.resolved()?;
        let found = || format!("the text \"{}\"", shown(&value));
        match self {
            Self::Text | Self::Boolean => Err(self.mismatch(&found())),
            Self::Integer { .. } | Self::Float { .. } | Self::Decimal { .. } => self.numeric(&value, out),
            Self::Date => {
                let days = time::date(&value).ok_or_else(|| self.mismatch(&found()))?;
                out.extend_from_slice(days.to_string().as_bytes());
                Ok(())
            }
            Self::Timestamp { without_zone } => match time::timestamp(&value, without_zone) {
                Ok(micros) => {
                    out.extend_from_slice(micros.to_string().as_bytes());
                    Ok(())
                }
                Err(NoTime::Form) => Err(self.mismatch(&found())),
                Err(NoTime::Fraction) => Err(self.mismatch(&format!("{} with digits below the microsecond", found()))),
                Err(NoTime::Zone) => Err(self.mismatch(&format!("{} with a time zone", found()))),
            },
            Self::Binary => base64_to_hex(&value, out).ok_or_else(|| self.mismatch(&format!("{}, no base64", found()))),
        }
    }

    #[inline]
    fn numeric(self, text: &[u8], out: &mut Vec<u8>) -> Outcome {
        let written = match self {
            Self::Integer { min, max, .. } => number::integer(text, min, max).map(|value| {
                // A plain number is copied; `7.0` or `007` is written anew.
                if text.len() <= 19 && text.iter().all(u8::is_ascii_digit) && (text[0] != b'0' || text.len() == 1) {
                    out.extend_from_slice(text);
                } else {
                    out.extend_from_slice(value.to_string().as_bytes());
                }
            }),
            Self::Decimal { precision, scale } => number::decimal(text, precision, scale, out),
            Self::Float { single } => number::float(text, single).map(|()| out.extend_from_slice(text)),
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

/// Writes what base64 (RFC 4648, with its padding) stands for as a string of hexadecimal digits.
fn base64_to_hex(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    const HEX: &[u8; 16] = b"0123456789abcdef";
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
    out.push(b'"');
    out.extend(
        bytes
            .iter()
            .flat_map(|byte| [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]),
    );
    out.push(b'"');
    Some(())
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

    fn hex(text: &str) -> Option<String> {
        let mut out = Vec::new();
        base64_to_hex(text.as_bytes(), &mut out)?;
        Some(String::from_utf8(out).unwrap().trim_matches('"').to_owned())
    }

    #[test]
    fn base64_becomes_hexadecimal() {
        for (base64, expected) in [
            ("", ""),
            ("Zg==", "66"),
            ("Zm8=", "666f"),
            ("Zm9v", "666f6f"),
            ("Zm9vYg==", "666f6f62"),
        ] {
            assert_eq!(hex(base64).as_deref(), Some(expected));
        }
        assert_eq!(hex("//79/A==").as_deref(), Some("fffefdfc"));
    }

    #[test]
    fn broken_base64_is_refused() {
        for text in [
            "Z", "Zg=", "Zg", "Z===", "====", "Zh==", "Zm9=", "Zg==Zg==", "Zm 9v", "-_-_",
        ] {
            assert_eq!(hex(text), None, "{text}");
        }
    }
}
