//! One connection to PostgreSQL with the settings that a long-lived writer needs.

use std::time::Duration;

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl,
    connection::{InstrumentationEvent, SimpleConnection, TransactionManager},
    result::ConnectionError,
    sql_types::{Bool, Integer, Text},
};

use super::{ConnectInfo, ServerError, StoreError};
use crate::model::Verdict;

type Transactions = <PgConnection as Connection>::TransactionManager;

/// A connection whose time-outs, time zone and name are set. Blocks; used by one thread at a time.
pub struct Session {
    connection: PgConnection,
    place: String,
    backend_pid: i32,
    server_version: i32,
    broken: bool,
}

#[derive(QueryableByName)]
struct Greeting {
    #[diesel(sql_type = Integer)]
    backend_pid: i32,
    #[diesel(sql_type = Integer)]
    server_version: i32,
    #[diesel(sql_type = Text)]
    encoding: String,
}

#[derive(QueryableByName)]
struct ReadOnly {
    #[diesel(sql_type = Bool)]
    read_only: bool,
}

#[derive(QueryableByName)]
struct Accepted {
    #[diesel(sql_type = Bool)]
    accepted: bool,
}

impl Session {
    /// Opens a session. `actor` says for whom, `<pipeline> <actor>`; the server shows it as `aqueduct <actor>`.
    pub fn connect(info: &ConnectInfo, actor: &str) -> Result<Self, StoreError> {
        let application_name = format!("{APPLICATION} {actor}");
        let url = info.complete_url(&application_name);
        let failed = |source: ServerError, verdict| StoreError::Connect {
            place: info.place().to_owned(),
            source: Box::new(source),
            verdict,
        };
        let mut connection = PgConnection::establish(url.expose()).map_err(|error| match error {
            ConnectionError::CouldntSetupConfiguration(error) => failed(error.into(), Verdict::Retry),
            error => {
                let message = info.redact(&error.to_string());
                let verdict = verdict_of_refusal(&message);
                failed(ServerError::local(message), verdict)
            }
        })?;
        let greeting = prepare(&mut connection, info, &application_name)
            .map_err(|error| StoreError::from_diesel("set up session", info.place().to_owned(), error))?;
        // Text travels as UTF-8; any other server would refuse some of it, record by record.
        if greeting.encoding != "UTF8" {
            return Err(StoreError::Mismatch {
                place: info.place().to_owned(),
                problem: format!("the database's encoding is {}, aqueduct needs UTF8", greeting.encoding),
            });
        }
        Ok(Self {
            connection,
            place: info.place().to_owned(),
            backend_pid: greeting.backend_pid,
            server_version: greeting.server_version,
            broken: false,
        })
    }

