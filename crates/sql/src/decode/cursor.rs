//! Reads JSON text strictly by RFC 8259, token by token, and builds nothing.
//!
//! arrow-json's tape does not do this: it takes `{"a":1 "b":2}`, `[1,,2]`, the number `1-2` and `{"a":1}{"a":2}` (two
//! rows!) without a word. So every record passes here first.

use super::bad::{Bad, Outcome, shown};

/// How deep brackets may nest. Deeper records are rejected, so that no input can exhaust the stack.
pub(crate) const MAX_DEPTH: usize = 128;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = ONES << 7;

/// A position in one record's text.
pub(crate) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

/// A string between its quotes, as it stands in the text.
#[derive(Clone, Copy)]
pub(crate) struct Text<'a> {
    pub(crate) raw: &'a [u8],
    pub(crate) escaped: bool,
}

/// Bytes to compare with, prepared: most are short, and a call of `memcmp` costs more than the comparison.
#[derive(Debug)]
pub(crate) struct Word {
    pub(crate) bytes: Vec<u8>,
    /// The first sixteen bytes, or fewer and zeros.
    head: u128,
    /// Ones where `head` counts.
    mask: u128,
}

impl Word {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        let (mut head, mut mask) = ([0; 16], [0; 16]);
        for (at, byte) in bytes.iter().take(16).enumerate() {
            (head[at], mask[at]) = (*byte, 0xFF);
        }
        Self {
            bytes,
            head: u128::from_le_bytes(head),
            mask: u128::from_le_bytes(mask),
        }
    }
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// The first byte of the next token, which is not consumed.
    #[inline]
    pub(crate) fn token(&mut self) -> Outcome<u8> {
        match self.text.get(self.at) {
            Some(&byte) if byte > b' ' => Ok(byte),
            _ => self.token_after_blanks(),
        }
    }

    #[cold]
    fn token_after_blanks(&mut self) -> Outcome<u8> {
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                _ => return Ok(byte),
            }
        }
        Err(Bad::syntax("not valid JSON: the text ends in the middle of a value"))
    }

    /// Consumes these bytes, if they are what comes next.
    #[inline]
    pub(crate) fn skip_exactly(&mut self, word: &Word) -> bool {
        let rest = &self.text[self.at..];
        let is_next = match rest.first_chunk::<16>() {
            Some(head) => {
                (u128::from_le_bytes(*head) ^ word.head) & word.mask == 0
                    && (word.bytes.len() <= 16 || rest.starts_with(&word.bytes))
            }
            None => rest.starts_with(&word.bytes),
        };
        if is_next {
            self.at += word.bytes.len();
        }
        is_next
    }

    /// Consumes the byte that [`Self::token`] returned.
    #[inline]
    pub(crate) fn advance(&mut self) {
        self.at += 1;
    }

    /// Anything but blanks up to the end is an error: one record is one object.
    pub(crate) fn end(&mut self) -> Outcome {
        match self.token() {
            Err(_) => Ok(()),
            Ok(_) => Err(Bad::syntax(format!(
                "not valid JSON: {:?} at byte {} follows the end of the object",
                shown(&self.text[self.at..]).chars().take(16).collect::<String>(),
                self.at + 1
            ))),
        }
    }

    pub(crate) fn unexpected(&self, expected: &str) -> Box<Bad> {
        match self.text.get(self.at) {
            None => Bad::syntax(format!("not valid JSON: the text ends where {expected} is expected")),
            Some(_) => {
                let rest = String::from_utf8_lossy(&self.text[self.at..self.text.len().min(self.at + 4)]);
                let found = rest.chars().next().unwrap_or(char::REPLACEMENT_CHARACTER);
                Bad::syntax(format!(
                    "not valid JSON: {found:?} at byte {} where {expected} is expected",
                    self.at + 1
                ))
            }
        }
    }

    /// A string; the cursor stands on its opening quote. What is between the quotes is UTF-8.
    #[inline]
    pub(crate) fn string(&mut self) -> Outcome<Text<'a>> {
        let start = self.at + 1;
        let special = special(self.text, start);
        if special.is_ascii && self.text.get(special.at) == Some(&b'"') {
            self.at = special.at + 1;
            return Ok(Text {
                raw: &self.text[start..special.at],
                escaped: false,
            });
        }
        self.uncommon_string(start, special)
    }

    fn uncommon_string(&mut self, start: usize, mut special: Special) -> Outcome<Text<'a>> {
        let mut is_ascii = special.is_ascii;
        let mut escaped = false;
        loop {
            match self.text.get(special.at) {
                Some(b'"') => {
                    let raw = &self.text[start..special.at];
                    if !is_ascii && str::from_utf8(raw).is_err() {
                        // The sieve says where.
                        return Err(Bad::syntax("not UTF-8: a broken character in a string"));
                    }
                    self.at = special.at + 1;
                    return Ok(Text { raw, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    special = self::special(self.text, self.escape(special.at)?);
                    is_ascii &= special.is_ascii;
                }
                Some(_) => {
                    return Err(Bad::syntax(format!(
                        "not valid JSON: an unescaped control character at byte {} in a string",
                        special.at + 1
                    )));
                }
                None => return Err(Bad::syntax("not valid JSON: the text ends in the middle of a string")),
            }
        }
    }

    fn escape(&self, at: usize) -> Outcome<usize> {
        match self.text.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
            Some(b'u')
                if self
                    .text
                    .get(at + 2..at + 6)
                    .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) =>
            {
                Ok(at + 6)
            }
            _ => Err(Bad::syntax(format!(
                "not valid JSON: a broken escape at byte {} in a string",
                at + 1
            ))),
        }
    }

    /// A number as it stands in the text; the cursor stands on its first byte.
    #[inline]
    pub(crate) fn number(&mut self) -> Outcome<&'a [u8]> {
        let start = self.at;
        if self.text[self.at] == b'-' {
            self.at += 1;
        }
        match self.text.get(self.at) {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.unexpected("a digit")),
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.text.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Outcome {
        if !self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            return Err(self.unexpected("a digit"));
        }
        self.digits();
        Ok(())
    }

    /// `true`, `false` or `null`; the cursor stands on its first byte.
    #[inline]
    pub(crate) fn literal(&mut self, word: &'static str) -> Outcome {
        if self.text[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(());
        }
        Err(self.unexpected("a value"))
    }

    /// A name and its colon; the cursor stands before the name.
    #[inline]
    pub(crate) fn name(&mut self) -> Outcome<Text<'a>> {
        if self.token()? != b'"' {
            return Err(self.unexpected("a name in double quotes"));
        }
        let name = self.string()?;
        if self.token()? != b':' {
            return Err(self.unexpected("a colon"));
        }
        self.at += 1;
        Ok(name)
    }

    /// After a member: `true` when another one follows a comma, `false` when the object has ended.
    #[inline]
    pub(crate) fn another(&mut self, close: u8) -> Outcome<bool> {
        match self.token()? {
            b',' => {
                self.at += 1;
                Ok(true)
            }
            byte if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(self.unexpected(if close == b'}' { "a comma or }" } else { "a comma or ]" })),
        }
    }

    /// Passes over one value of any kind, `depth` brackets deep, and checks its grammar on the way.
    pub(crate) fn skip(&mut self, depth: usize) -> Outcome {
        // One bit an open bracket, the innermost lowest: 1 = object.
        let mut kinds = 0_u128;
        let mut open = 0;
        loop {
            match self.token()? {
                b'"' => {
                    self.string()?;
                }
                b'-' | b'0'..=b'9' => {
                    self.number()?;
                }
                bracket @ (b'{' | b'[') => {
                    if depth + open >= MAX_DEPTH {
                        return Err(too_deep());
                    }
                    self.at += 1;
                    let object = bracket == b'{';
                    if self.token()? == if object { b'}' } else { b']' } {
                        self.at += 1;
                    } else {
                        if object {
                            self.name()?;
                        }
                        kinds = kinds << 1 | u128::from(object);
                        open += 1;
                        continue;
                    }
                }
                b't' => self.literal("true")?,
                b'f' => self.literal("false")?,
                b'n' => self.literal("null")?,
                _ => return Err(self.unexpected("a value")),
            }
            loop {
                if open == 0 {
                    return Ok(());
                }
                let object = kinds & 1 == 1;
                if self.another(if object { b'}' } else { b']' })? {
                    if object {
                        self.name()?;
                    }
                    break;
                }
                kinds >>= 1;
                open -= 1;
            }
        }
    }
}

