//! The writer, on a real PostgreSQL.

use std::{sync::Arc, time::Duration};

use aqueduct::{
    actors::writer::{Brake, Writer, WriterSettings},
    log::IdentityCheck,
    messages::{Refused, RowBatch, Settled, Write},
    store::ConnectInfo,
    supervision::{BranchState, Placement, Policy},
};
use diesel::connection::SimpleConnection;
use tokio::sync::oneshot;

use crate::{
    clock::{on_real_time, until},
    load::{
        self, ask, connect,
        postgres::{TestDatabase, TestPostgres},
    },
    pipeline::{claim, pipeline, program, raw, transformed},
    proxy::{Proxy, Weather},
    room::{Room, policy},
    scripted_load::record,
};

const TABLE: &str = "CREATE TABLE people (id bigint, name text)";

async fn open(connect: ConnectInfo, dead_letters_max: u32) -> Room<Writer> {
    open_with(connect, dead_letters_max, policy()).await
}

async fn open_with(connect: ConnectInfo, dead_letters_max: u32, policy: Policy) -> Room<Writer> {
    let pipeline = pipeline(dead_letters_max);
    let settings = WriterSettings {
        brake: Arc::new(Brake::new(pipeline.dead_letters_max)),
        pipeline,
        program: program(),
        connect: Arc::new(connect),
        gauges: Arc::default(),
    };
    let make = move |life| Ok(Writer::new(life, settings.clone()));
    Room::open_with(policy, "writer", Placement::Own, false, make).await
}

/// The records of these offsets as the partition's next batch.
fn batch(epoch: i64, offsets: std::ops::Range<i64>) -> RowBatch {
    let records = offsets.map(record).collect();
    transformed(raw(&claim(epoch), records, IdentityCheck::certain()))
}

fn settled(next_offset: i64, num_dead: usize) -> Result<Settled, Refused> {
    Ok(Settled { next_offset, num_dead })
}

/// What `aqueduct.offsets` says of the partition: where it is, and what became of its records.
fn ledger(database: &TestDatabase) -> String {
    let query = "SELECT next_offset || ' consumed ' || consumed || ' applied ' || applied || ' dead ' || dead FROM aqueduct.offsets";
    ask(&mut connect(database), query).unwrap()
}

fn ids(database: &TestDatabase) -> String {
    let query = "SELECT coalesce(string_agg(id::text, ' ' ORDER BY id), '') FROM people";
    ask(&mut connect(database), query).unwrap()
}

fn letters(database: &TestDatabase) -> String {
    let query = "SELECT coalesce(string_agg(record_offset || ' ' || stage || ' ' || coalesce(sqlstate, '-'), ', ' ORDER BY record_offset), '') \
                 FROM aqueduct.dead_letters";
    ask(&mut connect(database), query).unwrap()
}

/// A claimed partition of a database with this table.
fn database(ddl: &str) -> (TestDatabase, i64) {
    let database = TestDatabase::new();
    database.execute(ddl);
    let epoch = load::claim(&mut connect(&database), 0).epoch;
    (database, epoch)
}

#[test]
fn batches_are_written_in_order_each_with_its_offset() {
    on_real_time(async {
        let (database, epoch) = database(TABLE);
        let room = open(database.info(), 100).await;
        let batches = [batch(epoch, 0..3), batch(epoch, 3..4), batch(epoch, 4..9)];
        let sent = batches.map(|batch| room.address().send(Write(batch)));
        let replies: Vec<_> = futures::future::join_all(sent)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert_eq!(replies, [settled(3, 0), settled(4, 0), settled(9, 0)]);
        assert_eq!(ids(&database), "0 1 2 3 4 5 6 7 8");
        assert_eq!(ledger(&database), "9 consumed 9 applied 9 dead 0");
        room.stop().await;
    });
}

#[test]
fn a_record_that_postgres_refuses_goes_alone_to_the_dead_letters() {
    on_real_time(async {
        let (database, epoch) = database("CREATE TABLE people (id bigint CHECK (id <> 5), name text)");
        let room = open(database.info(), 100).await;
        let reply = room.address().send(Write(batch(epoch, 0..8))).await.unwrap();
        assert_eq!(reply, settled(8, 1));
        assert_eq!(ids(&database), "0 1 2 3 4 6 7");
        assert_eq!(letters(&database), "5 write 23514");
        assert_eq!(ledger(&database), "8 consumed 8 applied 7 dead 1");
        room.stop().await;
    });
}

