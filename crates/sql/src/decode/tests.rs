use super::*;
use arrow::{
    array::AsArray,
    datatypes::{DataType, Field, UInt32Type},
};

#[test]
fn should_arrow_json_fail_all_the_same_the_culprit_is_found_alone() {
    // A layout whose shape lets text pass where arrow-json wants an integer stands for a disagreement of the two.
    let lax = crate::ddl::parse("a STRING").unwrap();
    let strict = crate::ddl::parse("a BIGINT").unwrap();
    let mut layout = Layout::new(strict.fields(), &Usage::Whole);
    layout.shape = StructShape::new(lax.fields(), &Usage::Whole);
    let mut decoder = Decoder::new(Arc::new(layout)).unwrap();
    let value = |n: u32| {
        if n == 1030 {
            "{\"a\":\"x\"}".to_owned()
        } else {
            format!("{{\"a\":{n}}}")
        }
    };
    let values: Vec<_> = (0..3000).map(value).collect();
    let record = |value: &'static [u8]| InputRecord {
        key: None,
        value: Some(value),
        offset: 0,
        timestamp_ms: None,
        headers: &[],
    };
    let records: Vec<_> = values
        .iter()
        .map(|value| InputRecord {
            value: Some(value.as_bytes()),
            ..record(b"")
        })
        .collect();
    for _ in 0..2 {
        let mut failures = Vec::new();
        let batches = decoder
            .decode(
                Origin {
                    topic: "t",
                    partition: 0,
                },
                &records,
                &mut failures,
            )
            .unwrap();
        assert_eq!(
            failures.iter().map(|failure| failure.record).collect::<Vec<_>>(),
            [1030]
        );
        let index = |batch: &RecordBatch| {
            batch
                .column(batch.num_columns() - 1)
                .as_primitive::<UInt32Type>()
                .values()
                .to_vec()
        };
        let rows: Vec<_> = batches.iter().flat_map(index).collect();
        assert_eq!(rows, (0..1030).chain(1031..3000).collect::<Vec<_>>());
    }
}

#[test]
fn only_used_and_required_columns_are_laid_out() {
    let declared = crate::ddl::parse("a INT, b STRUCT<c: INT, d: INT NOT NULL>, e INT NOT NULL, f INT").unwrap();
    let mut usage = Usage::default();
    usage.add(&["b".to_owned(), "c".to_owned()]);
    usage.add(&["_offset".to_owned()]);
    let layout = Layout::new(declared.fields(), &usage);
    let names: Vec<_> = layout
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    assert_eq!(names, ["b", "e", "_offset", crate::LINEAGE[0]]);
    assert_eq!(layout.smallest_record(), br#"{"e":0}"#);
    assert_eq!(layout.schema().field(1), &Field::new("e", DataType::Int32, false));
}
