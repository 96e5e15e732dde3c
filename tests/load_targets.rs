//! Tables as they are found: what does not fit is said in a sentence, what changes underneath is read again.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

use std::sync::{Arc, Barrier};

use aqueduct::{
    config::settings::Table,
    model::Verdict,
    sql::arrow::{
        array::{ArrayRef, StringArray},
        datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    },
};

#[path = "support/load.rs"]
mod load;

use load::{Branch, append, connect, id_and_name, ints, loader, people, rows, settled, texts, upsert};

/// The sentence with which a table is refused.
fn refused(ddl: &str, table: Table, schema: SchemaRef) -> String {
    let mut branch = Branch::new(ddl, &[(table, schema)]);
    let error = branch.loader.prepare(&mut branch.session).unwrap_err();
    assert_eq!(error.verdict(), Verdict::Fail);
    error.to_string()
}

#[test]
fn every_way_in_which_a_table_does_not_fit_has_its_sentence() {
    let by_id = || upsert("t", &["id"]);
    let ordered = |column: &str| Table {
        order_by: Some(column.into()),
        ..by_id()
    };
    let cases: Vec<(&str, Table, &str)> = vec![
        ("", append("t"), "the table does not exist"),
        ("", append("a.b.c"), "no table's name"),
        (
            "CREATE TABLE t (id bigint)",
            append("t"),
            "\"name\": the query yields it, the table does not have it",
        ),
        (
            "CREATE TABLE t (id bigint, name integer)",
            append("t"),
            "the query yields STRING, the table takes integer; write CAST(… AS INT) AS \"name\"",
        ),
        (
            "CREATE TABLE t (id bigint, name money)",
            append("t"),
            "\"name\" is of type money, which cannot be written; make it text",
        ),
        (
            "CREATE TABLE t (id bigint, name text, more text NOT NULL)",
            append("t"),
            "\"more\" is NOT NULL without a default",
        ),
        (
            "CREATE TABLE t (id bigint, name text GENERATED ALWAYS AS ('x') STORED)",
            append("t"),
            "\"name\" is generated",
        ),
        (
            "CREATE VIEW t AS SELECT 1::bigint AS id, ''::text AS name",
            by_id(),
            "a view",
        ),
        (
            "CREATE MATERIALIZED VIEW t AS SELECT 1::bigint AS id, ''::text AS name",
            append("t"),
            "a materialized view",
        ),
        (
            "CREATE TABLE t (id bigint NOT NULL, name text)",
            by_id(),
            "there is no unique index (immediate, not partial) on exactly (id); CREATE UNIQUE INDEX ON ",
        ),
        (
            "CREATE TABLE t (id bigint UNIQUE, name text)",
            by_id(),
            "the key column \"id\" may be NULL",
        ),
        (
            "CREATE TABLE t (id bigint PRIMARY KEY DEFERRABLE, name text)",
            by_id(),
            "there is no unique index",
        ),
        (
            "CREATE TABLE t (id bigint NOT NULL, name text); CREATE UNIQUE INDEX ON t (id) WHERE id > 0",
            by_id(),
            "there is no unique index",
        ),
        (
            "CREATE TABLE t (id bigint, name text, PRIMARY KEY (id, name))",
            by_id(),
            "there is no unique index",
        ),
        (
            "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text)",
            by_id(),
            "GENERATED ALWAYS AS IDENTITY",
        ),
        (
            "CREATE TABLE t (id bigint PRIMARY KEY, name text)",
            upsert("t", &[]),
            "needs a key",
        ),
        (
            "CREATE TABLE t (id bigint PRIMARY KEY, name text)",
            upsert("t", &["nobody"]),
            "does not yield the key column \"nobody\"",
        ),
        (
            "CREATE TABLE t (id bigint PRIMARY KEY, name text)",
            ordered("at"),
            "order_by = \"at\" is not among",
        ),
        (
            "CREATE TABLE t (id bigint PRIMARY KEY, name jsonb)",
            ordered("name"),
            "a jsonb has no order",
        ),
    ];
    for (ddl, table, expected) in cases {
        let sentence = refused(ddl, table, id_and_name());
        assert!(sentence.contains(expected), "{ddl}: {sentence}");
    }
}

