//! Paginations that would never end.

use std::fmt;

/// How a pagination goes in a circle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circle {
    /// The page has the same records as the one before: the API does not turn the page.
    SamePage,
    /// The page has the same records as the first one of this sweep: the API begins anew behind its last page.
    FirstPage,
    /// The page names the token or link by which it was asked for.
    SameToken,
    /// The page names a token or link that has led to an earlier page of this sweep.
    OldToken,
}

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SamePage => "the same records as on the page before",
            Self::FirstPage => "the same records as on the first page of this sweep",
            Self::SameToken => "the page names itself as the next one",
            Self::OldToken => "the page names an earlier page of this sweep as the next one",
        })
    }
}
