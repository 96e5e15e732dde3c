//! Keys that compare as memory: for sorting rows by their key and for finding the same key twice in a batch.

use std::ops::Range;

use arrow::{
    array::{Array, AsArray},
    datatypes::{DataType, Decimal256Type},
};

use super::{
    EncodeError, Field,
    bytes::{bytes_at, text_at},
    choose::Kind,
    clock,
    float::float_at,
    inet,
    integer::integer_at,
    interval, oid, time, uuid,
    write::mismatch,
};

type KeyWriter<'a> = Box<dyn Fn(usize, &mut Vec<u8>) + 'a>;

/// One key a row.
#[derive(Debug)]
pub struct SortKeys {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    with_null: Vec<usize>,
}

impl SortKeys {
    pub(super) fn new<'a>(
        columns: impl Iterator<Item = (&'a Field, &'a dyn Array)>,
        rows: Range<usize>,
    ) -> Result<Self, EncodeError> {
        let writers = columns
            .map(|(field, array)| {
                let writer = writer(field, array).ok_or_else(|| mismatch(field, array.data_type()))?;
                Ok((array.logical_nulls(), writer))
            })
            .collect::<Result<Vec<_>, EncodeError>>()?;
        let mut keys = Self {
            bytes: Vec::new(),
            ends: Vec::with_capacity(rows.len()),
            with_null: Vec::new(),
        };
        for (index, row) in rows.enumerate() {
            for (nulls, write) in &writers {
                if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                    keys.bytes.push(0);
                    keys.with_null.push(index);
                } else {
                    keys.bytes.push(1);
                    write(row, &mut keys.bytes);
                }
            }
            keys.ends.push(keys.bytes.len());
        }
        Ok(keys)
    }

    /// The key of the `index`-th row.
    pub fn key(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }

    /// Whether a column of the `index`-th key is NULL, which to SQL is equal to nothing.
    pub fn has_null(&self, index: usize) -> bool {
        self.with_null.binary_search(&index).is_ok()
    }
}

/// PostgreSQL rounds to a `timestamp(n)` or a `numeric(p, s)`, cuts blanks off for `varchar(n)` and ignores them in
/// `character(n)`.
pub(super) fn is_exact(field: &Field) -> bool {
    let column = &field.column;
    match column.type_oid {
        oid::TEXT | oid::NAME | oid::BOOL | oid::INT2 | oid::INT4 | oid::INT8 | oid::UUID | oid::DATE | oid::BYTEA => {
            true
        }
        oid::ANYENUM | oid::INET | oid::CIDR => true,
        oid::VARCHAR | oid::NUMERIC | oid::TIMESTAMP | oid::TIMESTAMPTZ => column.type_mod < 0,
        oid::TIME | oid::TIMETZ | oid::INTERVAL => column.type_mod < 0,
        oid::FLOAT8 => matches!(field.source.data_type(), DataType::Float32 | DataType::Float64),
        _ => false,
    }
}

pub(super) fn exists(field: &Field) -> bool {
    !matches!(field.kind, Kind::JsonFromValue { .. } | Kind::Array(_))
}

