//! The embedded PostgreSQL: a real server that keeps what it was given.

// Helpers of a test may panic like the test.
#![allow(clippy::unwrap_used)]

#[path = "support/postgres.rs"]
mod postgres;

use std::{fs, path::Path, process::Command, time::Duration};

use aqueduct::store::{EmbeddedError, EmbeddedPostgres, embedded::Server};
use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_types::Integer,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, getpgid, getpgrp},
};
use postgres::{TestPostgres, open_dir, silent, wait_for};

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = Integer)]
    id: i32,
}

fn insert(url: &str, id: i32) {
    let mut connection = PgConnection::establish(url).unwrap();
    connection
        .batch_execute(&format!(
            "CREATE TABLE IF NOT EXISTS t (id int); INSERT INTO t VALUES ({id})"
        ))
        .unwrap();
}

fn ids(url: &str) -> Vec<i32> {
    let mut connection = PgConnection::establish(url).unwrap();
    let rows: Vec<Number> = diesel::sql_query("SELECT id FROM t ORDER BY id")
        .load(&mut connection)
        .unwrap();
    rows.into_iter().map(|row| row.id).collect()
}

fn server_pid(base_dir: &Path) -> Option<i32> {
    fs::read_to_string(base_dir.join("data/postmaster.pid"))
        .ok()?
        .lines()
        .next()?
        .parse()
        .ok()
}

#[test]
fn data_survives_stops_crashes_and_kills() {
    let mut server = TestPostgres::private();
    let url = server.url();
    insert(url.expose(), 1);
    server.restart();
    insert(url.expose(), 2);
    server.crash();
    server.start();
    insert(url.expose(), 3);
    // A session is still open: its process outlives the postmaster for a moment and holds the shared memory.
    let lingering = PgConnection::establish(url.expose()).unwrap();
    server.kill();
    server.start();
    drop(lingering);
    assert_eq!(ids(url.expose()), [1, 2, 3]);
}

#[test]
fn a_server_left_by_a_killed_daemon_is_taken_over() {
    let dir = open_dir();
    let abandoned = Server::start(dir.path(), &silent(), &[]).unwrap();
    insert(abandoned.url().expose(), 7);
    let pid = abandoned.pid();
    // What kill -9 leaves behind: the server, and nobody who holds it.
    drop(abandoned);
    let heir = EmbeddedPostgres::start(dir.path(), &silent()).unwrap();
    assert_eq!(server_pid(heir.base_dir()), Some(pid));
    assert_eq!(ids(heir.url().expose()), [7]);
    let base = heir.base_dir().to_owned();
    heir.stop();
    assert_eq!(server_pid(&base), None);
}

#[test]
fn a_server_that_dies_is_started_again() {
    let dir = open_dir();
    let server = EmbeddedPostgres::start(dir.path(), &silent()).unwrap();
    insert(server.url().expose(), 1);
    let first = server_pid(server.base_dir()).unwrap();
    kill(Pid::from_raw(first), Signal::SIGKILL).unwrap();
    wait_for("another server answers", Duration::from_secs(60), || {
        server_pid(server.base_dir()).is_some_and(|pid| pid != first)
            && PgConnection::establish(server.url().expose()).is_ok()
    });
    assert_eq!(ids(server.url().expose()), [1]);
}

#[test]
fn a_lock_file_with_another_programs_number_is_no_server() {
    let dir = open_dir();
    let server = EmbeddedPostgres::start(dir.path(), &silent()).unwrap();
    let base = server.base_dir().to_owned();
    insert(server.url().expose(), 1);
    server.stop();
    let mut not_a_server = Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
    fs::write(
        base.join("data/postmaster.pid"),
        format!("{}\n{}\n", not_a_server.id(), base.join("data").display()),
    )
    .unwrap();
    let server = EmbeddedPostgres::start(dir.path(), &silent()).unwrap();
    assert_eq!(ids(server.url().expose()), [1]);
    drop(not_a_server.stdin.take());
    not_a_server.wait().unwrap();
}

#[test]
fn a_terminals_interrupt_does_not_reach_the_server() {
    let dir = open_dir();
    let server = EmbeddedPostgres::start(dir.path(), &silent()).unwrap();
    let pid = Pid::from_raw(server_pid(server.base_dir()).unwrap());
    assert_ne!(getpgid(Some(pid)).unwrap(), getpgrp());
}

#[test]
fn an_initdb_that_was_killed_half_way_is_begun_again() {
    let dir = open_dir();
    let server = EmbeddedPostgres::start(dir.path(), &silent()).unwrap();
    let base = server.base_dir().to_owned();
    server.stop();
    fs::rename(base.join("data"), base.join("data.new")).unwrap();
    fs::remove_file(base.join("data.new/postgresql.conf")).unwrap();
    let server = EmbeddedPostgres::start(dir.path(), &silent()).unwrap();
    insert(server.url().expose(), 1);
    assert!(!base.join("data.new").exists());
}

#[test]
fn a_person_can_look_into_it_with_the_printed_line() {
    let dir = open_dir();
    let server = EmbeddedPostgres::start(dir.path(), &silent()).unwrap();
    insert(server.url().expose(), 42);
    let line = format!("{} -Atc 'SELECT id FROM t'", server.psql_line());
    let output = Command::new("sh").args(["-c", &line]).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        "42",
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn erase_leaves_nothing() {
    let dir = open_dir();
    let server = EmbeddedPostgres::start(dir.path(), &silent()).unwrap();
    let base = server.base_dir().to_owned();
    assert!(base.exists());
    server.erase();
    assert!(!base.exists());
}

#[test]
fn a_state_directory_that_is_closed_to_others_is_no_obstacle() {
    let dir = open_dir();
    let closed = dir.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let server = EmbeddedPostgres::start(&closed, &silent()).unwrap();
    insert(server.url().expose(), 1);
    assert_eq!(ids(server.url().expose()), [1]);
    server.erase();
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let dir = open_dir();
    let error = Server::start(dir.path(), &silent(), &[("shared_buffers", "nonsense")])
        .err()
        .unwrap();
    assert!(
        matches!(&error, EmbeddedError::Start { said } if said.contains("nonsense")),
        "{error}"
    );
}
