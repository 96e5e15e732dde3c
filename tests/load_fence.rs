//! Rows and offset are one transaction: whoever may not move the offset writes nothing.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

use aqueduct::{
    model::Verdict,
    sql::Transformed,
    store::{
        StoreError,
        load::{LoadBatch, Outcome},
        offsets::Fence,
    },
};

use diesel::connection::SimpleConnection;

#[path = "support/load.rs"]
mod load;

use load::{Branch, append, claim, connect, id_and_name, people, records, settled, upsert};

fn branch() -> Branch {
    let ddl = "CREATE TABLE a (id bigint, name text); CREATE TABLE u (id bigint PRIMARY KEY, name text)";
    Branch::new(
        ddl,
        &[(append("a"), id_and_name()), (upsert("u", &["id"]), id_and_name())],
    )
}

fn ten_rows() -> Transformed {
    let rows = || people((0..10).map(|id| (id, if id == 3 { "x\0y" } else { "x" })));
    Transformed {
        tables: vec![rows(), rows()],
        failures: Vec::new(),
    }
}

const STATE: &str = "SELECT concat_ws(' ', (SELECT count(*) FROM a), (SELECT count(*) FROM u), \
     (SELECT count(*) FROM aqueduct.dead_letters), (SELECT coalesce(sum(inserted), 0) FROM aqueduct.row_counts), \
     next_offset, consumed) FROM aqueduct.offsets";
const NOTHING: &str = "0 0 0 0 0 0";
const EVERYTHING: &str = "9 9 1 18 10 10";

#[test]
fn a_batch_is_written_as_a_whole() {
    let mut branch = branch();
    let (records, rows) = (records(0, 10), ten_rows());
    let batch = LoadBatch::whole(branch.fence.clone(), 10, &records, &rows, &[]);
    let (counts, _, dead) = settled(branch.loader.write_batch(&mut branch.session, &batch, &mut || true));
    assert_eq!((counts.applied, counts.dead), (9, 1));
    assert!(dead[0].reason.starts_with("22021"), "{}", dead[0].reason);
    assert_eq!(branch.ask(STATE).as_deref(), Some(EVERYTHING));
}

#[test]
fn an_old_owner_writes_nothing() {
    let mut branch = branch();
    let (records, rows) = (records(0, 10), ten_rows());
    let mut other = connect(&branch.database);
    claim(&mut other, 0);
    let batch = LoadBatch::whole(branch.fence.clone(), 10, &records, &rows, &[]);
    let outcome = branch.loader.write_batch(&mut branch.session, &batch, &mut || true);
    assert!(matches!(outcome, Ok(Outcome::Lost)), "{outcome:?}");
    assert_eq!(branch.ask(STATE).as_deref(), Some(NOTHING));
}

#[test]
fn a_shut_gate_keeps_everything_out() {
    let mut branch = branch();
    let (records, rows) = (records(0, 10), ten_rows());
    let batch = LoadBatch::whole(branch.fence.clone(), 10, &records, &rows, &[]);
    let outcome = branch.loader.write_batch(&mut branch.session, &batch, &mut || false);
    assert!(matches!(outcome, Ok(Outcome::Lost)), "{outcome:?}");
    assert_eq!(branch.ask(STATE).as_deref(), Some(NOTHING));
    settled(branch.loader.write_batch(&mut branch.session, &batch, &mut || true));
    assert_eq!(branch.ask(STATE).as_deref(), Some(EVERYTHING));
}

#[test]
fn a_settled_batch_that_comes_again_writes_nothing() {
    let mut branch = branch();
    let (records, rows) = (records(0, 10), ten_rows());
    let batch = LoadBatch::whole(branch.fence.clone(), 10, &records, &rows, &[]);
    for _ in 0..2 {
        settled(branch.loader.write_batch(&mut branch.session, &batch, &mut || true));
        assert_eq!(branch.ask(STATE).as_deref(), Some(EVERYTHING));
    }
}

#[test]
fn after_a_fail_over_to_an_earlier_state_the_partition_is_claimed_anew() {
    let mut branch = branch();
    let (records, rows) = (records(10, 10), ten_rows());
    branch.run("UPDATE aqueduct.offsets SET next_offset = 4");
    let fence = Fence {
        expected: 10,
        ..branch.fence.clone()
    };
    let batch = LoadBatch::whole(fence, 20, &records, &rows, &[]);
    let outcome = branch.loader.write_batch(&mut branch.session, &batch, &mut || true);
    assert!(matches!(outcome, Ok(Outcome::WentBack)), "{outcome:?}");
    assert_eq!(branch.ask("SELECT count(*) FROM a").as_deref(), Some("0"));
}

