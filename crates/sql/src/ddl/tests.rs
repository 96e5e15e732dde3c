use super::*;
use arrow::datatypes::{DataType, Field, TimeUnit};

fn type_of(ddl: &str) -> DataType {
    let schema = parse(&format!("a {ddl}")).unwrap_or_else(|problems| panic!("{ddl}: {problems:?}"));
    schema.field(0).data_type().clone()
}

fn problems(ddl: &str) -> Vec<(Option<(u64, u64)>, String)> {
    parse(ddl)
        .unwrap_err()
        .into_iter()
        .map(|problem| (problem.place, problem.message))
        .collect()
}

#[test]
fn every_type_of_spark_is_understood() {
    for (ddl, expected) in [
        ("STRING", DataType::Utf8),
        ("varchar(10)", DataType::Utf8),
        ("CHAR(3)", DataType::Utf8),
        ("Boolean", DataType::Boolean),
        ("TINYINT", DataType::Int8),
        ("BYTE", DataType::Int8),
        ("SMALLINT", DataType::Int16),
        ("SHORT", DataType::Int16),
        ("INT", DataType::Int32),
        ("INTEGER", DataType::Int32),
        ("BIGINT", DataType::Int64),
        ("LONG", DataType::Int64),
        ("FLOAT", DataType::Float32),
        ("REAL", DataType::Float32),
        ("DOUBLE", DataType::Float64),
        ("DECIMAL", DataType::Decimal128(10, 0)),
        ("DEC(5)", DataType::Decimal128(5, 0)),
        ("NUMERIC(38,18)", DataType::Decimal128(38, 18)),
        ("DATE", DataType::Date32),
        (
            "TIMESTAMP",
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ),
        (
            "TIMESTAMP_LTZ",
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ),
        ("TIMESTAMP_NTZ", DataType::Timestamp(TimeUnit::Microsecond, None)),
        ("BINARY", DataType::Binary),
        (
            "ARRAY<INT>",
            DataType::List(Arc::new(Field::new("item", DataType::Int32, true))),
        ),
        (
            "MAP<STRING, ARRAY<BYTE>>",
            crate::decode::map_of(DataType::new_list(DataType::Int8, true)),
        ),
    ] {
        assert_eq!(type_of(ddl), expected, "{ddl}");
    }
}

#[test]
fn fields_may_have_colons_comments_and_not_null_at_every_level() {
    let schema = parse(
        "id BIGINT NOT NULL COMMENT 'the id',\n `first name`: STRING, -- a remark\n\
         login STRUCT<uuid: STRING NOT NULL COMMENT 'it''s unique', tags ARRAY<STRUCT<k STRING, v: MAP<STRING,INT>>>>",
    )
    .unwrap();
    assert!(!schema.field(0).is_nullable());
    assert_eq!(schema.field(1).name(), "first name");
    let DataType::Struct(login) = schema.field(2).data_type() else {
        panic!("{schema:?}")
    };
    assert!(!login[0].is_nullable());
    assert!(login[1].is_nullable());
}

#[test]
fn names_that_are_keywords_elsewhere_are_names() {
    let schema =
        parse("timestamp TIMESTAMP, date DATE, order INT, userId STRING, struct STRUCT<map: INT, array INT>").unwrap();
    let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["timestamp", "date", "order", "userId", "struct"]);
}

#[test]
fn an_unknown_type_is_named_with_its_place_and_a_suggestion() {
    assert_eq!(
        problems("a INT,\n  b STRNG,\n  c STRUCT<d: BIGNIT>, e TEXT"),
        [
            (
                Some((2, 5)),
                "STRNG is no type of Spark; did you mean STRING?".to_owned()
            ),
            (
                Some((3, 15)),
                "BIGNIT is no type of Spark; did you mean BIGINT?".to_owned()
            ),
            (
                Some((3, 26)),
                "TEXT is no type of Spark; did you mean STRING?".to_owned()
            ),
        ]
    );
    assert!(problems("a WOBBLY")[0].1.contains("the types are STRING, "));
}

#[test]
fn what_follows_the_schema_is_an_error_with_its_place() {
    assert_eq!(
        problems("a INT)"),
        [(Some((1, 6)), "`)` where a comma or the end is expected".to_owned())]
    );
    assert_eq!(problems("a INT>")[0].0, Some((1, 6)));
    assert_eq!(problems("a INT; b INT")[0].0, Some((1, 6)));
    assert_eq!(problems("a ARRAY<INT>>")[0].0, Some((1, 13)));
    assert!(
        problems("a INT,")[0]
            .1
            .starts_with("the end of the text where a field's name")
    );
}

#[test]
fn a_broken_schema_is_refused_with_a_remedy() {
    for (ddl, says) in [
        ("", "the schema is empty"),
        ("   ", "the schema is empty"),
        ("a", "a type is expected"),
        ("a ARRAY", "write ARRAY<STRING>"),
        ("a ARRAY<>", "a type is expected"),
        ("a STRUCT<>", "an empty STRUCT"),
        ("a MAP<INT, INT>", "must be STRING"),
        ("a MAP<STRING>", "the type of the map's values"),
        ("a DECIMAL(39, 0)", "1 to 38 digits"),
        ("a DECIMAL(5, 6)", "0 to 5 of them"),
        ("a DECIMAL(5, -1)", "0 to 5 of them"),
        ("a INT NOT", "NULL after NOT"),
        ("a INT COMMENT x", "the comment's text"),
        ("a INT, a STRING", "declared twice"),
        ("_offset BIGINT", "the daemon's own"),
        ("_aqueduct_record INT", "the daemon's own"),
        ("a INT UNSIGNED", "is not how Spark declares"),
        ("a `INT`", "a type is expected"),
        ("a 'x", "not closed"),
        ("1a INT", "a field's name"),
    ] {
        let found = problems(ddl);
        assert!(found[0].1.contains(says), "{ddl}: {found:?}");
    }
    let deep = format!("a {}INT{}", "ARRAY<".repeat(5000), ">".repeat(5000));
    assert!(problems(&deep)[0].1.contains("64 deep"));
}
