//! `upsert`: the newest version of each key, nothing written that is there already, no deadlocks.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

use std::sync::{Arc, Barrier};

use aqueduct::{
    config::settings::Table,
    model::RowCounts,
    sql::{
        Transformed,
        arrow::{
            array::{
                ArrayRef, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
                TimestampMicrosecondArray,
            },
            datatypes::SchemaRef,
        },
    },
    store::load::LoadBatch,
};

#[path = "support/load.rs"]
mod load;

use load::{
    Branch, claim, connect, id_and_name, ints, loader, people, postgres, records, rows, settled, texts, upsert,
};

fn counts(inserted: u64, updated: u64, unchanged: u64, superseded: u64) -> RowCounts {
    RowCounts {
        inserted,
        updated,
        unchanged,
        superseded,
    }
}

fn names(ddl: &str) -> Branch {
    Branch::new(ddl, &[(upsert("t", &["id"]), id_and_name())])
}

fn write(branch: &mut Branch, batch: RecordBatch) -> RowCounts {
    let num_records = batch.num_rows();
    let (counts, row_counts, dead) = settled(branch.write(num_records, vec![batch]));
    assert!(dead.is_empty(), "{dead:?}");
    assert_eq!(counts.applied, num_records as u64);
    row_counts[0]
}

/// A branch with one upsert table `t`, of the shape of `batch`.
fn branch_for(ddl: &str, table: Table, batch: &RecordBatch) -> Branch {
    let schema: SchemaRef = batch.schema();
    Branch::new(ddl, &[(table, schema)])
}

#[test]
fn the_last_of_three_versions_wins_and_two_are_superseded() {
    let mut branch = names("CREATE TABLE t (id bigint PRIMARY KEY, name text)");
    assert_eq!(
        write(&mut branch, people([(1, "a"), (2, "x"), (1, "b"), (1, "c")])),
        counts(2, 0, 0, 2)
    );
    assert_eq!(
        branch.ask("SELECT string_agg(name, ',' ORDER BY id) FROM t").as_deref(),
        Some("c,x")
    );
}

#[test]
fn rows_that_are_there_already_are_neither_written_nor_locked() {
    let mut branch =
        names("CREATE TABLE t (id bigint PRIMARY KEY, name text, seen timestamptz DEFAULT clock_timestamp())");
    let batch = || {
        rows(vec![
            ("id", ints([1, 2, 3])),
            (
                "name",
                Arc::new(StringArray::from(vec![Some("a"), None, Some("")])) as ArrayRef,
            ),
        ])
    };
    assert_eq!(write(&mut branch, batch()), counts(3, 0, 0, 0));
    let versions = "SELECT string_agg(concat_ws(' ', id, name, seen, xmin, xmax, ctid), ';' ORDER BY id) FROM t";
    let before = branch.ask(versions);
    assert_eq!(write(&mut branch, batch()), counts(0, 0, 3, 0));
    assert_eq!(branch.ask(versions), before);
    assert_eq!(
        write(&mut branch, people([(4, "d"), (1, "a"), (2, "b")])),
        counts(1, 1, 1, 0)
    );
    assert_eq!(
        branch.ask("SELECT string_agg(name, ',' ORDER BY id) FROM t").as_deref(),
        Some("a,b,,d")
    );
    let ledger = "SELECT concat_ws(' ', table_name, inserted, updated, unchanged, superseded) FROM aqueduct.row_counts";
    assert_eq!(branch.ask(ledger).as_deref(), Some("t 4 1 4 0"));
}

