//! Sessions, and what errors of a real server mean.

// Helpers of a test may panic like the test.
#![allow(clippy::unwrap_used)]

#[path = "support/postgres.rs"]
mod postgres;

use std::time::Duration;

use aqueduct::{
    config::settings::Secret,
    model::Verdict,
    store::{ConnectInfo, Remedy, Session, StoreError},
};
use diesel::{
    Connection, ExecuteCopyFromDsl, QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_types::Text,
};
use postgres::{TestDatabase, TestPostgres, wait_for};

#[derive(QueryableByName)]
struct Value {
    #[diesel(sql_type = Text)]
    value: String,
}

fn setting(session: &mut Session, name: &str) -> String {
    let value: Value = diesel::sql_query("SELECT current_setting($1) AS value")
        .bind::<Text, _>(name)
        .get_result(session.conn())
        .unwrap();
    value.value
}

fn try_sql(session: &mut Session, sql: &str) -> Result<(), StoreError> {
    session
        .conn()
        .batch_execute(sql)
        .map_err(|error| session.failed("run", String::from("test"), error))
}

fn error_of(session: &mut Session, sql: &str) -> StoreError {
    try_sql(session, sql).expect_err(sql)
}

/// The error and everything behind it, as a log line would have it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause} {cause:?}");
        source = cause.source();
    }
    text
}

fn with_parameter(url: &Secret, parameter: &str) -> Secret {
    let url = url.expose();
    Secret::new(format!("{url}{}{parameter}", if url.contains('?') { '&' } else { '?' }))
}

#[test]
fn a_session_has_its_limits_its_name_and_its_time_zone() {
    let database = TestDatabase::empty();
    database.execute(&format!(
        "ALTER DATABASE {0} SET TimeZone = 'Asia/Tokyo'; ALTER DATABASE {0} SET statement_timeout = 0; \
         ALTER DATABASE {0} SET default_transaction_isolation = 'serializable'",
        database.name
    ));
    let mut session = database.session("users writer-1");
    for (name, value) in [
        ("statement_timeout", "1min"),
        ("lock_timeout", "10s"),
        ("idle_in_transaction_session_timeout", "30s"),
        ("TimeZone", "UTC"),
        ("application_name", "aqueduct users writer-1"),
        ("default_transaction_isolation", "read committed"),
        ("default_transaction_read_only", "off"),
    ] {
        assert_eq!(setting(&mut session, name), value, "{name}");
    }
    if session.server_version() >= 140_000 {
        assert_eq!(setting(&mut session, "client_connection_check_interval"), "2s");
    }
    let pid: Value = diesel::sql_query("SELECT pg_backend_pid()::text AS value")
        .get_result(session.conn())
        .unwrap();
    assert_eq!(session.backend_pid().to_string(), pid.value);
}

#[test]
fn synchronous_commit_is_as_configured_and_never_weakened() {
    let database = TestDatabase::empty();
    let commit = |synchronous| {
        let info = ConnectInfo::new(database.url(), synchronous);
        setting(
            &mut Session::connect(&info, "users writer-0").unwrap(),
            "synchronous_commit",
        )
    };
    assert_eq!((commit(true), commit(false)), (String::from("on"), String::from("off")));
    database.execute(&format!(
        "ALTER DATABASE {} SET synchronous_commit = 'remote_apply'",
        database.name
    ));
    assert_eq!(
        (commit(true), commit(false)),
        (String::from("remote_apply"), String::from("off"))
    );
    database.execute(&format!(
        "ALTER DATABASE {} SET synchronous_commit = 'off'",
        database.name
    ));
    assert_eq!((commit(true), commit(false)), (String::from("on"), String::from("off")));
}

