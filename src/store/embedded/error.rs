//! What can go wrong with a PostgreSQL server of our own.

use std::path::PathBuf;

/// An error of the embedded PostgreSQL. All of them are the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// There is no server to start on this machine.
    #[error(
        "no PostgreSQL {wanted} server was found (looked for postgres and initdb in PATH, pg_config --bindir and the usual \
         places): install it, e.g. `apt-get install postgresql` or `dnf install postgresql-server`, let it be fetched with \
         postgres.binaries = \"auto\", or give postgres.url"
    )]
    NoBinaries {
        /// `13 or later`, or the version of the data directory.
        wanted: String,
    },
    /// The named directory holds no server.
    #[error(
        "postgres.binaries names {}, which holds no postgres and initdb that run: name the directory that does, or write \
         \"auto\"",
        dir.display()
    )]
    NotAServer {
        /// Which.
        dir: PathBuf,
    },
    /// The data are of another major version than the programs.
    #[error(
        "the data in {} are PostgreSQL {data}'s, and {there}: install PostgreSQL {data} (e.g. `apt-get install postgresql-{data}`), \
         or move that directory away to begin with empty tables; records that the log still has are then loaded again",
        dir.display()
    )]
    OtherMajor {
        /// The data directory.
        dir: PathBuf,
        /// Its major version.
        data: u32,
        /// What there is instead, as half a sentence.
        there: String,
    },
    /// No server could be fetched.
    #[error(
        "PostgreSQL {version} for the embedded server could not be fetched from {from}: {reason}; either \
         install a server, e.g. `apt-get install postgresql` or `dnf install postgresql-server`, or let this machine \
         download: through a proxy with HTTPS_PROXY, or from a mirror of the Maven repository with postgres.mirror \
         (AQUEDUCT__POSTGRES__MIRROR=https://…)"
    )]
    Fetch {
        /// The version that was asked for.
        version: &'static str,
        /// `the public Maven repository` or the mirror's address.
        from: String,
        /// What went wrong.
        reason: String,
    },
    /// What was fetched is not what this version of aqueduct was tested with.
    #[error(
        "the archive of PostgreSQL {version} for {platform} from {from} has the SHA-512 {found} and should have {wanted}: \
         it is damaged or forged; nothing was unpacked"
    )]
    Forged {
        #[allow(missing_docs)]
        version: &'static str,
        #[allow(missing_docs)]
        platform: String,
        /// `the public Maven repository` or the mirror's address.
        from: String,
        /// The first digits of the digest that it has.
        found: String,
        /// The first digits of the digest that it should have.
        wanted: String,
    },
    /// The archive could not be unpacked.
    #[error("unpack PostgreSQL into {}: {reason}", dir.display())]
    Unpack {
        /// Where to.
        dir: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// The fetched programs do not run here.
    #[error(
        "the fetched PostgreSQL in {} does not run on this machine (its programs want glibc, libstdc++ and libgcc): install a \
         server, e.g. `apt-get install postgresql` or `apk add postgresql`",
        dir.display()
    )]
    DoesNotRun {
        /// Where it is.
        dir: PathBuf,
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
