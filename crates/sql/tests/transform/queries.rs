use aqueduct_sql::arrow::datatypes::{DataType, Field, TimeUnit};

use crate::support::*;

const SCHEMA: &str = "id BIGINT NOT NULL, name STRING, tags ARRAY<STRING>, items ARRAY<STRUCT<sku: STRING, price: DECIMAL(10,2)>>, \
    attrs MAP<STRING, STRING>, login STRUCT<uuid: STRING, depth STRUCT<x: INT, y: INT>>, at TIMESTAMP";

#[tokio::test]
async fn a_star_is_the_declared_columns() {
    let program = compile(
        SCHEMA,
        &[
            "SELECT * FROM records",
            "SELECT r.*, _offset FROM records AS r",
            "SELECT * EXCLUDE (id, _key) FROM records",
        ],
    );
    let names = |table: usize| {
        program
            .output(table)
            .fields()
            .iter()
            .map(|f| f.name().clone())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(names(0), "id name tags items attrs login at");
    assert_eq!(names(1), "id name tags items attrs login at _offset");
    assert_eq!(names(2), "name tags items attrs login at");
    assert_eq!(program.schema().fields().len(), 7);
}

#[tokio::test]
async fn queries_in_from_and_with_are_row_local_too() {
    let value = r#"{"id":7,"items":[{"sku":"a","price":1.10},{"sku":"b","price":2}],"name":"x"}"#;
    let derived = "SELECT t.id, t.item.sku AS sku, t.item.price AS price FROM (SELECT id, unnest(items) AS item FROM records) AS t \
        WHERE t.item.price > 1.5";
    assert_eq!(row(SCHEMA, derived, value).await, "7|b|2.00");
    let with = "WITH lines AS (SELECT id, unnest(items) AS item FROM records), priced AS (SELECT id, item.price AS price FROM lines) \
        SELECT * FROM priced";
    assert_eq!(row(SCHEMA, with, value).await, "7|1.10\n7|2.00");
    let star = "SELECT * FROM (SELECT *, _partition FROM records) AS t";
    assert_eq!(row("id INT", star, r#"{"id":7}"#).await, "7|3");
}

#[tokio::test]
async fn fields_lists_and_maps_can_be_reached() {
    let value = r#"{"id":7,"tags":["a","b"],"attrs":{"k":"v"},"login":{"uuid":"u","depth":{"x":1,"y":2}}}"#;
    let query = "SELECT login.uuid AS u, login.depth.y AS y, login['depth']['x'] AS x, tags[1] AS t, attrs['k'] AS k, \
        array_length(tags) AS n FROM records";
    assert_eq!(row(SCHEMA, query, value).await, "u|2|1|a|v|2");
    assert_eq!(
        row(SCHEMA, "SELECT login FROM records", value).await,
        "{uuid: u, depth: {x: 1, y: 2}}"
    );
    assert_eq!(
        row(
            SCHEMA,
            "SELECT login.depth AS d, login.depth.x AS x FROM records",
            value
        )
        .await,
        "{x: 1, y: 2}|1"
    );
}

#[tokio::test]
async fn only_what_the_queries_use_is_decoded() {
    let program = compile(
        SCHEMA,
        &[
            "SELECT name FROM records WHERE login.uuid <> 'x'",
            "SELECT _topic FROM records",
        ],
    );
    let used: Vec<_> = ["id", "name", "tags", "login", "at", "_topic", "_raw"]
        .into_iter()
        .filter(|name| program.uses_column(name))
        .collect();
    assert_eq!(used, ["id", "name", "login", "_topic"]);
    // Of login only the uuid: the broken depth beside it does not matter.
    let value = r#"{"id":7,"name":"n","login":{"uuid":"u","depth":{"x":"no number"}}}"#;
    assert_eq!(
        row(SCHEMA, "SELECT name FROM records WHERE login.uuid <> 'x'", value).await,
        "n"
    );
}

#[tokio::test]
async fn rows_are_handed_over_in_plain_types() {
    let query = "SELECT id, upper(name) AS n, substr(name, 2) AS s, at, CAST(at AS DATE) AS d, date_trunc('day', at) AS t, \
        CAST('2024-01-01T00:00:00Z' AS TIMESTAMP) AS ts, now() AS now, CAST('10:00:00' AS TIME) AS tm, arrow_cast(name, 'Utf8View') AS v, \
        arrow_cast(name, 'Dictionary(Int32, Utf8)') AS dict, tags, 1.5 AS dec, NULL AS nil, INTERVAL '1' DAY AS i FROM records";
    let program = compile(SCHEMA, &[query]);
    let micros = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
    let output = program.output(0);
    let types: Vec<_> = output
        .fields()
        .iter()
        .map(|field| (field.name().as_str(), field.data_type().clone()))
        .collect();
    let expected = [
        ("id", DataType::Int64),
        ("n", DataType::Utf8),
        ("s", DataType::Utf8),
        ("at", micros(Some("UTC"))),
        ("d", DataType::Date32),
        ("t", micros(Some("UTC"))),
        ("ts", micros(None)),
        ("now", micros(Some("UTC"))),
        ("tm", DataType::Time64(TimeUnit::Microsecond)),
        ("v", DataType::Utf8),
        ("dict", DataType::Utf8),
        ("tags", DataType::List(Field::new("item", DataType::Utf8, true).into())),
        ("dec", DataType::Decimal128(2, 1)),
        ("nil", DataType::Null),
    ];
    assert_eq!(types[..expected.len()], expected);
    assert!(!output.field(0).is_nullable());
    let transformed = run(
        &mut program.engine().unwrap(),
        &[r#"{"id":1,"name":"abc","at":"2024-02-03T04:05:06Z"}"#],
    )
    .await;
    let batch = &transformed.tables[0];
    assert_eq!(batch.schema().fields()[..batch.num_columns() - 2], output.fields()[..]);
    assert!(
        rows(batch)[0]
            .starts_with("1|ABC|bc|2024-02-03T04:05:06Z|2024-02-03|2024-02-03T00:00:00Z|2024-01-01T00:00:00|")
    );
}

#[tokio::test]
async fn the_time_of_day_is_that_of_the_batch() {
    let mut engine = engine("id INT", "SELECT now() AS t FROM records");
    let first = rows(&run(&mut engine, &["{}"]).await.tables[0])[0].clone();
    let start = tokio::time::Instant::now();
    loop {
        let next = rows(&run(&mut engine, &["{}"]).await.tables[0])[0].clone();
        if next != first {
            assert!(next > first);
            break;
        }
        assert!(start.elapsed().as_secs() < 10, "the time stands still");
    }
}

#[tokio::test]
async fn a_function_may_be_volatile() {
    let mut engine = engine("id INT", "SELECT uuid() AS u FROM records");
    let transformed = run(&mut engine, &["{}", "{}"]).await;
    let ids = rows(&transformed.tables[0]);
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn engines_may_be_sent_to_another_thread() {
    fn sendable<T: Send>(value: T) -> T {
        value
    }
    let mut engine = sendable(engine("id INT", "SELECT id FROM records"));
    let rows = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { rows(&run(&mut engine, &[r#"{"id":7}"#]).await.tables[0]) })
    });
    assert_eq!(rows.join().unwrap(), ["7"]);
}

#[tokio::test]
async fn the_difference_of_two_moments_is_an_interval() {
    let program = compile("a TIMESTAMP, b TIMESTAMP", &["SELECT a - b AS d FROM records"]);
    let d = program.output(0).field(0).data_type().clone();
    assert_eq!(d, DataType::Duration(TimeUnit::Microsecond));
}
