use crate::support::*;

#[tokio::test]
async fn rows_know_their_record_and_their_number_within_it() {
    let mut engine = engine(
        "id INT, tags ARRAY<STRING>",
        "SELECT id, unnest(tags) AS tag FROM records WHERE id > 0",
    );
    let values = [
        r#"{"id":1,"tags":["a","b"]}"#,
        r#"{"id":0,"tags":["filtered"]}"#,
        r#"{"id":2,"tags":[]}"#,
        r#"{"id":3}"#,
        r#"{"id":4,"tags":["c"]}"#,
        r#"{"id":"broken","tags":["d"]}"#,
        r#"{"id":5,"tags":["e",null,"f"]}"#,
    ];
    let transformed = run(&mut engine, &values).await;
    assert_eq!(rows(&transformed.tables[0]), ["1|a", "1|b", "4|c", "5|e", "5|~", "5|f"]);
    assert_eq!(
        lineage(&transformed.tables[0]),
        [(0, 0), (0, 1), (4, 0), (6, 0), (6, 1), (6, 2)]
    );
    assert_eq!(reasons(&transformed)[0].0, 5);
}

#[tokio::test]
async fn lineage_passes_through_nested_queries_and_aliases() {
    let query = "WITH a AS (SELECT id AS k, tags FROM records AS r WHERE r.id > 1), b AS (SELECT unnest(tags) AS tag, k FROM a AS x) \
        SELECT upper(y.tag) AS tag FROM b AS y WHERE y.k < 4";
    let mut engine = engine("id INT, tags ARRAY<STRING>", query);
    let values: Vec<_> = (0..6)
        .map(|id| format!("{{\"id\":{id},\"tags\":[\"a{id}\",\"b{id}\"]}}"))
        .collect();
    let transformed = run(&mut engine, &values).await;
    assert_eq!(rows(&transformed.tables[0]), ["A2", "B2", "A3", "B3"]);
    assert_eq!(lineage(&transformed.tables[0]), [(2, 0), (2, 1), (3, 0), (3, 1)]);
}

#[tokio::test]
async fn an_unnest_that_multiplies_a_large_batch_keeps_the_order() {
    let mut engine = engine("id INT, tags ARRAY<INT>", "SELECT id, unnest(tags) AS tag FROM records");
    let tags: Vec<_> = (0..40).map(|n| n.to_string()).collect();
    let values: Vec<_> = (0..2500)
        .map(|id| format!("{{\"id\":{id},\"tags\":[{}]}}", tags.join(",")))
        .collect();
    let transformed = run(&mut engine, &values).await;
    let expected: Vec<_> = (0..2500)
        .flat_map(|record| (0..40).map(move |ordinal| (record, ordinal)))
        .collect();
    assert_eq!(lineage(&transformed.tables[0]), expected);
}
