//! `json` and `jsonb`: a text that is checked, or a value that is serialised.

use std::borrow::Cow;

use arrow::array::Array;
use arrow_json::writer::make_encoder;
use serde::de::IgnoredAny;

use super::{
    EncodeError, Field, Refusal,
    bytes::text_at,
    json_values::OPTIONS,
    refusal,
    write::{Writer, sized},
};
use crate::OnNul;

/// The version byte in front of a binary `jsonb` (`jsonb_recv` in `utils/adt/jsonb.c`).
const JSONB_VERSION: u8 = 1;

/// How U+0000 is written in a JSON text, where it cannot stand as itself.
const ESCAPED_NUL: &str = "\\u0000";

pub(super) fn from_text(array: &dyn Array, jsonb: bool, on_nul: OnNul) -> Option<Writer<'_>> {
    let at = text_at(array)?;
    Some(Box::new(move |row, out| {
        let text = at(row);
        if serde_json::from_str::<IgnoredAny>(text).is_err() {
            return Err(refusal("22P02", "invalid input syntax for type json"));
        }
        // `json` keeps the text as it is, and with it the escape.
        let text = if jsonb {
            without_nul(text, on_nul)?
        } else {
            Cow::Borrowed(text)
        };
        sized(out, |out| {
            if jsonb {
                out.push(JSONB_VERSION);
            }
            out.extend_from_slice(text.as_bytes());
            Ok(())
        })
    }))
}

/// Applies the policy to the escapes of a valid JSON text. Nearly no text has one.
fn without_nul(text: &str, on_nul: OnNul) -> Result<Cow<'_, str>, Box<Refusal>> {
    if !text.contains(ESCAPED_NUL) {
        return Ok(Cow::Borrowed(text));
    }
    let replacement = if on_nul == OnNul::Replace { "\u{FFFD}" } else { "" };
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    let mut found = false;
    // Escape by escape: in `\\u0000` the backslash is the escaped character.
    while let Some(at) = rest.find('\\') {
        clean.push_str(&rest[..at]);
        rest = &rest[at..];
        match rest.strip_prefix(ESCAPED_NUL) {
            Some(after) => {
                found = true;
                clean.push_str(replacement);
                rest = after;
            }
            None => {
                let end = rest.char_indices().nth(2).map_or(rest.len(), |(end, _)| end);
                clean.push_str(&rest[..end]);
                rest = &rest[end..];
            }
        }
    }
    clean.push_str(rest);
    if found && on_nul == OnNul::Reject {
        return Err(refusal("22P05", "holds U+0000, which PostgreSQL cannot store in jsonb"));
    }
    Ok(Cow::Owned(clean))
}

pub(super) fn from_value<'a>(field: &'a Field, array: &'a dyn Array, jsonb: bool) -> Result<Writer<'a>, EncodeError> {
    let mut encoder = make_encoder(&field.source, array, &OPTIONS).map_err(|source| EncodeError::Convert {
        column: field.column.name.clone(),
        source,
    })?;
    Ok(Box::new(move |row, out| {
        sized(out, |out| {
            if jsonb {
                out.push(JSONB_VERSION);
            }
            encoder.encode(row, out);
            Ok(())
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(text: &str, on_nul: OnNul) -> Option<String> {
        without_nul(text, on_nul).ok().map(Cow::into_owned)
    }

    #[test]
    fn an_escaped_nul_is_found_in_keys_and_nested_texts_and_nothing_else_is() {
        let text = r#"{"a\u0000":[{"b":"\u0000x\\u0000"}],"c":"\\\u0000é"}"#;
        assert_eq!(clean(text, OnNul::Reject), None);
        assert_eq!(
            clean(text, OnNul::Strip).unwrap(),
            r#"{"a":[{"b":"x\\u0000"}],"c":"\\é"}"#
        );
        assert_eq!(
            clean(text, OnNul::Replace).unwrap(),
            "{\"a\u{FFFD}\":[{\"b\":\"\u{FFFD}x\\\\u0000\"}],\"c\":\"\\\\\u{FFFD}é\"}"
        );
        let harmless = r#"{"a":"\\u0000","b":"\\é"}"#;
        assert_eq!(clean(harmless, OnNul::Reject).unwrap(), harmless);
        assert_eq!(clean(harmless, OnNul::Strip).unwrap(), harmless);
    }
}
