use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BooleanArray, Decimal128Array, DictionaryArray, Float64Array, Int32Array, Int64Array, StringArray,
        StringViewArray, TimestampMicrosecondArray, TimestampSecondArray, UInt32Array, UInt64Array,
    },
    datatypes::{Field as ArrowField, Int32Type, TimeUnit},
};

use super::*;

fn column(name: &str, type_name: &str, type_oid: u32) -> Column {
    Column {
        name: name.into(),
        type_name: type_name.into(),
        type_oid,
        type_mod: -1,
        not_null: false,
        element: None,
    }
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<_> = columns
        .iter()
        .map(|(name, array)| ArrowField::new(*name, array.data_type().clone(), true))
        .collect();
    RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        columns.into_iter().map(|(_, array)| array).collect(),
    )
    .unwrap()
}

fn encode(columns: &[Column], batch: &RecordBatch) -> (Tuples, Vec<RowFailure>) {
    let encoder = Encoder::new(columns, batch.schema_ref()).unwrap();
    let (mut tuples, mut failures) = (Tuples::default(), Vec::new());
    encoder
        .encode(batch, 0..batch.num_rows(), &mut tuples, &mut failures)
        .unwrap();
    (tuples, failures)
}

#[test]
fn a_row_is_its_field_count_and_its_sized_fields() {
    let batch = batch(vec![
        ("a", Arc::new(Int64Array::from(vec![Some(258), None]))),
        ("b", Arc::new(StringArray::from(vec!["hé", ""]))),
        ("c", Arc::new(BooleanArray::from(vec![true, false]))),
        (LINEAGE[0], Arc::new(UInt32Array::from(vec![0, 1]))),
    ]);
    let columns = [
        column("c", "boolean", oid::BOOL),
        column("a", "bigint", oid::INT8),
        column("b", "text", oid::TEXT),
    ];
    let (tuples, failures) = encode(&columns, &batch);
    assert!(failures.is_empty());
    assert_eq!(
        tuples.tuple(0),
        [
            &[0, 3, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 3][..],
            "hé".as_bytes(),
            &[0, 0, 0, 1, 1]
        ]
        .concat()
    );
    assert_eq!(tuples.tuple(1), [0, 3, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
}

#[test]
fn a_value_out_of_range_fails_its_row_and_no_other() {
    let batch = batch(vec![("n", Arc::new(Int64Array::from(vec![1, 1 << 40, -1])))]);
    let (tuples, failures) = encode(&[column("n", "integer", oid::INT4)], &batch);
    assert_eq!(tuples.tuple(0), [0, 1, 0, 0, 0, 4, 0, 0, 0, 1]);
    assert!(tuples.tuple(1).is_empty());
    assert_eq!(tuples.tuple(2), [0, 1, 0, 0, 0, 4, 255, 255, 255, 255]);
    assert_eq!(failures.len(), 1);
    assert_eq!((failures[0].row, failures[0].sqlstate), (1, "22003"));
    assert_eq!(failures[0].reason, "column \"n\": value is out of range for integer");
}

#[test]
fn each_kind_of_bad_value_has_its_sqlstate() {
    let state = |type_name: &str, type_oid, array: ArrayRef| {
        let (_, failures) = encode(&[column("x", type_name, type_oid)], &batch(vec![("x", array)]));
        failures.first().map(|failure| failure.sqlstate)
    };
    let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
    assert_eq!(state("uuid", oid::UUID, text("nonsense")), Some("22P02"));
    assert_eq!(state("jsonb", oid::JSONB, text("{\"a\":")), Some("22P02"));
    assert_eq!(state("json", oid::JSON, text("[1, 2]")), None);
    assert_eq!(
        state("bigint", oid::INT8, Arc::new(UInt64Array::from(vec![u64::MAX]))),
        Some("22003")
    );
    assert_eq!(
        state("numeric", oid::NUMERIC, Arc::new(UInt64Array::from(vec![u64::MAX]))),
        None
    );
    assert_eq!(
        state("real", oid::FLOAT4, Arc::new(Float64Array::from(vec![1e300]))),
        Some("22003")
    );
    assert_eq!(
        state("real", oid::FLOAT4, Arc::new(Float64Array::from(vec![f64::INFINITY]))),
        None
    );
    assert_eq!(state("name", oid::NAME, text(&"n".repeat(63))), None);
    assert_eq!(state("name", oid::NAME, text(&"n".repeat(64))), Some("22001"));
    let micros = |value| -> ArrayRef { Arc::new(TimestampMicrosecondArray::from(vec![value])) };
    assert_eq!(state("timestamp", oid::TIMESTAMP, micros(i64::MAX)), None);
    let seconds: ArrayRef = Arc::new(TimestampSecondArray::from(vec![9_224_318_016_000]));
    assert_eq!(state("timestamp", oid::TIMESTAMP, seconds), Some("22008"));
    assert_eq!(state("timestamp", oid::TIMESTAMP, micros(i64::MIN)), Some("22008"));
    assert_eq!(state("timestamp", oid::TIMESTAMP, micros(0)), None);
}

#[test]
fn null_is_refused_early_where_nothing_can_fill_it_in() {
    let batch = batch(vec![("n", Arc::new(Int32Array::from(vec![None, Some(1)])))]);
    let strict = Column {
        not_null: true,
        ..column("n", "integer", oid::INT4)
    };
    let (_, failures) = encode(&[strict], &batch);
    assert_eq!(failures.len(), 1);
    assert_eq!((failures[0].row, failures[0].sqlstate), (0, "23502"));
}

#[test]
fn every_column_that_does_not_fit_gets_a_sentence() {
    let schema = Schema::new(vec![
        ArrowField::new("age", DataType::Utf8, true),
        ArrowField::new("nobody", DataType::Utf8, true),
        ArrowField::new("ip", DataType::Utf8, true),
        ArrowField::new("name", DataType::Utf8View, true),
    ]);
    let columns = [
        column("age", "integer", oid::INT4),
        column("ip", "point", 600),
        column("name", "varchar(9)", oid::VARCHAR),
    ];
    assert_eq!(
        Encoder::new(&columns, &schema).unwrap_err(),
        [
            "column \"age\": the query yields STRING, the table takes integer; write CAST(… AS INT) AS \"age\" in the query",
            "column \"nobody\": the query yields it, the table does not have it; add it to the table or leave it out of \
             the query",
            "column \"ip\" is of type point, which cannot be written; make it text, or leave it out of the query",
        ]
    );
}

#[test]
fn a_batch_of_another_shape_is_an_error_and_no_panic() {
    let columns = [column("a", "bigint", oid::INT8)];
    let encoder = Encoder::new(
        &columns,
        batch(vec![("a", Arc::new(Int64Array::from(vec![1])))]).schema_ref(),
    )
    .unwrap();
    for other in [
        batch(vec![("a", Arc::new(Int32Array::from(vec![1])))]),
        batch(vec![("b", Arc::new(Int64Array::from(vec![1])))]),
        RecordBatch::new_empty(Arc::new(Schema::empty())),
    ] {
        let result = encoder.encode(&other, 0..other.num_rows(), &mut Tuples::default(), &mut Vec::new());
        assert!(matches!(result, Err(EncodeError::Schema { .. })));
    }
}

#[test]
fn views_and_dictionaries_read_like_plain_text() {
    let plain: ArrayRef = Arc::new(StringArray::from(vec!["a longer text than a view holds", "b"]));
    let view: ArrayRef = Arc::new(StringViewArray::from(vec!["a longer text than a view holds", "b"]));
    let dictionary: DictionaryArray<Int32Type> = vec!["a longer text than a view holds", "b"].into_iter().collect();
    let columns = [column("t", "text", oid::TEXT)];
    let (expected, _) = encode(&columns, &batch(vec![("t", plain)]));
    for array in [view, Arc::new(dictionary)] {
        let (tuples, _) = encode(&columns, &batch(vec![("t", array)]));
        assert_eq!(
            (tuples.tuple(0), tuples.tuple(1)),
            (expected.tuple(0), expected.tuple(1))
        );
    }
}

#[test]
fn nested_values_become_json() {
    let (tuples, failures) = {
        let inner: ArrayRef = Arc::new(
            Decimal128Array::from(vec![Some(12_345), None])
                .with_precision_and_scale(10, 2)
                .unwrap(),
        );
        let fields = vec![Arc::new(ArrowField::new("a", inner.data_type().clone(), true))];
        let array = arrow::array::StructArray::new(fields.into(), vec![inner], None);
        encode(
            &[column("j", "jsonb", oid::JSONB)],
            &batch(vec![("j", Arc::new(array))]),
        )
    };
    assert!(failures.is_empty());
    assert_eq!(&tuples.tuple(0)[6..], b"\x01{\"a\":123.45}");
    assert_eq!(&tuples.tuple(1)[6..], b"\x01{\"a\":null}");
}

#[test]
fn keys_are_equal_exactly_when_the_values_are() {
    let ids = [
        "A0EEBC999C0B4EF8BB6D6BB9BD380A11",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    ];
    let at = TimestampMicrosecondArray::from(vec![-1, -1, 5]).with_timezone("UTC");
    assert_eq!(
        at.data_type(),
        &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
    );
    let batch = batch(vec![
        ("id", Arc::new(StringArray::from(ids.to_vec()))),
        ("at", Arc::new(at)),
    ]);
    let columns = [
        column("id", "uuid", oid::UUID),
        column("at", "timestamptz", oid::TIMESTAMPTZ),
    ];
    let encoder = Encoder::new(&columns, batch.schema_ref()).unwrap();
    assert!(encoder.key_is_exact(0) && encoder.key_is_exact(1));
    let keys = encoder.sort_keys(&batch, &[0, 1], 0..3).unwrap();
    assert_eq!(keys.key(0), keys.key(1));
    assert!(keys.key(1) < keys.key(2));
    let keys = encoder.sort_keys(&batch, &[1], 0..3).unwrap();
    assert!(keys.key(0) < keys.key(2));
}
