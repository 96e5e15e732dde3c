//! What a look at something outside has found.

/// How a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// As it should be.
    Fine,
    /// It works, and somebody should know about it.
    Note,
    /// It does not answer, so that nothing more can be said.
    Away,
    /// It will not work until somebody changes something.
    Bad,
}

/// One sentence about one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How it is.
    pub health: Health,
    /// The thing: `topic users`, `table crm.users`.
    pub place: String,
    /// What was seen, and what to do about it.
    pub text: String,
}

impl Finding {
    /// As it should be.
    pub fn fine(place: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(Health::Fine, place, text)
    }

    /// It works, but.
    pub fn note(place: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(Health::Note, place, text)
    }

    /// It does not answer.
    pub fn away(place: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(Health::Away, place, text)
    }

    /// It will not work.
    pub fn bad(place: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(Health::Bad, place, text)
    }

    fn new(health: Health, place: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            health,
            place: place.into(),
            text: text.into(),
        }
    }
}