#[test]
fn an_unknown_commit_is_decided_by_the_row() {
    let mut branch = branch();
    let (records, rows) = (records(0, 10), ten_rows());
    let batch = LoadBatch::whole(branch.fence.clone(), 10, &records, &rows, &[]);
    let before = branch.loader.settle_unknown(&mut branch.session, &batch);
    assert!(matches!(before, Ok(Outcome::NotWritten)), "{before:?}");
    settled(branch.loader.write_batch(&mut branch.session, &batch, &mut || true));
    let after = branch.loader.settle_unknown(&mut branch.session, &batch);
    assert!(
        matches!(after, Ok(Outcome::Settled { next_offset: 10, .. })),
        "{after:?}"
    );
}

#[test]
fn a_commit_whose_session_dies_is_unknown_until_the_row_is_asked() {
    let mut branch = branch();
    // A deferred trigger runs within COMMIT and ends its own session there, so the transaction does not take effect. The
    // other trigger is needed to have a deferred one at all: load transactions make constraints immediate.
    branch.run(
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(10); RETURN NULL; END'; \
         CREATE CONSTRAINT TRIGGER die AFTER UPDATE ON aqueduct.offsets DEFERRABLE INITIALLY DEFERRED \
         FOR EACH ROW EXECUTE FUNCTION die(); \
         CREATE FUNCTION defer() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN SET CONSTRAINTS ALL DEFERRED; RETURN NULL; END'; \
         CREATE TRIGGER defer BEFORE INSERT ON a FOR EACH STATEMENT EXECUTE FUNCTION defer()",
    );
    let (records, rows) = (records(0, 10), ten_rows());
    let batch = LoadBatch::whole(branch.fence.clone(), 10, &records, &rows, &[]);
    let died = branch.loader.write_batch(&mut branch.session, &batch, &mut || true);
    assert!(matches!(died, Err(StoreError::Commit { .. })), "{died:?}");
    assert!(branch.session.is_broken());

    let mut session = connect(&branch.database);
    let decided = branch.loader.settle_unknown(&mut session, &batch);
    assert!(matches!(decided, Ok(Outcome::NotWritten)), "{decided:?}");
    assert_eq!(load::ask(&mut session, STATE).as_deref(), Some(NOTHING));
    session
        .conn()
        .batch_execute("DROP TRIGGER die ON aqueduct.offsets")
        .unwrap();
    settled(branch.loader.write_batch(&mut session, &batch, &mut || true));
    assert_eq!(load::ask(&mut session, STATE).as_deref(), Some(EVERYTHING));
}

#[test]
fn a_session_that_dies_in_a_batch_is_an_outage_and_the_next_one_writes_it() {
    let mut branch = branch();
    let (records, rows) = (records(0, 10), ten_rows());
    let batch = LoadBatch::whole(branch.fence.clone(), 10, &records, &rows, &[]);
    let mut killer = connect(&branch.database);
    let victim = branch.session.backend_pid();
    let died = branch.loader.write_batch(&mut branch.session, &batch, &mut || {
        load::ask(&mut killer, &format!("SELECT pg_terminate_backend({victim}, 10000)"));
        true
    });
    assert!(
        matches!(&died, Err(error) if error.verdict() == Verdict::Retry && error.connection_lost()),
        "{died:?}"
    );
    assert!(!matches!(died, Err(StoreError::Commit { .. })), "{died:?}");
    assert!(branch.session.is_broken());
    let mut session = connect(&branch.database);
    assert_eq!(load::ask(&mut session, STATE).as_deref(), Some(NOTHING));
    settled(branch.loader.write_batch(&mut session, &batch, &mut || true));
    assert_eq!(load::ask(&mut session, STATE).as_deref(), Some(EVERYTHING));
}

#[test]
fn an_empty_batch_moves_the_offset_only() {
    let mut branch = branch();
    let rows = Transformed {
        tables: vec![people::<&str>([]), people::<&str>([])],
        failures: Vec::new(),
    };
    let batch = LoadBatch::whole(branch.fence.clone(), 3, &[], &rows, &[]);
    let (counts, ..) = settled(branch.loader.write_batch(&mut branch.session, &batch, &mut || true));
    assert_eq!(counts.consumed, 0);
    assert_eq!(
        branch.ask("SELECT next_offset FROM aqueduct.offsets").as_deref(),
        Some("3")
    );
    assert_eq!(branch.loader.num_attempts(), 0);
}
