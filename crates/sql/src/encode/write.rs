//! Binds a column's writer to one batch's array.

use arrow::{
    array::{Array, AsArray},
    datatypes::DataType,
};

use super::{
    EncodeError, Field, Written, array, bytes, choose::Kind, clock, float, inet, integer, interval, json, numeric,
    refusal, time, uuid,
};
use crate::OnNul;

/// Appends one value with its length in front. Only called for rows that are not null.
pub(super) type Writer<'a> = Box<dyn FnMut(usize, &mut Vec<u8>) -> Written + 'a>;

/// The writer of a column or of an array's elements.
pub(super) fn value<'a>(field: &'a Field, array: &'a dyn Array, on_nul: OnNul) -> Result<Writer<'a>, EncodeError> {
    let writer = match &field.kind {
        Kind::Null => null(field),
        Kind::Text => bytes::text(array),
        Kind::Name => bytes::name(array),
        Kind::Bool => {
            let array = array.as_boolean_opt();
            array.map(|array| -> Writer<'_> {
                Box::new(move |row, out| {
                    out.extend_from_slice(&[0, 0, 0, 1, u8::from(array.value(row))]);
                    Ok(())
                })
            })
        }
        Kind::Integer(width) => integer::integer(array, *width, &field.column),
        Kind::Numeric => numeric::numeric(array),
        Kind::Float(width) => float::float(array, *width),
        Kind::UuidFromText => uuid::from_text(array),
        Kind::UuidFromBinary => uuid::from_binary(array),
        Kind::Date => time::date(array),
        Kind::Timestamp => time::timestamp(array),
        Kind::Time => clock::time(array),
        Kind::TimeTz => clock::timetz(array),
        Kind::Interval => interval::interval(array),
        Kind::Inet { cidr } => inet::inet(array, *cidr),
        Kind::JsonFromText { jsonb } => json::from_text(array, *jsonb, on_nul),
        Kind::JsonFromValue { jsonb } => return json::from_value(field, array, *jsonb),
        Kind::Bytea => bytes::bytea(array),
        Kind::Array(kind) => return array::array(field, kind, array, on_nul),
    };
    writer.ok_or_else(|| mismatch(field, array.data_type()))
}

/// The array is not what the kind was chosen for.
pub(super) fn mismatch(field: &Field, found: &DataType) -> EncodeError {
    EncodeError::Schema {
        column: field.column.name.clone(),
        found: found.to_string(),
        expected: field.source.data_type().to_string(),
    }
}

fn null(field: &Field) -> Option<Writer<'_>> {
    Some(Box::new(|_, out| super::write_null(&field.column, out)))
}

/// Appends what `write` appends, with its length in front.
pub(super) fn sized(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Written) -> Written {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out)?;
    let size = i32::try_from(out.len() - start - 4).map_err(|_| refusal("54000", "value is larger than 2 GiB"))?;
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
    Ok(())
}

/// Appends a value of fixed size, with its length in front.
pub(super) fn fixed<const N: usize>(out: &mut Vec<u8>, value: [u8; N]) {
    out.extend_from_slice(&(N as i32).to_be_bytes());
    out.extend_from_slice(&value);
}
