//! Walks a simple path through JSON text in one pass and picks what is there as raw slices.

use std::{borrow::Cow, collections::HashMap, fmt};

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::path::Segment;

/// What a path leads to.
#[derive(Debug)]
pub(super) enum Picked<'de> {
    /// The one value at the path.
    One(&'de RawValue),
    /// The elements of the array, or the values of the object, at the path.
    Each(Vec<&'de RawValue>),
    /// `null`, at the path or on the way to it.
    Null,
    /// Nothing is there. Whether what should hold it is empty itself.
    Missing { within_empty: bool },
    /// A scalar that has no members or elements.
    Scalar(&'static str),
}

/// Picks what `path` leads to, or the elements of it. Of members with the same name the last one counts.
///
/// Errors: the text is not JSON.
pub(super) fn pick<'de>(text: &'de str, path: &[Segment], elements: bool) -> Result<Picked<'de>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let picked = Walk { path, elements }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(picked)
}

/// The elements of an array, or the values of an object.
pub(super) fn elements<'de>(value: &'de RawValue) -> Result<Picked<'de>, serde_json::Error> {
    pick(value.get(), &[], true)
}

#[derive(Clone, Copy)]
struct Walk<'p> {
    path: &'p [Segment],
    elements: bool,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Picked<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Picked<'de>, D::Error> {
        if self.path.is_empty() && !self.elements {
            return Deserialize::deserialize(deserializer).map(Picked::One);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Picked<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Picked<'de>, A::Error> {
        let Some((step, path)) = self.path.split_first() else {
            let mut each = Vec::new();
            while let Some(element) = seq.next_element::<&'de RawValue>()? {
                each.push(element);
            }
            return Ok(Picked::Each(each));
        };
        let mut picked = None;
        let mut at = 0;
        loop {
            if *step == Segment::Index(at) {
                match seq.next_element_seed(Walk { path, ..self })? {
                    Some(found) => picked = Some(found),
                    None => break,
                }
            } else if seq.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
            at += 1;
        }
        Ok(picked.unwrap_or(Picked::Missing { within_empty: at == 0 }))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Picked<'de>, A::Error> {
        let Some((step, path)) = self.path.split_first() else {
            let (mut each, mut places) = (Vec::new(), HashMap::new());
            while let Some(name) = map.next_key::<Name<'de>>()? {
                let value = map.next_value::<&'de RawValue>()?;
                let place = *places.entry(name.0).or_insert(each.len());
                if place == each.len() {
                    each.push(value);
                } else {
                    each[place] = value;
                }
            }
            return Ok(Picked::Each(each));
        };
        let mut picked = None;
        let mut is_empty = true;
        while let Some(name) = map.next_key::<Name<'de>>()? {
            is_empty = false;
            if matches!(step, Segment::Name(wanted) if *wanted == name.0) {
                picked = Some(map.next_value_seed(Walk { path, ..self })?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(picked.unwrap_or(Picked::Missing { within_empty: is_empty }))
    }

    fn visit_unit<E>(self) -> Result<Picked<'de>, E> {
        Ok(Picked::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Picked<'de>, E> {
        Ok(Picked::Scalar("a boolean"))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Picked<'de>, E> {
        Ok(Picked::Scalar("a number"))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Picked<'de>, E> {
        Ok(Picked::Scalar("a number"))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Picked<'de>, E> {
        Ok(Picked::Scalar("a number"))
    }

    fn visit_str<E>(self, _: &str) -> Result<Picked<'de>, E> {
        Ok(Picked::Scalar("a string"))
    }
}

/// A member's name, borrowed from the text unless it has escapes. One that stands for no text (half of a surrogate pair)
/// stays as it was written: it is not the one that is looked for, and no reason to lose the page.
pub(super) struct Name<'de>(pub(super) Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let written = &raw[1..raw.len() - 1];
        if !written.contains('\\') {
            return Ok(Self(Cow::Borrowed(written)));
        }
        let resolved = serde_json::from_str(raw).map(Cow::Owned);
        Ok(Self(resolved.unwrap_or(Cow::Borrowed(written))))
    }
}

/// Says what kind of JSON value a raw slice is.
pub(super) fn kind(text: &str) -> &'static str {
    match text.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}
