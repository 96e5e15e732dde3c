use super::*;
use arrow::{
    array::{Array, AsArray},
    datatypes::{DataType, Field, Int32Type},
};

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

/// Both decoders' columns of the same records, without the record index.
fn both(ddl: &str, records: &[&str]) -> (RecordBatch, RecordBatch) {
    let declared = crate::ddl::parse(ddl).unwrap();
    let layout = Arc::new(Layout::new(declared.fields(), &Usage::Whole));
    let fields = layout.declared.fields().len();
    let input: Vec<_> = records
        .iter()
        .map(|record| InputRecord {
            key: None,
            value: Some(record.as_bytes()),
            offset: 0,
            timestamp_ms: None,
            headers: &[],
        })
        .collect();
    let origin = Origin {
        topic: "t",
        partition: 0,
    };
    let mut failures = Vec::new();
    let batches = Decoder::new(layout.clone())
        .decode(origin, &input, &mut failures)
        .unwrap();
    assert!(failures.is_empty(), "{failures:?}");
    let ours = arrow::compute::concat_batches(layout.schema(), &batches).unwrap();
    let places: Vec<usize> = (0..fields).collect();
    let mut theirs = arrow_json::ReaderBuilder::new(layout.declared.clone())
        .with_coerce_primitive(true)
        .build_decoder()
        .unwrap();
    theirs.decode(records.join("\n").as_bytes()).unwrap();
    (ours.project(&places).unwrap(), theirs.flush().unwrap().unwrap())
}

#[test]
fn columns_are_what_arrow_json_makes_of_the_same_records() {
    let ddl = "a BIGINT, b STRING, c STRUCT<d: INT, e: STRUCT<f: STRING, g: BOOLEAN>, h: ARRAY<DOUBLE>>, \
               i ARRAY<STRUCT<j: SMALLINT, k: ARRAY<STRING>>>, l MAP<STRING, ARRAY<INT>>, m DECIMAL(20, 4), n FLOAT, o TINYINT";
    let records = [
        r#"{"a":1,"b":"x","c":{"d":2,"e":{"f":"y","g":true},"h":[1.5,null,-2e3]},"l":{"p":[1,2],"q":null},"m":12.5,"n":0.1,"o":-128}"#,
        r#"{"b":"\u00e9\"\\\n","i":[{"j":1,"k":["a",null,""]},null,{"k":[]},{}],"c":null}"#,
        r#"{}"#,
        r#"{"c":{},"i":[],"l":{},"b":true,"a":null}"#,
        r#"{"c":{"e":null,"d":7,"h":null},"b":12.50,"unknown":{"a":[1,{"b":2}]},"m":-0.0001}"#,
        r#"{"c":{"e":{"g":false},"h":[]},"l":{"r":[null]},"i":[{"k":null}],"m":"9999999999999999.9999"}"#,
    ];
    let (ours, theirs) = both(ddl, &records);
    assert_eq!(ours.num_columns(), 8);
    for (ours, theirs) in ours.columns().iter().zip(theirs.columns()) {
        assert_eq!(&ours.to_data(), &theirs.to_data());
    }
}

#[test]
fn a_record_that_turns_bad_half_way_leaves_nothing_in_any_column() {
    let ddl = "a STRING, c STRUCT<d: INT, h: ARRAY<STRUCT<x: STRING>>>, l MAP<STRING, STRING>, z INT";
    let good = r#"{"a":"good","c":{"d":1,"h":[{"x":"1"}]},"l":{"k":"v"},"z":1}"#;
    let bad = [
        r#"{"a":"bad","c":{"d":1,"h":[{"x":"1"},{"x":"2"}]},"l":{"k":"v","k2":"v2"},"z":"no"}"#,
        r#"{"a":"bad","c":{"d":1,"h":[{"x":"1"},7]}}"#,
        r#"{"a":"bad","l":{"k":"v","k":"w"}}"#,
        r#"{"a":"bad","c":{"d":1.5}}"#,
        r#"{"a":"bad"} trailing"#,
        r#"{"a":"bad","c":{"h":[{"x":"1"#,
    ];
    let (expected, _) = both(ddl, &[good; 3]);
    let declared = crate::ddl::parse(ddl).unwrap();
    let layout = Arc::new(Layout::new(declared.fields(), &Usage::Whole));
    let mut decoder = Decoder::new(layout.clone());
    let records: Vec<&str> = bad
        .iter()
        .flat_map(|bad| [*bad, good])
        .take(6)
        .chain(bad[3..].iter().copied())
        .collect();
    let input: Vec<_> = records
        .iter()
        .map(|record| InputRecord {
            key: None,
            value: Some(record.as_bytes()),
            offset: 0,
            timestamp_ms: None,
            headers: &[],
        })
        .collect();
    let origin = Origin {
        topic: "t",
        partition: 0,
    };
    // Twice: the columns are used again.
    for _ in 0..2 {
        let mut failures = Vec::new();
        let batches = decoder.decode(origin, &input, &mut failures).unwrap();
        assert_eq!(
            failures.iter().map(|failure| failure.record).collect::<Vec<_>>(),
            [0, 2, 4, 6, 7, 8]
        );
        assert_eq!(batches.len(), 1);
        for (found, expected) in batches[0].columns().iter().zip(expected.columns()) {
            assert_eq!(&found.to_data(), &expected.to_data());
        }
    }
}

