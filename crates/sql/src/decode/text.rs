//! JSON strings as text: escapes resolved.

use std::borrow::Cow;

use super::{
    bad::{Bad, Outcome},
    cursor::Text,
};

impl<'a> Text<'a> {
    /// The string's bytes. Half of a surrogate pair is an error: it stands for no character.
    pub(crate) fn resolved(self) -> Outcome<Cow<'a, [u8]>> {
        if !self.escaped {
            return Ok(Cow::Borrowed(self.raw));
        }
        let mut out = Vec::with_capacity(self.raw.len());
        let mut rest = self.raw;
        while let Some(at) = rest.iter().position(|&byte| byte == b'\\') {
            out.extend_from_slice(&rest[..at]);
            let (plain, used) = match rest.get(at + 1) {
                Some(b'b') => ('\u{8}', 2),
                Some(b'f') => ('\u{c}', 2),
                Some(b'n') => ('\n', 2),
                Some(b'r') => ('\r', 2),
                Some(b't') => ('\t', 2),
                Some(b'u') => unicode(&rest[at..])?,
                Some(&other) => (char::from(other), 2),
                None => return Err(Bad::syntax("not valid JSON: a broken escape in a string")),
            };
            out.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes());
            rest = &rest[at + used..];
        }
        out.extend_from_slice(rest);
        Ok(Cow::Owned(out))
    }
}

/// The character of `\uXXXX` or of a pair of them, and how many bytes it took.
fn unicode(escape: &[u8]) -> Outcome<(char, usize)> {
    let lone = || Bad::value("has half of a surrogate pair, which is no character");
    let first = unit(escape).ok_or_else(lone)?;
    if let Some(c) = char::from_u32(first) {
        return Ok((c, 6));
    }
    let second = escape.get(6..).and_then(unit).ok_or_else(lone)?;
    match (first, second) {
        (0xD800..=0xDBFF, 0xDC00..=0xDFFF) => {
            let code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
            char::from_u32(code).map(|c| (c, 12)).ok_or_else(lone)
        }
        _ => Err(lone()),
    }
}

fn unit(escape: &[u8]) -> Option<u32> {
    let hex = escape.strip_prefix(b"\\u")?.first_chunk::<4>()?;
    hex.iter()
        .try_fold(0, |code, &digit| Some(code << 4 | char::from(digit).to_digit(16)?))
}

/// Writes bytes as a JSON string's content.
pub(crate) fn escape_into(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(raw: &str) -> Option<String> {
        let text = Text {
            raw: raw.as_bytes(),
            escaped: true,
        };
        text.resolved()
            .ok()
            .map(|bytes| String::from_utf8(bytes.into_owned()).unwrap())
    }

    #[test]
    fn escapes_become_their_characters() {
        assert_eq!(resolved(r#"a\n\"\\\/\u00e9\ud83d\ude00z"#).unwrap(), "a\n\"\\/é😀z");
        assert_eq!(resolved(r"\u0000").unwrap(), "\0");
    }

    #[test]
    fn half_a_surrogate_pair_is_no_character() {
        for raw in [
            r"\ud800",
            r"\ud800x",
            r"\ud800\n",
            r"\ud800\u0041",
            r"\udc00",
            r"\ud800\ud800",
        ] {
            assert_eq!(resolved(raw), None, "{raw}");
        }
    }
}