fn writer<'a>(field: &Field, array: &'a dyn Array) -> Option<KeyWriter<'a>> {
    let ordinal = |at: Box<dyn Fn(usize) -> i128 + 'a>| -> KeyWriter<'a> {
        Box::new(move |row, out| out.extend_from_slice(&(at(row) ^ i128::MIN).to_be_bytes()))
    };
    Some(match &field.kind {
        Kind::Null => Box::new(|_, _| ()),
        Kind::Text | Kind::Name | Kind::JsonFromText { .. } => {
            let at = text_at(array)?;
            Box::new(move |row, out| terminated(at(row).as_bytes(), out))
        }
        Kind::Bytea | Kind::UuidFromBinary => {
            let at = bytes_at(array)?;
            Box::new(move |row, out| terminated(at(row), out))
        }
        // In whatever case and with whatever hyphens it is written. A malformed one never gets as far as its key.
        Kind::UuidFromText => {
            let at = text_at(array)?;
            Box::new(move |row, out| out.extend_from_slice(&uuid::parse(at(row)).unwrap_or_default()))
        }
        Kind::Bool => {
            let array = array.as_boolean_opt()?;
            Box::new(move |row, out| out.push(u8::from(array.value(row))))
        }
        Kind::Numeric if matches!(array.data_type(), DataType::Decimal256(..)) => {
            let values = array.as_primitive_opt::<Decimal256Type>()?.values();
            Box::new(move |row, out| {
                let mut bytes = values[row].to_be_bytes();
                bytes[0] ^= 0x80;
                out.extend_from_slice(&bytes);
            })
        }
        Kind::Integer(_) | Kind::Numeric => ordinal(integer_at(array)?),
        Kind::Float(_) => {
            let at = float_at(array)?;
            Box::new(move |row, out| out.extend_from_slice(&total_order(at(row)).to_be_bytes()))
        }
        Kind::Date => {
            let at = time::days_at(array)?;
            ordinal(Box::new(move |row| at(row).map_or(0, i128::from)))
        }
        Kind::Timestamp => {
            let at = time::micros_at(array)?;
            ordinal(Box::new(move |row| at(row).map_or(0, i128::from)))
        }
        Kind::Time => {
            let at = clock::time_at(array)?;
            ordinal(Box::new(move |row| at(row).map_or(0, i128::from)))
        }
        // The moment, and then the zone.
        Kind::TimeTz => {
            let at = clock::timetz_at(array)?;
            ordinal(Box::new(move |row| {
                at(row).map_or(0, |(micros, west)| {
                    let west = i128::from(west);
                    (i128::from(micros) + west * 1_000_000) << 32 | (west + 0x8000_0000)
                })
            }))
        }
        Kind::Interval => {
            let at = interval::interval_at(array)?;
            ordinal(Box::new(move |row| at(row).map_or(0, interval::Interval::span)))
        }
        Kind::Inet { cidr } => {
            let (at, cidr) = (text_at(array)?, *cidr);
            Box::new(move |row, out| {
                if let Ok(network) = inet::parse(at(row), cidr) {
                    network.sort_key(out);
                }
            })
        }
        Kind::JsonFromValue { .. } | Kind::Array(_) => return None,
    })
}

/// Ends with a zero, and a zero within is told apart from it, so that no key is the beginning of another.
fn terminated(value: &[u8], out: &mut Vec<u8>) {
    for piece in value.split_inclusive(|byte| *byte == 0) {
        out.extend_from_slice(piece);
        if piece.ends_with(&[0]) {
            out.push(0xff);
        }
    }
    out.extend_from_slice(&[0, 0]);
}

/// As PostgreSQL compares: -0 equals 0, and all NaN are equal and the greatest.
fn total_order(value: f64) -> u64 {
    let value = if value.is_nan() { f64::NAN.abs() } else { value + 0.0 };
    let bits = value.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_sort_as_postgresql_sorts_them() {
        let sorted = [
            f64::NEG_INFINITY,
            -1.5,
            -f64::MIN_POSITIVE,
            0.0,
            f64::MIN_POSITIVE,
            1.5,
            f64::INFINITY,
            f64::NAN,
        ];
        assert!(
            sorted
                .windows(2)
                .all(|pair| total_order(pair[0]) < total_order(pair[1]))
        );
        assert_eq!(total_order(-0.0), total_order(0.0));
        assert_eq!(total_order(-f64::NAN), total_order(f64::NAN));
    }

    #[test]
    fn no_key_is_the_beginning_of_another() {
        let key = |values: &[&[u8]]| {
            let mut out = Vec::new();
            values.iter().for_each(|value| terminated(value, &mut out));
            out
        };
        assert_ne!(key(&[b"a", b"bc"]), key(&[b"ab", b"c"]));
        assert_ne!(key(&[b"a\0", b""]), key(&[b"a", b"\0"]));
        assert!(key(&[b"a"]) < key(&[b"a\0"]));
        assert!(key(&[b"a\0"]) < key(&[b"ab"]));
        assert!(key(&[b"Z"]) < key(&[b"a"]));
    }
}
