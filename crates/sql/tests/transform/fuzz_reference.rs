//! How a record is to be read, by other means than the decoder's: serde_json for the grammar and the texts, digits laid out
//! in full for the numbers, chrono for the times. Slow and plain.

use aqueduct_sql::arrow::{
    array::{Array, ArrayRef, AsArray},
    datatypes::{
        DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
        TimestampMicrosecondType,
    },
};
use chrono::{FixedOffset, NaiveDate, NaiveTime, TimeZone};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::fuzz_kinds::{Kind, Member};

/// A value, whatever it was read from.
#[derive(Debug, PartialEq)]
pub enum Tree {
    Null,
    Text(String),
    Boolean(bool),
    /// Integers, and whatever else is counted: days, microseconds, units of a decimal's last digit.
    Number(i128),
    /// The bits, so that -0 is not 0.
    Bits(u64),
    Bytes(Vec<u8>),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

/// Members in the order and as often as they are written; a name that is no text is `None`.
struct Members<'a>(Vec<(Option<String>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                    members.push((serde_json::from_str(name.get()).ok(), value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(All)
    }
}

/// The record's declared fields in order; `None` = it is to be rejected.
pub fn record(members: &[Member], bytes: &[u8]) -> Option<Vec<Tree>> {
    let text = std::str::from_utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)).ok()?;
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    if deepest(raw.get()) > 128 {
        return None;
    }
    object(members, raw.get())
}

fn deepest(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => depth += 1,
            b'}' | b']' if !in_text => depth -= 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn object(members: &[Member], text: &str) -> Option<Vec<Tree>> {
    let found: Members<'_> = serde_json::from_str(text).ok()?;
    let value = |member: &Member| {
        let mut values = found.0.iter().filter(|(name, _)| name.as_deref() == Some(member.name));
        let (first, second) = (values.next(), values.next());
        let tree = match (first, second) {
            (_, Some(_)) => return None,
            (None, None) => Tree::Null,
            (Some((_, raw)), None) => self::value(&member.kind, raw.get())?,
        };
        (!member.required || tree != Tree::Null).then_some(tree)
    };
    members.iter().map(value).collect()
}

fn value(kind: &Kind, text: &str) -> Option<Tree> {
    if text == "null" {
        return Some(Tree::Null);
    }
    let first = text.as_bytes()[0];
    match (kind, first) {
        (Kind::Struct(members), b'{') => object(members, text).map(Tree::List),
        (Kind::List(item), b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            items
                .iter()
                .map(|raw| value(item, raw.get()))
                .collect::<Option<_>>()
                .map(Tree::List)
        }
        (Kind::Map(item), b'{') => {
            let found: Members<'_> = serde_json::from_str(text).ok()?;
            let mut pairs: Vec<(String, Tree)> = Vec::new();
            for (name, raw) in found.0 {
                let name = without_nul(name?)?;
                if pairs.iter().any(|(other, _)| *other == name) {
                    return None;
                }
                pairs.push((name, value(item, raw.get())?));
            }
            Some(Tree::Map(pairs))
        }
        (Kind::Struct(_) | Kind::List(_) | Kind::Map(_), _) | (_, b'{' | b'[') => None,
        (_, b'"') => string(kind, serde_json::from_str(text).ok()?),
        (Kind::Text, _) => Some(Tree::Text(text.to_owned())),
        (Kind::Boolean, b't' | b'f') => Some(Tree::Boolean(text == "true")),
        (_, b't' | b'f') | (Kind::Boolean, _) => None,
        _ => number(kind, text),
    }
}

/// PostgreSQL has no U+0000, and the policy here is to reject it.
fn without_nul(text: String) -> Option<String> {
    (!text.contains('\0')).then_some(text)
}

fn string(kind: &Kind, text: String) -> Option<Tree> {
    match kind {
        Kind::Text => without_nul(text).map(Tree::Text),
        Kind::Date => date(&text).map(|date| Tree::Number(date.to_epoch_days().into())),
        Kind::Timestamp => moment(&text, true),
        Kind::TimestampNtz => moment(&text, false),
        Kind::Binary => base64(&text).map(Tree::Bytes),
        Kind::Boolean => None,
        _ => number(kind, &text),
    }
}

fn number(kind: &Kind, text: &str) -> Option<Tree> {
    let digits = Digits::read(text)?;
    match kind {
        Kind::Float => text
            .parse::<f32>()
            .ok()
            .filter(|value| value.is_finite())
            .map(|value| Tree::Bits(value.to_bits().into())),
        Kind::Double => text
            .parse::<f64>()
            .ok()
            .filter(|value| value.is_finite())
            .map(|value| Tree::Bits(value.to_bits())),
        Kind::Integer(bits) => {
            let value = digits.scaled(38, 0)?;
            let most = 1_i128 << (bits - 1);
            (-most..most).contains(&value).then_some(Tree::Number(value))
        }
        Kind::Decimal(precision, scale) => digits
            .scaled(usize::from(*precision), *scale as usize)
            .map(Tree::Number),
        _ => None,
    }
}

/// A number laid out in full: what stands before and behind the point.
struct Digits {
    negative: bool,
    whole: String,
    fraction: String,
}

impl Digits {
    fn read(text: &str) -> Option<Self> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent),
            None => (text, "0"),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (mantissa, ""),
        };
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let magnitude = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if whole.is_empty()
            || magnitude.is_empty()
            || !all_digits(whole)
            || !all_digits(fraction)
            || !all_digits(magnitude)
        {
            return None;
        }
        let zero = format!("{whole}{fraction}").bytes().all(|byte| byte == b'0');
        // What is further away than this is out of every range, and has a fraction that nobody keeps.
        let shift = if zero {
            0
        } else {
            magnitude.parse::<usize>().unwrap_or(usize::MAX).min(5_000)
        };
        let (mut whole, mut fraction) = (whole.to_owned(), fraction.to_owned());
        for _ in 0..shift {
            if exponent.starts_with('-') {
                let last = whole.pop().unwrap_or('0');
                fraction.insert(0, last);
            } else {
                let first = if fraction.is_empty() { '0' } else { fraction.remove(0) };
                whole.push(first);
            }
        }
        let (whole, fraction) = (
            whole.trim_start_matches('0').to_owned(),
            fraction.trim_end_matches('0').to_owned(),
        );
        Some(Self {
            negative,
            whole,
            fraction,
        })
    }

    /// In units of the last of `scale` digits behind the point, if it has no more of them, and `precision` in all.
    fn scaled(&self, precision: usize, scale: usize) -> Option<i128> {
        if self.fraction.len() > scale || self.whole.len() > precision - scale {
            return None;
        }
        let units: i128 = format!("0{}{:0<scale$}", self.whole, self.fraction).parse().ok()?;
        Some(if self.negative { -units } else { units })
    }
}

