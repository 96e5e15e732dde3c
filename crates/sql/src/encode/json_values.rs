//! What values look like in JSON where arrow-json and Spark's `to_json` differ: as Spark has it.

use std::sync::{Arc, LazyLock};

use arrow::{
    array::Array,
    datatypes::{DataType, FieldRef},
    error::ArrowError,
};
use arrow_json::writer::{Encoder, EncoderFactory, EncoderOptions, NullableEncoder, make_encoder};

use super::{
    bytes::{BytesAt, bytes_at},
    float::{FloatAt, float_at},
};

/// A NULL within a value is written out: `{"a": null}` is not `{}`.
static PLAIN: LazyLock<EncoderOptions> = LazyLock::new(|| EncoderOptions::default().with_explicit_nulls(true));

pub(super) static OPTIONS: LazyLock<EncoderOptions> =
    LazyLock::new(|| PLAIN.clone().with_encoder_factory(Arc::new(AsSpark)));

/// Binary is base64, and what is no number to JSON is text: arrow-json would write hexadecimal, and null.
#[derive(Debug)]
struct AsSpark;

impl EncoderFactory for AsSpark {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        _options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let encoder: Box<dyn Encoder + 'a> = match array.data_type() {
            DataType::Float16 | DataType::Float32 | DataType::Float64 => match float_at(array) {
                Some(at) => Box::new(Float {
                    at,
                    finite: make_encoder(field, array, &PLAIN)?,
                }),
                None => return Ok(None),
            },
            _ => match bytes_at(array) {
                Some(at) => Box::new(Base64(at)),
                None => return Ok(None),
            },
        };
        Ok(Some(NullableEncoder::new(encoder, array.logical_nulls())))
    }
}

struct Float<'a> {
    at: FloatAt<'a>,
    finite: NullableEncoder<'a>,
}

impl Encoder for Float<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        match (self.at)(row) {
            value if value.is_finite() => self.finite.encode(row, out),
            value if value.is_nan() => out.extend_from_slice(b"\"NaN\""),
            value if value > 0.0 => out.extend_from_slice(b"\"Infinity\""),
            _ => out.extend_from_slice(b"\"-Infinity\""),
        }
    }
}

struct Base64<'a>(BytesAt<'a>);

impl Encoder for Base64<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        out.push(b'"');
        for three in (self.0)(row).chunks(3) {
            out.extend_from_slice(&base64(three));
        }
        out.push(b'"');
    }
}

/// One to three bytes as four characters (RFC 4648, with its padding).
fn base64(bytes: &[u8]) -> [u8; 4] {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bits = 0;
    for place in 0..3 {
        bits = bits << 8 | usize::from(bytes.get(place).copied().unwrap_or(0));
    }
    let mut four = [b'='; 4];
    for (place, character) in four.iter_mut().enumerate().take(bytes.len() + 1) {
        *character = DIGITS[bits >> (18 - 6 * place) & 63];
    }
    four
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_base64_with_its_padding() {
        for (bytes, expected) in [
            (&b"f"[..], b"Zg=="),
            (b"fo", b"Zm8="),
            (b"foo", b"Zm9v"),
            (b"\xff\xfe\xfd", b"//79"),
        ] {
            assert_eq!(&base64(bytes), expected);
        }
    }
}
