//! `uuid`, from text or from 16 bytes. Arrow has no type of its own for it.

use arrow::array::Array;

use super::{
    Refusal,
    bytes::{bytes_at, text_at},
    refusal,
    write::{Writer, fixed},
};

pub(super) fn from_text(array: &dyn Array) -> Option<Writer<'_>> {
    let at = text_at(array)?;
    Some(Box::new(move |row, out| {
        fixed(out, parse(at(row)).ok_or_else(malformed)?);
        Ok(())
    }))
}

pub(super) fn from_binary(array: &dyn Array) -> Option<Writer<'_>> {
    let at = bytes_at(array)?;
    Some(Box::new(move |row, out| {
        fixed(out, <[u8; 16]>::try_from(at(row)).map_err(|_| malformed())?);
        Ok(())
    }))
}

fn malformed() -> Box<Refusal> {
    refusal("22P02", "invalid input syntax for type uuid")
}

/// What PostgreSQL's `uuid_in` takes: 32 hexadecimal digits of any case, a hyphen allowed after each group of four,
/// all of it in braces or not.
pub(super) fn parse(text: &str) -> Option<[u8; 16]> {
    let text = text.as_bytes();
    <&[u8; 36]>::try_from(text)
        .ok()
        .and_then(parse_usual)
        .or_else(|| parse_any(text))
}

/// The form that nearly all have; a uuid is looked at twice, as a value and as a key.
fn parse_usual(text: &[u8; 36]) -> Option<[u8; 16]> {
    const DIGITS: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
    if [8, 13, 18, 23].iter().any(|&place| text[place] != b'-') {
        return None;
    }
    let mut uuid = [0; 16];
    let mut seen = 0;
    for (byte, place) in uuid.iter_mut().zip(DIGITS) {
        let (high, low) = (HEX[usize::from(text[place])], HEX[usize::from(text[place + 1])]);
        seen |= high | low;
        *byte = high << 4 | low;
    }
    (seen != NO_DIGIT).then_some(uuid)
}

fn parse_any(text: &[u8]) -> Option<[u8; 16]> {
    let mut rest = match text {
        [b'{', inner @ .., b'}'] => inner,
        _ => text,
    };
    let mut uuid = [0; 16];
    for (index, byte) in uuid.iter_mut().enumerate() {
        let (&[high, low], after) = rest.split_first_chunk::<2>()?;
        let (high, low) = (HEX[usize::from(high)], HEX[usize::from(low)]);
        if high == NO_DIGIT || low == NO_DIGIT {
            return None;
        }
        *byte = high << 4 | low;
        rest = match after {
            [b'-', after @ ..] if index % 2 == 1 && index < 15 => after,
            _ => after,
        };
    }
    rest.is_empty().then_some(uuid)
}

const NO_DIGIT: u8 = 0xff;

/// The value of each byte as a hexadecimal digit.
static HEX: [u8; 256] = {
    let mut table = [NO_DIGIT; 256];
    let mut digit = 0;
    while digit < 16 {
        table[b"0123456789abcdef"[digit] as usize] = digit as u8;
        table[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
        digit += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: [u8; 16] = 0xa0ee_bc99_9c0b_4ef8_bb6d_6bb9_bd38_0a11_u128.to_be_bytes();

    #[test]
    fn every_form_that_postgresql_takes_is_taken() {
        for text in [
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
            "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
            "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}",
        ] {
            assert_eq!(parse(text), Some(UUID), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a111",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g",
            "g0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "a0eebc99--9c0b-4ef8-bb6d-6bb9bd380a11",
            "a0e-ebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11-",
            "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            " a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
