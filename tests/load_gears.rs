//! The gears of `upsert`: COPY straight into the table as long as keys are new, by the stage as soon as they are not.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

use std::sync::Barrier;

use aqueduct::{model::RowCounts, sql::Transformed, store::load::LoadBatch};

#[path = "support/load.rs"]
mod load;

use load::{Branch, claim, connect, id_and_name, loader, people, records, settled, upsert};

/// A table that notes how rows come: `COPY` into it, or `INSERT` out of the stage (`WITH …`).
const NOTED: &str = "CREATE TABLE t (id bigint PRIMARY KEY, name text CHECK (name <> 'bad'), other bigint UNIQUE); \
     CREATE TABLE ways (at bigint GENERATED ALWAYS AS IDENTITY, way text); \
     CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS \
     'BEGIN INSERT INTO ways (way) VALUES (left(current_query(), 4)); RETURN NULL; END'; \
     CREATE TRIGGER note AFTER INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION note()";

const WAYS: &str = "SELECT coalesce(string_agg(way, ' ' ORDER BY at), '') FROM ways";

fn noted() -> Branch {
    Branch::new(NOTED, &[(upsert("t", &["id"]), id_and_name())])
}

fn write(branch: &mut Branch, ids: impl IntoIterator<Item = i64>, name: &str) -> RowCounts {
    let rows = people(ids.into_iter().map(|id| (id, name)));
    let num_records = rows.num_rows();
    let (counts, row_counts, dead) = settled(branch.write(num_records, vec![rows]));
    assert!(dead.is_empty(), "{dead:?}");
    assert_eq!(counts.applied, num_records as u64);
    row_counts[0]
}

fn counts(inserted: u64, updated: u64, unchanged: u64, superseded: u64) -> RowCounts {
    RowCounts {
        inserted,
        updated,
        unchanged,
        superseded,
    }
}

#[test]
fn new_keys_are_copied_straight_into_the_table() {
    let mut branch = noted();
    assert_eq!(write(&mut branch, [3, 1, 2, 1], "a"), counts(3, 0, 0, 1));
    assert_eq!(write(&mut branch, 4..100, "a"), counts(96, 0, 0, 0));
    assert_eq!(branch.ask(WAYS).as_deref(), Some("COPY COPY"));
}

#[test]
fn a_batch_with_a_known_key_leaves_nothing_of_its_first_attempt() {
    let mut branch = noted();
    write(&mut branch, 0..10, "a");
    // The known key comes last in the order in which rows are sent.
    assert_eq!(
        write(&mut branch, (10..3_000).chain([9_999]), "a"),
        counts(2_991, 0, 0, 0)
    );
    assert_eq!(
        write(&mut branch, (3_000..6_000).chain([9_999]), "b"),
        counts(3_000, 1, 0, 0)
    );
    assert_eq!(branch.ask(WAYS).as_deref(), Some("COPY COPY WITH"));
    assert_eq!(
        branch
            .ask("SELECT count(*) || ' ' || count(*) FILTER (WHERE name = 'b') FROM t")
            .as_deref(),
        Some("6001 3001")
    );
    let ledger = "SELECT concat_ws(' ', inserted, updated, unchanged, superseded) FROM aqueduct.row_counts";
    assert_eq!(branch.ask(ledger).as_deref(), Some("6001 1 0 0"));
}

#[test]
fn equal_rows_are_found_after_the_first_gear_has_failed() {
    let mut branch = noted();
    write(&mut branch, 0..50, "a");
    let versions = "SELECT md5(string_agg(concat_ws(' ', id, name, xmin, xmax, ctid), ';' ORDER BY id)) FROM t";
    let before = branch.ask(versions);
    assert_eq!(write(&mut branch, 0..50, "a"), counts(0, 0, 50, 0));
    assert_eq!(branch.ask(versions), before);
}

#[test]
fn the_first_gear_comes_back_when_keys_are_new_again() {
    let mut branch = noted();
    write(&mut branch, 0..10, "a");
    write(&mut branch, 5..10, "b");
    write(&mut branch, 10..20, "a");
    write(&mut branch, 20..30, "a");
    assert_eq!(branch.ask(WAYS).as_deref(), Some("COPY WITH WITH COPY"));
}

#[test]
fn a_bad_record_among_new_keys_is_found_and_goes_alone() {
    let mut branch = noted();
    let names = (0..200).map(|id| (id, if id == 77 { "bad" } else { "good" }));
    let (_, row_counts, dead) = settled(branch.write(200, vec![people(names)]));
    assert_eq!(row_counts[0], counts(199, 0, 0, 0));
    assert_eq!(dead.len(), 1);
    assert!(dead[0].reason.starts_with("23514"), "{}", dead[0].reason);
    assert!(!branch.ask(WAYS).unwrap().contains("WITH"), "no key was known");
}