#[test]
fn json_compares_as_text_and_jsonb_by_value() {
    let batch = |text: &str| rows(vec![("id", ints([1])), ("j", texts([text])), ("b", texts([text]))]);
    let ddl = "CREATE TABLE t (id bigint PRIMARY KEY, j json, b jsonb)";
    let mut branch = branch_for(ddl, upsert("t", &["id"]), &batch("{}"));
    assert_eq!(write(&mut branch, batch(r#"{"a": 1}"#)), counts(1, 0, 0, 0));
    assert_eq!(write(&mut branch, batch(r#"{"a": 1}"#)), counts(0, 0, 1, 0));
    assert_eq!(write(&mut branch, batch(r#"{"a":1}"#)), counts(0, 1, 0, 0));
}

#[test]
fn columns_that_the_query_does_not_yield_keep_their_values() {
    let mut branch = names("CREATE TABLE t (note text DEFAULT 'mine', id bigint PRIMARY KEY, name text)");
    write(&mut branch, people([(1, "a")]));
    branch.run("UPDATE t SET note = 'yours'");
    assert_eq!(write(&mut branch, people([(1, "b")])), counts(0, 1, 0, 0));
    assert_eq!(branch.ask("SELECT note || name FROM t").as_deref(), Some("yoursb"));
}

#[test]
fn a_table_of_nothing_but_keys_is_never_updated() {
    let batch = || rows(vec![("b", ints([1, 1, 2])), ("a", texts(["x", "x", "x"]))]);
    let mut branch = branch_for(
        "CREATE TABLE t (a text, b bigint, PRIMARY KEY (a, b))",
        upsert("t", &["b", "a"]),
        &batch(),
    );
    assert_eq!(write(&mut branch, batch()), counts(2, 0, 0, 1));
    assert_eq!(write(&mut branch, batch()), counts(0, 0, 2, 1));
}

#[test]
fn order_by_lets_only_the_newer_version_win_within_a_batch_and_against_the_table() {
    let batch = |versions: &[(i64, Option<i64>, &str)]| {
        let ids = ints(versions.iter().map(|version| version.0));
        let at = TimestampMicrosecondArray::from(versions.iter().map(|version| version.1).collect::<Vec<_>>());
        let at: ArrayRef = Arc::new(at.with_timezone("UTC"));
        rows(vec![
            ("id", ids),
            ("at", at),
            ("name", texts(versions.iter().map(|version| version.2))),
        ])
    };
    let table = Table {
        order_by: Some("at".into()),
        ..upsert("t", &["id"])
    };
    let ddl = "CREATE TABLE t (id bigint PRIMARY KEY, at timestamptz, name text)";
    let mut branch = branch_for(ddl, table, &batch(&[]));
    let names = "SELECT string_agg(name, ',' ORDER BY id) FROM t";

    assert_eq!(
        write(
            &mut branch,
            batch(&[(1, Some(20), "b"), (1, Some(10), "a"), (2, None, "n")])
        ),
        counts(2, 0, 0, 1)
    );
    assert_eq!(branch.ask(names).as_deref(), Some("b,n"));
    assert_eq!(
        write(&mut branch, batch(&[(1, Some(15), "older"), (2, Some(1), "o")])),
        counts(0, 1, 0, 1)
    );
    assert_eq!(
        write(&mut branch, batch(&[(1, None, "no time"), (2, Some(1), "o")])),
        counts(0, 0, 1, 1)
    );
    assert_eq!(
        write(&mut branch, batch(&[(1, Some(20), "same time, later offset")])),
        counts(0, 1, 0, 0)
    );
    assert_eq!(
        write(&mut branch, batch(&[(1, Some(30), "c"), (1, Some(30), "d")])),
        counts(0, 1, 0, 1)
    );
    assert_eq!(branch.ask(names).as_deref(), Some("d,o"));
}

#[test]
fn keys_that_only_postgresql_finds_equal_meet_in_one_row() {
    let decimals = |values: [i128; 3]| -> ArrayRef {
        Arc::new(
            Decimal128Array::from_iter_values(values)
                .with_precision_and_scale(9, 3)
                .unwrap(),
        )
    };
    let times = |values: [i64; 3]| -> ArrayRef { Arc::new(TimestampMicrosecondArray::from_iter_values(values)) };
    let cases: Vec<(&str, ArrayRef)> = vec![
        ("char(4)", texts(["a", "b", "a  "])),
        ("varchar(2)", texts(["ab ", "cd", "ab  "])),
        ("numeric(9, 2)", decimals([1_001, 5_000, 1_002])),
        ("timestamp(0)", times([100, 5_000_000, 200])),
        ("real", Arc::new(Float64Array::from(vec![0.0, 1.0, -0.0]))),
        ("double precision", Arc::new(Float64Array::from(vec![0.0, 1.0, -0.0]))),
        ("citext", texts(["Ann", "Bob", "ANN"])),
        ("interval", texts(["1 mon", "1 day", "P30D"])),
        ("inet", texts(["::1", "1.2.3.4", "0:0::1/128"])),
        ("cidr", texts(["2001:DB8::/32", "1.2.3.4", "2001:db8:0::/32"])),
        ("time(0)", texts(["12:00:00.1", "13:00", "12:00"])),
        ("timetz", texts(["12:00+01", "12:00", "12:00:00+0100"])),
    ];
    for (type_name, ids) in cases {
        let ddl = format!("CREATE EXTENSION citext; CREATE TABLE t (id {type_name} PRIMARY KEY, name text)");
        let batch = |names: [&str; 3]| rows(vec![("id", ids.clone()), ("name", texts(names))]);
        let mut branch = branch_for(&ddl, upsert("t", &["id"]), &batch(["", "", ""]));
        assert_eq!(
            write(&mut branch, batch(["old", "x", "new"])),
            counts(2, 0, 0, 1),
            "{type_name}"
        );
        let names = "SELECT string_agg(name, ',' ORDER BY name) FROM t";
        assert_eq!(branch.ask(names).as_deref(), Some("new,x"), "{type_name}");
        assert_eq!(
            write(&mut branch, batch(["old", "x", "newer"])),
            counts(0, 1, 1, 1),
            "{type_name}"
        );
        assert_eq!(branch.ask(names).as_deref(), Some("newer,x"), "{type_name}");
    }
}

#[test]
fn one_uuid_in_two_spellings_is_one_row() {
    let batch = rows(vec![
        (
            "id",
            texts([
                "A0EEBC999C0B4EF8BB6D6BB9BD380A11",
                "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            ]),
        ),
        ("name", texts(["a", "b"])),
    ]);
    let mut branch = branch_for(
        "CREATE TABLE t (id uuid PRIMARY KEY, name text)",
        upsert("t", &["id"]),
        &batch,
    );
    assert_eq!(write(&mut branch, batch), counts(1, 0, 0, 1));
}

#[test]
fn a_partitioned_table_with_a_name_to_be_quoted_is_a_table_like_any_other() {
    let ddl = r#"CREATE SCHEMA "S x"; CREATE TABLE "S x"."T""y" ("Id" bigint, "select" text, PRIMARY KEY ("Id"))
                 PARTITION BY RANGE ("Id");
                 CREATE TABLE low PARTITION OF "S x"."T""y" FOR VALUES FROM (0) TO (10);
                 CREATE TABLE high PARTITION OF "S x"."T""y" FOR VALUES FROM (10) TO (20)"#;
    let batch = |ids: &[i64], name: &str| {
        rows(vec![
            ("Id", ints(ids.iter().copied())),
            ("select", texts(vec![name; ids.len()])),
        ])
    };
    let mut branch = branch_for(ddl, upsert("S x.T\"y", &["Id"]), &batch(&[], ""));
    assert_eq!(write(&mut branch, batch(&[5, 15], "a")), counts(2, 0, 0, 0));
    assert_eq!(write(&mut branch, batch(&[5, 15, 16], "a")), counts(1, 0, 2, 0));
    assert_eq!(write(&mut branch, batch(&[5, 17], "b")), counts(1, 1, 0, 0));
    let (counts, _, dead) = settled(branch.write(2, vec![batch(&[3, 99], "c")]));
    assert_eq!((counts.applied, counts.dead), (1, 1));
    assert!(dead[0].reason.starts_with("23514"), "{}", dead[0].reason);
}

#[test]
fn rows_written_before_and_after_a_bad_record_are_counted_once() {
    let mut branch = names("CREATE TABLE t (id bigint PRIMARY KEY, name text CHECK (name <> 'bad'))");
    write(&mut branch, people((0..50).map(|id| (id, "old"))));
    let next = people((0..100).map(|id| {
        (
            id,
            if id == 70 || id == 20 {
                "bad"
            } else if id < 30 {
                "old"
            } else {
                "new"
            },
        )
    }));
    let (_, row_counts, dead) = settled(branch.write(100, vec![next]));
    assert_eq!(row_counts[0], counts(49, 20, 29, 0));
    assert_eq!(dead.len(), 2);
    assert_eq!(
        branch
            .ask("SELECT count(*) || ' ' || count(*) FILTER (WHERE name = 'new') FROM t")
            .as_deref(),
        Some("99 69")
    );
}

#[test]
fn keys_that_a_trigger_makes_equal_are_written_one_after_the_other() {
    let ddl = "CREATE TABLE t (id bigint PRIMARY KEY, name text); \
               CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.id = NEW.id / 10; RETURN NEW; END'; \
               CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()";
    let mut branch = names(ddl);
    assert_eq!(
        write(&mut branch, people([(10, "a"), (20, "b"), (30, "c"), (11, "d")])),
        counts(3, 1, 0, 0)
    );
    let names = "SELECT string_agg(id || name, ',' ORDER BY id) FROM t";
    assert_eq!(branch.ask(names).as_deref(), Some("1d,2b,3c"));
}

#[test]
fn a_big_table_is_not_read_as_a_whole_for_each_batch() {
    let mut branch = names("CREATE TABLE t (id bigint PRIMARY KEY, name text)");
    branch.run("INSERT INTO t SELECT n, 'old' FROM generate_series(1, 200000) AS n; ANALYZE t");
    assert_eq!(
        write(&mut branch, people((1..20).map(|id| (id * 9_000, "new")))),
        counts(0, 19, 0, 0)
    );
    assert_eq!(
        write(&mut branch, people((1..20_000).map(|id| (id * 9, "new")))),
        counts(0, 19_980, 19, 0)
    );
    // A session reports what it did when it ends.
    branch.session = connect(&branch.database);
    let reported = "SELECT n_tup_upd >= 19999 FROM pg_stat_user_tables WHERE relname = 't'";
    postgres::wait_for("the statistics arrive", std::time::Duration::from_secs(30), || {
        branch.ask(reported).as_deref() == Some("true")
    });
    let scans = "SELECT seq_tup_read || ' ' || (idx_scan > 0) FROM pg_stat_user_tables WHERE relname = 't'";
    assert_eq!(branch.ask(scans).as_deref(), Some("0 true"));
}

#[test]
fn two_writers_of_the_same_keys_in_opposite_order_do_not_deadlock() {
    const ROUNDS: i64 = 20;
    const KEYS: i64 = 400;
    let branch = names("CREATE TABLE t (id bigint PRIMARY KEY, name text)");
    let table = [(upsert("t", &["id"]), id_and_name())];
    let start = Barrier::new(2);
    std::thread::scope(|scope| {
        let (table, start, database) = (&table, &start, &branch.database);
        let writers = [1, 2].map(|partition| {
            scope.spawn(move || {
                let mut session = connect(database);
                let mut fence = claim(&mut session, partition);
                let mut loader = loader(table);
                start.wait();
                for round in 0..ROUNDS {
                    let ids = (0..KEYS).map(|id| if partition == 1 { id } else { KEYS - 1 - id });
                    let rows = people(ids.map(|id| (id, format!("{partition} {round}"))));
                    let rows = Transformed {
                        tables: vec![rows],
                        failures: Vec::new(),
                    };
                    let records = records(round * KEYS, KEYS as usize);
                    let batch = LoadBatch::whole(fence.clone(), (round + 1) * KEYS, &records, &rows, &[]);
                    let (counts, ..) = settled(loader.write_batch(&mut session, &batch, &mut || true));
                    assert_eq!(counts.applied, KEYS as u64);
                    fence.expected = batch.next_offset;
                }
            })
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
    });
    let mut session = connect(&branch.database);
    let same = "SELECT count(*) || ' ' || count(DISTINCT name) FROM t";
    let result = load::ask(&mut session, same);
    assert_eq!(
        result.as_deref(),
        Some("400 1"),
        "one writer's last batch came last, as a whole"
    );
    let sum = "SELECT sum(inserted + updated) || ' ' || sum(inserted) FROM aqueduct.row_counts";
    assert_eq!(load::ask(&mut session, sum).as_deref(), Some("16000 400"));
}

#[test]
fn a_null_in_the_key_is_a_bad_record_each_time() {
    let mut branch = names("CREATE TABLE t (id bigint PRIMARY KEY, name text)");
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![None, Some(1), None]));
    let (counts, _, dead) = settled(branch.write(3, vec![rows(vec![("id", ids), ("name", texts(["a", "b", "c"]))])]));
    assert_eq!((counts.applied, counts.dead), (1, 2));
    assert!(dead.iter().all(|letter| letter.reason.starts_with("23502")));
}
