//! `json` and `jsonb`: a text that is checked, or a value that is serialised.

use std::sync::LazyLock;

use arrow::array::Array;
use arrow_json::writer::{EncoderOptions, make_encoder};
use serde::de::IgnoredAny;

use super::{
    EncodeError, Field,
    bytes::text_at,
    refusal,
    write::{Writer, sized},
};

/// The version byte in front of a binary `jsonb`.
const JSONB_VERSION: u8 = 1;

/// A NULL within a value is written out: `{"a": null}` is not `{}`.
static OPTIONS: LazyLock<EncoderOptions> = LazyLock::new(|| EncoderOptions::default().with_explicit_nulls(true));

pub(super) fn from_text(array: &dyn Array, jsonb: bool) -> Option<Writer<'_>> {
    let at = text_at(array)?;
    Some(Box::new(move |row, out| {
        let text = at(row);
        if serde_json::from_str::<IgnoredAny>(text).is_err() {
            return Err(refusal("22P02", "invalid input syntax for type json"));
        }
        sized(out, |out| {
            if jsonb {
                out.push(JSONB_VERSION);
            }
            out.extend_from_slice(text.as_bytes());
            Ok(())
        })
    }))
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
