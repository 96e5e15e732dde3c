//! The fence of `aqueduct.offsets`, on a real server.

// Helpers of a test may panic like the test.
#![allow(clippy::unwrap_used)]

#[path = "support/postgres.rs"]
mod postgres;

use std::time::Duration;

use aqueduct::{
    model::{PartitionKey, RecordCounts, RowCounts, TopicId, Verdict},
    store::{
        Session, StoreError, ledger,
        offsets::{self, Claimed, Decision, Fence},
    },
};
use diesel::{QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_types::BigInt};
use postgres::{TestDatabase, wait_for};

const TOPIC: TopicId = TopicId(uuid::Uuid::from_u128(0x1234));

fn key() -> PartitionKey {
    PartitionKey {
        pipeline: "users".into(),
        topic: "users".into(),
        partition: 3,
    }
}

fn claim(session: &mut Session, owner: &str) -> Claimed {
    offsets::claim(session, &key(), TOPIC, 40, owner).unwrap()
}

fn fence(claimed: &Claimed) -> Fence {
    Fence {
        key: key(),
        topic_id: TOPIC,
        epoch: claimed.epoch,
        expected: claimed.next_offset,
    }
}

fn applied(count: u64) -> RecordCounts {
    RecordCounts {
        consumed: count,
        applied: count,
        ..RecordCounts::default()
    }
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

fn count(database: &TestDatabase, sql: &str) -> i64 {
    let count: Count = diesel::sql_query(sql).get_result(&mut database.connection()).unwrap();
    count.count
}

const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                       AND wait_event_type = 'Lock'";

#[test]
fn a_new_partition_begins_where_the_log_begins() {
    let database = TestDatabase::new();
    let claimed = claim(&mut database.session("users consumer-0"), "host-a");
    let expected = Claimed {
        epoch: 1,
        next_offset: 40,
        recorded_topic_id: TOPIC,
        counts: RecordCounts::default(),
    };
    assert_eq!(claimed, expected);
}

#[test]
fn each_claim_bumps_the_epoch_and_keeps_offset_and_counts() {
    let database = TestDatabase::new();
    let session = &mut database.session("users writer-0");
    let first = claim(session, "host-a");
    assert!(offsets::advance(session, &fence(&first), 50, &applied(10)).unwrap());
    let second = claim(session, "host-b");
    assert_eq!((second.epoch, second.next_offset, second.counts), (2, 50, applied(10)));
    let state = &offsets::read_all(session, "users").unwrap()[0];
    assert_eq!(
        (&state.key, &*state.owner, state.epoch, state.next_offset),
        (&key(), "host-b", 2, 50)
    );
}

#[test]
fn claims_at_the_same_moment_get_different_epochs() {
    let database = TestDatabase::new();
    let claim = |n: usize| claim(&mut database.session("users consumer"), &format!("host-{n}")).epoch;
    let mut epochs = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|n| scope.spawn(move || claim(n))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect::<Vec<_>>()
    });
    epochs.sort_unstable();
    assert_eq!(epochs, (1..=8).collect::<Vec<i64>>());
}

#[test]
fn an_earlier_claim_moves_nothing() {
    let database = TestDatabase::new();
    let (zombie, owner) = (
        &mut database.session("users writer-0"),
        &mut database.session("users writer-0"),
    );
    let old = claim(zombie, "host-a");
    let new = claim(owner, "host-b");
    assert!(!offsets::advance(zombie, &fence(&old), 50, &applied(10)).unwrap());
    assert_eq!(offsets::decide(zombie, &fence(&old), 50).unwrap(), Decision::NotMine);
    assert!(offsets::advance(owner, &fence(&new), 50, &applied(10)).unwrap());
    assert_eq!(ledger::read(owner, "users").unwrap().0, applied(10));
}

#[test]
fn a_batch_moves_the_offset_once() {
    let database = TestDatabase::new();
    let session = &mut database.session("users writer-0");
    let fence = fence(&claim(session, "host-a"));
    assert_eq!(offsets::decide(session, &fence, 50).unwrap(), Decision::NotYet);
    assert!(offsets::advance(session, &fence, 50, &applied(10)).unwrap());
    assert!(!offsets::advance(session, &fence, 50, &applied(10)).unwrap());
    assert_eq!(offsets::decide(session, &fence, 50).unwrap(), Decision::Settled);
    assert_eq!(ledger::read(session, "users").unwrap().0, applied(10));
}

#[test]
fn a_topic_made_again_does_not_move_and_is_seen_at_the_claim() {
    let database = TestDatabase::new();
    let session = &mut database.session("users writer-0");
    let first = claim(session, "host-a");
    let made_again = TopicId(uuid::Uuid::from_u128(0x5678));
    let claimed = offsets::claim(session, &key(), made_again, 0, "host-a").unwrap();
    assert_eq!((claimed.recorded_topic_id, claimed.next_offset), (TOPIC, 40));
    let fence = Fence {
        topic_id: made_again,
        epoch: claimed.epoch,
        ..fence(&first)
    };
    assert!(!offsets::advance(session, &fence, 50, &applied(10)).unwrap());
}