/// The one record's failure, if it has one.
fn failure_of(ddl: &str, usage: &Usage, record: &[u8]) -> Option<String> {
    let declared = crate::ddl::parse(ddl).unwrap();
    let layout = Arc::new(Layout::new(declared.fields(), usage));
    let input = [InputRecord {
        key: None,
        value: Some(record),
        offset: 0,
        timestamp_ms: None,
        headers: &[],
    }];
    let origin = Origin {
        topic: "t",
        partition: 0,
    };
    let mut failures = Vec::new();
    Decoder::new(layout).decode(origin, &input, &mut failures).unwrap();
    failures.pop().map(|failure| failure.reason)
}

#[test]
fn what_is_not_utf_8_is_found_wherever_it_stands_and_what_is_passes() {
    let mut usage = Usage::default();
    usage.add(&["used".to_owned()]);
    let breaks: [&[u8]; 5] = [b"\xff", b"\xc3", b"\xe6\x9d", b"\x80", b"\xed\xa0\x80"];
    for len in 0..24 {
        for (before, after) in [
            ("{\"used\":\"", "\"}"),
            ("{\"other\":{\"a\":[\"", "\"]},\"used\":\"\"}"),
            ("{\"", "\":1}"),
            ("{\"used\":\"\\n", "\\t\"}"),
        ] {
            for character in ["a", "é", "東", "😀"] {
                let plain = format!("{before}{}{character}{}", "x".repeat(len), "y".repeat(len % 11));
                let good = format!("{plain}{after}");
                assert_eq!(failure_of("used STRING", &usage, good.as_bytes()), None, "{good}");
                for broken in breaks {
                    let bad = [plain.as_bytes(), broken, b"z", after.as_bytes()].concat();
                    let expected = format!("not UTF-8: a broken character at byte {}", plain.len() + 1);
                    let found = failure_of("used STRING", &usage, &bad);
                    assert_eq!(found.as_ref(), Some(&expected), "{bad:?}");
                }
            }
        }
    }
    let reason = failure_of("used STRING", &usage, b"{\"used\":\xc3\xa91}").unwrap();
    assert!(reason.starts_with("not valid JSON: "), "outside of a string: {reason}");
}

#[test]
fn names_are_told_apart_whatever_their_length_and_order() {
    let names = [
        "a",
        "b",
        "ab",
        "abcdefghijklm",
        "abcdefghijklmn",
        "abcdefghijklmnopqrstuvwxyz",
        "é",
        "a\"b",
    ];
    let ddl: Vec<String> = names.iter().map(|name| format!("`{name}` INT NOT NULL")).collect();
    let member = |(value, name): (usize, &&str)| format!("{}:{value}", serde_json::to_string(name).unwrap());
    for turn in 0..names.len() {
        let mut members: Vec<String> = names.iter().enumerate().map(member).collect();
        members.rotate_left(turn);
        // Names that begin or end like ours, before each of them.
        let others = ["abcdefghijklmnopqrstuvwxyzz", "abcdefghijkl", "aa", "", "ba", "A"]
            .map(|name| format!("\"{name}\":{{\"a\":9}}"));
        let all: Vec<String> = members
            .iter()
            .zip(others.iter().cycle())
            .map(|(ours, other)| format!("{ours},{other}"))
            .collect();
        for record in [
            format!("{{{}}}", members.join(",")),
            format!("{{ {} }}", all.join(" , ")),
        ] {
            let declared = crate::ddl::parse(&ddl.join(", ")).unwrap();
            let layout = Arc::new(Layout::new(declared.fields(), &Usage::Whole));
            let input = [InputRecord {
                key: None,
                value: Some(record.as_bytes()),
                offset: 0,
                timestamp_ms: None,
                headers: &[],
            }];
            let mut failures = Vec::new();
            let origin = Origin {
                topic: "t",
                partition: 0,
            };
            let batches = Decoder::new(layout).decode(origin, &input, &mut failures).unwrap();
            assert!(failures.is_empty(), "{record}: {failures:?}");
            for (value, column) in batches[0].columns().iter().take(names.len()).enumerate() {
                assert_eq!(column.as_primitive::<Int32Type>().value(0) as usize, value, "{record}");
            }
        }
    }
}