pub(crate) fn too_deep() -> Box<Bad> {
    Bad::syntax(format!("the record nests more than {MAX_DEPTH} brackets deep"))
}

/// Where a run of plain characters ends.
struct Special {
    /// At a quote, a backslash, a control character, or the end of the text.
    at: usize,
    /// Whether all characters of the run are ASCII.
    is_ascii: bool,
}

/// Passes over plain characters from `at` on, eight bytes at a time (a record is mostly strings, and they are short: this is
/// where a byte-wise loop would spend its time).
#[inline]
fn special(text: &[u8], mut at: usize) -> Special {
    let mut high = 0;
    while let Some(eight) = text.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*eight);
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let quote = word ^ (ONES * u64::from(b'"'));
        let quote = quote.wrapping_sub(ONES) & !quote;
        let backslash = word ^ (ONES * u64::from(b'\\'));
        let backslash = backslash.wrapping_sub(ONES) & !backslash;
        let found = (control | quote | backslash) & HIGHS;
        if found != 0 {
            // A borrow can only raise a false mark above a true one, so the lowest is right; below it is the run's end.
            let lowest = found & found.wrapping_neg();
            high |= word & (lowest - 1);
            return Special {
                at: at + (found.trailing_zeros() / 8) as usize,
                is_ascii: high & HIGHS == 0,
            };
        }
        high |= word;
        at += 8;
    }
    while let Some(&byte) = text.get(at) {
        if byte < 0x20 || byte == b'"' || byte == b'\\' {
            break;
        }
        high |= u64::from(byte);
        at += 1;
    }
    Special {
        at,
        is_ascii: high & HIGHS == 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valid(text: &str) -> bool {
        let mut cursor = Cursor::new(text.as_bytes());
        cursor.skip(0).is_ok() && cursor.end().is_ok()
    }

    #[test]
    fn what_the_grammar_admits_passes() {
        for text in [
            "{}",
            "[]",
            "0",
            "-0",
            "1e5",
            "1E-5",
            "1.50",
            "\"\"",
            "null",
            "true",
            " { \"a\" : [ 1 , 2 ] } ",
            r#"{"a":{"b":[{},[],"x\u00e9\"\\\/\b\f\n\r\t"]}}"#,
            "\"0123456789abcdefghijk\"",
            r#""\ud800""#,
            "[[[[]]],{}]",
            "\"Zürich, 東京\"",
        ] {
            assert!(valid(text), "{text}");
        }
    }

    #[test]
    fn what_the_grammar_forbids_is_an_error() {
        for text in [
            "",
            " ",
            "{",
            "}",
            "[",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{\"a\":1,}",
            "{,}",
            "{\"a\" 1}",
            "{\"a\":}",
            "{a:1}",
            "{\"a\":1 \"b\":2}",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "-",
            "1-2",
            "NaN",
            "Infinity",
            "nul",
            "truex",
            "'a'",
            "\"a",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"a\nb\"",
            "\"12345678\u{1}\"",
            "{\"a\":1}{\"a\":2}",
            "1 2",
            "[1}",
            "{\"a\":1]",
            "\"12345678",
        ] {
            assert!(!valid(text), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded_without_a_stack() {
        assert!(valid(&format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH))));
        assert!(!valid(&format!(
            "{}{}",
            "[".repeat(MAX_DEPTH + 1),
            "]".repeat(MAX_DEPTH + 1)
        )));
        assert!(!valid(&"[".repeat(1_000_000)));
        assert!(!valid(&"{\"a\":".repeat(1_000_000)));
    }
}
