//! Other people's transactions: locks that are held too long, deadlocks, rows that move away, statements that take too long.

use std::{sync::Arc, time::Duration};

use aqueduct::{
    actors::writer::{Brake, Writer, WriterSettings},
    demo::simulator::expected_uuids,
    log::IdentityCheck,
    messages::{Settled, Write},
    model::LogRecord,
    supervision::Placement,
};
use diesel::connection::SimpleConnection;

use crate::{
    clock::{on_real_time, until},
    job::LIMIT,
    load,
    pipeline::{claim, pipeline, program, raw, transformed},
    postgres::{TestDatabase, TestPostgres, wait_for},
    room::Room,
    stage::{RESULTS, Stage},
};

/// The writer's transaction waits for a lock that this server shows.
fn until_the_writer_waits(stage: &Stage) {
    wait_for("the writer waits for a lock", LIMIT, || {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                       AND application_name LIKE 'aqueduct % writer-%'";
        stage.job.try_count(waiting) == Some(1)
    });
}

#[test]
fn a_lock_that_is_held_too_long_a_deadlock_and_a_row_that_moves_away_are_tried_again_and_no_record_dies() {
    // Nobody else's deadlock check is to come first.
    let server = TestPostgres::private_with(&[("deadlock_timeout", "2s")]);
    let ddl = "CREATE TABLE THE_TABLE (uuid uuid PRIMARY KEY, age int, born_at timestamptz, email text, nat text); \
               CREATE TABLE totals (id int, region int, num bigint) PARTITION BY LIST (region); \
               CREATE TABLE north PARTITION OF totals FOR VALUES IN (1); \
               CREATE TABLE south PARTITION OF totals FOR VALUES IN (2); \
               INSERT INTO totals VALUES (1, 1, 0); \
               CREATE FUNCTION add() RETURNS trigger LANGUAGE plpgsql AS \
               'BEGIN UPDATE totals SET num = num + 1 WHERE id = 1; RETURN NULL; END'; \
               CREATE TRIGGER add AFTER INSERT ON THE_TABLE FOR EACH STATEMENT EXECUTE FUNCTION add()";
    let upsert = |pipeline: &mut crate::job::PipelineText| (pipeline.mode, pipeline.key) = ("upsert", "[\"uuid\"]");
    let mut stage = Stage::start("locks", server.database(), ddl, upsert, |text| text);
    let table = stage.table.clone();
    let mut other = stage.job.database.connection();
    stage.let_a_page_out();
    stage.until_settled();

    other
        .batch_execute("BEGIN; UPDATE totals SET region = 2 WHERE id = 1")
        .unwrap();
    stage.let_a_page_out();
    until_the_writer_waits(&stage);
    other.batch_execute("COMMIT").unwrap();
    stage.until_said(&["waiting for PostgreSQL", "40001"]);
    stage.until_settled();
    stage.no_letters();

    let mut uuids: Vec<String> = expected_uuids(&stage.name, [3], RESULTS)
        .iter()
        .map(ToString::to_string)
        .collect();
    uuids.sort();
    let insert = |uuid: &str| format!("INSERT INTO {table} (uuid) VALUES ('{uuid}')");
    other
        .batch_execute(&format!(
            "SET deadlock_timeout = '1h'; BEGIN; SET LOCAL session_replication_role = replica; {}",
            insert(&uuids[99])
        ))
        .unwrap();
    stage.let_a_page_out();
    until_the_writer_waits(&stage);
    // Waits until the writer has been told that this is a deadlock.
    other.batch_execute(&insert(&uuids[0])).unwrap();
    other.batch_execute("ROLLBACK").unwrap();
    stage.until_said(&["waiting for PostgreSQL", "40P01"]);
    stage.until_settled();
    stage.no_letters();

    other
        .batch_execute(&format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        .unwrap();
    stage.let_a_page_out();
    stage.until_said(&["waiting for PostgreSQL", "55P03"]);
    other.batch_execute("COMMIT").unwrap();
    stage.until_settled();

    stage.nothing_is_lost();
    stage.no_restart_was_spent();
    stage.stop();
}

/// While `slow` has a row, nothing gets into `people`.
const SLOW: &str = "CREATE TABLE people (id bigint, name text); CREATE TABLE slow (); \
    CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS \
    'BEGIN IF EXISTS (SELECT FROM slow) THEN PERFORM pg_sleep(60); END IF; RETURN NULL; END'; \
    CREATE TRIGGER be_slow AFTER INSERT ON people FOR EACH STATEMENT EXECUTE FUNCTION be_slow()";

#[test]
fn a_server_on_which_statements_take_too_long_for_a_while_costs_no_record() {
    on_real_time(async {
        let database = TestDatabase::new();
        database.execute(SLOW);
        database.execute("INSERT INTO slow DEFAULT VALUES");
        let epoch = load::claim(&mut load::connect(&database), 0).epoch;
        let mut connect = database.info();
        connect.limits.statement = Duration::from_millis(300);
        let pipeline = pipeline(100);
        let settings = WriterSettings {
            brake: Arc::new(Brake::new(pipeline.dead_letters_max)),
            pipeline,
            program: program(),
            connect: Arc::new(connect),
            gauges: Arc::default(),
        };
        let make = move |life| Ok(Writer::new(life, settings.clone()));
        let room = Room::open("writer", Placement::Own, false, make).await;
        let record = |offset: i64| LogRecord {
            offset,
            timestamp_ms: None,
            key: None,
            value: Some(format!(r#"{{"id":{offset},"name":"n"}}"#).into()),
            headers: Vec::new(),
        };
        let records = (0..64).map(record).collect();
        let batch = transformed(raw(&claim(epoch), records, IdentityCheck::certain()));
        let mut answer = Box::pin(room.address().send(Write(batch)));
        assert!(futures::poll!(&mut answer).is_pending());
        until("it waits, and says for what", || {
            let waiting = room.child().waiting;
            waiting.iter().any(|waiting| waiting.what.contains("57014"))
        })
        .await;
        database.execute("DELETE FROM slow");
        let settled = Settled {
            next_offset: 64,
            num_dead: 0,
        };
        assert_eq!(answer.await.unwrap(), Ok(settled));
        let mut session = load::connect(&database);
        let rows =
            "SELECT count(*) || ' ' || sum(id) || ' ' || (SELECT count(*) FROM aqueduct.dead_letters) FROM people";
        assert_eq!(load::ask(&mut session, rows).as_deref(), Some("64 2016 0"));
        assert!(room.is_in_its_first_life());
        room.stop().await;
    });
}
