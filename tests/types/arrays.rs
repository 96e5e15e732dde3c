use std::sync::Arc;

use aqueduct::sql::arrow::{
    array::{Array, ArrayRef, AsArray, Int32Array, Int64Builder, ListArray, ListBuilder, StringBuilder},
    buffer::OffsetBuffer,
    compute::cast,
    datatypes::{DataType, Field, TimeUnit},
};

use crate::{
    load::{Branch, append, rows, settled},
    values::{all, states, written},
};

/// One list of these texts.
pub fn list_of(texts: &[Option<&str>]) -> ArrayRef {
    lists([Some(texts)])
}

fn lists<'a>(lists: impl IntoIterator<Item = Option<&'a [Option<&'a str>]>>) -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new());
    for list in lists {
        match list {
            Some(texts) => builder.append_value(texts.iter().copied()),
            None => builder.append_null(),
        }
    }
    Arc::new(builder.finish())
}

fn arrived(ddl: &str, type_name: &str, array: ArrayRef) -> Vec<Option<String>> {
    let (texts, dead) = written(ddl, type_name, array);
    assert_eq!(dead, Vec::<String>::new(), "{type_name}");
    texts
}

#[test]
fn lists_arrive_as_arrays_with_their_nulls_and_empty_ones() {
    let array = || {
        lists([
            Some(&[Some("a\"b"), None, Some("")][..]),
            Some(&[]),
            None,
            Some(&[None]),
        ])
    };
    for type_name in ["text[]", "varchar[]", "varchar(3)[]", "text[][]"] {
        assert_eq!(
            arrived("SELECT 1", type_name, array()),
            [
                Some("{\"a\\\"b\",NULL,\"\"}".into()),
                Some("{}".into()),
                None,
                Some("{NULL}".into())
            ],
            "{type_name}"
        );
    }
}

#[test]
fn the_first_element_has_the_number_one() {
    let batch = rows(vec![("x", list_of(&[Some("a"), Some("b")]))]);
    let mut branch = Branch::new("CREATE TABLE t (x text[])", &[(append("t"), batch.schema())]);
    settled(branch.write(1, vec![batch]));
    let bounds = "SELECT concat_ws(' ', array_lower(x, 1), array_upper(x, 1), array_ndims(x), x[1]) FROM t";
    assert_eq!(branch.ask(bounds).as_deref(), Some("1 2 1 a"));
}

#[test]
fn each_type_of_element_is_written_as_the_type_itself() {
    let ddl = "CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE DOMAIN short AS varchar(5) CHECK (VALUE <> 'bad')";
    for (type_name, values, expected) in [
        (
            "uuid[]",
            ["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"; 2],
            "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
        ),
        ("mood[]", ["happy", "sad"], "{happy,sad}"),
        ("short[]", ["one", "two"], "{one,two}"),
        ("inet[]", ["1.2.3.4", "::1"], "{1.2.3.4,::1}"),
        ("cidr[]", ["10.0.0.0/8", "::/0"], "{10.0.0.0/8,::/0}"),
        ("interval[]", ["P1M", "-PT1S"], "{\"1 mon\",-00:00:01}"),
        ("time[]", ["12:00", "13:00:00.5"], "{12:00:00,13:00:00.5}"),
        ("timetz[]", ["12:00Z", "13:00+01"], "{12:00:00+00,13:00:00+01}"),
        ("name[]", ["a", "b"], "{a,b}"),
        ("char(2)[]", ["a", "b"], "{\"a \",\"b \"}"),
        ("jsonb[]", ["{\"a\": 1}", "null"], "{\"{\\\"a\\\": 1}\",\"null\"}"),
        ("json[]", ["1", "[2]"], "{1,[2]}"),
    ] {
        let array = list_of(&values.map(Some));
        assert_eq!(arrived(ddl, type_name, array), all(&[expected]), "{type_name}");
    }
    let numbers = |data_type: DataType| -> ArrayRef {
        let mut builder = ListBuilder::new(Int64Builder::new());
        builder.append_value([Some(1), None, Some(-2)]);
        let list = builder.finish();
        cast(&list, &DataType::List(Arc::new(Field::new_list_field(data_type, true)))).unwrap()
    };
    for (type_name, data_type, expected) in [
        ("smallint[]", DataType::Int64, "{1,NULL,-2}"),
        ("integer[]", DataType::Int32, "{1,NULL,-2}"),
        ("bigint[]", DataType::Int64, "{1,NULL,-2}"),
        ("numeric[]", DataType::Decimal128(10, 2), "{1.00,NULL,-2.00}"),
        ("numeric(4,1)[]", DataType::Decimal128(10, 2), "{1.0,NULL,-2.0}"),
        ("real[]", DataType::Float32, "{1,NULL,-2}"),
        ("double precision[]", DataType::Float64, "{1,NULL,-2}"),
        ("date[]", DataType::Date32, "{1970-01-02,NULL,1969-12-30}"),
        (
            "timestamptz[]",
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            "{\"1970-01-01 00:00:00.000001+00\",NULL,\"1969-12-31 23:59:59.999998+00\"}",
        ),
        ("boolean[]", DataType::Boolean, "{t,NULL,t}"),
        ("jsonb[]", DataType::Int64, "{1,NULL,-2}"),
    ] {
        assert_eq!(
            arrived(ddl, type_name, numbers(data_type)),
            all(&[expected]),
            "{type_name}"
        );
    }
    let bytes = cast(
        &list_of(&[Some("\u{1}"), Some("")]),
        &DataType::List(Arc::new(Field::new_list_field(DataType::Binary, true))),
    );
    assert_eq!(
        arrived(ddl, "bytea[]", bytes.unwrap()),
        all(&["{\"\\\\x01\",\"\\\\x\"}"])
    );
}

