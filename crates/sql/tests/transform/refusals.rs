use crate::support::*;

const SCHEMA: &str = "id BIGINT, userId STRING, gender STRING, tags ARRAY<STRING>, login STRUCT<uuid: STRING>";

#[test]
fn what_is_not_row_local_is_refused_each_with_its_sentence() {
    for (query, what) in [
        ("SELECT DISTINCT gender FROM records", "DISTINCT"),
        ("SELECT gender FROM records ORDER BY gender", "ORDER BY"),
        ("SELECT gender FROM records LIMIT 10", "LIMIT"),
        ("SELECT gender FROM records OFFSET 10", "LIMIT"),
        ("SELECT gender FROM records FETCH FIRST 5 ROWS ONLY", "LIMIT"),
        ("SELECT gender FROM records GROUP BY gender", "GROUP BY"),
        ("SELECT count(*) AS n FROM records", "an aggregate"),
        ("SELECT gender, max(id) AS n FROM records", "an aggregate"),
        ("SELECT 1 + sum(id) AS n FROM records", "an aggregate"),
        (
            "SELECT row_number() OVER (ORDER BY id) AS n FROM records",
            "a window function",
        ),
        ("SELECT sum(id) OVER () AS n FROM records", "a window function"),
        ("SELECT a.id FROM records a JOIN records b ON a.id = b.id", "a join"),
        ("SELECT a.id FROM records a, records b", "a join"),
        ("SELECT a.id FROM records a CROSS JOIN records b", "a join"),
        (
            "SELECT id FROM records UNION ALL SELECT id FROM records",
            "a set operation",
        ),
        (
            "SELECT id FROM records EXCEPT SELECT id FROM records",
            "a set operation",
        ),
        (
            "SELECT id FROM records WHERE id IN (SELECT id FROM records)",
            "a sub-query",
        ),
        (
            "SELECT id FROM records WHERE EXISTS (SELECT 1 FROM records)",
            "a sub-query",
        ),
        ("SELECT (SELECT 1) AS id FROM records", "a sub-query"),
        ("SELECT id FROM (SELECT DISTINCT id FROM records) t", "DISTINCT"),
        ("WITH t AS (SELECT id FROM records LIMIT 1) SELECT id FROM t", "LIMIT"),
        (
            "WITH RECURSIVE t AS (SELECT 1 AS id) SELECT id FROM t",
            "a recursive query",
        ),
        ("SELECT id FROM records TABLESAMPLE (10 PERCENT)", "a sample"),
    ] {
        let message = problem(SCHEMA, query);
        let expected = format!("the query contains {what}: its answer would depend on where a batch ends");
        assert!(message.starts_with(&expected), "{query}: {message}");
    }
}

#[test]
fn what_is_no_query_over_records_is_refused() {
    for (query, says) in [
        ("", "there is no query"),
        ("-- nothing", "there is no query"),
        ("SELECT 1 AS x", "does not read the records"),
        ("VALUES (1)", "does not read the records"),
        (
            "SELECT id FROM record",
            "there is no table record here; a query reads FROM records; did you mean records?",
        ),
        (
            "SELECT id FROM users",
            "there is no table users here; a query reads FROM records",
        ),
        ("SELECT id FROM public.records", "there is no table public.records here"),
        (
            "SELECT id FROM records; SELECT id FROM records",
            "there are several statements",
        ),
        ("DELETE FROM records", "this is no query"),
        ("INSERT INTO records VALUES (1)", "this is no query"),
        ("CREATE TABLE t AS SELECT id FROM records", "this is no query"),
        ("COPY records TO 'x'", "this is no query"),
        ("EXPLAIN SELECT id FROM records", "this is no query"),
        (
            "SELECT id FROM unnest(make_array(1,2)) AS t(id)",
            "a table function in FROM",
        ),
        ("SELECT id FROM generate_series(1, 3)", "a table function in FROM"),
        (
            "WITH records AS (SELECT 1 AS id) SELECT id FROM records",
            "WITH must not redefine records",
        ),
        ("SELECT id INTO t FROM records", "INTO is not for queries here"),
    ] {
        let found = problems(SCHEMA, &[query]);
        assert!(
            found.iter().any(|problem| problem.message.contains(says)),
            "{query}: {found:?}"
        );
    }
}

#[test]
fn an_unknown_column_is_named_with_its_place_and_a_suggestion() {
    let found = problems(SCHEMA, &["SELECT id,\n  gendr FROM records"]);
    assert_eq!(found[0].message, "records has no column gendr; did you mean gender?");
    assert_eq!(found[0].place, Some((2, 3)));
    assert_eq!(found[0].table.as_deref(), Some("t0"));
    let message = problem(SCHEMA, "SELECT userId FROM records");
    assert_eq!(
        message,
        "records has no column userid; names without quotes are folded to lower case: write \"userId\""
    );
    assert!(problem(SCHEMA, "SELECT xyzzy FROM records").contains("it has id, userId, gender"));
    assert!(problem(SCHEMA, "SELECT login.uid AS u FROM records").contains("uid"));
    assert!(
        problem(SCHEMA, "SELECT frobnicate(id) AS u FROM records")
            .to_lowercase()
            .contains("frobnicate")
    );
}

#[test]
fn broken_sql_is_told_with_its_place() {
    let found = problems(SCHEMA, &["SELECT id\nFROM records WHERE"]);
    assert!(found[0].message.starts_with("the query is no SQL: "), "{found:?}");
    assert_eq!(found[0].place.map(|(line, _)| line), Some(2));
    let deep = format!("SELECT {}1{} AS x FROM records", "(".repeat(10_000), ")".repeat(10_000));
    assert_eq!(problems(SCHEMA, &[&deep]).len(), 1);
}

#[test]
fn hidden_columns_cannot_be_named() {
    assert!(problem(SCHEMA, "SELECT _aqueduct_record AS x FROM records").contains("no column _aqueduct_record"));
    assert!(problem(SCHEMA, "SELECT id AS _aqueduct_record FROM records").contains("the daemon's own"));
}

#[test]
fn every_column_needs_a_name_and_only_once() {
    assert!(problem(SCHEMA, "SELECT id AS x, gender AS x FROM records").contains('x'));
    let message = problem(SCHEMA, "SELECT id, login.uuid FROM records");
    assert!(
        message.starts_with("column 2 has no name: write ") && message.ends_with(" AS uuid"),
        "{message}"
    );
    assert!(problem(SCHEMA, "SELECT upper(gender) FROM records").contains("column 1 has no name"));
    assert!(problem(SCHEMA, "SELECT unnest(tags) FROM records").contains("column 1 has no name"));
}

#[test]
fn all_problems_of_all_tables_are_told_at_once_in_the_config_s_order() {
    let queries = [
        "SELECT idd FROM records",
        "SELECT id FROM records",
        "SELECT DISTINCT id, count(*) FROM records LIMIT 1",
        "SELEC",
    ];
    let found = problems(SCHEMA, &queries);
    let tables: Vec<_> = found
        .iter()
        .map(|problem| problem.table.as_deref().unwrap_or(""))
        .collect();
    assert_eq!(tables, ["t0", "t2", "t2", "t2", "t3"]);
}

#[test]
fn a_broken_schema_is_told_without_a_table() {
    let found = problems("a STRNG, b", &["SELECT a FROM records"]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|problem| problem.table.is_none()));
    assert_eq!(found[0].place, Some((1, 3)));
}
