//! Paths that need the JSONPath engine. It works on a parsed copy, which is only asked *where* the matches are: their text
//! is cut from the page itself, because a parsed number is not always the number that was written.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, value::RawValue};
use serde_json_path::{JsonPath, PathElement};

use super::{
    path::Segment,
    pick::{Name, Picked, pick},
};

/// Levels of nesting that the engine sees; below that everything looks like `null`. serde_json gives up at 128.
const VISIBLE_DEPTH: usize = 100;

/// All values that the path matches, as slices of the text, in the engine's order.
///
/// Errors: the text is not JSON.
pub(super) fn query<'t>(text: &'t str, path: &JsonPath) -> Result<Vec<&'t str>, serde_json::Error> {
    let value = shallow(text)?;
    let located = path.query_located(&value);
    let places: Vec<Vec<Segment>> = located
        .iter()
        .map(|node| node.location().iter().map(segment).collect::<Vec<_>>())
        .collect();
    let mut found = vec![""; places.len()];
    let wanted = places
        .iter()
        .enumerate()
        .map(|(at, place)| (at, place.as_slice()))
        .collect();
    cut(text, wanted, &mut found)?;
    Ok(found)
}

fn segment(element: &PathElement<'_>) -> Segment {
    match element {
        PathElement::Name(name) => Segment::Name((*name).to_owned()),
        PathElement::Index(index) => Segment::Index(*index),
    }
}

/// Cuts out the values at all `wanted` places, level by level: the text is read once for each level of the deepest place.
fn cut<'t>(text: &'t str, wanted: Vec<(usize, &[Segment])>, found: &mut [&'t str]) -> Result<(), serde_json::Error> {
    let mut names: BTreeMap<&str, Vec<(usize, &[Segment])>> = BTreeMap::new();
    let mut indices: BTreeMap<usize, Vec<(usize, &[Segment])>> = BTreeMap::new();
    for (at, place) in wanted {
        match place.split_first() {
            None => found[at] = text,
            Some((Segment::Name(name), below)) => names.entry(name).or_default().push((at, below)),
            Some((Segment::Index(index), below)) => indices.entry(*index).or_default().push((at, below)),
        }
    }
    if !names.is_empty() {
        let members: Members<'t> = serde_json::from_str(text)?;
        for (name, below) in names {
            if let Some(member) = members.0.get(name) {
                cut(member.get(), below, found)?;
            }
        }
    }
    if !indices.is_empty()
        && let Picked::Each(each) = pick(text, &[], true)?
    {
        for (index, below) in indices {
            if let Some(element) = each.get(index) {
                cut(element.get(), below, found)?;
            }
        }
    }
    Ok(())
}

/// The members of an object by name; the last one of a name counts.
struct Members<'de>(BTreeMap<Cow<'de, str>, &'de RawValue>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = BTreeMap::new();
                while let Some(name) = map.next_key::<Name<'de>>()? {
                    members.insert(name.0, map.next_value()?);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

/// Parses the text, leaving out what is nested too deep for a recursive parser.
fn shallow(text: &str) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let strict = Shallow { depth: 0 }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    // A number beyond all floats, or half of a surrogate pair, is JSON, but the parser has no value for it.
    strict.or_else(|_| lenient(serde_json::from_str::<&RawValue>(text)?.get(), 0))
}

/// The same for text that is known to be JSON, with the nearest value where there is none. It reads the text once for each
/// level, so it is for the page that the other one gives up.
fn lenient(text: &str, depth: usize) -> Result<Value, serde_json::Error> {
    if depth >= VISIBLE_DEPTH {
        return Ok(Value::Null);
    }
    match text.as_bytes().first() {
        Some(b'{') => {
            let members: Members<'_> = serde_json::from_str(text)?;
            let member = |(name, value): (Cow<'_, str>, &RawValue)| {
                lenient(value.get(), depth + 1).map(|value| (name.into_owned(), value))
            };
            members
                .0
                .into_iter()
                .map(member)
                .collect::<Result<_, _>>()
                .map(Value::Object)
        }
        Some(b'[') => match pick(text, &[], true)? {
            Picked::Each(each) => {
                let elements = each.into_iter().map(|element| lenient(element.get(), depth + 1));
                elements.collect::<Result<_, _>>().map(Value::Array)
            }
            _ => Ok(Value::Null),
        },
        Some(b'"') => Ok(serde_json::from_str(text).unwrap_or_else(|_| text.trim_matches('"').into())),
        Some(b'-') => Ok(serde_json::from_str(text).unwrap_or_else(|_| f64::MIN.into())),
        _ => Ok(serde_json::from_str(text).unwrap_or_else(|_| f64::MAX.into())),
    }
}

#[derive(Clone, Copy)]
struct Shallow {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Shallow {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.depth >= VISIBLE_DEPTH {
            return deserializer
                .deserialize_ignored_any(IgnoredAny)
                .map(|IgnoredAny| Value::Null);
        }
        deserializer.deserialize_any(Self { depth: self.depth + 1 })
    }
}

impl<'de> Visitor<'de> for Shallow {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element_seed(self)? {
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = map.next_key::<Name<'de>>()? {
            members.insert(name.0.into_owned(), map.next_value_seed(self)?);
        }
        Ok(Value::Object(members))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
}
