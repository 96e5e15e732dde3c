//! What the sieve expects of a record: the declared types, cut down to the fields that are used or must be there.

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};

use super::{
    cursor::{Cursor, Text, Word},
    text::escape_into,
    usage::Usage,
};

/// The expected form of a value.
#[derive(Debug)]
pub(crate) enum Shape {
    Scalar(Scalar),
    Struct(StructShape),
    List(Box<Shape>),
    Map(Box<Shape>),
}

/// The expected form of a value without parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scalar {
    Text,
    Boolean,
    Integer { min: i64, max: i64, name: &'static str },
    Float { single: bool },
    Decimal { precision: u8, scale: i8 },
    Date,
    Timestamp { without_zone: bool },
    Binary,
}

/// The expected fields of an object; others are passed over.
#[derive(Debug)]
pub(crate) struct StructShape {
    pub(crate) fields: Vec<FieldShape>,
    /// How many 64-bit words mark which fields were seen.
    pub(crate) words: usize,
    has_required: bool,
    /// Bit [`mark`] of each field's name. Most names that are not expected are told by it alone.
    marks: u64,
}

/// A number below 64, from a name's length and ends.
#[inline]
fn mark(name: &[u8]) -> u32 {
    let end = |byte: Option<&u8>| u32::from(byte.copied().unwrap_or_default());
    (name.len() as u32 * 5 + end(name.first()) * 7 + end(name.last())) % 64
}

/// One field.
#[derive(Debug)]
pub(crate) struct FieldShape {
    pub(crate) name: String,
    /// The name as JSON has it: quoted, escaped, with its colon.
    written: Word,
    pub(crate) shape: Shape,
    pub(crate) required: bool,
}

impl StructShape {
    /// Keeps the fields that are used and those declared NOT NULL: a record without one of these is rejected whether
    /// or not a query reads it.
    pub(crate) fn new(fields: &Fields, usage: &Usage) -> Self {
        let fields: Vec<_> = fields
            .iter()
            .filter_map(|field| FieldShape::new(field, usage))
            .collect();
        let has_required = fields.iter().any(|field| field.required);
        Self {
            words: fields.len().div_ceil(64),
            marks: fields
                .iter()
                .fold(0, |marks, field| marks | 1 << mark(field.name.as_bytes())),
            fields,
            has_required,
        }
    }

    /// The field at `hint`, if it is the next one in the text. Then its name need not be read: it stands there byte for byte.
    #[inline]
    pub(crate) fn next(&self, cursor: &mut Cursor<'_>, hint: &mut usize) -> Option<usize> {
        let at = *hint;
        let field = self.fields.get(at)?;
        if !cursor.skip_exactly(&field.written) {
            return None;
        }
        *hint = if at + 1 < self.fields.len() { at + 1 } else { 0 };
        Some(at)
    }

    /// The field of this name. `hint` is where the previous search ended: records of one source list their fields in
    /// one order, so the next one is found at the first look.
    #[inline]
    pub(crate) fn find(&self, name: Text<'_>, hint: &mut usize) -> Option<usize> {
        if name.escaped {
            let resolved = name.resolved().ok()?;
            return self.fields.iter().position(|field| field.name.as_bytes() == &*resolved);
        }
        if self.marks >> mark(name.raw) & 1 == 0 {
            return None;
        }
        let count = self.fields.len();
        for step in 0..count {
            let at = if *hint + step < count {
                *hint + step
            } else {
                *hint + step - count
            };
            if self.fields[at].name.as_bytes() == name.raw {
                *hint = if at + 1 < count { at + 1 } else { 0 };
                return Some(at);
            }
        }
        None
    }

    /// The first field declared NOT NULL that is not marked as seen.
    pub(crate) fn missing(&self, seen: &[u64]) -> Option<&FieldShape> {
        if !self.has_required {
            return None;
        }
        let unseen = |(at, field): &(usize, &FieldShape)| field.required && seen[at / 64] >> (at % 64) & 1 == 0;
        self.fields.iter().enumerate().find(unseen).map(|(_, field)| field)
    }

    /// The smallest record that the schema admits: nothing but the fields declared NOT NULL, each with a plain value.
    pub(crate) fn smallest(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (at, field) in self.fields.iter().filter(|field| field.required).enumerate() {
            if at > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&field.written.bytes);
            match &field.shape {
                Shape::Struct(shape) => shape.smallest(out),
                Shape::List(_) => out.extend_from_slice(b"[]"),
                Shape::Map(_) => out.extend_from_slice(b"{}"),
                Shape::Scalar(Scalar::Text | Scalar::Binary) => out.extend_from_slice(b"\"\""),
                Shape::Scalar(Scalar::Boolean) => out.extend_from_slice(b"false"),
                Shape::Scalar(Scalar::Date | Scalar::Timestamp { .. }) => out.extend_from_slice(b"\"1970-01-01\""),
                Shape::Scalar(_) => out.push(b'0'),
            }
        }
        out.push(b'}');
    }
}

impl FieldShape {
    fn new(field: &Field, usage: &Usage) -> Option<Self> {
        let required = !field.is_nullable();
        let usage = match usage.of(field.name()) {
            Some(usage) => usage,
            None if required => Usage::default(),
            None => return None,
        };
        let mut written = vec![b'"'];
        escape_into(field.name(), &mut written);
        written.extend_from_slice(b"\":");
        Some(Self {
            name: field.name().clone(),
            written: Word::new(written),
            shape: Shape::new(field.data_type(), &usage),
            required,
        })
    }
}

impl Shape {
    fn new(data_type: &DataType, usage: &Usage) -> Self {
        let integer = |min, max, name| Self::Scalar(Scalar::Integer { min, max, name });
        match data_type {
            DataType::Struct(fields) => Self::Struct(StructShape::new(fields, usage)),
            DataType::List(item) => Self::List(Box::new(Self::new(item.data_type(), &Usage::Whole))),
            DataType::Map(entries, _) => Self::Map(Box::new(match entries.data_type() {
                DataType::Struct(pair) => Self::new(pair[1].data_type(), &Usage::Whole),
                other => Self::new(other, &Usage::Whole),
            })),
            DataType::Boolean => Self::Scalar(Scalar::Boolean),
            DataType::Int8 => integer(i8::MIN.into(), i8::MAX.into(), "TINYINT"),
            DataType::Int16 => integer(i16::MIN.into(), i16::MAX.into(), "SMALLINT"),
            DataType::Int32 => integer(i32::MIN.into(), i32::MAX.into(), "INT"),
            DataType::Int64 => integer(i64::MIN, i64::MAX, "BIGINT"),
            DataType::Float32 => Self::Scalar(Scalar::Float { single: true }),
            DataType::Float64 => Self::Scalar(Scalar::Float { single: false }),
            DataType::Decimal128(precision, scale) => Self::Scalar(Scalar::Decimal {
                precision: *precision,
                scale: *scale,
            }),
            DataType::Date32 => Self::Scalar(Scalar::Date),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => Self::Scalar(Scalar::Timestamp {
                without_zone: zone.is_none(),
            }),
            DataType::Binary => Self::Scalar(Scalar::Binary),
            // The DDL yields no other type than text.
            _ => Self::Scalar(Scalar::Text),
        }
    }
}
