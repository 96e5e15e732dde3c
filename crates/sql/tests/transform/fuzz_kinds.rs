//! Random schemas: what they declare, how Spark DDL writes them in its many ways, and records that nearly fit them.

use std::sync::Arc;

use aqueduct_sql::arrow::datatypes::{DataType, Field, Fields, TimeUnit};

use crate::fuzz::{Tape, json_blanks, json_number, json_text, json_value};

/// A type of the DDL.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Text,
    Boolean,
    /// The number of bits.
    Integer(u8),
    Float,
    Double,
    Decimal(u8, i8),
    Date,
    Timestamp,
    TimestampNtz,
    Binary,
    List(Box<Kind>),
    Map(Box<Kind>),
    Struct(Vec<Member>),
}

/// A field.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    pub name: &'static str,
    pub kind: Kind,
    pub required: bool,
}

/// Plain names, keywords, and names that need backticks.
const NAMES: [&str; 12] = [
    "a",
    "b",
    "id",
    "Id",
    "order",
    "struct",
    "timestamp",
    "first name",
    "stra\u{df}e",
    "x`y",
    "a\"b",
    "1a",
];

pub fn members(tape: &mut Tape<'_>, depth: usize) -> Vec<Member> {
    let mut names = NAMES.to_vec();
    let mut members = Vec::new();
    for _ in 0..=tape.below(5) {
        let name = names.remove(tape.below(names.len()));
        let (kind, required) = (Kind::any(tape, depth), tape.once_in(6));
        members.push(Member { name, kind, required });
    }
    members
}

impl Kind {
    fn any(tape: &mut Tape<'_>, depth: usize) -> Self {
        match tape.below(if depth == 0 { 14 } else { 19 }) {
            0 | 1 => Self::Text,
            2 => Self::Boolean,
            3 => Self::Integer(8),
            4 => Self::Integer(16),
            5 => Self::Integer(32),
            6 => Self::Integer(64),
            7 => Self::Float,
            8 => Self::Double,
            9 => {
                let precision = 1 + tape.below(38);
                Self::Decimal(precision as u8, tape.below(precision + 1) as i8)
            }
            10 => Self::Date,
            11 => Self::Timestamp,
            12 => Self::TimestampNtz,
            13 => Self::Binary,
            14 | 15 => Self::List(Box::new(Self::any(tape, depth - 1))),
            16 => Self::Map(Box::new(Self::any(tape, depth - 1))),
            _ => Self::Struct(members(tape, depth - 1)),
        }
    }

    pub fn data_type(&self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Boolean => DataType::Boolean,
            Self::Integer(8) => DataType::Int8,
            Self::Integer(16) => DataType::Int16,
            Self::Integer(32) => DataType::Int32,
            Self::Integer(_) => DataType::Int64,
            Self::Float => DataType::Float32,
            Self::Double => DataType::Float64,
            Self::Decimal(precision, scale) => DataType::Decimal128(*precision, *scale),
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::TimestampNtz => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Binary => DataType::Binary,
            Self::List(item) => DataType::List(Arc::new(Field::new("item", item.data_type(), true))),
            Self::Map(value) => {
                let pair = vec![
                    Field::new("key", DataType::Utf8, false),
                    Field::new("value", value.data_type(), true),
                ];
                DataType::Map(
                    Arc::new(Field::new("entries", DataType::Struct(pair.into()), false)),
                    false,
                )
            }
            Self::Struct(members) => DataType::Struct(fields(members)),
        }
    }

    /// Appends the type in one of the ways in which Spark takes it.
    fn write(&self, tape: &mut Tape<'_>, out: &mut String) {
        let names: &[&str] = match self {
            Self::Text => &["STRING", "VARCHAR(10)", "CHAR(3)", "string"],
            Self::Boolean => &["BOOLEAN", "Boolean"],
            Self::Integer(8) => &["TINYINT", "BYTE"],
            Self::Integer(16) => &["SMALLINT", "SHORT"],
            Self::Integer(32) => &["INT", "INTEGER"],
            Self::Integer(_) => &["BIGINT", "LONG"],
            Self::Float => &["FLOAT", "REAL"],
            Self::Double => &["DOUBLE"],
            Self::Decimal(..) => &["DECIMAL", "DEC", "numeric"],
            Self::Date => &["DATE"],
            Self::Timestamp => &["TIMESTAMP", "TIMESTAMP_LTZ"],
            Self::TimestampNtz => &["TIMESTAMP_NTZ"],
            Self::Binary => &["BINARY"],
            Self::List(_) => &["ARRAY", "array"],
            Self::Map(_) => &["MAP"],
            Self::Struct(_) => &["STRUCT", "Struct"],
        };
        out.push_str(tape.one(names));
        match self {
            Self::Decimal(precision, scale) => out.push_str(&format!("({precision},{scale})")),
            Self::List(item) => {
                out.push('<');
                item.write(tape, out);
                out.push('>');
            }
            Self::Map(value) => {
                out.push_str("<STRING, ");
                value.write(tape, out);
                out.push('>');
            }
            Self::Struct(members) => {
                out.push('<');
                write(members, tape, out);
                out.push('>');
            }
            _ => {}
        }
    }
}

pub fn fields(members: &[Member]) -> Fields {
    members
        .iter()
        .map(|member| Field::new(member.name, member.kind.data_type(), !member.required))
        .collect()
}

