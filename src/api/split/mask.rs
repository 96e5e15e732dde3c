//! Bodies that are not UTF-8 throughout: one bad record must not take its page with it.

use std::borrow::Cow;

/// The body as text. Bytes that are not UTF-8 become `?`, one for one, so that places in the text are places in the body.
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
}
