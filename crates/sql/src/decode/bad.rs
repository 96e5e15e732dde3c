//! Why one record cannot be decoded: a sentence with the column and a glimpse of the value, never the payload.

/// The most characters of a value that a reason shows.
const SHOWN_CHARS: usize = 64;

/// What is wrong with a record.
#[derive(Debug)]
pub(crate) enum Bad {
    /// The text is not JSON at all, so no column can be named.
    Syntax(String),
    /// A value does not fit its column. The path is collected while the error travels up: innermost step first.
    Value { path: Vec<String>, what: String },
}

/// Boxed, because a record is good nearly always and the result travels through every value.
pub(crate) type Outcome<T = ()> = Result<T, Box<Bad>>;

impl Bad {
    pub(crate) fn syntax(what: impl Into<String>) -> Box<Self> {
        Box::new(Self::Syntax(what.into()))
    }

    pub(crate) fn value(what: impl Into<String>) -> Box<Self> {
        Box::new(Self::Value {
            path: Vec::new(),
            what: what.into(),
        })
    }

    /// Names the place that contains the value: `name`, `[3]`.
    pub(crate) fn within(mut self: Box<Self>, step: impl FnOnce() -> String) -> Box<Self> {
        if let Self::Value { path, .. } = self.as_mut() {
            path.push(step());
        }
        self
    }

    /// The sentence for the dead letter.
    pub(crate) fn reason(self) -> String {
        match self {
            Self::Syntax(what) => what,
            Self::Value { path, what } if path.is_empty() => what,
            Self::Value { path, what } => {
                let mut place = String::new();
                for step in path.iter().rev() {
                    if !place.is_empty() && !step.starts_with('[') {
                        place.push('.');
                    }
                    place.push_str(step);
                }
                format!("column {place}: {what}")
            }
        }
    }
}

/// A glimpse of a value for a reason: at most 64 characters, control characters escaped.
pub(crate) fn shown(value: &[u8]) -> String {
    // Four bytes are the longest character, so a prefix of that many bytes holds all that is shown.
    let prefix = &value[..value.len().min(SHOWN_CHARS * 4 + 4)];
    let text = String::from_utf8_lossy(prefix);
    let mut glimpse: String = text.chars().take(SHOWN_CHARS).flat_map(escaped).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        glimpse.push('…');
    }
    glimpse
}

fn escaped(c: char) -> impl Iterator<Item = char> {
    let (control, plain) = if c.is_control() {
        (Some(c.escape_default()), None)
    } else {
        (None, Some(c))
    };
    control.into_iter().flatten().chain(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_names_the_place_from_the_outside_in() {
        let bad = Bad::value("is odd")
            .within(|| "price".into())
            .within(|| "[3]".into())
            .within(|| "items".into());
        assert_eq!(bad.reason(), "column items[3].price: is odd");
        assert_eq!(Bad::syntax("no").within(|| "x".into()).reason(), "no");
    }

    #[test]
    fn a_long_value_is_cut_at_64_characters() {
        let glimpse = shown("é".repeat(1000).as_bytes());
        assert_eq!(glimpse.chars().count(), 65);
        assert!(glimpse.ends_with('…'));
        assert_eq!(shown(b"a\nb"), "a\\nb");
    }
}
