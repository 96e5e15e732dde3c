//! A server that is there and takes nothing: read-only, without a free place, with a full disk, going down, in recovery. The
//! batch waits with the reason in sight, nothing goes to the dead letters, and work goes on by itself.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::symlink,
};

use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_types};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    job::LIMIT,
    load::ask,
    postgres::{TestPostgres, wait_for},
    stage::Stage,
};

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = sql_types::Integer)]
    number: i32,
}

/// Changes a server's configuration for all sessions.
pub fn alter_system(connection: &mut PgConnection, set: &str) {
    connection.batch_execute(&format!("ALTER SYSTEM {set}")).unwrap();
    connection.batch_execute("SELECT pg_reload_conf()").unwrap();
}

/// The batch waits for the reason that these texts tell; then `end` ends the outage, and the batch is written.
fn waits_and_resumes(stage: &mut Stage, signs: &[&str], end: impl FnOnce()) {
    stage.let_a_page_out();
    stage.until_said(&[&["waiting for PostgreSQL"][..], signs].concat());
    end();
    stage.until_settled();
    stage.no_letters();
}

#[test]
fn a_server_that_is_read_only_full_out_of_places_or_in_recovery_is_waited_for_and_no_record_dies() {
    let mut server = TestPostgres::private_with(&[
        ("max_connections", "25"),
        ("wal_level", "replica"),
        ("autovacuum", "off"),
    ]);
    let ddl = "CREATE TABLE THE_TABLE (uuid uuid, age int, born_at timestamptz, email text, nat text); \
               CREATE TABLE kept (LIKE THE_TABLE)";
    let mut stage = Stage::start("outages", server.database(), ddl, |_| (), |text| text);
    let url = stage.job.database.url();
    let connect = || PgConnection::establish(url.expose()).unwrap();
    stage.let_a_page_out();
    stage.until_settled();

    // Read-only: the session is told first, then new ones are refused.
    alter_system(&mut connect(), "SET default_transaction_read_only = on");
    waits_and_resumes(&mut stage, &["25006"], || {
        alter_system(&mut connect(), "RESET default_transaction_read_only");
    });

    // Every place is taken, and the writer loses its own.
    let mut taken: Vec<PgConnection> = std::iter::from_fn(|| PgConnection::establish(url.expose()).ok()).collect();
    assert!(!taken.is_empty());
    let end =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'aqueduct % writer-%'";
    taken[0].batch_execute(end).unwrap();
    wait_for("the writer's place is taken too", LIMIT, || {
        taken.extend(PgConnection::establish(url.expose()));
        let left =
            "SELECT count(*)::int AS number FROM pg_stat_activity WHERE application_name LIKE 'aqueduct % writer-%'";
        let left: Number = diesel::sql_query(left).get_result(&mut taken[0]).unwrap();
        left.number == 0 && PgConnection::establish(url.expose()).is_err()
    });
    stage.let_a_page_out();
    stage.until_said(&["waiting for PostgreSQL", "too many clients"]);
    drop(taken);
    stage.until_settled();

    // The disk is full: the table's file ends at a device that has no room.
    let table = &stage.table;
    stage
        .job
        .database
        .execute(&format!("INSERT INTO kept SELECT * FROM {table}; TRUNCATE {table}"));
    let path = {
        let mut session = stage.job.database.session("outside");
        ask(&mut session, &format!("SELECT pg_relation_filepath('{table}')")).unwrap()
    };
    let file = server.base_dir().join("data").join(path);
    assert_eq!(fs::metadata(&file).unwrap().len(), 0);
    let aside = file.with_extension("aside");
    fs::rename(&file, &aside).unwrap();
    symlink("/dev/full", &file).unwrap();
    stage.let_a_page_out();
    stage.until_said(&["waiting for PostgreSQL", "53100"]);
    stage.no_letters();
    fs::rename(&aside, &file).unwrap();
    wait_for("the page is in the table", LIMIT, || stage.num_rows() == Some(100));
    stage
        .job
        .database
        .execute(&format!("INSERT INTO {} SELECT * FROM kept", stage.table));
    stage.until_settled();

    // Shut down in order, while a page comes.
    server.stop();
    waits_and_resumes(&mut stage, &[], || server.start());

    // One of its processes is killed: the others end, and the server recovers.
    let mut victim = connect();
    let pid: Number = diesel::sql_query("SELECT pg_backend_pid() AS number")
        .get_result(&mut victim)
        .unwrap();
    kill(Pid::from_raw(pid.number), Signal::SIGKILL).unwrap();
    waits_and_resumes(&mut stage, &[], || ());

    // A recovery that takes as long as the test wants.
    server.crash();
    let data = server.base_dir().join("data");
    let go = data.join("go-on");
    let mut settings = File::options()
        .append(true)
        .open(data.join("postgresql.auto.conf"))
        .unwrap();
    let wait = format!("while [ ! -e \"{}\" ]; do sleep 0.05; done; false", go.display());
    writeln!(settings, "hot_standby = off\nrestore_command = '{wait}'").unwrap();
    File::create(data.join("recovery.signal")).unwrap();
    std::thread::scope(|scope| {
        let starting = scope.spawn(|| server.start());
        waits_and_resumes(&mut stage, &["FATAL:  the database system is"], || {
            File::create(&go).unwrap();
        });
        starting.join().unwrap();
    });

    stage.nothing_is_lost();
    stage.no_restart_was_spent();
    stage.stop();
}