#[test]
fn all_tables_are_checked_before_the_first_is_complained_about() {
    let tables = [(append("a"), id_and_name()), (append("b"), id_and_name())];
    let mut branch = Branch::new("", &tables);
    let sentence = branch.loader.prepare(&mut branch.session).unwrap_err().to_string();
    assert!(
        sentence.contains("table a: ") && sentence.contains("table b: "),
        "{sentence}"
    );
}

#[test]
fn columns_that_fill_themselves_need_not_be_in_the_query() {
    let ddl = "CREATE TABLE t (no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), \
               name text, id bigint, upper text GENERATED ALWAYS AS (upper(name)) STORED)";
    let mut branch = Branch::new(ddl, &[(append("t"), id_and_name())]);
    settled(branch.write(2, vec![people([(7, "a"), (5, "b")])]));
    assert_eq!(
        branch
            .ask("SELECT string_agg(no || upper || id, ' ' ORDER BY no) FROM t")
            .as_deref(),
        Some("1A7 2B5")
    );
}

#[test]
fn append_writes_rows_in_the_order_of_the_tables_key() {
    let mut branch = Branch::new(
        "CREATE TABLE t (id bigint PRIMARY KEY, name text)",
        &[(append("t"), id_and_name())],
    );
    settled(branch.write(5, vec![people([(3, "a"), (-1, "b"), (256, "c"), (0, "d"), (2, "e")])]));
    assert_eq!(
        branch
            .ask("SELECT string_agg(id::text, ' ' ORDER BY ctid) FROM t")
            .as_deref(),
        Some("-1 0 2 3 256")
    );
}

#[test]
fn a_missing_table_is_created_from_the_querys_types() {
    let schema: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("price", DataType::Decimal128(38, 18), true),
        Field::new(
            "at",
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            true,
        ),
    ]));
    let table = Table {
        create: true,
        ..upsert("crm.orders", &["id"])
    };
    let mut branch = Branch::new("CREATE SCHEMA crm", &[(table, schema)]);
    branch.loader.prepare(&mut branch.session).unwrap();
    branch.loader.prepare(&mut branch.session).unwrap();
    let columns = "SELECT string_agg(format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN '!' ELSE '' END, ',' \
                   ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'crm.orders'::regclass AND attnum > 0";
    assert_eq!(
        branch.ask(columns).as_deref(),
        Some("bigint!,numeric(38,18),timestamp with time zone")
    );
}

#[test]
fn writers_that_create_the_same_table_at_once_agree() {
    let table = [(
        Table {
            create: true,
            ..upsert("t", &["id"])
        },
        id_and_name(),
    )];
    let branch = Branch::new("", &table);
    let start = Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut session = connect(&branch.database);
                start.wait();
                loader(&table).prepare(&mut session).unwrap();
            });
        }
    });
}

#[test]
fn a_column_that_is_altered_between_two_batches_is_read_again() {
    let mut branch = Branch::new(
        "CREATE TABLE t (id integer, name text)",
        &[(append("t"), id_and_name())],
    );
    settled(branch.write(1, vec![people([(1, "a")])]));
    branch.run("ALTER TABLE t ALTER id TYPE bigint");
    settled(branch.write(1, vec![people([(1 << 40, "b")])]));
    branch.run("ALTER TABLE t ALTER id TYPE numeric");
    settled(branch.write(1, vec![people([(i64::MAX, "c")])]));
    assert_eq!(
        branch
            .ask("SELECT string_agg(id::text, ' ' ORDER BY id) FROM t")
            .as_deref(),
        Some("1 1099511627776 9223372036854775807")
    );
}

