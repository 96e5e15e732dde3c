//! Which parts of a record the queries use. Only these are decoded.

use std::collections::BTreeMap;

/// The used part of a column or of a struct's field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Usage {
    /// All of it.
    Whole,
    /// These fields of a struct (none: not used at all).
    Fields(BTreeMap<String, Usage>),
}

impl Default for Usage {
    fn default() -> Self {
        Self::Fields(BTreeMap::new())
    }
}

impl Usage {
    /// Marks what a path leads to: `["login", "uuid"]`; the empty path marks everything.
    pub(crate) fn add(&mut self, path: &[String]) {
        match (path.split_first(), self) {
            (_, Self::Whole) => {}
            (None, usage) => *usage = Self::Whole,
            (Some((name, rest)), Self::Fields(fields)) => fields.entry(name.clone()).or_default().add(rest),
        }
    }

    /// Marks what the other one marks.
    pub(crate) fn merge(&mut self, other: &Self) {
        match (other, self) {
            (_, Self::Whole) => {}
            (Self::Whole, usage) => *usage = Self::Whole,
            (Self::Fields(theirs), Self::Fields(ours)) => {
                for (name, usage) in theirs {
                    ours.entry(name.clone()).or_default().merge(usage);
                }
            }
        }
    }

    /// What is used of a field; `None` = nothing.
    pub(crate) fn of(&self, name: &str) -> Option<Self> {
        match self {
            Self::Whole => Some(Self::Whole),
            Self::Fields(fields) => fields.get(name).cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn a_path_marks_only_what_it_leads_to() {
        let mut usage = Usage::default();
        usage.add(&path("login.uuid"));
        usage.add(&path("dob"));
        usage.add(&path("dob.age"));
        assert_eq!(usage.of("dob"), Some(Usage::Whole));
        assert_eq!(usage.of("gender"), None);
        let login = usage.of("login").unwrap();
        assert_eq!((login.of("uuid"), login.of("md5")), (Some(Usage::Whole), None));

        let mut other = Usage::default();
        other.add(&path("login.md5"));
        usage.merge(&other);
        assert_eq!(usage.of("login").unwrap().of("md5"), Some(Usage::Whole));
    }
}
