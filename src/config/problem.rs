//! What is wrong with a configuration, in a form that can be acted on.

use std::fmt;

/// One thing that is wrong (or, as a note, surprising): where it stands, which key it is, and what to do about it.
///
/// It prints as `config.toml:12: kafka.broker: unknown key; did you mean "brokers"?`. Values of secrets never get here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file as it was named, or `environment` for a variable.
    pub file: String,
    /// The line, from 1; `None` where there is none.
    pub line: Option<usize>,
    /// The key with its tables (`pipeline.users.batch.rows`), or the variable's name; empty for the file itself.
    pub key: String,
    /// A sentence with the remedy.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for Problem {}
