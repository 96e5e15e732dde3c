//! What can go wrong at the store, by operation.

use super::{Remedy, ServerError, verdicts};
use crate::model::Verdict;

/// An error of the store. Its text names operation and place; the cause is its `source`.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No session could be opened.
    #[error("connect to {place}")]
    Connect {
        /// Host and database, without user and password.
        place: String,
        /// The cause; its text is free of the password.
        source: Box<ServerError>,
        /// What it means.
        verdict: Verdict,
    },
    /// A statement on the user's tables failed.
    #[error("{operation} on {place}")]
    Call {
        /// What was tried: `copy rows`, `merge rows`, `read types`, ...
        operation: &'static str,
        /// Table, partition, database.
        place: String,
        /// The cause.
        source: Box<ServerError>,
    },
    /// A statement on aqueduct's own tables failed: no record's data can be at fault.
    #[error("{operation} for {place}")]
    Keep {
        /// What was tried: `claim`, `advance`, `read counts`, ...
        operation: &'static str,
        /// Partition or pipeline.
        place: String,
        /// The cause.
        source: Box<ServerError>,
    },
    /// COMMIT failed, or its answer was lost: whether it took effect is for [`super::offsets::decide`] to say.
    #[error("commit on {place}")]
    Commit {
        /// Host and database.
        place: String,
        /// The cause.
        source: Box<ServerError>,
    },
    /// A migration failed; it was rolled back.
    #[error("run migration {name} on {place}")]
    Migrate {
        /// The migration's name, or the folder.
        name: String,
        /// Host and database.
        place: String,
        /// The cause.
        source: Box<ServerError>,
    },
    /// Something is there, but not as aqueduct needs it.
    #[error("{place}: {problem}")]
    Mismatch {
        /// Database, partition, folder.
        place: String,
        /// A sentence with the remedy.
        problem: String,
    },
}

impl StoreError {
    /// A failed statement on the user's tables.
    pub fn from_diesel(operation: &'static str, place: String, error: diesel::result::Error) -> Self {
        Self::Call {
            operation,
            place,
            source: Box::new(error.into()),
        }
    }

    /// A failed statement on aqueduct's own tables.
    pub(super) fn keep(operation: &'static str, place: impl ToString, error: diesel::result::Error) -> Self {
        Self::Keep {
            operation,
            place: place.to_string(),
            source: Box::new(error.into()),
        }
    }

    /// What the server said; `None` when it was not asked.
    pub fn server_error(&self) -> Option<&ServerError> {
        match self {
            Self::Connect { source, .. }
            | Self::Call { source, .. }
            | Self::Keep { source, .. }
            | Self::Commit { source, .. }
            | Self::Migrate { source, .. } => Some(source),
            Self::Mismatch { .. } => None,
        }
    }

    /// The server's five characters, where it sent any.
    pub fn sqlstate(&self) -> Option<&str> {
        self.server_error()?.sqlstate.as_deref()
    }

    /// The constraint that refused the row.
    pub fn constraint(&self) -> Option<&str> {
        self.server_error()?.constraint.as_deref()
    }

    /// The table that refused the row.
    pub fn table(&self) -> Option<&str> {
        self.server_error()?.table.as_deref()
    }

    /// The column that refused the value.
    pub fn column(&self) -> Option<&str> {
        self.server_error()?.column.as_deref()
    }

    /// Whether the session is of no more use.
    pub fn connection_lost(&self) -> bool {
        self.server_error().is_some_and(|error| error.connection_lost)
    }

    /// The reason for a dead letter: the SQLSTATE, the server's sentence, and the names of table, column, constraint.
    pub fn reason(&self) -> String {
        self.server_error()
            .map_or_else(|| self.to_string(), ServerError::to_string)
    }

    /// What to do about it, in the writer's terms. `within_copy`: the error ended a COPY.
    pub fn remedy(&self, within_copy: bool) -> Remedy {
        match self {
            Self::Connect {
                verdict: Verdict::Retry,
                ..
            } => Remedy::RetryAnew,
            Self::Connect { .. } | Self::Migrate { .. } | Self::Mismatch { .. } if !self.connection_lost() => {
                Remedy::GiveUp
            }
            _ => {
                let cause = self
                    .server_error()
                    .map(|error| (error.sqlstate.as_deref(), error.connection_lost));
                let remedy = match cause {
                    Some((Some(sqlstate), _)) => verdicts::remedy(sqlstate, within_copy),
                    Some((None, true)) => Remedy::RetryAnew,
                    _ => Remedy::GiveUp,
                };
                match (self, remedy) {
                    // In a table of ours, or in a migration, no record is at fault.
                    (Self::Keep { .. } | Self::Migrate { .. }, Remedy::Bisect | Remedy::ReadTypes) => Remedy::GiveUp,
                    (_, remedy) => remedy,
                }
            }
        }
    }

    /// What to do about it.
    pub fn verdict(&self) -> Verdict {
        self.remedy(false).verdict()
    }
}
