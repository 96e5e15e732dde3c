//! How the process ends.

use std::process::ExitCode;

/// The exit codes that users and service managers see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Asked to stop, or done.
    Done,
    /// The configuration or the command line is wrong: a restart will not help.
    BadConfig,
    /// Something that was asked for is not there.
    Unavailable,
    /// The supervisor has given up.
    Escalated,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::BadConfig => 64,
            Exit::Unavailable => 69,
            Exit::Escalated => 70,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}
