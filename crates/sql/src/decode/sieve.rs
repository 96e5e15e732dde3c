//! Proves that one record is one valid JSON object whose used fields fit their columns exactly, and copies just these
//! fields for arrow-json.
//!
//! arrow-json alone would not do: its tape accepts what is not JSON and runs two objects of one record into two rows, an
//! error poisons the whole tape, and 1.7 becomes 1. What leaves the sieve it decodes without an error, and it has less to
//! do: names and values that no query uses never reach the tape, which is the dearest part of decoding.

use std::{borrow::Cow, collections::HashSet};

use super::{
    bad::{Bad, Outcome, shown},
    cursor::{Cursor, MAX_DEPTH, too_deep},
    shape::{Scalar, Shape, StructShape},
};

/// The signature that some programs put before UTF-8. RFC 8259 lets a reader ignore it, so it is ignored.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Marks of the fields seen in the objects that are open, reused from record to record.
#[derive(Debug, Default)]
pub(crate) struct Sieve {
    seen: Vec<u64>,
}

impl Sieve {
    /// Appends the used part of the record to `out`, which is left as it was if the record is bad.
    pub(crate) fn pass(&mut self, record: &[u8], shape: &StructShape, out: &mut Vec<u8>) -> Outcome {
        let mark = out.len();
        self.seen.clear();
        let passed = self.record(record, shape, out);
        if passed.is_err() {
            out.truncate(mark);
        }
        passed
    }

    fn record(&mut self, record: &[u8], shape: &StructShape, out: &mut Vec<u8>) -> Outcome {
        let text = record.strip_prefix(BYTE_ORDER_MARK).unwrap_or(record);
        if let Err(error) = str::from_utf8(text) {
            return Err(Bad::syntax(format!(
                "not UTF-8: a broken character at byte {}",
                error.valid_up_to() + 1
            )));
        }
        let mut cursor = Cursor::new(text);
        match cursor.token() {
            Ok(b'{') => {}
            Ok(other) => return Err(Bad::syntax(format!("the record is no JSON object but {}", kind(other)))),
            Err(_) => return Err(Bad::syntax("the record is empty")),
        }
        self.object(&mut cursor, shape, 1, out)?;
        cursor.end()
    }

    /// An object, the cursor on its brace; `depth` counts this bracket.
    fn object(&mut self, cursor: &mut Cursor<'_>, shape: &StructShape, depth: usize, out: &mut Vec<u8>) -> Outcome {
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        cursor.advance();
        out.push(b'{');
        let seen = self.seen.len();
        self.seen.resize(seen + shape.words, 0);
        let mut first = true;
        let mut hint = 0;
        let mut more = cursor.token()? != b'}';
        if !more {
            cursor.advance();
        }
        while more {
            let name = cursor.name()?;
            match shape.find(name, &mut hint) {
                None => cursor.skip(depth)?,
                Some(at) => {
                    let field = &shape.fields[at];
                    let bit = 1 << (at % 64);
                    if self.seen[seen + at / 64] & bit != 0 {
                        return Err(Bad::value("appears twice in one object").within(|| field.name.clone()));
                    }
                    self.seen[seen + at / 64] |= bit;
                    let mark = out.len();
                    if !first {
                        out.push(b',');
                    }
                    out.extend_from_slice(&field.written);
                    let value = self.value(cursor, &field.shape, depth, out);
                    if value.map_err(|bad| bad.within(|| field.name.clone()))? {
                        first = false;
                    } else if field.required {
                        return Err(Bad::value("is null, but declared NOT NULL").within(|| field.name.clone()));
                    } else {
                        // To arrow-json a field that is not there is NULL.
                        out.truncate(mark);
                    }
                }
            }
            more = cursor.another(b'}')?;
        }
        if let Some(field) = shape.missing(&self.seen[seen..]) {
            return Err(Bad::value("is missing, but declared NOT NULL").within(|| field.name.clone()));
        }
        self.seen.truncate(seen);
        out.push(b'}');
        Ok(())
    }

