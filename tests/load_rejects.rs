//! One bad record goes alone to the dead letters: its neighbours are written, in about 2·log2(n) attempts.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

use std::sync::Arc;

use aqueduct::{
    model::Stage,
    sql::{
        Transformed,
        arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray},
    },
    store::{
        Remedy,
        load::{LoadBatch, Outcome},
    },
};

#[path = "support/load.rs"]
mod load;

use load::{Branch, append, id_and_name, people, records, rows, settled, upsert};

const NUM_RECORDS: usize = 10_000;
const BAD: usize = 6_789;
/// 2·log2(10,000) + 6.
const MAX_ATTEMPTS: u64 = 2 * 14 + 6;

struct Case {
    what: &'static str,
    /// Makes the table `t (id …, name …)`; `THE_KEY` stands for what makes `id` the key.
    ddl: &'static str,
    good: fn(usize) -> (Option<i64>, Option<String>),
    bad: (Option<i64>, Option<&'static str>),
    sqlstate: &'static str,
    /// The encoder knows without asking the server.
    known_early: bool,
}

fn plain(id: usize) -> (Option<i64>, Option<String>) {
    (Some(id as i64), Some("good".into()))
}

fn distinct(id: usize) -> (Option<i64>, Option<String>) {
    (Some(id as i64), Some(format!("n{id}")))
}

const CASES: &[Case] = &[
    Case {
        what: "not null",
        ddl: "CREATE TABLE t (id bigint THE_KEY, name text NOT NULL)",
        good: plain,
        bad: (Some(BAD as i64), None),
        sqlstate: "23502",
        known_early: true,
    },
    Case {
        what: "not null, where a trigger might have helped",
        ddl: "CREATE TABLE t (id bigint THE_KEY, name text NOT NULL); \
              CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; \
              CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
        good: plain,
        bad: (Some(BAD as i64), None),
        sqlstate: "23502",
        known_early: false,
    },
    Case {
        what: "check",
        ddl: "CREATE TABLE t (id bigint THE_KEY, name text CHECK (name <> 'bad'))",
        good: plain,
        bad: (Some(BAD as i64), Some("bad")),
        sqlstate: "23514",
        known_early: false,
    },
    Case {
        what: "foreign key",
        ddl: "CREATE TABLE names (name text PRIMARY KEY); INSERT INTO names VALUES ('good'); \
              CREATE TABLE t (id bigint THE_KEY, name text REFERENCES names)",
        good: plain,
        bad: (Some(BAD as i64), Some("bad")),
        sqlstate: "23503",
        known_early: false,
    },
    Case {
        what: "deferred foreign key",
        ddl: "CREATE TABLE names (name text PRIMARY KEY); INSERT INTO names VALUES ('good'); \
              CREATE TABLE t (id bigint THE_KEY, name text REFERENCES names DEFERRABLE INITIALLY DEFERRED)",
        good: plain,
        bad: (Some(BAD as i64), Some("bad")),
        sqlstate: "23503",
        known_early: false,
    },
    Case {
        what: "too long",
        ddl: "CREATE TABLE t (id bigint THE_KEY, name varchar(5))",
        good: plain,
        bad: (Some(BAD as i64), Some("longer")),
        sqlstate: "22001",
        known_early: false,
    },
    Case {
        what: "out of an integer's range",
        ddl: "CREATE TABLE t (id integer THE_KEY, name text)",
        good: plain,
        bad: (Some(1 << 40), Some("good")),
        sqlstate: "22003",
        known_early: true,
    },
    Case {
        what: "out of a numeric's range",
        ddl: "CREATE TABLE t (id numeric(4) THE_KEY, name text)",
        good: plain,
        bad: (Some(10_000), Some("good")),
        sqlstate: "22003",
        known_early: false,
    },
    Case {
        what: "unique on another column",
        ddl: "CREATE TABLE t (id bigint THE_KEY, name text UNIQUE)",
        good: distinct,
        bad: (Some(BAD as i64), Some("n17")),
        sqlstate: "23505",
        known_early: false,
    },
    Case {
        what: "deferred unique on another column",
        ddl: "CREATE TABLE t (id bigint THE_KEY, name text UNIQUE DEFERRABLE INITIALLY DEFERRED)",
        good: distinct,
        bad: (Some(BAD as i64), Some("n17")),
        sqlstate: "23505",
        known_early: false,
    },
    Case {
        what: "exclusion",
        ddl: "CREATE TABLE t (id bigint THE_KEY, name text, EXCLUDE USING btree (name WITH =))",
        good: distinct,
        bad: (Some(BAD as i64), Some("n17")),
        sqlstate: "23P01",
        known_early: false,
    },
    Case {
        what: "trigger",
        ddl: "CREATE TABLE t (id bigint THE_KEY, name text); \
              CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS \
              'BEGIN IF NEW.name = ''bad'' THEN RAISE ''no''; END IF; RETURN NEW; END'; \
              CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
        good: plain,
        bad: (Some(BAD as i64), Some("bad")),
        sqlstate: "P0001",
        known_early: false,
    },
    Case {
        what: "deferred constraint trigger",
        ddl: "CREATE TABLE t (id bigint THE_KEY, name text); \
              CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS \
              'BEGIN IF NEW.name = ''bad'' THEN RAISE ''no''; END IF; RETURN NULL; END'; \
              CREATE CONSTRAINT TRIGGER g AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED \
              FOR EACH ROW EXECUTE FUNCTION f()",
        good: plain,
        bad: (Some(BAD as i64), Some("bad")),
        sqlstate: "P0001",
        known_early: false,
    },
];

fn batch(case: &Case) -> RecordBatch {
    let row = |index: usize| {
        if index == BAD {
            (case.bad.0, case.bad.1.map(str::to_owned))
        } else {
            (case.good)(index)
        }
    };
    let (ids, names): (Vec<_>, Vec<_>) = (0..NUM_RECORDS).map(row).unzip();
    let ids: ArrayRef = Arc::new(Int64Array::from(ids));
    let names: ArrayRef = Arc::new(StringArray::from(names));
    rows(vec![("id", ids), ("name", names)])
}

fn refuses_one_of_each_kind(key: &str, table: aqueduct::config::settings::Table) {
    for case in CASES {
        let what = case.what;
        let mut branch = Branch::new(&case.ddl.replace("THE_KEY", key), &[(table.clone(), id_and_name())]);
        let (counts, row_counts, dead) = settled(branch.write(NUM_RECORDS, vec![batch(case)]));
        assert!(counts.adds_up(), "{what}: {counts:?}");
        assert_eq!(
            (counts.consumed, counts.applied, counts.dead),
            (10_000, 9_999, 1),
            "{what}"
        );
        assert_eq!(row_counts[0].inserted, 9_999, "{what}");
        assert_eq!(dead[0].position.offset, BAD as i64, "{what}");
        assert_eq!(
            (dead[0].stage, dead[0].table.as_deref()),
            (Stage::Write, Some("t")),
            "{what}"
        );
        assert!(dead[0].reason.starts_with(case.sqlstate), "{what}: {}", dead[0].reason);
        assert_eq!(branch.ask("SELECT count(*) FROM t").as_deref(), Some("9999"), "{what}");
        let letters = "SELECT string_agg(concat_ws(' ', record_offset, stage, sqlstate, convert_from(payload, 'UTF8')), ';') \
                       FROM aqueduct.dead_letters";
        let expected = format!("{BAD} write {} {{\"offset\":{BAD}}}", case.sqlstate);
        assert_eq!(branch.ask(letters), Some(expected), "{what}");
        let offset = "SELECT concat_ws(' ', next_offset, consumed, applied, filtered, dead) FROM aqueduct.offsets";
        assert_eq!(branch.ask(offset).as_deref(), Some("10000 10000 9999 0 1"), "{what}");
        let attempts = branch.loader.num_attempts();
        assert!(
            attempts <= if case.known_early { 1 } else { MAX_ATTEMPTS },
            "{what}: {attempts} attempts"
        );
    }
}

#[test]
fn a_bad_record_goes_alone_to_the_dead_letters_of_an_append() {
    refuses_one_of_each_kind("PRIMARY KEY", append("t"));
}

#[test]
fn a_bad_record_goes_alone_to_the_dead_letters_of_an_upsert() {
    refuses_one_of_each_kind("PRIMARY KEY", upsert("t", &["id"]));
}

#[test]
fn a_record_that_one_table_refuses_is_in_none() {
    let ddl = "CREATE TABLE a (id bigint PRIMARY KEY, name text); \
               CREATE TABLE b (id bigint, name text CHECK (name <> 'bad'))";
    let tables = [(upsert("a", &["id"]), id_and_name()), (append("b"), id_and_name())];
    let mut branch = Branch::new(ddl, &tables);
    let all = || people((0..100).map(|id| (id, if id % 40 == 7 { "bad" } else { "good" })));
    let (counts, row_counts, dead) = settled(branch.write(100, vec![all(), all()]));
    assert_eq!((counts.applied, counts.dead), (97, 3));
    assert_eq!((row_counts[0].inserted, row_counts[1].inserted), (97, 97));
    assert_eq!(
        dead.iter().map(|letter| letter.position.offset).collect::<Vec<_>>(),
        [7, 47, 87]
    );
    assert!(dead.iter().all(|letter| letter.table.as_deref() == Some("b")));
    for table in ["a", "b"] {
        assert_eq!(
            branch.ask(&format!("SELECT sum(id) FROM {table}")),
            Some((4950 - 7 - 47 - 87).to_string())
        );
    }
}

#[test]
fn a_record_with_several_rows_stands_and_falls_as_one() {
    let mut branch = Branch::new(
        "CREATE TABLE t (id bigint CHECK (id <> 4), name text)",
        &[(append("t"), id_and_name())],
    );
    let batch = load::rows_of(
        vec![0, 0, 2, 2, 2, 3],
        vec![("id", load::ints(1..7)), ("name", load::texts(["x"; 6]))],
    );
    let (counts, row_counts, dead) = settled(branch.write(4, vec![batch]));
    assert_eq!(
        (counts.consumed, counts.applied, counts.filtered, counts.dead),
        (4, 2, 1, 1)
    );
    assert_eq!(row_counts[0].inserted, 3);
    assert_eq!(dead[0].position.offset, 2);
    assert_eq!(
        branch
            .ask("SELECT string_agg(id::text, ',' ORDER BY id) FROM t")
            .as_deref(),
        Some("1,2,6")
    );
}

#[test]
fn a_batch_of_nothing_but_bad_records_is_settled() {
    let mut branch = Branch::new(
        "CREATE TABLE t (id bigint CHECK (id < 0), name text)",
        &[(append("t"), id_and_name())],
    );
    let (counts, row_counts, dead) = settled(branch.write(33, vec![people((0..33).map(|id| (id, "x")))]));
    assert_eq!((counts.applied, counts.dead, dead.len()), (0, 33, 33));
    assert_eq!(row_counts[0].inserted, 0);
}

#[test]
fn a_bad_newer_version_does_not_take_the_good_older_one_with_it() {
    let ddl = "CREATE TABLE t (id bigint PRIMARY KEY, name text CHECK (name <> 'bad'))";
    let mut branch = Branch::new(ddl, &[(upsert("t", &["id"]), id_and_name())]);
    let (counts, row_counts, _) = settled(branch.write(3, vec![people([(1, "old"), (2, "x"), (1, "bad")])]));
    assert_eq!((counts.applied, counts.dead), (2, 1));
    assert_eq!(row_counts[0].inserted, 2);
    assert_eq!(branch.ask("SELECT name FROM t WHERE id = 1").as_deref(), Some("old"));
}

#[test]
fn what_earlier_stages_refused_goes_with_the_batch() {
    let mut branch = Branch::new("CREATE TABLE t (id bigint, name text)", &[(append("t"), id_and_name())]);
    let records = records(0, 4);
    let rows = Transformed {
        tables: vec![load::rows_of(
            vec![0, 3],
            vec![("id", load::ints([0, 3])), ("name", load::texts(["a", "b"]))],
        )],
        failures: Vec::new(),
    };
    let letter = aqueduct::model::Rejected {
        position: aqueduct::model::Position {
            topic: "people".into(),
            partition: 0,
            offset: 1,
        },
        stage: Stage::Decode,
        reason: "not JSON".into(),
        table: None,
        key: None,
        payload: records[1].value.clone(),
        headers: Vec::new(),
        timestamp_ms: None,
    };
    let letters = [letter];
    let batch = LoadBatch::whole(branch.fence.clone(), 6, &records, &rows, &letters);
    let (counts, _, dead) = settled(branch.loader.write_batch(&mut branch.session, &batch, &mut || true));
    assert_eq!(
        (counts.consumed, counts.applied, counts.filtered, counts.dead),
        (4, 2, 1, 1)
    );
    assert_eq!(dead.len(), 1);
    assert_eq!(
        branch
            .ask("SELECT stage || next_offset FROM aqueduct.dead_letters, aqueduct.offsets")
            .as_deref(),
        Some("decode6")
    );
}

#[test]
fn beyond_the_brake_nothing_is_written() {
    let mut branch = Branch::new(
        "CREATE TABLE t (id bigint CHECK (id < 90), name text)",
        &[(append("t"), id_and_name())],
    );
    let records = records(0, 100);
    let rows = Transformed {
        tables: vec![people((0..100).map(|id| (id, "x")))],
        failures: Vec::new(),
    };
    let whole = LoadBatch::whole(branch.fence.clone(), 100, &records, &rows, &[]);
    let braked = LoadBatch {
        max_dead: 9,
        ..whole.clone()
    };
    match branch.loader.write_batch(&mut branch.session, &braked, &mut || true) {
        Ok(Outcome::Braked { dead }) => assert_eq!(dead.len(), 10),
        other => panic!("{other:?}"),
    }
    assert_eq!(branch.ask("SELECT count(*) FROM t").as_deref(), Some("0"));
    assert_eq!(
        branch.ask("SELECT count(*) FROM aqueduct.dead_letters").as_deref(),
        Some("0")
    );
    let enough = LoadBatch { max_dead: 10, ..whole };
    let (counts, ..) = settled(branch.loader.write_batch(&mut branch.session, &enough, &mut || true));
    assert_eq!((counts.applied, counts.dead), (90, 10));
}

#[test]
fn a_record_that_is_too_much_for_the_server_is_found_by_halving_the_batch() {
    let ddl = "CREATE TABLE t (id bigint, name text); \
               CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS \
               'BEGIN IF NEW.name = ''slow'' THEN PERFORM pg_sleep(60); END IF; RETURN NEW; END'; \
               CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()";
    let mut branch = Branch::new(ddl, &[(append("t"), id_and_name())]);
    branch.run("SET statement_timeout = '200ms'");
    let records = records(0, 8);
    let rows = Transformed {
        tables: vec![people((0..8).map(|id| (id, if id == 5 { "slow" } else { "quick" })))],
        failures: Vec::new(),
    };
    let mut todo = vec![LoadBatch::whole(branch.fence.clone(), 8, &records, &rows, &[])];
    let mut num_dead = 0;
    while let Some(batch) = todo.pop() {
        match branch.loader.write_batch(&mut branch.session, &batch, &mut || true) {
            Ok(Outcome::Settled { counts, dead, .. }) => {
                num_dead += counts.dead;
                assert!(
                    dead.iter()
                        .all(|letter| letter.position.offset == 5 && letter.reason.starts_with("57014"))
                );
            }
            Err(error) if error.remedy(false) == Remedy::RetrySmaller => match batch.split() {
                Some((first, second)) => todo.extend([second, first]),
                None => todo.push(LoadBatch {
                    reject_if_too_large: true,
                    ..batch
                }),
            },
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(num_dead, 1);
    assert_eq!(
        branch
            .ask("SELECT string_agg(id::text, '' ORDER BY id) FROM t")
            .as_deref(),
        Some("0123467")
    );
    assert_eq!(
        branch
            .ask("SELECT concat_ws(' ', next_offset, consumed, applied, dead) FROM aqueduct.offsets")
            .as_deref(),
        Some("8 8 7 1")
    );
}