/// `rows[i]` are lists of lists of these lengths, filled with 1, 2, 3 …
fn nested(rows: &[&[i32]]) -> ArrayRef {
    let lengths: Vec<usize> = rows.concat().into_iter().map(|length| length as usize).collect();
    let total: usize = lengths.iter().sum();
    let item = Arc::new(Field::new_list_field(DataType::Int32, true));
    let inner = ListArray::new(
        item,
        OffsetBuffer::from_lengths(lengths),
        Arc::new(Int32Array::from_iter_values(1..=total as i32)),
        None,
    );
    let item = Arc::new(Field::new_list_field(inner.data_type().clone(), true));
    Arc::new(ListArray::new(
        item,
        OffsetBuffer::from_lengths(rows.iter().map(|row| row.len())),
        Arc::new(inner),
        None,
    ))
}

#[test]
fn lists_of_lists_arrive_as_dimensions_and_ragged_ones_are_rejected() {
    let (texts, dead) = written(
        "SELECT 1",
        "integer[]",
        nested(&[&[2, 2], &[1, 2], &[3], &[], &[0, 0], &[1, 1]]),
    );
    assert_eq!(texts, all(&["{{1,2},{3,4}}", "{{8,9,10}}", "{}", "{}", "{{11},{12}}"]));
    assert_eq!(states(&dead), ["2202E"]);
    let (texts, dead) = written("SELECT 1", "jsonb", nested(&[&[1, 2], &[]]));
    assert_eq!(
        (texts, dead.len()),
        (all(&["[[1], [2, 3]]", "[]"]), 0),
        "jsonb takes ragged ones"
    );
    let (texts, dead) = written("SELECT 1", "jsonb[]", nested(&[&[1, 2]]));
    assert_eq!(
        (texts, dead.len()),
        (all(&["{[1],\"[2, 3]\"}"]), 0),
        "one dimension of jsonb"
    );

    // The same rows as a slice of a larger array.
    let sliced = nested(&[&[9], &[2, 2]]).slice(1, 1);
    assert_eq!(sliced.as_list::<i32>().len(), 1);
    let (texts, _) = written("SELECT 1", "integer[]", sliced);
    assert_eq!(texts, all(&["{{10,11},{12,13}}"]));
}

#[test]
fn an_element_that_does_not_fit_rejects_its_record_alone() {
    let ddl = "CREATE TYPE mood AS ENUM ('sad'); CREATE DOMAIN short AS text CHECK (VALUE <> 'bad')";
    let array = |bad: &str| lists([Some(&[][..]), Some(&[None, Some(bad)]), None]);
    for (type_name, bad, sqlstate) in [
        ("mood[]", "angry", "22P02"),
        ("short[]", "bad", "23514"),
        ("varchar(2)[]", "abc", "22001"),
        ("uuid[]", "x", "22P02"),
        ("cidr[]", "10.0.0.1/8", "22P02"),
        ("jsonb[]", "{", "22P02"),
    ] {
        let (texts, dead) = written(ddl, type_name, array(bad));
        assert_eq!(texts, [Some("{}".into()), None], "{type_name}");
        assert_eq!(states(&dead), [sqlstate], "{type_name}: {dead:?}");
    }
    let mut builder = ListBuilder::new(Int64Builder::new());
    builder.append_value([Some(1), Some(1 << 40)]);
    let (_, dead) = written(ddl, "integer[]", Arc::new(builder.finish()));
    assert_eq!(dead, ["22003 column \"x\": value is out of range for integer"]);
}

#[test]
fn a_domain_over_an_array_is_an_array() {
    let ddl = "CREATE DOMAIN tags AS text[] CHECK (cardinality(VALUE) < 3)";
    let (texts, dead) = written(ddl, "tags", lists([Some(&[Some("a")][..]), Some(&[None, None, None])]));
    assert_eq!(texts, all(&["{a}"]));
    assert_eq!(states(&dead), ["23514"]);
}
