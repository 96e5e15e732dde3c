use super::*;
use arrow::datatypes::{DataType, Field};

fn layout(ddl: &str) -> Arc<Layout> {
    let schema = crate::ddl::parse(ddl).unwrap();
    Arc::new(Layout::new(schema.fields(), &Usage::Whole))
}

#[test]
fn should_arrow_json_fail_all_the_same_the_culprit_is_found_alone() {
    let mut decoder = Decoder::new(layout("a BIGINT")).unwrap();
    let values: Vec<Vec<u8>> = (0..10).map(|n| format!("{{\"a\":{n}}}").into_bytes()).collect();
    for value in &values {
        decoder.chunk.text.extend_from_slice(value);
        decoder.chunk.ends.push(decoder.chunk.text.len());
    }
    // Past the sieve, by force: the eighth record is not what its column wants.
    let at = decoder.chunk.ends[6] + 5;
    decoder.chunk.text[at] = b'{';
    decoder.chunk.rows = (0..10).collect();
    let record = |value: &'static [u8]| InputRecord {
        key: None,
        value: Some(value),
        offset: 0,
        timestamp_ms: None,
        headers: &[],
    };
    let records = vec![record(b"{}"); 10];
    let (mut batches, mut failures) = (Vec::new(), Vec::new());
    let origin = Origin {
        topic: "t",
        partition: 0,
    };
    decoder.flush(origin, &records, &mut batches, &mut failures).unwrap();
    assert_eq!(failures.iter().map(|failure| failure.record).collect::<Vec<_>>(), [7]);
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 9);
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
