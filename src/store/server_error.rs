//! What PostgreSQL, or the way to it, had to say.

use std::fmt;

use diesel::result::{DatabaseErrorKind, Error};

use super::sqlstate;

/// The cause behind a [`super::StoreError`]. `Display` shows code, message and names, never a row: the server's detail may
/// hold the whole row and is kept apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerError {
    /// The server's five characters; `None` when the error was made on this side of the connection.
    pub sqlstate: Option<String>,
    /// The primary message.
    pub message: String,
    /// May contain the row.
    pub detail: Option<String>,
    /// The server's advice.
    pub hint: Option<String>,
    /// The table whose constraint it was.
    pub table: Option<String>,
    /// The column whose constraint it was.
    pub column: Option<String>,
    /// The constraint's name.
    pub constraint: Option<String>,
    /// The connection cannot be used any more.
    pub connection_lost: bool,
}

impl ServerError {
    /// An error that was made on this side.
    pub(super) fn local(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }
}

impl From<Error> for ServerError {
    fn from(error: Error) -> Self {
        match error {
            Error::DatabaseError(kind, info) => {
                let owned = |text: Option<&str>| text.map(str::to_owned);
                let sqlstate = sqlstate::read(&*info);
                // A statement that libpq refuses to send because it has too many parameters is ours; everything else
                // that it cannot send is the connection's.
                let unsent = kind == DatabaseErrorKind::UnableToSendCommand
                    && !info.message().starts_with("number of parameters");
                let lost = kind == DatabaseErrorKind::ClosedConnection
                    || unsent
                    || sqlstate.as_deref().is_some_and(ends_the_connection)
                    || (sqlstate.is_none() && speaks_of_a_lost_connection(info.message()));
                Self {
                    sqlstate,
                    message: info.message().trim_end().to_owned(),
                    detail: owned(info.details()),
                    hint: owned(info.hint()),
                    table: owned(info.table_name()),
                    column: owned(info.column_name()),
                    constraint: owned(info.constraint_name()),
                    connection_lost: lost,
                }
            }
            Error::RollbackErrorOnCommit { commit_error, .. } => Self::from(*commit_error),
            Error::BrokenTransactionManager => Self {
                connection_lost: true,
                ..Self::local("the connection was lost within a transaction")
            },
            other => Self::local(other.to_string()),
        }
    }
}

/// The server sends these and hangs up.
fn ends_the_connection(sqlstate: &str) -> bool {
    matches!(
        sqlstate,
        "25P03" | "25P04" | "57P01" | "57P02" | "57P03" | "57P04" | "57P05"
    ) || sqlstate.starts_with("08")
}

/// `PQputCopyData` and its like report a broken connection as plain text. libpq speaks English here: nobody has called
/// `setlocale` in this process.
fn speaks_of_a_lost_connection(message: &str) -> bool {
    const SIGNS: [&str; 7] = [
        "no connection to the server",
        "server closed the connection",
        "could not send data to server",
        "could not receive data from server",
        "connection not open",
        "SSL error",
        "SSL SYSCALL error",
    ];
    SIGNS.iter().any(|sign| message.contains(sign))
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(sqlstate) = &self.sqlstate {
            write!(f, "{sqlstate} ")?;
        }
        f.write_str(&self.message)?;
        let names = [
            ("table", &self.table),
            ("column", &self.column),
            ("constraint", &self.constraint),
        ];
        let mut separator = " (";
        for (what, name) in names {
            if let Some(name) = name {
                write!(f, "{separator}{what} {name}")?;
                separator = ", ";
            }
        }
        if separator == ", " { f.write_str(")") } else { Ok(()) }
    }
}

impl std::error::Error for ServerError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(kind: DatabaseErrorKind, message: &str) -> ServerError {
        ServerError::from(Error::DatabaseError(kind, Box::new(message.to_owned())))
    }

    #[test]
    fn what_cannot_be_sent_is_the_connections_fault_unless_it_is_the_statements() {
        assert!(said(DatabaseErrorKind::UnableToSendCommand, "no connection to the server\n").connection_lost);
        let ours = said(
            DatabaseErrorKind::UnableToSendCommand,
            "number of parameters must be between 0 and 65535\n",
        );
        assert!(!ours.connection_lost);
    }

    #[test]
    fn a_copy_that_is_cut_off_is_a_lost_connection() {
        assert!(
            said(
                DatabaseErrorKind::Unknown,
                "server closed the connection unexpectedly\n"
            )
            .connection_lost
        );
    }

    #[test]
    fn the_text_names_code_and_names_but_not_the_row() {
        let error = ServerError {
            sqlstate: Some("23502".into()),
            message: "null value in column \"email\"".into(),
            detail: Some("Failing row contains (1, secret)".into()),
            table: Some("users".into()),
            column: Some("email".into()),
            ..ServerError::default()
        };
        assert_eq!(
            error.to_string(),
            "23502 null value in column \"email\" (table users, column email)"
        );
    }
}
