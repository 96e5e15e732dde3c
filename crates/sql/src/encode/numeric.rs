//! `numeric`: digits in base 10,000 (`numeric_recv` in `utils/adt/numeric.c`).
//!
//! The column's precision and scale are applied by the server: it rounds to the scale and refuses what is too large.

use arrow::{
    array::{Array, AsArray},
    datatypes::{DataType, Decimal256Type},
};

use super::{integer::integer_at, write::Writer};

const NEGATIVE: u16 = 0x4000;

/// 38 decimal digits touch at most eleven groups of four, wherever the point lies.
const MAX_GROUPS: usize = 11;

pub(super) fn numeric(array: &dyn Array) -> Option<Writer<'_>> {
    Some(match array.data_type() {
        DataType::Decimal256(_, scale) => {
            let (values, scale) = (array.as_primitive_opt::<Decimal256Type>()?.values(), *scale);
            Box::new(move |row, out| {
                from_digits(&values[row].to_string(), scale, out);
                Ok(())
            })
        }
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale) => {
            let (at, scale) = (integer_at(array)?, *scale);
            Box::new(move |row, out| {
                match u32::try_from(scale) {
                    Ok(scale @ 0..=38) => from_unscaled(at(row), scale, out),
                    _ => from_digits(&at(row).to_string(), scale, out),
                }
                Ok(())
            })
        }
        _ => {
            let at = integer_at(array)?;
            Box::new(move |row, out| {
                from_unscaled(at(row), 0, out);
                Ok(())
            })
        }
    })
}

/// Writes `unscaled / 10^scale`, with its length in front.
fn from_unscaled(unscaled: i128, scale: u32, out: &mut Vec<u8>) {
    let magnitude = unscaled.unsigned_abs();
    let (mut whole, mut fraction) = match u64::try_from(magnitude) {
        // 64-bit division is several times faster, and most decimals fit.
        Ok(small) if scale <= 19 => {
            let unit = 10_u64.pow(scale);
            (u128::from(small / unit), u128::from(small % unit))
        }
        _ => {
            let unit = 10_u128.pow(scale);
            (magnitude / unit, magnitude % unit)
        }
    };
    // Filled from the back: fraction first, its last group padded to four digits, then the whole part.
    let mut groups = [0_u16; 2 * MAX_GROUPS];
    let mut first = groups.len();
    let mut push = |group: u128| {
        first -= 1;
        groups[first] = group as u16;
    };
    let partial = scale % 4;
    if partial > 0 {
        let unit = 10_u128.pow(partial);
        push(fraction % unit * 10_u128.pow(4 - partial));
        fraction /= unit;
    }
    for _ in 0..scale / 4 {
        push(fraction % 10_000);
        fraction /= 10_000;
    }
    let mut num_whole = 0_i16;
    while whole > 0 {
        push(whole % 10_000);
        whole /= 10_000;
        num_whole += 1;
    }
    write(&groups[first..], num_whole - 1, unscaled < 0, scale as u16, out);
}

/// The same for what 38 digits or a scale in 0..=38 cannot say: `digits` may begin with a minus.
fn from_digits(digits: &str, scale: i8, out: &mut Vec<u8>) {
    let (negative, digits) = match digits.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, digits),
    };
    let fraction_len = usize::from(scale.max(0).unsigned_abs());
    let mut text = digits.to_owned();
    text.extend(std::iter::repeat_n('0', usize::from(scale.min(0).unsigned_abs())));
    if text.len() < fraction_len {
        text.insert_str(0, &"0".repeat(fraction_len - text.len()));
    }
    let (whole, fraction) = text.split_at(text.len() - fraction_len);
    let whole = format!("{}{whole}", "0".repeat((4 - whole.len() % 4) % 4));
    let fraction = format!("{fraction}{}", "0".repeat((4 - fraction.len() % 4) % 4));
    let group = |chunk: &[u8]| {
        chunk
            .iter()
            .fold(0_u16, |group, digit| group * 10 + u16::from(digit - b'0'))
    };
    let groups: Vec<u16> = whole
        .as_bytes()
        .chunks(4)
        .chain(fraction.as_bytes().chunks(4))
        .map(group)
        .collect();
    write(
        &groups,
        (whole.len() / 4) as i16 - 1,
        negative,
        fraction_len as u16,
        out,
    );
}