#[test]
fn the_brake_parks_with_the_first_reasons_and_writes_nothing_of_the_batch() {
    on_real_time(async {
        let (database, epoch) = database("CREATE TABLE people (id bigint CHECK (id < 5), name text)");
        let room = open(database.info(), 3).await;
        let reply = room.address().send(Write(batch(epoch, 0..6))).await.unwrap();
        assert_eq!(reply, settled(6, 1), "one is within the limit");
        // Three more are too many, though they alone would not be.
        let reply = room.address().send(Write(batch(epoch, 6..9))).await;
        assert!(reply.is_err(), "nobody hears of a batch that was not written");
        let reason = room.parked().await;
        assert!(reason.starts_with("more than 3 dead letters within 1m"), "{reason}");
        assert!(reason.contains("people[0]@6: 23514 "), "{reason}");
        assert_eq!(ids(&database), "0 1 2 3 4");
        assert_eq!(letters(&database), "5 write 23514");
        assert_eq!(ledger(&database), "6 consumed 6 applied 5 dead 1");
        assert_eq!(room.branch.status().restarts_left, 5, "no restart is spent");
    });
}

#[test]
fn an_outage_of_postgres_is_waited_out_without_a_restart_and_without_dead_letters() {
    on_real_time(async {
        let mut server = TestPostgres::private();
        let info = server.info();
        let database = server.database();
        aqueduct::store::migrate(&database.info(), None).unwrap();
        database.execute(TABLE);
        drop(info);
        let epoch = load::claim(&mut connect(&database), 0).epoch;
        let room = open(database.info(), 100).await;
        assert_eq!(
            room.address().send(Write(batch(epoch, 0..3))).await.unwrap(),
            settled(3, 0)
        );
        server.stop();
        let mut answer = Box::pin(room.address().send(Write(batch(epoch, 3..6))));
        assert!(futures::poll!(&mut answer).is_pending());
        until("it waits for PostgreSQL", || {
            let waiting = room.child().waiting;
            waiting.iter().any(|waiting| waiting.what.starts_with("PostgreSQL: "))
        })
        .await;
        server.start();
        assert_eq!(answer.await.unwrap(), settled(6, 0));
        assert!(room.child().waiting.is_empty() && room.is_in_its_first_life());
        assert_eq!(
            (ids(&database).as_str(), letters(&database).as_str()),
            ("0 1 2 3 4 5", "")
        );
        assert_eq!(ledger(&database), "6 consumed 6 applied 6 dead 0");
        room.stop().await;
    });
}

#[test]
fn a_stop_in_the_middle_of_an_outage_does_not_wait_for_its_end() {
    on_real_time(async {
        let mut server = TestPostgres::private();
        let info = server.info();
        server.stop();
        let room = open(info, 100).await;
        let mut answer = Box::pin(room.address().send(Write(batch(1, 0..3))));
        assert!(futures::poll!(&mut answer).is_pending());
        until("it waits for PostgreSQL", || !room.child().waiting.is_empty()).await;
        room.stop().await;
        assert!(answer.await.is_err());
    });
}

/// A server that has no room for more than `most` rows of a statement.
fn with_a_limit(most: u32) -> String {
    format!(
        "{TABLE}; \
         CREATE FUNCTION too_much() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
           IF (SELECT count(*) FROM new_rows) > {most} THEN \
             RAISE EXCEPTION 'no room for more than {most} rows' USING ERRCODE = '53400'; \
           END IF; RETURN NULL; END $$; \
         CREATE TRIGGER too_much AFTER INSERT ON people REFERENCING NEW TABLE AS new_rows \
           FOR EACH STATEMENT EXECUTE FUNCTION too_much()"
    )
}

#[test]
fn a_batch_that_is_too_much_for_the_server_is_written_in_parts_under_one_reply() {
    on_real_time(async {
        let (database, epoch) = database(&with_a_limit(3));
        let room = open(database.info(), 100).await;
        let reply = room.address().send(Write(batch(epoch, 0..10))).await.unwrap();
        assert_eq!(reply, settled(10, 0));
        assert_eq!(ids(&database), "0 1 2 3 4 5 6 7 8 9");
        assert_eq!(ledger(&database), "10 consumed 10 applied 10 dead 0");
        assert!(room.is_in_its_first_life());
        room.stop().await;
    });
}

#[test]
fn a_record_that_alone_is_too_much_for_the_server_goes_to_the_dead_letters() {
    on_real_time(async {
        let limit = with_a_limit(1_000).replace("FROM new_rows)", "FROM new_rows WHERE id = 2) * 2000");
        let (database, epoch) = database(&limit);
        let room = open(database.info(), 100).await;
        let reply = room.address().send(Write(batch(epoch, 0..4))).await.unwrap();
        assert_eq!(reply, settled(4, 1));
        assert_eq!(
            (ids(&database).as_str(), letters(&database).as_str()),
            ("0 1 3", "2 write 53400")
        );
        assert_eq!(ledger(&database), "4 consumed 4 applied 3 dead 1");
        room.stop().await;
    });
}