#[test]
fn what_a_real_server_says_has_its_sqlstate_and_its_verdict() {
    let database = TestDatabase::empty();
    let mut session = database.session("users writer-0");
    try_sql(
        &mut session,
        "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL, s varchar(3), j jsonb, CONSTRAINT positive CHECK (n > 0)); \
         CREATE TABLE p (id int) PARTITION BY RANGE (id); INSERT INTO t VALUES (1, 1)",
    )
    .unwrap();
    use Remedy::{Bisect, GiveUp, ReadTypes, RetryAnew, RetrySmaller};
    for (sql, sqlstate, remedy) in [
        ("INSERT INTO t VALUES (2, NULL)", "23502", Bisect),
        ("INSERT INTO t VALUES (2, 1, 'long')", "22001", Bisect),
        ("INSERT INTO t VALUES (2, -1)", "23514", Bisect),
        ("INSERT INTO t VALUES (1, 1)", "23505", Bisect),
        ("INSERT INTO p VALUES (1)", "23514", Bisect),
        ("SELECT 2147483647 + 1", "22003", Bisect),
        ("SELECT 'x'::int", "22P02", Bisect),
        ("SELECT '2024-02-31'::date", "22008", Bisect),
        ("SELECT '\"\\u0000\"'::jsonb", "22P05", Bisect),
        ("SELECT 1 / 0", "22012", Bisect),
        ("DO $$ BEGIN RAISE 'no'; END $$", "P0001", Bisect),
        ("DO $$ BEGIN RAISE SQLSTATE '44000'; END $$", "44000", Bisect),
        ("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$", "40001", RetryAnew),
        ("DO $$ BEGIN RAISE SQLSTATE '53100'; END $$", "53100", RetryAnew),
        ("DO $$ BEGIN RAISE SQLSTATE '53200'; END $$", "53200", RetrySmaller),
        ("BEGIN READ ONLY; INSERT INTO t VALUES (3, 1)", "25006", RetryAnew),
        ("SET statement_timeout = 30; SELECT pg_sleep(30)", "57014", RetrySmaller),
        ("SELECT * FROM nowhere", "42P01", ReadTypes),
        ("SELECT nothing FROM t", "42703", ReadTypes),
        ("SELEC 1", "42601", GiveUp),
        ("SELECT * FROM pg_read_file('/nowhere')", "58P01", GiveUp),
        ("DO $$ BEGIN RAISE SQLSTATE 'XX000'; END $$", "XX000", GiveUp),
    ] {
        let error = error_of(&mut session, sql);
        session.roll_back();
        try_sql(&mut session, "RESET statement_timeout").unwrap();
        assert_eq!(
            (error.sqlstate(), error.remedy(false)),
            (Some(sqlstate), remedy),
            "{sql}: {}",
            chain(&error)
        );
        assert_eq!(error.verdict(), remedy.verdict(), "{sql}");
        assert!(!session.is_broken(), "{sql}");
    }
}

#[test]
fn an_error_names_table_column_and_constraint_but_not_the_row() {
    let database = TestDatabase::empty();
    let mut session = database.session("users writer-0");
    try_sql(
        &mut session,
        "CREATE TABLE t (id int NOT NULL, secret text, CONSTRAINT positive CHECK (id > 0))",
    )
    .unwrap();
    let error = error_of(&mut session, "INSERT INTO t VALUES (NULL, 'geheim')");
    assert_eq!(
        (error.table(), error.column(), error.constraint()),
        (Some("t"), Some("id"), None)
    );
    assert!(
        error.reason().starts_with("23502 null value in column \"id\""),
        "{}",
        error.reason()
    );
    assert!(!error.reason().contains("geheim"));
    let error = error_of(&mut session, "INSERT INTO t VALUES (-1, 'geheim')");
    assert_eq!((error.table(), error.constraint()), (Some("t"), Some("positive")));
}

/// Prepared statements and COPY reach libpq by other ways than a batch of text.
#[test]
fn every_way_to_the_server_tells_the_sqlstate() {
    let database = TestDatabase::empty();
    let mut session = database.session("users writer-0");
    let bound = diesel::sql_query("SELECT $1::text::int::text AS value").bind::<Text, _>("x");
    let error = bound.get_result::<Value>(session.conn()).err().unwrap();
    assert_eq!(session.failed("read", String::new(), error).sqlstate(), Some("22P02"));
    let error = diesel::sql_query("SELECT * FROM nowhere")
        .execute(session.conn())
        .err()
        .unwrap();
    assert_eq!(
        session.failed("prepare", String::new(), error).sqlstate(),
        Some("42P01")
    );

    diesel::table! { t (id) { id -> Integer, } }
    diesel::sql_query("CREATE TABLE t (id int NOT NULL)")
        .execute(session.conn())
        .unwrap();
    let copy = diesel::copy_from(t::table).from_raw_data(t::table, |sink| {
        std::io::Write::write_all(sink, b"1\nx\n")
            .map_err(|error| diesel::result::Error::DeserializationError(error.into()))
    });
    let error = copy.execute(session.conn()).unwrap_err();
    assert_eq!(
        session.failed("copy rows", String::new(), error).sqlstate(),
        Some("22P02")
    );
    assert!(!session.is_broken());
}