#[test]
fn a_bad_record_beside_a_known_key_is_found_by_the_second_gear() {
    let mut branch = noted();
    write(&mut branch, 0..10, "old");
    let names = (0..100).map(|id| (id, if id == 60 { "bad" } else { "new" }));
    let (_, row_counts, dead) = settled(branch.write(100, vec![people(names)]));
    assert_eq!(row_counts[0], counts(89, 10, 0, 0));
    assert_eq!(dead.len(), 1);
    assert_eq!(
        branch.ask("SELECT count(*) FROM t WHERE name = 'new'").as_deref(),
        Some("99")
    );
}

#[test]
fn another_unique_index_refuses_its_record_and_no_other() {
    let ddl = "CREATE TABLE t (id bigint PRIMARY KEY, name text UNIQUE)";
    let mut branch = Branch::new(ddl, &[(upsert("t", &["id"]), id_and_name())]);
    let (_, _, dead) = settled(branch.write(3, vec![people([(1, "a"), (2, "b"), (3, "a")])]));
    assert_eq!(dead.len(), 1);
    assert!(dead[0].reason.starts_with("23505"), "{}", dead[0].reason);
    assert_eq!(
        branch
            .ask("SELECT string_agg(id || name, ' ' ORDER BY id) FROM t")
            .as_deref(),
        Some("1a 2b")
    );
}

#[test]
fn two_tables_of_one_batch_have_each_their_own_gear() {
    let ddl = "CREATE TABLE t (id bigint PRIMARY KEY, name text); CREATE TABLE u (LIKE t INCLUDING ALL); \
               INSERT INTO u SELECT n, 'old' FROM generate_series(0, 9) AS n";
    let tables = [
        (upsert("t", &["id"]), id_and_name()),
        (upsert("u", &["id"]), id_and_name()),
    ];
    let mut branch = Branch::new(ddl, &tables);
    let rows = || people((0..20).map(|id| (id, "new")));
    let (_, row_counts, _) = settled(branch.write(20, vec![rows(), rows()]));
    assert_eq!(row_counts, [counts(20, 0, 0, 0), counts(10, 10, 0, 0)]);
}

#[test]
fn a_trigger_that_may_change_a_row_keeps_to_the_second_gear() {
    let mut branch = noted();
    branch.run(
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; \
         CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
    );
    assert_eq!(write(&mut branch, 0..10, "a"), counts(10, 0, 0, 0));
    assert_eq!(branch.ask(WAYS).as_deref(), Some("WITH"));
}

#[test]
fn two_writers_meet_in_the_first_gear_and_each_key_is_written_once() {
    const ROUNDS: i64 = 10;
    const KEYS: i64 = 500;
    let branch = Branch::new(
        "CREATE TABLE t (id bigint PRIMARY KEY, name text)",
        &[(upsert("t", &["id"]), id_and_name())],
    );
    let table = [(upsert("t", &["id"]), id_and_name())];
    let start = Barrier::new(2);
    std::thread::scope(|scope| {
        let (table, start, database) = (&table, &start, &branch.database);
        let writers = [1, 2].map(|partition| {
            scope.spawn(move || {
                let mut session = connect(database);
                let mut fence = claim(&mut session, partition);
                let mut loader = loader(table);
                for round in 0..ROUNDS {
                    // Both bring the same keys, new ones each round, at the same time.
                    let ids = round * KEYS..(round + 1) * KEYS;
                    let rows = Transformed {
                        tables: vec![people(ids.map(|id| (id, format!("{partition}"))))],
                        failures: Vec::new(),
                    };
                    let records = records(round * KEYS, KEYS as usize);
                    let batch = LoadBatch::whole(fence.clone(), (round + 1) * KEYS, &records, &rows, &[]);
                    start.wait();
                    let (counts, ..) = settled(loader.write_batch(&mut session, &batch, &mut || true));
                    assert_eq!(counts.applied, KEYS as u64);
                    fence.expected = batch.next_offset;
                }
            })
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
    });
    let mut session = connect(&branch.database);
    assert_eq!(
        load::ask(&mut session, "SELECT count(*) FROM t").as_deref(),
        Some("5000")
    );
    let sum = "SELECT sum(inserted) || ' ' || sum(inserted + updated + unchanged) FROM aqueduct.row_counts";
    assert_eq!(load::ask(&mut session, sum).as_deref(), Some("5000 10000"));
}
