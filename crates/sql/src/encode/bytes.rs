//! Text and binary values: their bytes as they are.

use arrow::{
    array::{Array, AsArray},
    datatypes::DataType,
};

use super::{Written, refusal, write::Writer};

/// `NAMEDATALEN` - 1.
const MAX_NAME_BYTES: usize = 63;

/// Reads one row's text.
pub(super) type TextAt<'a> = Box<dyn Fn(usize) -> &'a str + 'a>;

/// Reads one row's bytes.
pub(super) type BytesAt<'a> = Box<dyn Fn(usize) -> &'a [u8] + 'a>;

pub(super) fn text_at(array: &dyn Array) -> Option<TextAt<'_>> {
    Some(match array.data_type() {
        DataType::Utf8 => {
            let array = array.as_string_opt::<i32>()?;
            Box::new(move |row| array.value(row))
        }
        DataType::LargeUtf8 => {
            let array = array.as_string_opt::<i64>()?;
            Box::new(move |row| array.value(row))
        }
        DataType::Utf8View => {
            let array = array.as_string_view_opt()?;
            Box::new(move |row| array.value(row))
        }
        _ => return None,
    })
}

pub(super) fn bytes_at(array: &dyn Array) -> Option<BytesAt<'_>> {
    Some(match array.data_type() {
        DataType::Binary => {
            let array = array.as_binary_opt::<i32>()?;
            Box::new(move |row| array.value(row))
        }
        DataType::LargeBinary => {
            let array = array.as_binary_opt::<i64>()?;
            Box::new(move |row| array.value(row))
        }
        DataType::BinaryView => {
            let array = array.as_binary_view_opt()?;
            Box::new(move |row| array.value(row))
        }
        DataType::FixedSizeBinary(_) => {
            let array = array.as_fixed_size_binary_opt()?;
            Box::new(move |row| array.value(row))
        }
        _ => return None,
    })
}

pub(super) fn text(array: &dyn Array) -> Option<Writer<'_>> {
    // The common type has a closure of its own: one indirect call a value instead of two.
    if let Some(array) = array.as_string_opt::<i32>() {
        return Some(Box::new(move |row, out| write(array.value(row).as_bytes(), out)));
    }
    if let Some(array) = array.as_string_view_opt() {
        return Some(Box::new(move |row, out| write(array.value(row).as_bytes(), out)));
    }
    let at = text_at(array)?;
    Some(Box::new(move |row, out| write(at(row).as_bytes(), out)))
}

pub(super) fn name(array: &dyn Array) -> Option<Writer<'_>> {
    let at = text_at(array)?;
    Some(Box::new(move |row, out| match at(row).as_bytes() {
        name if name.len() <= MAX_NAME_BYTES => write(name, out),
        _ => Err(refusal("22001", "value too long for type name")),
    }))
}

pub(super) fn bytea(array: &dyn Array) -> Option<Writer<'_>> {
    let at = bytes_at(array)?;
    Some(Box::new(move |row, out| write(at(row), out)))
}

fn write(value: &[u8], out: &mut Vec<u8>) -> Written {
    let size = i32::try_from(value.len()).map_err(|_| refusal("54000", "value is larger than 2 GiB"))?;
    out.extend_from_slice(&size.to_be_bytes());
    out.extend_from_slice(value);
    Ok(())
}