    /// A value inside `depth` brackets; `false` = it is null, and nothing was written.
    #[inline]
    fn value(&mut self, cursor: &mut Cursor<'_>, shape: &Shape, depth: usize, out: &mut Vec<u8>) -> Outcome<bool> {
        let token = cursor.token()?;
        if token == b'n' {
            cursor.literal("null")?;
            return Ok(false);
        }
        match (shape, token) {
            (Shape::Scalar(scalar), _) => self::scalar(cursor, *scalar, token, out)?,
            (Shape::Struct(shape), b'{') => self.object(cursor, shape, depth + 1, out)?,
            (Shape::List(item), b'[') => self.list(cursor, item, depth + 1, out)?,
            (Shape::Map(value), b'{') => self.map(cursor, value, depth + 1, out)?,
            (Shape::Struct(_) | Shape::Map(_), _) => {
                return Err(Bad::value(format!(
                    "an object expected, found {}",
                    glimpse(cursor, token)?
                )));
            }
            (Shape::List(_), _) => {
                return Err(Bad::value(format!(
                    "an array expected, found {}",
                    glimpse(cursor, token)?
                )));
            }
        }
        Ok(true)
    }

    fn list(&mut self, cursor: &mut Cursor<'_>, item: &Shape, depth: usize, out: &mut Vec<u8>) -> Outcome {
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        cursor.advance();
        out.push(b'[');
        let mut more = cursor.token()? != b']';
        if !more {
            cursor.advance();
        }
        let mut index = 0_usize;
        while more {
            if index > 0 {
                out.push(b',');
            }
            if !self
                .value(cursor, item, depth, out)
                .map_err(|bad| bad.within(|| format!("[{index}]")))?
            {
                out.extend_from_slice(b"null");
            }
            index += 1;
            more = cursor.another(b']')?;
        }
        out.push(b']');
        Ok(())
    }

    fn map(&mut self, cursor: &mut Cursor<'_>, value: &Shape, depth: usize, out: &mut Vec<u8>) -> Outcome {
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        cursor.advance();
        out.push(b'{');
        let mut keys: HashSet<Cow<'_, [u8]>> = HashSet::new();
        let mut more = cursor.token()? != b'}';
        if !more {
            cursor.advance();
        }
        while more {
            let name = cursor.name()?;
            let key = name.resolved()?;
            let step = || format!("[\"{}\"]", shown(name.raw));
            if keys.contains(&key) {
                return Err(Bad::value("appears twice in one map").within(step));
            }
            if !keys.is_empty() {
                out.push(b',');
            }
            keys.insert(key);
            out.push(b'"');
            out.extend_from_slice(name.raw);
            out.extend_from_slice(b"\":");
            if !self.value(cursor, value, depth, out).map_err(|bad| bad.within(step))? {
                out.extend_from_slice(b"null");
            }
            more = cursor.another(b'}')?;
        }
        out.push(b'}');
        Ok(())
    }
}

#[inline]
fn scalar(cursor: &mut Cursor<'_>, scalar: Scalar, token: u8, out: &mut Vec<u8>) -> Outcome {
    match token {
        b'"' => scalar.string(cursor.string()?, out),
        b'-' | b'0'..=b'9' => scalar.number(cursor.number()?, out),
        b't' => {
            cursor.literal("true")?;
            scalar.boolean(true, out)
        }
        b'f' => {
            cursor.literal("false")?;
            scalar.boolean(false, out)
        }
        b'{' | b'[' => Err(scalar.mismatch(kind(token))),
        _ => Err(cursor.unexpected("a value")),
    }
}

/// What stands where an object or array is expected.
fn glimpse(cursor: &mut Cursor<'_>, token: u8) -> Outcome<String> {
    Ok(match token {
        b'"' => format!("the text \"{}\"", shown(cursor.string()?.raw)),
        b'-' | b'0'..=b'9' => format!("the number {}", shown(cursor.number()?)),
        b'{' | b'[' | b't' | b'f' => kind(token).to_owned(),
        _ => return Err(cursor.unexpected("a value")),
    })
}

fn kind(token: u8) -> &'static str {
    match token {
        b'{' => "an object",
        b'[' => "an array",
        b'"' => "a text",
        b'-' | b'0'..=b'9' => "a number",
        b't' => "true",
        b'f' => "false",
        b'n' => "null",
        _ => "no JSON at all",
    }
}
