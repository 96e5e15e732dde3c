//! Bodies that are not UTF-8 or not JSON in a single token: one bad record must not take its page with it.
//!
//! Whatever is masked is replaced byte for byte, so that places in the text are places in the body.

use std::borrow::Cow;

/// What programs print that know more numbers than JSON does, and numbers of the same length.
const NO_NUMBERS: [(&str, &str); 3] = [("NaN", "0.0"), ("Infinity", "0.000000"), ("-Infinity", "-0.000000")];

/// The byte order mark, which somebody has glued in with the record that it stood before. Blanks mean nothing in JSON.
const BYTE_ORDER_MARK: (&str, &str) = ("\u{feff}", "   ");

/// The body as text. Bytes that are not UTF-8 become `?`.
pub(super) fn mask(body: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(body) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(body.len());
    for chunk in body.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '?'));
    }
    Cow::Owned(text)
}

/// The text without what is no JSON but keeps to its token: `NaN`, the infinities and byte order marks, and in texts control
/// characters and backslashes that begin no escape. `None` where there is nothing of that kind.
///
/// It tells where records begin and end in a page that is not JSON; what was masked is refused with its record.
pub(super) fn mask_tokens(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut masked = bytes.to_vec();
    let (mut at, mut in_string, mut found) = (0, false, false);
    while at < bytes.len() {
        let (step, replacement) = if in_string {
            in_text(bytes, at)
        } else {
            between_texts(bytes, at)
        };
        if let Some(replacement) = replacement {
            masked[at..at + replacement.len()].copy_from_slice(replacement.as_bytes());
            found = true;
        }
        in_string ^= bytes[at] == b'"';
        at += step;
    }
    // Whole tokens, and single bytes of ASCII, were replaced by as many bytes of ASCII: it is still text.
    found.then(|| String::from_utf8(masked).ok()).flatten()
}

/// How many bytes to go on, and what the bytes here are replaced by.
fn in_text(bytes: &[u8], at: usize) -> (usize, Option<&'static str>) {
    match bytes[at] {
        b'\\' => match bytes.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => (2, None),
            Some(b'u') if has_four_digits(&bytes[at + 2..]) => (6, None),
            _ => (1, Some("?")),
        },
        0..0x20 => (1, Some("?")),
        _ => (1, None),
    }
}

fn has_four_digits(bytes: &[u8]) -> bool {
    bytes
        .get(..4)
        .is_some_and(|four| four.iter().all(u8::is_ascii_hexdigit))
}

fn between_texts(bytes: &[u8], at: usize) -> (usize, Option<&'static str>) {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'+');
    if at > 0 && is_word(&bytes[at - 1]) {
        return (1, None);
    }
    if bytes[at..].starts_with(BYTE_ORDER_MARK.0.as_bytes()) {
        return (BYTE_ORDER_MARK.0.len(), Some(BYTE_ORDER_MARK.1));
    }
    for (word, number) in NO_NUMBERS {
        if bytes[at..].starts_with(word.as_bytes()) && !bytes.get(at + word.len()).is_some_and(is_word) {
            return (word.len(), Some(number));
        }
    }
    (1, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_stay_where_they_are() {
        let body = b"[\"\xc3\xa9\",\"\xff\xfe\",\"\xe2\x82\"]";
        let text = mask(body);
        assert_eq!(text, "[\"\u{e9}\",\"??\",\"??\"]");
        assert_eq!(text.len(), body.len());
        assert!(matches!(mask(b"{}"), Cow::Borrowed("{}")));
    }

    #[test]
    fn what_keeps_to_its_token_is_masked_and_nothing_else() {
        for (text, masked) in [
            (r#"[NaN,-Infinity , Infinity]"#, r#"[0.0,-0.000000 , 0.000000]"#),
            ("[\"a\nb\té\"]", "[\"a?b?é\"]"),
            (r#"["\x41\u12\"\é"]"#, r#"["?x41?u12\"?é"]"#),
            ("[\u{feff}{\"a\u{feff}\":1}]", "[   {\"a\u{feff}\":1}]"),
            // In a text it is a text.
            (r#"["NaN \" Infinity", NaN]"#, r#"["NaN \" Infinity", 0.0]"#),
        ] {
            assert_eq!(mask_tokens(text).as_deref(), Some(masked), "{text}");
            assert_eq!(text.len(), masked.len());
        }
        for text in [
            r#"{"a":[1,"\n\u00e9\\"]}"#,
            "xNaN",
            "NaNs",
            "-NaN",
            "[1.NaN]",
            "<html>",
            "",
            "{\"a\n\":",
        ] {
            let masked = mask_tokens(text);
            assert!(masked.is_none() || text.contains('\n'), "{text}: {masked:?}");
        }
        assert_eq!(mask_tokens("\"\\"), Some("\"?".to_owned()));
    }
}