#[test]
fn a_column_that_takes_the_same_bytes_for_another_value_is_read_again() {
    let mut branch = Branch::new("CREATE TABLE t (id bigint, name text)", &[(append("t"), id_and_name())]);
    settled(branch.write(1, vec![people([(1, "a")])]));
    branch.run("ALTER TABLE t ALTER id TYPE double precision");
    settled(branch.write(1, vec![people([(2, "b")])]));
    assert_eq!(
        branch
            .ask("SELECT string_agg(id::text, ' ' ORDER BY id) FROM t")
            .as_deref(),
        Some("1 2")
    );
}

#[test]
fn a_constraint_that_is_dropped_between_two_batches_refuses_nobody() {
    let mut branch = Branch::new(
        "CREATE TABLE t (id bigint, name text NOT NULL)",
        &[(append("t"), id_and_name())],
    );
    let nobody = || {
        rows(vec![
            ("id", ints([1])),
            ("name", Arc::new(StringArray::from(vec![None::<&str>])) as ArrayRef),
        ])
    };
    let (counts, ..) = settled(branch.write(1, vec![nobody()]));
    assert_eq!((counts.applied, counts.dead), (0, 1));
    branch.run("ALTER TABLE t ALTER name DROP NOT NULL");
    let (counts, ..) = settled(branch.write(1, vec![nobody()]));
    assert_eq!((counts.applied, counts.dead), (1, 0));
}

#[test]
fn an_upserts_column_that_is_altered_between_two_batches_is_read_again() {
    let table = [(upsert("t", &["id"]), id_and_name())];
    let mut branch = Branch::new("CREATE TABLE t (id bigint PRIMARY KEY, name varchar(3))", &table);
    settled(branch.write(1, vec![people([(1, "abc")])]));
    branch.run("ALTER TABLE t RENAME TO old; CREATE TABLE t (name text, id bigint PRIMARY KEY); DROP TABLE old");
    let (counts, ..) = settled(branch.write(1, vec![people([(1, "abc")])]));
    assert_eq!(counts.applied, 1);
    assert_eq!(branch.ask("SELECT name FROM t").as_deref(), Some("abc"));
}

#[test]
fn a_type_that_the_merge_cannot_convert_any_more_is_read_again() {
    let table = [(upsert("t", &["id"]), id_and_name())];
    let mut branch = Branch::new("CREATE TABLE t (id bigint PRIMARY KEY, name text)", &table);
    settled(branch.write(1, vec![people([(1, "{}")])]));
    branch.run("ALTER TABLE t ALTER name TYPE jsonb USING name::jsonb");
    settled(branch.write(1, vec![people([(1, "[1]")])]));
    assert_eq!(branch.ask("SELECT name FROM t").as_deref(), Some("[1]"));
}

#[test]
fn a_column_that_is_gone_is_a_sentence_and_no_dead_letter() {
    let mut branch = Branch::new("CREATE TABLE t (id bigint, name text)", &[(append("t"), id_and_name())]);
    settled(branch.write(1, vec![people([(1, "a")])]));
    branch.run("ALTER TABLE t DROP name");
    let error = branch.write(1, vec![people([(2, "b")])]).unwrap_err();
    assert_eq!(error.verdict(), Verdict::Fail);
    assert!(error.to_string().contains("the table does not have it"), "{error}");
    assert_eq!(
        branch.ask("SELECT count(*) FROM aqueduct.dead_letters").as_deref(),
        Some("0")
    );
    branch.run("ALTER TABLE t ADD name text");
    settled(branch.write(1, vec![people([(2, "b")])]));
}

#[test]
fn two_tables_of_one_pipeline_may_be_the_same() {
    let batch = || rows(vec![("id", ints([1, 2])), ("name", texts(["a", "b"]))]);
    let tables = [
        (upsert("s.t", &["id"]), id_and_name()),
        (upsert("s.t", &["id"]), id_and_name()),
    ];
    let mut branch = Branch::new(
        "CREATE SCHEMA s; CREATE TABLE s.t (id bigint PRIMARY KEY, name text)",
        &tables,
    );
    let (_, row_counts, _) = settled(branch.write(2, vec![batch(), batch()]));
    assert_eq!((row_counts[0].inserted, row_counts[1].unchanged), (2, 2));
}
