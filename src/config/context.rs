//! What is at hand while a configuration is read: the surroundings, and the list that problems go on.

use std::{cell::RefCell, collections::BTreeSet, path::Path};

use super::{Environment, Problem, syntax::SyntaxError, tree::Origin};

pub(super) struct Context<'a> {
    /// The file as it was named.
    pub(super) file: &'a str,
    /// What relative paths are relative to.
    pub(super) dir: &'a Path,
    pub(super) environment: &'a Environment,
    /// Lines with a syntax error: what else seems wrong on them is its echo.
    broken_lines: BTreeSet<usize>,
    /// Keys that an unknown one was probably meant to be: they are not missing, but misspelt.
    misspelt: RefCell<BTreeSet<String>>,
    problems: RefCell<Vec<Problem>>,
    notes: RefCell<Vec<Problem>>,
}

impl<'a> Context<'a> {
    pub(super) fn new(file: &'a str, dir: &'a Path, environment: &'a Environment) -> Self {
        Self {
            file,
            dir,
            environment,
            broken_lines: BTreeSet::new(),
            misspelt: RefCell::default(),
            problems: RefCell::default(),
            notes: RefCell::default(),
        }
    }

    /// The text is not TOML.
    pub(super) fn syntax_error(&mut self, error: SyntaxError) {
        self.problem(&Origin::Line(error.line), &error.key, error.message);
        self.broken_lines.extend(error.line..=error.last_line);
    }

    /// An unknown key was probably meant to be this one.
    pub(super) fn misspelt(&self, key: String) {
        self.misspelt.borrow_mut().insert(key);
    }

    /// Whether a key that is not there may be called missing. After a syntax error it may be there all the same.
    pub(super) fn may_be_missing(&self, key: &str) -> bool {
        self.broken_lines.is_empty() && !self.misspelt.borrow().contains(key)
    }

    /// Something is wrong.
    pub(super) fn problem(&self, origin: &Origin, key: &str, message: impl Into<String>) {
        if matches!(origin, Origin::Line(line) if self.broken_lines.contains(line)) {
            return;
        }
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
