//! JSONPaths that need no JSONPath engine: names, indices, and at most one wildcard at the end.

/// One step of a simple path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// `.name` or `['name']`
    Name(String),
    /// `[3]`
    Index(usize),
}

/// What comes after the simple steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nothing: the path leads to one place.
    Nothing,
    /// `[*]` or `.*` and the end: all the elements of that place.
    Elements,
    /// Something that needs the engine: a filter, a slice, `..`, or steps after a wildcard.
    General,
}

/// A path, taken apart as far as it is simple.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SimplePath {
    pub segments: Vec<Segment>,
    pub rest: Rest,
}

impl SimplePath {
    /// Takes apart a path that is known to be a valid JSONPath (RFC 9535).
    pub(super) fn parse(text: &str) -> Self {
        let mut segments = Vec::new();
        let mut rest = text.trim().strip_prefix('$').unwrap_or_default();
        loop {
            rest = rest.trim_start();
            if rest.is_empty() {
                return Self {
                    segments,
                    rest: Rest::Nothing,
                };
            }
            if rest == ".*" || is_bracketed_wildcard(rest) {
                return Self {
                    segments,
                    rest: Rest::Elements,
                };
            }
            let step = if rest.starts_with('[') {
                bracket(rest)
            } else {
                dot(rest)
            };
            let Some((segment, after)) = step else {
                return Self {
                    segments,
                    rest: Rest::General,
                };
            };
            segments.push(segment);
            rest = after;
        }
    }
}

fn is_bracketed_wildcard(text: &str) -> bool {
    text.strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .is_some_and(|inner| inner.trim() == "*")
}

fn dot(text: &str) -> Option<(Segment, &str)> {
    let name = text.strip_prefix('.')?;
    let is_name =
        |(at, c): (usize, char)| c == '_' || c.is_ascii_alphabetic() || !c.is_ascii() || (at > 0 && c.is_ascii_digit());
    let end = name
        .char_indices()
        .find(|step| !is_name(*step))
        .map_or(name.len(), |(at, _)| at);
    (end > 0).then(|| (Segment::Name(name[..end].to_owned()), &name[end..]))
}

fn bracket(text: &str) -> Option<(Segment, &str)> {
    let inner = text.strip_prefix('[')?.trim_start();
    let quote = inner.chars().next()?;
    let (segment, after) = if quote == '\'' || quote == '"' {
        let (name, after) = inner[1..].split_once(quote)?;
        // Escapes are left to the engine.
        (!name.contains('\\')).then(|| (Segment::Name(name.to_owned()), after))?
    } else {
        let end = inner.find(|c: char| !c.is_ascii_digit())?;
        (Segment::Index(inner[..end].parse().ok()?), &inner[end..])
    };
    Some((segment, after.trim_start().strip_prefix(']')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Segment {
        Segment::Name(text.to_owned())
    }

    #[test]
    fn simple_paths_are_taken_apart() {
        let cases: &[(&str, Vec<Segment>, Rest)] = &[
            ("$", vec![], Rest::Nothing),
            ("$[*]", vec![], Rest::Elements),
            ("$.*", vec![], Rest::Elements),
            ("$.results[*]", vec![name("results")], Rest::Elements),
            ("$.a.b_2.*", vec![name("a"), name("b_2")], Rest::Elements),
            (
                "$['a b'][ \"c\" ][7]",
                vec![name("a b"), name("c"), Segment::Index(7)],
                Rest::Nothing,
            ),
            ("$.straße[ * ]", vec![name("straße")], Rest::Elements),
            ("$ .a", vec![name("a")], Rest::Nothing),
        ];
        for (text, segments, rest) in cases {
            assert!(serde_json_path::JsonPath::parse(text).is_ok(), "{text}");
            assert_eq!(
                SimplePath::parse(text),
                SimplePath {
                    segments: segments.clone(),
                    rest: *rest
                },
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_not_simple_is_left_to_the_engine() {
        let cases: &[(&str, usize)] = &[
            ("$.a[?@.b == 1]", 1),
            ("$..a", 0),
            ("$.a[*].b", 1),
            ("$.a.*.b", 1),
            ("$[0:2]", 0),
            ("$[-1]", 0),
            ("$['it\\'s']", 0),
            ("$['a','b']", 0),
            ("$.a['x]y', 'z'][*]", 1),
        ];
        for (text, num_segments) in cases {
            assert!(serde_json_path::JsonPath::parse(text).is_ok(), "{text}");
            let path = SimplePath::parse(text);
            assert_eq!(
                (path.rest, path.segments.len()),
                (Rest::General, *num_segments),
                "{text}"
            );
        }
    }
}