    /// Has `heed` called before and after each statement: between two calls the server answers, or nobody knows.
    pub fn on_statement(&mut self, heed: impl Fn() + Send + 'static) {
        self.connection
            .set_instrumentation(move |_: InstrumentationEvent<'_>| heed());
    }

    /// The connection, for statements of the caller's own. Errors go through [`Session::failed`].
    pub fn conn(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Hosts and database, for messages.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The server process behind this session.
    pub fn backend_pid(&self) -> i32 {
        self.backend_pid
    }

    /// `server_version_num`: 150018 is 15.18.
    pub fn server_version(&self) -> i32 {
        self.server_version
    }

    /// Turns diesel's error into ours and remembers whether the connection survived it.
    pub fn failed(&mut self, operation: &'static str, place: String, error: diesel::result::Error) -> StoreError {
        self.noted(StoreError::from_diesel(operation, place, error))
    }

    /// As [`Session::failed`], for a statement on aqueduct's own tables.
    pub(super) fn keep_failed(
        &mut self,
        operation: &'static str,
        place: impl ToString,
        error: diesel::result::Error,
    ) -> StoreError {
        self.noted(StoreError::keep(operation, place, error))
    }

    fn noted(&mut self, error: StoreError) -> StoreError {
        self.broken |= error.connection_lost();
        error
    }

    /// An error, as a write would meet it, when the server has become read-only since the session was opened: a demoted
    /// primary goes on answering whoever only reads, with what was true before the fail-over.
    pub fn expect_writable(&mut self) -> Result<(), StoreError> {
        let ask = "SELECT current_setting('transaction_read_only')::bool AS read_only";
        let place = self.place.clone();
        let answer: ReadOnly = diesel::sql_query(ask)
            .get_result(&mut self.connection)
            .map_err(|error| self.failed("ask whether it takes writes", place, error))?;
        if !answer.read_only {
            return Ok(());
        }
        Err(StoreError::Call {
            operation: "look for the primary",
            place: self.place.clone(),
            source: Box::new(ServerError {
                sqlstate: Some(READ_ONLY.into()),
                ..ServerError::local("the server has become read-only")
            }),
        })
    }

    /// Whether the session must be thrown away: its connection is lost, or a transaction is stuck in it.
    pub fn is_broken(&mut self) -> bool {
        self.broken || Transactions::is_broken_transaction_manager(&mut self.connection)
    }

    /// Runs `work` in a transaction: `Ok` commits, `Err` rolls back. An error of the commit itself is
    /// [`StoreError::Commit`]: the transaction may have taken effect all the same.
    pub fn transaction<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.begin()?;
        match work(self) {
            Ok(done) => {
                self.commit()?;
                Ok(done)
            }
            Err(error) => {
                self.roll_back();
                Err(error)
            }
        }
    }

    /// Opens a transaction.
    pub fn begin(&mut self) -> Result<(), StoreError> {
        let place = self.place.clone();
        Transactions::begin_transaction(&mut self.connection).map_err(|error| self.failed("begin", place, error))
    }

    /// Commits the transaction that [`Session::begin`] opened.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        // A bare COMMIT of a transaction that a failed COPY has aborted answers "ROLLBACK" without any error, and diesel
        // does not look. A statement before it in the same message fails there, and costs no round trip.
        self.connection.batch_execute("SELECT 1; COMMIT").map_err(|error| {
            let error = StoreError::Commit {
                place: self.place.clone(),
                source: Box::new(error.into()),
            };
            self.roll_back();
            self.noted(error)
        })
    }

    /// Rolls back the whole transaction; a session that cannot do even that is broken.
    pub fn roll_back(&mut self) {
        // Straight to the server: diesel's own would undo one savepoint only. Outside a transaction it is a warning.
        if self.connection.batch_execute("ROLLBACK").is_err() {
            self.broken = true;
        }
    }
}

/// "cannot execute … in a read-only transaction".
const READ_ONLY: &str = "25006";

/// How aqueduct's sessions are known to each other in `pg_stat_activity`.
pub(super) const APPLICATION: &str = "aqueduct";

fn prepare(connection: &mut PgConnection, info: &ConnectInfo, application_name: &str) -> diesel::QueryResult<Greeting> {
    let limits = &info.limits;
    let ms = |limit: Duration| limit.as_millis();
    // Not `default_transaction_read_only`: an old primary that stays up after a fail-over is made read-only with it, and a
    // session that overrode it would go on writing there.
    connection.batch_execute(&format!(
        "SET statement_timeout = {}; SET lock_timeout = {}; SET idle_in_transaction_session_timeout = {}; \
         SET default_transaction_isolation = 'read committed'; SET default_transaction_deferrable = off; \
         SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; {}",
        ms(limits.statement),
        ms(limits.lock),
        ms(limits.idle_in_transaction),
        if info.synchronous_commit {
            ""
        } else {
            "SET synchronous_commit = off"
        },
    ))?;
    // "on" must not weaken a server that is set to `remote_apply`: only "off" is raised.
    if info.synchronous_commit {
        let raise = "SELECT set_config('synchronous_commit', 'on', false) = 'on' AS accepted \
                     WHERE current_setting('synchronous_commit') = 'off'";
        diesel::sql_query(raise).load::<Accepted>(connection)?;
    }
    // A role that is called aqueduct has aqueduct's own schema first in its path: the user's tables do not belong there.
    diesel::sql_query(
        r#"SELECT set_config('search_path', regexp_replace(current_setting('search_path'), '"\$user"\s*,?\s*', ''), false)
           IS NOT NULL AS accepted WHERE current_user = 'aqueduct'"#,
    )
    .load::<Accepted>(connection)?;
    // The address may carry another name; ours is how sessions recognise each other.
    diesel::sql_query("SELECT set_config('application_name', $1, false) IS NOT NULL AS accepted")
        .bind::<Text, _>(application_name)
        .load::<Accepted>(connection)?;
    check_connection_while_busy(connection, limits.connection_check)?;
    diesel::sql_query(
        "SELECT pg_backend_pid() AS backend_pid, current_setting('server_version_num')::int AS server_version, \
         getdatabaseencoding()::text AS encoding",
    )
    .get_result(connection)
}