fn date(text: &str) -> Option<NaiveDate> {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts[..] else { return None };
    let lengths = (year.len(), month.len(), day.len()) == (4, 2, 2);
    let all_digits = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let year: i32 = year.parse().ok()?;
    (lengths && all_digits && year > 0)
        .then(|| NaiveDate::from_ymd_opt(year, month.parse().ok()?, day.parse().ok()?))
        .flatten()
}

fn moment(text: &str, may_have_zone: bool) -> Option<Tree> {
    let day = date(text.get(..10)?)?;
    let rest = &text[10..];
    if rest.is_empty() {
        let midnight = day.and_time(NaiveTime::MIN).and_utc();
        return Some(Tree::Number(midnight.timestamp_micros().into()));
    }
    let clock = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, zone) = match clock.find(['Z', 'z', '+', '-']) {
        Some(at) => (&clock[..at], Some(&clock[at..])),
        None => (clock, None),
    };
    let offset = match zone {
        None => FixedOffset::east_opt(0)?,
        Some(_) if !may_have_zone => return None,
        Some("Z" | "z") => FixedOffset::east_opt(0)?,
        Some(zone) => {
            let sign = if zone.starts_with('-') { -1 } else { 1 };
            let digits = match (zone.len(), zone.as_bytes().get(3)) {
                (3 | 5, _) => zone[1..].to_owned(),
                (6, Some(b':')) => format!("{}{}", &zone[1..3], &zone[4..]),
                _ => return None,
            };
            let (hours, minutes) = (
                two(digits.get(..2)?)?,
                two(digits.get(2..).filter(|it| !it.is_empty()).unwrap_or("00"))?,
            );
            if hours > 23 || minutes > 59 {
                return None;
            }
            FixedOffset::east_opt(sign * (hours * 3600 + minutes * 60) as i32)?
        }
    };
    let (seconds_part, fraction) = match clock.split_once('.') {
        Some((_, "")) => return None,
        Some((clock, fraction)) if clock.len() == 8 => (clock, fraction.trim_end_matches('0')),
        Some(_) => return None,
        None => (clock, ""),
    };
    let parts: Vec<u32> = seconds_part.split(':').map(two).collect::<Option<_>>()?;
    let (hours, minutes, seconds) = match parts[..] {
        [hours, minutes] => (hours, minutes, 0),
        [hours, minutes, seconds] => (hours, minutes, seconds),
        _ => return None,
    };
    let is_short = fraction.len() <= 6 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let micros: u32 = is_short.then(|| format!("{fraction:0<6}").parse().ok())??;
    let time = NaiveTime::from_hms_micro_opt(hours, minutes, seconds, micros)?;
    let moment = offset.from_local_datetime(&day.and_time(time)).single()?;
    Some(Tree::Number(moment.timestamp_micros().into()))
}