#[test]
fn two_sessions_that_wait_for_each_other_end_in_a_retry() {
    let database = TestDatabase::empty();
    database.execute("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0), (2, 0)");
    let (first, second) = (&mut database.session("a"), &mut database.session("b"));
    try_sql(
        first,
        "SET deadlock_timeout = '50ms'; BEGIN; UPDATE t SET n = 1 WHERE id = 1",
    )
    .unwrap();
    try_sql(
        second,
        "SET deadlock_timeout = '50ms'; BEGIN; UPDATE t SET n = 1 WHERE id = 2",
    )
    .unwrap();
    let outcomes = std::thread::scope(|scope| {
        fn crosswise(session: &mut Session, id: i32) -> Result<(), StoreError> {
            let outcome = try_sql(session, &format!("UPDATE t SET n = 1 WHERE id = {id}"));
            session.roll_back();
            outcome
        }
        let first = scope.spawn(|| crosswise(first, 2));
        let second = scope.spawn(|| crosswise(second, 1));
        [first.join().unwrap(), second.join().unwrap()]
    });
    let failures: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
    assert_eq!(failures.len(), 1);
    assert_eq!(
        (failures[0].sqlstate(), failures[0].verdict()),
        (Some("40P01"), Verdict::Retry)
    );
}

#[test]
fn a_session_that_was_ended_says_so_and_is_broken() {
    let database = TestDatabase::empty();
    let mut session = database.session("users writer-0");
    database.execute(&format!("SELECT pg_terminate_backend({})", session.backend_pid()));
    let error = error_of(&mut session, "SELECT 1");
    assert_eq!(error.verdict(), Verdict::Retry, "{}", chain(&error));
    assert!(error.connection_lost() && session.is_broken());
    assert_eq!(error_of(&mut session, "SELECT 1").verdict(), Verdict::Retry);
}

#[test]
fn a_transaction_without_a_statement_is_ended_by_the_server() {
    let database = TestDatabase::empty();
    let mut info = database.info();
    info.limits.idle_in_transaction = Duration::from_millis(100);
    let mut session = Session::connect(&info, "users writer-0").unwrap();
    session.begin().unwrap();
    let idle = format!(
        "SELECT pid::text AS value FROM pg_stat_activity WHERE pid = {}",
        session.backend_pid()
    );
    let mut looker = database.connection();
    wait_for("the server has ended the session", Duration::from_secs(20), || {
        diesel::sql_query(&idle).load::<Value>(&mut looker).unwrap().is_empty()
    });
    let error = session.commit().unwrap_err();
    assert_eq!(
        (error.verdict(), error.connection_lost()),
        (Verdict::Retry, true),
        "{}",
        chain(&error)
    );
    assert!(session.is_broken());
}

/// PostgreSQL answers a COMMIT of an aborted transaction with "ROLLBACK" and no error.
#[test]
fn a_transaction_that_was_aborted_behind_diesels_back_does_not_pass_as_committed() {
    let database = TestDatabase::empty();
    let mut session = database.session("users writer-0");
    try_sql(&mut session, "CREATE TABLE t (id int)").unwrap();
    let outcome = session.transaction(|session| {
        try_sql(session, "INSERT INTO t VALUES (1)")?;
        let swallowed = try_sql(session, "SELECT 1 / 0");
        assert!(swallowed.is_err());
        Ok::<_, StoreError>(())
    });
    let error = outcome.unwrap_err();
    assert!(matches!(error, StoreError::Commit { .. }));
    assert_eq!((error.sqlstate(), error.verdict()), (Some("25P02"), Verdict::Fail));
    assert!(!session.is_broken());
    session
        .transaction(|session| try_sql(session, "INSERT INTO t VALUES (2)"))
        .unwrap();
    let rows: Vec<Value> = diesel::sql_query("SELECT id::text AS value FROM t")
        .load(session.conn())
        .unwrap();
    assert_eq!(rows.iter().map(|row| &*row.value).collect::<Vec<_>>(), ["2"]);
}