#[test]
fn a_batch_of_a_topic_that_is_another_one_by_now_is_lost_and_not_written() {
    on_real_time(async {
        let (database, epoch) = database(TABLE);
        let room = open(database.info(), 100).await;
        let (say, said) = oneshot::channel();
        let records = vec![record(0), record(1)];
        let doubtful = transformed(raw(&claim(epoch), records, IdentityCheck::pending(said)));
        let mut answer = Box::pin(room.address().send(Write(doubtful)));
        assert!(futures::poll!(&mut answer).is_pending());
        until("it waits for the log's word", || {
            let waiting = room.child().waiting;
            waiting.iter().any(|waiting| waiting.what.contains("identity"))
        })
        .await;
        say.send(false).unwrap();
        assert_eq!(answer.await.unwrap(), Err(Refused::Lost));
        assert_eq!(
            (ids(&database), ledger(&database)),
            (String::new(), "0 consumed 0 applied 0 dead 0".into())
        );
        assert!(room.is_in_its_first_life());
        room.stop().await;
    });
}

#[test]
fn a_batch_under_an_old_claim_is_lost_and_not_written() {
    on_real_time(async {
        let (database, epoch) = database(TABLE);
        load::claim(&mut connect(&database), 0);
        let room = open(database.info(), 100).await;
        let reply = room.address().send(Write(batch(epoch, 0..3))).await.unwrap();
        assert_eq!((reply, ids(&database).as_str()), (Err(Refused::Lost), ""));
        assert!(room.is_in_its_first_life());
        room.stop().await;
    });
}

#[test]
fn where_the_server_has_forgotten_offsets_the_batch_went_back_and_is_not_written() {
    on_real_time(async {
        let (database, epoch) = database(TABLE);
        let room = open(database.info(), 100).await;
        let reply = room.address().send(Write(batch(epoch, 5..8))).await.unwrap();
        assert_eq!((reply, ids(&database).as_str()), (Err(Refused::WentBack), ""));
        room.stop().await;
    });
}

#[test]
fn a_session_that_is_ended_in_the_middle_of_the_work_is_replaced() {
    on_real_time(async {
        let (database, epoch) = database(TABLE);
        let room = open(database.info(), 100).await;
        assert_eq!(
            room.address().send(Write(batch(epoch, 0..3))).await.unwrap(),
            settled(3, 0)
        );
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        database.connection().batch_execute(end).unwrap();
        assert_eq!(
            room.address().send(Write(batch(epoch, 3..6))).await.unwrap(),
            settled(6, 0)
        );
        assert_eq!(
            (ids(&database).as_str(), letters(&database).as_str()),
            ("0 1 2 3 4 5", "")
        );
        assert!(room.is_in_its_first_life());
        room.stop().await;
    });
}

#[test]
fn a_target_that_does_not_fit_parks_the_branch_with_the_sentence() {
    on_real_time(async {
        for (ddl, sentence) in [
            ("SELECT 1", "table people: the table does not exist"),
            (
                "CREATE TABLE people (id bigint, name point)",
                "column \"name\" is of type point, which cannot be written; make it text",
            ),
        ] {
            let (database, epoch) = database(ddl);
            let room = open(database.info(), 100).await;
            let reply = room.address().send(Write(batch(epoch, 0..3))).await;
            assert!(reply.is_err());
            let reason = room.parked().await;
            assert!(reason.contains(sentence), "{reason}");
            assert_eq!(
                room.branch.status().restarts_left,
                5,
                "a restart would not mend the table"
            );
        }
    });
}

/// Its machine still acknowledges, so that TCP is content: only a limit of our own finds it.
#[test]
fn a_server_that_is_there_and_never_answers_is_found_and_the_batch_is_written_over_a_new_connection() {
    on_real_time(async {
        let (database, epoch) = database(TABLE);
        let (proxy, url) = Proxy::before_postgres(database.url().expose());
        let mut connect = ConnectInfo::new(aqueduct::config::settings::Secret::new(url), true);
        connect.limits.statement = Duration::from_secs(1);
        connect.limits.tcp_user_timeout = Duration::from_millis(500);
        let stall_after = Duration::from_secs(2);
        let room = open_with(
            connect,
            100,
            Policy {
                stall_after,
                grace: Duration::from_millis(100),
                ..policy()
            },
        )
        .await;
        let reply = room.address().send(Write(batch(epoch, 0..3))).await.unwrap();
        assert_eq!(reply, settled(3, 0));
        proxy.set(Weather::HalfOpen);
        let mut answer = Box::pin(room.address().send(Write(batch(epoch, 3..6))));
        assert!(futures::poll!(&mut answer).is_pending());
        until("its thread is left behind", || room.child().abandoned_threads == 1).await;
        proxy.cut();
        proxy.set(Weather::Clear);
        until("its next life", || {
            room.child().life == 2 && room.branch.status().state == BranchState::Running
        })
        .await;
        let reason = room.child().last_failure.unwrap().reason;
        assert_eq!(reason, "hung: no progress for 1s 500ms with work in hand");
        let reply = room.address().send(Write(batch(epoch, 3..6))).await.unwrap();
        assert_eq!(reply, settled(6, 0));
        assert_eq!(ids(&database), "0 1 2 3 4 5");
        assert_eq!(ledger(&database), "6 consumed 6 applied 6 dead 0");
        room.stop().await;
    });
}
