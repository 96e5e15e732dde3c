//! A row trigger that returns NULL drops its row. The ledger counts records: the table took the record and its own rule
//! decided, so it is applied, not dead. The row counts say that the row left the table as it was.

use aqueduct::model::RowCounts;

use crate::load::{Branch, append, id_and_name, people, settled, upsert};

const DROPPING: &str = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS \
                        'BEGIN IF NEW.name = ''drop'' THEN RETURN NULL; END IF; RETURN NEW; END'; \
                        CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()";

fn counts(inserted: u64, updated: u64, unchanged: u64, superseded: u64) -> RowCounts {
    RowCounts {
        inserted,
        updated,
        unchanged,
        superseded,
    }
}

#[test]
fn a_row_that_a_trigger_drops_belongs_to_an_applied_record_and_left_the_table_unchanged() {
    let partitioned = "CREATE TABLE t (id bigint PRIMARY KEY, name text) PARTITION BY RANGE (id); \
                       CREATE TABLE p PARTITION OF t FOR VALUES FROM (0) TO (1000)";
    let plain = "CREATE TABLE t (id bigint PRIMARY KEY, name text)";
    let ordered = aqueduct::config::settings::Table {
        order_by: Some("name".into()),
        ..upsert("t", &["id"])
    };
    for (table, ddl) in [
        (append("t"), plain),
        (append("t"), partitioned),
        (upsert("t", &["id"]), plain),
        (upsert("t", &["id"]), partitioned),
        (ordered, plain),
    ] {
        let mut branch = Branch::new(&format!("{ddl}; {DROPPING}"), &[(table.clone(), id_and_name())]);
        let batch = people([(1, "a"), (2, "drop"), (3, "b"), (4, "drop")]);
        let (records, row_counts, dead) = settled(branch.write(4, vec![batch]));
        assert_eq!(
            (records.applied, records.filtered, records.dead),
            (4, 0, 0),
            "{table:?}"
        );
        assert_eq!((dead.len(), row_counts[0]), (0, counts(2, 0, 2, 0)), "{table:?} {ddl}");
        assert_eq!(
            branch
                .ask("SELECT string_agg(id::text, ' ' ORDER BY id) FROM t")
                .as_deref(),
            Some("1 3")
        );
    }
}

#[test]
fn a_trigger_that_raises_costs_its_record_and_one_after_the_statement_costs_none() {
    let raising = "CREATE TABLE log (n bigint); CREATE TABLE t (id bigint, name text); \
                   CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS \
                   'BEGIN IF NEW.name = ''bad'' THEN RAISE EXCEPTION ''no %'', NEW.id; END IF; RETURN NEW; END'; \
                   CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f(); \
                   CREATE FUNCTION s() RETURNS trigger LANGUAGE plpgsql AS \
                   'BEGIN INSERT INTO log SELECT count(*) FROM fresh; RETURN NULL; END'; \
                   CREATE TRIGGER h AFTER INSERT ON t REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION s()";
    let mut branch = Branch::new(raising, &[(append("t"), id_and_name())]);
    let (records, _, dead) = settled(branch.write(3, vec![people([(1, "a"), (2, "bad"), (3, "b")])]));
    assert_eq!((records.applied, records.dead), (2, 1));
    assert!(dead[0].reason.starts_with("P0001 no 2"), "{}", dead[0].reason);
    assert_eq!(
        branch.ask("SELECT sum(n) FROM log").as_deref(),
        Some("2"),
        "what was rolled back is not logged"
    );
}