#[test]
fn a_transaction_with_savepoints_inside_commits_as_a_whole() {
    let database = TestDatabase::empty();
    let mut session = database.session("users writer-0");
    try_sql(&mut session, "CREATE TABLE t (id int PRIMARY KEY)").unwrap();
    session
        .transaction(|session| {
            try_sql(session, "INSERT INTO t VALUES (1)")?;
            let inner: diesel::QueryResult<()> = session
                .conn()
                .transaction(|conn| conn.batch_execute("INSERT INTO t VALUES (2); INSERT INTO t VALUES (1)"));
            assert!(inner.is_err());
            let inner: diesel::QueryResult<()> = session
                .conn()
                .transaction(|conn| conn.batch_execute("INSERT INTO t VALUES (3)"));
            assert!(inner.is_ok());
            Ok::<_, StoreError>(())
        })
        .unwrap();
    let rows: Vec<Value> = diesel::sql_query("SELECT id::text AS value FROM t ORDER BY id")
        .load(session.conn())
        .unwrap();
    assert_eq!(rows.iter().map(|row| &*row.value).collect::<Vec<_>>(), ["1", "3"]);
}

#[test]
fn no_error_tells_the_password() {
    let database = TestDatabase::empty();
    let secret = "ge%68eim-4711";
    for url in [
        format!("postgres://nobody:{secret}@/nowhere?host=/nowhere"),
        format!("postgres://nobody:{secret}@localhost:1/x"),
        format!("postgres://nobody:{secret}%zz@localhost/x"),
        format!("postgres://nobody:{secret}@[::1/x"),
        format!("postgres://localhost:1/x?password={secret}%q&sslmode=nonsense"),
        format!("postgres://nobody:{secret}@localhost:port/x"),
        format!("host=localhost port=1 password={secret} nonsense"),
        with_parameter(&database.url(), &format!("password={secret}&user=nobody_at_all"))
            .expose()
            .to_owned(),
    ] {
        let info = ConnectInfo::new(Secret::new(url), true);
        let error = Session::connect(&info, "users writer-0").err().unwrap();
        let text = format!("{} {info:?}", chain(&error));
        assert!(matches!(error, StoreError::Connect { .. }), "{text}");
        assert!(!text.contains("eim-4711"), "{text}");
    }
}

#[test]
fn a_server_that_is_away_is_an_outage_and_a_wrong_name_is_not() {
    let mut server = TestPostgres::private();
    let wrong = ConnectInfo::new(with_parameter(&server.url(), "dbname=nowhere"), true);
    let error = Session::connect(&wrong, "users writer-0").err().unwrap();
    assert_eq!(error.verdict(), Verdict::Fail, "{}", chain(&error));
    let mut session = Session::connect(&server.info(), "users writer-0").unwrap();
    server.stop();
    assert_eq!(error_of(&mut session, "SELECT 1").verdict(), Verdict::Retry);
    assert!(session.is_broken());
    let error = Session::connect(&server.info(), "users writer-0").err().unwrap();
    assert_eq!(error.verdict(), Verdict::Retry, "{}", chain(&error));
    server.start();
    assert!(!Session::connect(&server.info(), "users writer-0").unwrap().is_broken());
}

#[test]
fn a_database_that_cannot_hold_all_text_is_refused() {
    let database = TestDatabase::empty();
    let name = format!("{}_latin", database.name);
    database.execute(&format!(
        "CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"
    ));
    let info = ConnectInfo::new(with_parameter(&database.url(), &format!("dbname={name}")), true);
    let error = Session::connect(&info, "users writer-0").err().unwrap();
    assert!(
        matches!(&error, StoreError::Mismatch { problem, .. } if problem.contains("LATIN1")),
        "{error}"
    );
    assert_eq!(error.verdict(), Verdict::Fail);
    database.execute(&format!("DROP DATABASE {name}"));
}