/// Appends the fields with blanks, colons and comments where they may stand.
pub fn write(members: &[Member], tape: &mut Tape<'_>, out: &mut String) {
    for (index, member) in members.iter().enumerate() {
        if index > 0 {
            out.push_str(tape.one(&[", ", ",\n\t", " , /* more */", ", -- more\n"]));
        }
        let is_plain = member.name.chars().all(|c| c.is_ascii_alphabetic());
        if is_plain && !tape.once_in(4) {
            out.push_str(member.name);
        } else {
            out.push_str(&format!("`{}`", member.name.replace('`', "``")));
        }
        out.push_str(tape.one(&[" ", ": ", " :\n", "  /* is */ "]));
        member.kind.write(tape, out);
        if member.required {
            out.push_str(tape.one(&[" NOT NULL", " not\nnull"]));
        }
        out.push_str(tape.one(&["", "", "", " COMMENT 'it''s > this, that'", " comment \"x\""]));
    }
}

/// Texts that are dates and times, or nearly.
const TIMES: [&str; 14] = [
    "1970-01-01",
    "2024-02-29",
    "2023-02-29",
    "0000-01-01",
    "0001-01-01",
    "9999-12-31",
    "1994-12-31T20:12:33.123Z",
    "1994-12-31 20:12",
    "1994-12-31T23:59:59.1234567+05:30",
    "2024-01-01T00:00:00.000000-1130",
    "2024-01-01T24:00:00",
    "2024-01-01T10:00:60Z",
    "2024-01-01T10:00:00.5",
    "10:00",
];

/// Texts that are base64, or nearly.
const BASE64: [&str; 7] = ["", "Zg==", "Zm9v", "//79/A==", "Zh==", "Z", "-_=="];

/// Appends a value that fits, or nearly.
fn write_value(kind: &Kind, tape: &mut Tape<'_>, out: &mut Vec<u8>) {
    json_blanks(tape, out);
    let quoted = |text: &str, out: &mut Vec<u8>| out.extend_from_slice(format!("\"{text}\"").as_bytes());
    match kind {
        _ if tape.once_in(16) => json_value(tape, 2, out),
        _ if tape.once_in(16) => out.extend_from_slice(b"null"),
        Kind::Text => json_text(tape, out),
        Kind::Boolean => out.extend_from_slice(tape.one(&["true", "false"]).as_bytes()),
        Kind::Integer(_) if !tape.once_in(4) => out.extend_from_slice(tape.one(&["0", "-7", "100", "1e1"]).as_bytes()),
        Kind::Integer(_) | Kind::Float | Kind::Double | Kind::Decimal(..) => {
            let in_quotes = tape.once_in(5);
            let quote: &[u8] = if in_quotes { b"\"" } else { b"" };
            out.extend_from_slice(quote);
            json_number(tape, out);
            if in_quotes && tape.once_in(4) {
                out.extend_from_slice(tape.one(&[" ", "0", ".", "e", "e5", "_", "\\u0030", "NaN"]).as_bytes());
            }
            out.extend_from_slice(quote);
        }
        Kind::Date => quoted(TIMES[..7][tape.below(7)], out),
        Kind::Timestamp | Kind::TimestampNtz => quoted(tape.one(&TIMES), out),
        Kind::Binary => quoted(tape.one(&BASE64), out),
        Kind::List(item) => {
            out.push(b'[');
            for index in 0..tape.below(4) {
                if index > 0 {
                    out.push(b',');
                }
                write_value(item, tape, out);
            }
            out.push(b']');
        }
        Kind::Map(value) => {
            out.push(b'{');
            for index in 0..tape.below(4) {
                if index > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(
                    tape.one(&["\"a\":", "\"b\":", "\"c\" :", "\"\\u0061\":", "\"\\ud800\":", "\"\":"])
                        .as_bytes(),
                );
                write_value(value, tape, out);
            }
            out.push(b'}');
        }
        Kind::Struct(members) => write_record(members, tape, out),
    }
    json_blanks(tape, out);
}

/// Appends an object whose members are these, but for some that are left out, doubled, or unknown.
pub fn write_record(members: &[Member], tape: &mut Tape<'_>, out: &mut Vec<u8>) {
    let mut order: Vec<Option<&Member>> = members.iter().map(Some).collect();
    if tape.once_in(4) {
        let (one, other) = (tape.below(order.len()), tape.below(order.len()));
        order.swap(one, other);
    }
    match tape.below(10) {
        7 => drop(order.remove(tape.below(order.len()))),
        8 => order.push(order[tape.below(order.len())]),
        9 => order.insert(tape.below(order.len()), None),
        _ => {}
    }
    out.push(b'{');
    for (index, member) in order.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json_blanks(tape, out);
        match member {
            None => {
                out.extend_from_slice(tape.one(&["\"unknown\":", "\"\\ud800\":", "\"A\" :"]).as_bytes());
                json_value(tape, 2, out);
            }
            Some(member) => {
                let name = member.name.replace('"', "\\\"");
                let name = if tape.once_in(12) {
                    name.replace('a', "\\u0061")
                } else {
                    name
                };
                out.extend_from_slice(format!("\"{name}\":").as_bytes());
                write_value(&member.kind, tape, out);
            }
        }
    }
    out.push(b'}');
}
