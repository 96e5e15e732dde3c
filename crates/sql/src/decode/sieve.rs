//! Proves that one record is one valid JSON object whose used fields fit their columns exactly, and appends just these
//! fields to the columns.
//!
//! arrow-json would not do: its tape accepts what is not JSON and runs two objects of one record into two rows, an error
//! poisons the whole tape, and 1.7 becomes 1.

use std::{borrow::Cow, collections::HashSet};

use super::{
    bad::{Bad, Outcome, shown},
    columns::{Column, Items, Pairs, Parts},
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
    /// Appends the used part of the record to `row`, which is left as it was if the record is bad.
    pub(crate) fn pass(&mut self, record: &[u8], shape: &StructShape, row: &mut Parts) -> Outcome {
        let len = row.len();
        self.seen.clear();
        let passed = self.record(record, shape, row);
        if passed.is_err() {
            row.truncate(len);
        }
        passed
    }

    fn record(&mut self, record: &[u8], shape: &StructShape, row: &mut Parts) -> Outcome {
        let text = record.strip_prefix(BYTE_ORDER_MARK).unwrap_or(record);
        let passed = self.text(text, shape, row);
        if passed.is_err()
            && let Err(error) = str::from_utf8(text)
        {
            let at = error.valid_up_to() + 1;
            return Err(Bad::syntax(format!("not UTF-8: a broken character at byte {at}")));
        }
        passed
    }

    /// Each string is UTF-8, or it is an error; outside of strings JSON is ASCII.
    fn text(&mut self, text: &[u8], shape: &StructShape, row: &mut Parts) -> Outcome {
        let mut cursor = Cursor::new(text);
        match cursor.token() {
            Ok(b'{') => {}
            Ok(other) => return Err(Bad::syntax(format!("the record is no JSON object but {}", kind(other)))),
            Err(_) => return Err(Bad::syntax("the record is empty")),
        }
        self.object(&mut cursor, shape, 1, row)?;
        cursor.end()
    }

    /// An object, the cursor on its brace; `depth` counts this bracket.
    fn object(&mut self, cursor: &mut Cursor<'_>, shape: &StructShape, depth: usize, parts: &mut Parts) -> Outcome {
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        cursor.advance();
        let seen = self.seen.len();
        self.seen.resize(seen + shape.words, 0);
        let mut num_seen = 0;
        let mut hint = 0;
        let mut more = cursor.token()? != b'}';
        if !more {
            cursor.advance();
        }
        while more {
            let known = match shape.next(cursor, &mut hint) {
                Some(at) => Some(at),
                None => shape.find(cursor.name()?, &mut hint),
            };
            match known {
                None => cursor.skip(depth)?,
                Some(at) => {
                    let field = &shape.fields[at];
                    let bit = 1 << (at % 64);
                    if self.seen[seen + at / 64] & bit != 0 {
                        return Err(Bad::value("appears twice in one object").within(|| field.name.clone()));
                    }
                    self.seen[seen + at / 64] |= bit;
                    num_seen += 1;
                    let column = &mut parts.columns[at];
                    let value = self.value(cursor, &field.shape, depth, column);
                    if !value.map_err(|bad| bad.within(|| field.name.clone()))? {
                        if field.required {
                            return Err(Bad::value("is null, but declared NOT NULL").within(|| field.name.clone()));
                        }
                        column.push_null();
                    }
                }
            }
            more = cursor.another(b'}')?;
        }
        if let Some(field) = shape.missing(&self.seen[seen..]) {
            return Err(Bad::value("is missing, but declared NOT NULL").within(|| field.name.clone()));
        }
        if num_seen < shape.fields.len() {
            for (at, column) in parts.columns.iter_mut().enumerate() {
                if self.seen[seen + at / 64] >> (at % 64) & 1 == 0 {
                    column.push_null();
                }
            }
        }
        self.seen.truncate(seen);
        parts.end();
        Ok(())
    }

    /// A value inside `depth` brackets; `false` = it is null, and nothing was written.
    #[inline]
    fn value(&mut self, cursor: &mut Cursor<'_>, shape: &Shape, depth: usize, column: &mut Column) -> Outcome<bool> {
        let token = cursor.token()?;
        if token == b'n' {
            cursor.literal("null")?;
            return Ok(false);
        }
        match (shape, token, column) {
            (Shape::Struct(shape), b'{', Column::Struct(parts)) => self.object(cursor, shape, depth + 1, parts)?,
            (Shape::List(item), b'[', Column::List(items)) => self.list(cursor, item, depth + 1, items)?,
            (Shape::Map(value), b'{', Column::Map(pairs)) => self.map(cursor, value, depth + 1, pairs)?,
            (Shape::Scalar(scalar), _, column) => self::scalar(cursor, *scalar, token, column)?,
            (Shape::Struct(_) | Shape::Map(_), ..) => {
                return Err(Bad::value(format!(
                    "an object expected, found {}",
                    glimpse(cursor, token)?
                )));
            }
            (Shape::List(_), ..) => {
                return Err(Bad::value(format!(
                    "an array expected, found {}",
                    glimpse(cursor, token)?
                )));
            }
        }
        Ok(true)
    }

    fn list(&mut self, cursor: &mut Cursor<'_>, item: &Shape, depth: usize, items: &mut Items) -> Outcome {
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        cursor.advance();
        let mut more = cursor.token()? != b']';
        if !more {
            cursor.advance();
        }
        let mut index = 0_usize;
        while more {
            let value = self.value(cursor, item, depth, &mut items.items);
            if !value.map_err(|bad| bad.within(|| format!("[{index}]")))? {
                items.items.push_null();
            }
            index += 1;
            more = cursor.another(b']')?;
        }
        items.end();
        Ok(())
    }

    fn map(&mut self, cursor: &mut Cursor<'_>, value: &Shape, depth: usize, pairs: &mut Pairs) -> Outcome {
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        cursor.advance();
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
            pairs.keys.push(&key);
            keys.insert(key);
            let found = self.value(cursor, value, depth, &mut pairs.values);
            if !found.map_err(|bad| bad.within(step))? {
                pairs.values.push_null();
            }
            more = cursor.another(b'}')?;
        }
        pairs.end();
        Ok(())
    }
}

#[inline]
fn scalar(cursor: &mut Cursor<'_>, scalar: Scalar, token: u8, column: &mut Column) -> Outcome {
    match token {
        b'"' => scalar.string(cursor.string()?, column),
        b'-' | b'0'..=b'9' => scalar.number(cursor.number()?, column),
        b't' => {
            cursor.literal("true")?;
            scalar.boolean(true, column)
        }
        b'f' => {
            cursor.literal("false")?;
            scalar.boolean(false, column)
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
