//! What is at hand while a configuration is read: the surroundings, and the list that problems go on.

use std::{cell::RefCell, path::Path};

use super::{Environment, Problem, tree::Origin};

pub(super) struct Context<'a> {
    /// The file as it was named.
    pub(super) file: &'a str,
    /// What relative paths are relative to.
    pub(super) dir: &'a Path,
    pub(super) environment: &'a Environment,
    /// After a syntax error much may be missing that is there: nothing is said about missing keys.
    pub(super) is_partial: bool,
    problems: RefCell<Vec<Problem>>,
    notes: RefCell<Vec<Problem>>,
}

impl<'a> Context<'a> {
    pub(super) fn new(file: &'a str, dir: &'a Path, environment: &'a Environment) -> Self {
        Self {
            file,
            dir,
            environment,
            is_partial: false,
            problems: RefCell::default(),
            notes: RefCell::default(),
        }
    }

    /// Something is wrong.
    pub(super) fn problem(&self, origin: &Origin, key: &str, message: impl Into<String>) {
        self.problems
            .borrow_mut()
            .push(self.located(origin, key, message.into()));
    }

    /// Something works, but perhaps not as it was meant.
    pub(super) fn note(&self, origin: &Origin, key: &str, message: impl Into<String>) {
        self.notes.borrow_mut().push(self.located(origin, key, message.into()));
    }

    /// A problem at a place.
    pub(super) fn located(&self, origin: &Origin, key: &str, message: String) -> Problem {
        let (file, line, key) = match origin {
            Origin::Line(line) => (self.file, Some(*line), key),
            Origin::Variable(name) => ("environment", None, name.as_ref()),
            Origin::Default => (self.file, None, key),
        };
        Problem {
            file: file.to_owned(),
            line,
            key: key.to_owned(),
            message,
        }
    }

    pub(super) fn has_problems(&self) -> bool {
        !self.problems.borrow().is_empty()
    }

    /// Problems and notes, each in the order of the file; what has no line comes last.
    pub(super) fn finish(self) -> (Vec<Problem>, Vec<Problem>) {
        let sorted = |list: RefCell<Vec<Problem>>| {
            let mut list = list.into_inner();
            list.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
            list
        };
        (sorted(self.problems), sorted(self.notes))
    }
}