fn two(text: &str) -> Option<u32> {
    (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// The bytes whose base64 this is.
fn base64(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bits = Vec::new();
    for byte in text.trim_end_matches('=').bytes() {
        let place = ALPHABET.iter().position(|letter| *letter == byte)?;
        bits.extend((0..6).rev().map(|bit| place >> bit & 1));
    }
    let whole = bits
        .chunks_exact(8)
        .map(|byte| byte.iter().fold(0, |byte, bit| byte << 1 | *bit as u8));
    let bytes: Vec<u8> = whole.collect();
    // There is one way to write them.
    let mut written = String::new();
    for three in bytes.chunks(3) {
        let word = three
            .iter()
            .chain([&0, &0])
            .take(3)
            .fold(0_usize, |word, byte| word << 8 | usize::from(*byte));
        let letters = (0..4).map(|at| char::from(ALPHABET[word >> (18 - 6 * at) & 63]));
        written.extend(letters.take(three.len() + 1));
        written.extend(std::iter::repeat_n('=', 3 - three.len()));
    }
    (written == text).then_some(bytes)
}

/// The value in a row of a column.
pub fn tree(column: &ArrayRef, row: usize) -> Tree {
    if column.is_null(row) {
        return Tree::Null;
    }
    let all = |values: &ArrayRef| (0..values.len()).map(|at| tree(values, at)).collect::<Vec<_>>();
    match column.data_type() {
        DataType::Utf8 => Tree::Text(column.as_string::<i32>().value(row).to_owned()),
        DataType::Boolean => Tree::Boolean(column.as_boolean().value(row)),
        DataType::Int8 => Tree::Number(column.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => Tree::Number(column.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => Tree::Number(column.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Tree::Number(column.as_primitive::<Int64Type>().value(row).into()),
        DataType::Float32 => Tree::Bits(column.as_primitive::<Float32Type>().value(row).to_bits().into()),
        DataType::Float64 => Tree::Bits(column.as_primitive::<Float64Type>().value(row).to_bits()),
        DataType::Decimal128(..) => Tree::Number(column.as_primitive::<Decimal128Type>().value(row)),
        DataType::Date32 => Tree::Number(column.as_primitive::<Date32Type>().value(row).into()),
        DataType::Timestamp(..) => Tree::Number(column.as_primitive::<TimestampMicrosecondType>().value(row).into()),
        DataType::Binary => Tree::Bytes(column.as_binary::<i32>().value(row).to_vec()),
        DataType::List(_) => Tree::List(all(&column.as_list::<i32>().value(row))),
        DataType::Map(..) => {
            let entries = column.as_map().value(row);
            let names = entries.column(0).as_string::<i32>().iter().flatten().map(str::to_owned);
            Tree::Map(names.zip(all(entries.column(1))).collect())
        }
        DataType::Struct(_) => {
            let parts = column.as_struct().columns();
            Tree::List(parts.iter().map(|part| tree(part, row)).collect())
        }
        other => panic!("{other} is no declared type"),
    }
}
