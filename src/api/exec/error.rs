//! What can go wrong with a program, by what was seen.

use std::{io, time::Duration};

use crate::model::Verdict;

/// Why a run failed. `program` is the command's first word; its arguments are never shown.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum RunError {
    /// There is nothing to run, or it may not be run.
    #[error("program {program}: cannot be started; is it installed, executable and in PATH?")]
    Start { program: String, source: io::Error },
    /// What the program needs to begin could not be made.
    #[error("program {program}: cannot {what}")]
    Prepare {
        program: String,
        what: &'static str,
        source: io::Error,
    },
    /// It said that it had failed, or was killed.
    #[error("program {program}: ended with {status} after {num_lines} lines{last_words}")]
    Exited {
        program: String,
        status: String,
        num_lines: u64,
        /// Its last line on stderr after `: `, or nothing.
        last_words: String,
    },
    /// It lives, but prints nothing.
    #[error("program {program}: printed nothing for {limit:?}; if that is how it works, raise `source.timeout`")]
    Silent { program: String, limit: Duration },
    /// Its output is closed, and it lives on.
    #[error("program {program}: closed its output but did not end within {limit:?}; it should exit with 0")]
    LivesOn { program: String, limit: Duration },
    /// A line that is no JSON, or no message of the declared kind.
    #[error(
        "program {program}: line {line} of its output {reason}{excerpt}; only JSON lines belong on stdout, the rest on stderr"
    )]
    Line {
        program: String,
        /// From 1.
        line: u64,
        reason: String,
        /// The beginning of the line after `: `, or nothing.
        excerpt: String,
    },
    /// A line that does not end.
    #[error(
        "program {program}: line {line} of its output is longer than {limit_bytes} bytes; print smaller records, each on a line"
    )]
    LineTooLong {
        program: String,
        line: u64,
        limit_bytes: usize,
    },
    /// A state that the log would not take.
    #[error(
        "program {program}: its cursor in line {line} has {size_bytes} bytes; {limit_bytes} are the most that is kept"
    )]
    StateTooLarge {
        program: String,
        line: u64,
        size_bytes: usize,
        limit_bytes: usize,
    },
    /// The output could not be read.
    #[error("program {program}: its output cannot be read")]
    Read { program: String, source: io::Error },
    /// It failed again and again.
    #[error("{num_runs} runs in a row have failed")]
    GaveUp { num_runs: u32, source: Box<RunError> },
}

impl RunError {
    /// What to do about it. `Retry` is repeated inside the adapter, a few times, and is never returned by it.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Start { .. } | Self::StateTooLarge { .. } | Self::GaveUp { .. } => Verdict::Fail,
            Self::Prepare { .. }
            | Self::Exited { .. }
            | Self::Silent { .. }
            | Self::LivesOn { .. }
            | Self::Line { .. }
            | Self::LineTooLong { .. }
            | Self::Read { .. } => Verdict::Retry,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program() -> String {
        "people.py".to_owned()
    }

    fn io_error() -> io::Error {
        io::Error::from(io::ErrorKind::NotFound)
    }

    #[test]
    fn a_failed_run_is_repeated_and_what_a_repeat_cannot_mend_fails() {
        let exited = || RunError::Exited {
            program: program(),
            status: "exit code 1".to_owned(),
            num_lines: 3,
            last_words: ": KeyError".to_owned(),
        };
        let line = String::new;
        for (error, verdict) in [
            (exited(), Verdict::Retry),
            (
                RunError::Prepare {
                    program: program(),
                    what: "write",
                    source: io_error(),
                },
                Verdict::Retry,
            ),
            (
                RunError::Silent {
                    program: program(),
                    limit: Duration::from_secs(1),
                },
                Verdict::Retry,
            ),
            (
                RunError::LivesOn {
                    program: program(),
                    limit: Duration::from_secs(1),
                },
                Verdict::Retry,
            ),
            (
                RunError::Line {
                    program: program(),
                    line: 1,
                    reason: line(),
                    excerpt: line(),
                },
                Verdict::Retry,
            ),
            (
                RunError::LineTooLong {
                    program: program(),
                    line: 1,
                    limit_bytes: 1,
                },
                Verdict::Retry,
            ),
            (
                RunError::Read {
                    program: program(),
                    source: io_error(),
                },
                Verdict::Retry,
            ),
            (
                RunError::Start {
                    program: program(),
                    source: io_error(),
                },
                Verdict::Fail,
            ),
            (
                RunError::StateTooLarge {
                    program: program(),
                    line: 1,
                    size_bytes: 2,
                    limit_bytes: 1,
                },
                Verdict::Fail,
            ),
            (
                RunError::GaveUp {
                    num_runs: 5,
                    source: Box::new(exited()),
                },
                Verdict::Fail,
            ),
        ] {
            assert_eq!(error.verdict(), verdict, "{error}");
        }
        assert_eq!(
            exited().to_string(),
            "program people.py: ended with exit code 1 after 3 lines: KeyError"
        );
    }
}