#[test]
fn a_postgresql_that_went_back_is_recognised() {
    let database = TestDatabase::new();
    let session = &mut database.session("users writer-0");
    let fence = Fence {
        expected: 100,
        ..fence(&claim(session, "host-a"))
    };
    assert_eq!(
        offsets::decide(session, &fence, 110).unwrap(),
        Decision::WentBack { at: 40 }
    );
    let later_claim = Fence { epoch: 9, ..fence };
    assert_eq!(
        offsets::decide(session, &later_claim, 110).unwrap(),
        Decision::WentBack { at: 40 }
    );
    database.execute("TRUNCATE aqueduct.offsets");
    assert!(matches!(
        offsets::decide(session, &later_claim, 110).unwrap(),
        Decision::Impossible { .. }
    ));
}

/// The old connection's COMMIT is on its way while a new connection asks. A plain SELECT would say "not yet", and the
/// batch would be written twice.
#[test]
fn the_decision_waits_for_an_old_commit_in_flight() {
    for (commits, expected) in [(true, Decision::Settled), (false, Decision::NotYet)] {
        let database = TestDatabase::new();
        let mut old = database.session("users writer-0");
        let fence = fence(&claim(&mut old, "host-a"));
        old.begin().unwrap();
        assert!(offsets::advance(&mut old, &fence, 50, &applied(10)).unwrap());
        let decision = std::thread::scope(|scope| {
            let asker = scope.spawn(|| offsets::decide(&mut database.session("users writer-0"), &fence, 50).unwrap());
            wait_for("the question waits for the row", Duration::from_secs(20), || {
                count(&database, WAITING) == 1
            });
            if commits {
                old.commit().unwrap();
            } else {
                old.roll_back();
            }
            asker.join().unwrap()
        });
        assert_eq!(decision, expected);
    }
}

#[test]
fn a_claim_ends_the_hung_session_of_the_previous_owner() {
    let database = TestDatabase::new();
    let mut hung = database.session("users writer-0");
    let old = fence(&claim(&mut hung, "host-a"));
    hung.begin().unwrap();
    assert!(offsets::advance(&mut hung, &old, 50, &applied(10)).unwrap());
    let mut session = database.session("users consumer-0");
    let claimed = claim(&mut session, "host-b");
    assert_eq!((claimed.epoch, claimed.next_offset), (2, 40));
    let error = hung.commit().unwrap_err();
    assert!(matches!(error, StoreError::Commit { .. }), "{error}");
    assert_eq!(error.verdict(), Verdict::Retry);
    assert!(error.connection_lost() && hung.is_broken());
    assert_eq!(offsets::decide(&mut session, &old, 50).unwrap(), Decision::NotMine);
}

#[test]
fn a_claim_does_not_end_a_stranger_who_holds_the_row() {
    let database = TestDatabase::new();
    let mut session = database.session("users consumer-0");
    claim(&mut session, "host-a");
    let mut stranger = database.connection();
    stranger
        .batch_execute("BEGIN; SELECT * FROM aqueduct.offsets FOR UPDATE")
        .unwrap();
    let error = offsets::claim(&mut session, &key(), TOPIC, 40, "host-b").unwrap_err();
    assert_eq!((error.sqlstate(), error.verdict()), (Some("55P03"), Verdict::Retry));
    assert!(!session.is_broken());
    stranger.batch_execute("COMMIT").unwrap();
    assert_eq!(claim(&mut session, "host-b").epoch, 2);
}

#[test]
fn counts_that_do_not_add_up_are_refused() {
    let database = TestDatabase::new();
    let session = &mut database.session("users writer-0");
    let fence = fence(&claim(session, "host-a"));
    let lost_one = RecordCounts {
        consumed: 10,
        applied: 9,
        ..RecordCounts::default()
    };
    for (next, counts) in [(50, lost_one), (39, applied(1))] {
        let error = offsets::advance(session, &fence, next, &counts).unwrap_err();
        assert_eq!(error.verdict(), Verdict::Fail);
    }
}

#[test]
fn the_ledger_sums_partitions_and_tables() {
    let database = TestDatabase::new();
    let session = &mut database.session("users writer-0");
    assert_eq!(ledger::read(session, "users").unwrap(), Default::default());
    for partition in [0, 1] {
        let key = PartitionKey { partition, ..key() };
        let claimed = offsets::claim(session, &key, TOPIC, 0, "host-a").unwrap();
        let mut expected = 0;
        for _ in 0..2 {
            let fence = Fence {
                key: key.clone(),
                topic_id: TOPIC,
                epoch: claimed.epoch,
                expected,
            };
            let counts = RecordCounts {
                consumed: 10,
                applied: 6,
                filtered: 2,
                dead: 1,
                skipped: 1,
            };
            let rows = RowCounts {
                inserted: 5,
                updated: 1,
                unchanged: 3,
                superseded: 2,
            };
            session
                .transaction::<_, StoreError>(|session| {
                    assert!(offsets::advance(session, &fence, expected + 10, &counts)?);
                    ledger::add_row_counts(session, &key, "users", &rows)?;
                    ledger::add_row_counts(
                        session,
                        &key,
                        "cities",
                        &RowCounts {
                            inserted: 1,
                            ..RowCounts::default()
                        },
                    )
                })
                .unwrap();
            expected += 10;
        }
    }
    let (records, tables) = ledger::read(session, "users").unwrap();
    assert_eq!(
        records,
        RecordCounts {
            consumed: 40,
            applied: 24,
            filtered: 8,
            dead: 4,
            skipped: 4
        }
    );
    assert_eq!(
        tables["users"],
        RowCounts {
            inserted: 20,
            updated: 4,
            unchanged: 12,
            superseded: 8
        }
    );
    assert_eq!(tables["cities"].inserted, 4);
    assert_eq!(ledger::read(session, "others").unwrap(), Default::default());
}
