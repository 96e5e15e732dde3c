//! Numbers into `real` and `double precision`, rounded once.

use arrow::{
    array::{Array, AsArray},
    datatypes::{DataType, Decimal256Type, Float16Type, Float32Type, Float64Type},
};

use super::{
    integer::integer_at,
    refusal,
    write::{Writer, fixed},
};

/// Reads one row's value as a double.
pub(super) type FloatAt<'a> = Box<dyn Fn(usize) -> f64 + 'a>;

pub(super) fn float_at(array: &dyn Array) -> Option<FloatAt<'_>> {
    Some(match array.data_type() {
        DataType::Float16 => {
            let values = array.as_primitive_opt::<Float16Type>()?.values();
            Box::new(move |row| values[row].to_f64())
        }
        DataType::Float32 => {
            let values = array.as_primitive_opt::<Float32Type>()?.values();
            Box::new(move |row| f64::from(values[row]))
        }
        DataType::Float64 => {
            let values = array.as_primitive_opt::<Float64Type>()?.values();
            Box::new(move |row| values[row])
        }
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale) => {
            let (at, scale) = (integer_at(array)?, *scale);
            Box::new(move |row| decimal_to_float(at(row), scale))
        }
        DataType::Decimal256(_, scale) => {
            let (values, scale) = (array.as_primitive_opt::<Decimal256Type>()?.values(), i32::from(*scale));
            Box::new(move |row| parse(&values[row].to_string(), scale))
        }
        _ => {
            let at = integer_at(array)?;
            Box::new(move |row| at(row) as f64)
        }
    })
}

pub(super) fn float(array: &dyn Array, width: u8) -> Option<Writer<'_>> {
    let at = float_at(array)?;
    if width == 8 {
        return Some(Box::new(move |row, out| {
            fixed(out, at(row).to_be_bytes());
            Ok(())
        }));
    }
    Some(Box::new(move |row, out| {
        let value = at(row);
        let narrow = value as f32;
        let lost = (narrow.is_infinite() && value.is_finite()) || (narrow == 0.0 && value != 0.0);
        if lost {
            return Err(refusal("22003", "value is out of range for real"));
        }
        fixed(out, narrow.to_be_bytes());
        Ok(())
    }))
}

/// Both operands below are exact, so the one division rounds correctly; everything else goes through the text.
fn decimal_to_float(unscaled: i128, scale: i8) -> f64 {
    const EXACT: u128 = 1 << 53;
    match u32::try_from(scale) {
        Ok(scale @ 0..=22) if unscaled.unsigned_abs() <= EXACT => unscaled as f64 / 10_f64.powi(scale as i32),
        _ => parse(&unscaled.to_string(), i32::from(scale)),
    }
}

fn parse(digits: &str, scale: i32) -> f64 {
    format!("{digits}e{}", -scale).parse().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_becomes_the_nearest_double() {
        assert_eq!(decimal_to_float(1, 1), 0.1);
        assert_eq!(decimal_to_float(-12_345, 3), -12.345);
        assert_eq!(
            decimal_to_float(123_456_789_012_345_678_901_234_567_890_123_456, 18),
            123_456_789_012_345_678.901_23
        );
        assert_eq!(decimal_to_float(7, -2), 700.0);
    }
}
