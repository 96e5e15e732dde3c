//! Integers into `smallint`, `integer`, `bigint`, with a range check.

use arrow::{
    array::{Array, AsArray},
    datatypes::{
        DataType, Decimal32Type, Decimal64Type, Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
        UInt16Type, UInt32Type, UInt64Type,
    },
};

use super::{
    Column, refusal,
    write::{Writer, fixed},
};

/// Reads one row's value as a 128-bit integer; of a decimal, its unscaled value.
pub(super) type IntegerAt<'a> = Box<dyn Fn(usize) -> i128 + 'a>;

/// For integers and for decimals of up to 38 digits.
pub(super) fn integer_at(array: &dyn Array) -> Option<IntegerAt<'_>> {
    macro_rules! at {
        ($type:ty) => {{
            let values = array.as_primitive_opt::<$type>()?.values();
            Some(Box::new(move |row| i128::from(values[row])))
        }};
    }
    match array.data_type() {
        DataType::Int8 => at!(Int8Type),
        DataType::Int16 => at!(Int16Type),
        DataType::Int32 => at!(Int32Type),
        DataType::Int64 => at!(Int64Type),
        DataType::UInt8 => at!(UInt8Type),
        DataType::UInt16 => at!(UInt16Type),
        DataType::UInt32 => at!(UInt32Type),
        DataType::UInt64 => at!(UInt64Type),
        DataType::Decimal32(..) => at!(Decimal32Type),
        DataType::Decimal64(..) => at!(Decimal64Type),
        DataType::Decimal128(..) => at!(Decimal128Type),
        _ => None,
    }
}

pub(super) fn integer<'a>(array: &'a dyn Array, width: u8, column: &'a Column) -> Option<Writer<'a>> {
    // The two pairs that need no check.
    match (array.data_type(), width) {
        (DataType::Int64, 8) => {
            let values = array.as_primitive_opt::<Int64Type>()?.values();
            return Some(Box::new(move |row, out| {
                fixed(out, values[row].to_be_bytes());
                Ok(())
            }));
        }
        (DataType::Int32, 4) => {
            let values = array.as_primitive_opt::<Int32Type>()?.values();
            return Some(Box::new(move |row, out| {
                fixed(out, values[row].to_be_bytes());
                Ok(())
            }));
        }
        _ => {}
    }
    let at = integer_at(array)?;
    let out_of_range = || refusal("22003", format!("value is out of range for {}", column.type_name));
    Some(Box::new(move |row, out| {
        let value = at(row);
        match width {
            2 => fixed(out, i16::try_from(value).map_err(|_| out_of_range())?.to_be_bytes()),
            4 => fixed(out, i32::try_from(value).map_err(|_| out_of_range())?.to_be_bytes()),
            _ => fixed(out, i64::try_from(value).map_err(|_| out_of_range())?.to_be_bytes()),
        }
        Ok(())
    }))
}