/// `weight` is the power of 10,000 of the first group. Zeros at both ends are left out, as PostgreSQL stores it.
fn write(groups: &[u16], weight: i16, negative: bool, scale: u16, out: &mut Vec<u8>) {
    let leading = groups.iter().take_while(|&&group| group == 0).count();
    let trailing = groups[leading..].iter().rev().take_while(|&&group| group == 0).count();
    let digits = &groups[leading..groups.len() - trailing];
    let weight = if digits.is_empty() { 0 } else { weight - leading as i16 };
    let sign = if negative && !digits.is_empty() { NEGATIVE } else { 0 };
    out.extend_from_slice(&(8 + 2 * digits.len() as i32).to_be_bytes());
    out.extend_from_slice(&(digits.len() as i16).to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&scale.to_be_bytes());
    for group in digits {
        out.extend_from_slice(&group.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the bytes back as `numeric_out` would print them.
    fn print(bytes: &[u8]) -> String {
        let word = |index: usize| u16::from_be_bytes([bytes[4 + 2 * index], bytes[5 + 2 * index]]);
        assert_eq!(bytes.len(), 4 + 8 + 2 * usize::from(word(0)));
        let (weight, scale) = (word(1) as i16, usize::from(word(3)));
        let group = |power: i16| {
            let index = weight - power;
            if (0..word(0) as i16).contains(&index) {
                word(4 + index as usize)
            } else {
                0
            }
        };
        let whole: String = (0..=weight.max(0))
            .rev()
            .map(|power| format!("{:04}", group(power)))
            .collect();
        let fraction: String = (1..=scale.div_ceil(4) as i16)
            .map(|place| format!("{:04}", group(-place)))
            .collect();
        let whole = whole.trim_start_matches('0');
        let sign = if word(2) == NEGATIVE { "-" } else { "" };
        let point = if scale > 0 { "." } else { "" };
        format!(
            "{sign}{}{point}{}",
            if whole.is_empty() { "0" } else { whole },
            &fraction[..scale]
        )
    }

    fn both(unscaled: i128, scale: i8) -> String {
        let (mut fast, mut slow) = (Vec::new(), Vec::new());
        from_unscaled(unscaled, scale as u32, &mut fast);
        from_digits(&unscaled.to_string(), scale, &mut slow);
        assert_eq!(fast, slow, "{unscaled} scale {scale}");
        print(&fast)
    }

    #[test]
    fn every_scale_puts_the_point_where_it_belongs() {
        assert_eq!(both(0, 0), "0");
        assert_eq!(both(0, 5), "0.00000");
        assert_eq!(both(1, 0), "1");
        assert_eq!(both(10_000, 0), "10000");
        assert_eq!(both(-12_345, 3), "-12.345");
        assert_eq!(both(5, 9), "0.000000005");
        assert_eq!(both(100_000_000, 8), "1.00000000");
        assert_eq!(both(i128::from(i64::MAX), 0), "9223372036854775807");
        assert_eq!(
            both(12_345_678_901_234_567_890_123_456_789_012_345_678, 18),
            "12345678901234567890.123456789012345678"
        );
        assert_eq!(both(10_i128.pow(38) - 1, 38), format!("0.{}", "9".repeat(38)));
        for scale in 0..=38 {
            let printed = both(-(10_i128.pow(38) - 1), scale);
            assert_eq!(
                printed.chars().filter(|digit| *digit == '9').count(),
                38,
                "scale {scale}: {printed}"
            );
        }
    }

    #[test]
    fn a_negative_scale_appends_zeros() {
        let mut out = Vec::new();
        from_digits("-12", -3, &mut out);
        assert_eq!(print(&out), "-12000");
    }
}
