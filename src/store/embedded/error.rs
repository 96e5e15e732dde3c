//! What can go wrong with a PostgreSQL server of our own.

use std::path::PathBuf;

/// An error of the embedded PostgreSQL. All of them are the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// There is no server to start on this machine.
    #[error(
        "no PostgreSQL {wanted} server was found (looked for postgres and initdb in PATH, pg_config --bindir and the usual \
         places): install it, e.g. `apt-get install postgresql` or `dnf install postgresql-server`, or give postgres.url"
    )]
    NoBinaries {
        /// `13 or later`, or the version of the data directory.
        wanted: String,
    },
    /// PostgreSQL refuses to run as root, and there is nobody else to run it as.
    #[error(
        "PostgreSQL does not run as root, and there is neither a user postgres nor nobody: run aqueduct as another user"
    )]
    NoUser,
    /// A directory could not be made ready.
    #[error("prepare {}", path.display())]
    Prepare {
        /// Which.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A directory belongs to somebody else.
    #[error("{} belongs to somebody else: remove it", path.display())]
    NotOurs {
        /// Which.
        path: PathBuf,
    },
    /// A program could not be run.
    #[error("run {}", program.display())]
    Run {
        /// Which.
        program: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// `initdb` did not make a data directory.
    #[error("initdb failed: {said}")]
    InitDb {
        /// What it said.
        said: String,
    },
    /// The server ended instead of answering.
    #[error("the PostgreSQL server did not start: {said}")]
    Start {
        /// What it said last.
        said: String,
    },
    /// The server runs but does not answer.
    #[error("the PostgreSQL server did not answer within {waited_s} s: {said}")]
    NoAnswer {
        /// How long it was waited for, in seconds.
        waited_s: u64,
        /// The last refusal.
        said: String,
    },
    /// The server could not be told to stop.
    #[error("the PostgreSQL server with process id {pid} does not stop")]
    Stop {
        /// Its process id.
        pid: i32,
    },
}
