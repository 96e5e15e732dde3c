use aqueduct::{config::settings::Table, sql::OnNul, store::load::creation};

use crate::{
    load::{append, upsert},
    records::Through,
};

const SCHEMA: &str = "id BIGINT NOT NULL, flag BOOLEAN, tiny TINYINT, small SMALLINT, int INT, float FLOAT, double DOUBLE, \
                      price DECIMAL(38,18), text STRING, bytes BINARY, day DATE, at TIMESTAMP, local TIMESTAMP_NTZ, \
                      tags ARRAY<STRING>, days ARRAY<DATE>, grid ARRAY<ARRAY<INT>>, map MAP<STRING, INT>, \
                      person STRUCT<name: STRING>, people ARRAY<STRUCT<name: STRING>>";

const QUERY: &str = "SELECT id, flag, tiny, small, int, float, double, price, text, bytes, day, at, local, tags, days, grid, \
                     map, person, people, CAST(text AS TIME) AS clock, at - at AS span, INTERVAL '1 month' AS month, \
                     _partition, _offset, _timestamp, _headers, _raw, _topic, _key FROM records";

const COLUMNS: &str = "id bigint! flag boolean tiny smallint small smallint int integer float real double double precision \
                       price numeric(38,18) text text bytes bytea day date at timestamp with time zone local timestamp without time zone \
                       tags text[] days date[] grid jsonb map jsonb person jsonb people jsonb clock time without time zone \
                       span interval month interval _partition integer _offset bigint _timestamp timestamp with time zone";

const ROW: &str = r#"{"id":1,"flag":true,"tiny":-128,"small":-32768,"int":7,"float":0.5,"double":0.1,"price":"1.5","text":"01:02:03",
    "bytes":"AA==","day":"2024-02-29","at":"2024-02-29T12:00:00Z","local":"2024-02-29T12:00:00","tags":["a",null],
    "days":["2024-02-29"],"grid":[[1],[2,3]],"map":{"k":1},"person":{"name":"x"},"people":[{"name":"y"}]}"#;

fn creating(table: Table) -> Table {
    Table { create: true, ..table }
}

#[test]
fn a_table_is_created_with_a_column_for_each_type_that_a_query_can_give() {
    let mut through = Through::new("SELECT 1", creating(upsert("t", &["id"])), SCHEMA, QUERY, OnNul::Reject);
    assert_eq!(through.write(&[ROW]), (1, vec![]));
    let columns = "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN '!' ELSE \
                   '' END, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0";
    let found = through.ask(columns).unwrap();
    assert!(found.starts_with(COLUMNS), "{found}");
    assert_eq!(
        through
            .ask("SELECT contype::text || conname FROM pg_constraint WHERE conrelid = 't'::regclass")
            .as_deref(),
        Some("pt_pkey")
    );
    let row = "SELECT concat_ws('|', id, flag, tiny, small, int, float, double, price, text, bytes, day, at, local, tags, \
               days, grid, map, person, people, clock, span, month, _offset, _topic) FROM t";
    assert_eq!(
        through.ask(row).as_deref(),
        Some(
            "1|t|-128|-32768|7|0.5|0.1|1.500000000000000000|01:02:03|\\x00|2024-02-29|2024-02-29 12:00:00+00|\
             2024-02-29 12:00:00|{a,NULL}|{2024-02-29}|[[1], [2, 3]]|{\"k\": 1}|{\"name\": \"x\"}|[{\"name\": \"y\"}]|\
             01:02:03|00:00:00|1 mon|0|people"
        )
    );
    // A second session, and a second batch, find it as it is: the same record changes nothing.
    through.prepare().unwrap();
    assert_eq!(through.write(&[ROW]).0, 1);
    assert_eq!(through.ask("SELECT count(*) FROM t").as_deref(), Some("1"));
}

#[test]
fn what_a_created_table_will_look_like_is_told_before_and_nothing_is_made() {
    let table = creating(append("t"));
    let mut through = Through::new(
        "SELECT 1",
        table.clone(),
        SCHEMA,
        "SELECT id, tags FROM records",
        OnNul::Reject,
    );
    let schema = through.program.output(0);
    let statement = creation(&mut through.branch.session, &table, &schema).unwrap();
    assert_eq!(
        statement,
        "CREATE TABLE IF NOT EXISTS \"t\" (\"id\" bigint, \"tags\" text[])"
    );
    assert_eq!(through.ask("SELECT to_regclass('t') IS NULL").as_deref(), Some("true"));
}

#[test]
fn a_table_that_cannot_be_created_is_a_sentence_for_each_reason() {
    for (table, query, sentences) in [
        (
            upsert("nowhere.t", &["person"]),
            "SELECT person, NULL AS nothing FROM records",
            vec![
                "column \"nothing\": the query yields nothing but NULL, for which no type of PostgreSQL is known; CAST it",
                "the key column \"person\": STRUCT<…> cannot be a key",
                "the schema \"nowhere\" does not exist; CREATE SCHEMA \"nowhere\" in a migration",
            ],
        ),
        (
            upsert("t", &["id"]),
            "SELECT text FROM records",
            vec!["the key column \"id\" is not among the query's columns"],
        ),
    ] {
        let mut through = Through::new("SELECT 1", creating(table), SCHEMA, query, OnNul::Reject);
        let said = through.prepare().unwrap_err().to_string();
        for sentence in sentences {
            assert!(said.contains(sentence), "{said}");
        }
    }
}