/// PostgreSQL 14 and later, where the server's operating system can do it: a daemon that died leaves no long statement.
fn check_connection_while_busy(connection: &mut PgConnection, every: Duration) -> diesel::QueryResult<bool> {
    let ask = "SELECT set_config('client_connection_check_interval', $1, false) IS NOT NULL AS accepted \
               WHERE current_setting('client_connection_check_interval', true) IS NOT NULL";
    let answer = diesel::sql_query(ask)
        .bind::<Text, _>(format!("{}ms", every.as_millis()))
        .load::<Accepted>(connection);
    match answer {
        Ok(rows) => Ok(rows.iter().any(|row| row.accepted)),
        Err(error) => {
            let error = ServerError::from(error);
            if error.connection_lost {
                Err(diesel::result::Error::BrokenTransactionManager)
            } else {
                Ok(false)
            }
        }
    }
}

/// libpq gives no SQLSTATE for a refused connection, only text, in the server's language. What is surely the operator's
/// is `Fail`; anything else may be an outage and is tried again, with the text in sight.
fn verdict_of_refusal(message: &str) -> Verdict {
    const ADDRESS: [&str; 5] = [
        "invalid ",
        "missing ",
        "unexpected ",
        "unrecognized ",
        "could not match ",
    ];
    const SERVER: [&str; 8] = [
        "password authentication failed",
        "authentication failed for user",
        "no password supplied",
        "no pg_hba.conf entry",
        "pg_hba.conf rejects",
        "is not permitted to log in",
        "permission denied for database",
        "server does not support SSL",
    ];
    let fatal_absence = message.contains("FATAL") && message.contains("\" does not exist");
    let operators = ADDRESS.iter().any(|sign| message.starts_with(sign))
        || SERVER.iter().any(|sign| message.contains(sign))
        || fatal_absence;
    if operators { Verdict::Fail } else { Verdict::Retry }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operators_mistake_is_not_an_outage() {
        for (message, verdict) in [
            (
                "connection to server at \"h\", port 5432 failed: Connection refused",
                Verdict::Retry,
            ),
            (
                "connection to server at \"h\" failed: FATAL:  the database system is starting up",
                Verdict::Retry,
            ),
            (
                "connection to server at \"h\" failed: FATAL:  sorry, too many clients already",
                Verdict::Retry,
            ),
            (
                "could not translate host name \"h\" to address: Name or service not known",
                Verdict::Retry,
            ),
            (
                "connection to server at \"h\" failed: session is read-only",
                Verdict::Retry,
            ),
            (
                "connection to server on socket \"/run/x\" failed: No such file or directory",
                Verdict::Retry,
            ),
            (
                "connection to server at \"h\" failed: FATAL:  password authentication failed for user \"u\"",
                Verdict::Fail,
            ),
            (
                "connection to server at \"h\" failed: FATAL:  database \"d\" does not exist",
                Verdict::Fail,
            ),
            (
                "connection to server at \"h\" failed: FATAL:  role \"r\" does not exist",
                Verdict::Fail,
            ),
            ("invalid port number: \"x\"", Verdict::Fail),
        ] {
            assert_eq!(verdict_of_refusal(message), verdict, "{message}");
        }
    }
}
