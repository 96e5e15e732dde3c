//! Splitting pages: what comes out is, byte for byte, what the API wrote.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

use aqueduct::{
    api::split::{PageProblem, SplitPage, Splitter},
    config::settings::{HttpSource, Paginate, Stop},
};
use bytes::Bytes;
use serde_json_path::JsonPath;

fn splitter_until(records: &str, key: Option<&str>, stop: Option<Stop>) -> Splitter {
    let path = |text: &str| JsonPath::parse(text).expect("a path");
    let settings = HttpSource {
        records: path(records),
        records_text: records.to_owned(),
        key: key.map(path),
        key_text: key.map(str::to_owned),
        paginate: stop.map_or(Paginate::Single, |stop| Paginate::Page {
            param: "page".to_owned(),
            first: 1,
            stop,
        }),
        ..HttpSource::new("http://127.0.0.1:1/".parse().expect("an address"))
    };
    Splitter::new(&settings).expect("a splitter")
}

fn split(records: &str, key: Option<&str>, body: impl Into<Bytes>) -> Result<SplitPage, PageProblem> {
    splitter_until(records, key, None).split(&body.into())
}

fn payloads(records: &str, body: &'static str) -> Vec<String> {
    let page = split(records, None, body).unwrap_or_else(|problem| panic!("{records}: {problem}"));
    page.records
        .iter()
        .map(|record| String::from_utf8_lossy(&record.payload).into_owned())
        .collect()
}

fn keys(key: &str, body: &'static str) -> Vec<Option<String>> {
    let page = split("$[*]", Some(key), body).expect("a page");
    let text = |key: &Bytes| String::from_utf8(key.to_vec()).expect("text");
    page.records
        .iter()
        .map(|record| record.key.as_ref().map(text))
        .collect()
}

fn reasons(records: &str, body: impl Into<Bytes>) -> Vec<Option<String>> {
    let page = split(records, None, body).expect("a page");
    page.records
        .iter()
        .map(|record| record.reject.as_ref().map(|reject| reject.reason.clone()))
        .collect()
}

fn problem(records: &str, body: &'static str) -> String {
    split(records, None, body)
        .map(|page| page.records.len())
        .expect_err("no page")
        .0
}

#[test]
fn simple_and_general_paths_find_the_same_records() {
    let body = r#"{ "a": {"b": [ {"x": 1} , {"x":2} ]}, "n": 7 }"#;
    for path in [
        "$.a.b[*]",
        "$.a.b",
        "$['a'].b.*",
        "$..b[*]",
        "$.a.b[?@.x > 0]",
        "$.a.*[*]",
        "$.a.b[0:]",
    ] {
        assert_eq!(payloads(path, body), [r#"{"x": 1}"#, r#"{"x":2}"#], "{path}");
    }
    assert_eq!(payloads("$", r#" [{"x":1}] "#), [r#"{"x":1}"#]);
    assert_eq!(payloads("$[*]", r#"[{"x":1}]"#), [r#"{"x":1}"#]);
    assert_eq!(payloads("$", r#" {"x":1} "#), [r#"{"x":1}"#]);
    assert_eq!(payloads("$.a.b[1]", body), [r#"{"x":2}"#]);
    assert_eq!(payloads("$.a.b[-1]", body), [r#"{"x":2}"#]);
    assert_eq!(
        payloads("$[*]", r#"{"k1":{"x":1},"k2":{"x":2}}"#),
        [r#"{"x":1}"#, r#"{"x":2}"#]
    );
}

#[test]
fn numbers_blanks_and_escapes_arrive_as_they_were_written() {
    let record = "{ \"big\" : 228930314431312345, \"max\":9223372036854775807,\n\t\"d\":12345678901234567890.123456789012345678,\
                  \"e\":1E400, \"s\":\"\\u00e9\\/\\ud83d\\ude00\",\"z\":-0.0}";
    let body: &'static str = Box::leak(format!("{{\"results\":[{record},{{\"big\":1}}]}}").into_boxed_str());
    assert_eq!(payloads("$.results[*]", body), [record, "{\"big\":1}"]);
    for general in [
        "$.results[?@.big > 0]",
        "$..results[*]",
        "$.results[0,1]",
        "$.results[?@.e > 1e300 || @.big == 1]",
    ] {
        assert_eq!(payloads(general, body), [record, "{\"big\":1}"], "{general}");
    }
}

#[test]
fn payloads_are_slices_of_the_body() {
    let body = Bytes::from_static(br#"{"results":[{"a":1},{"b":2}]}"#);
    for path in ["$.results[*]", "$.results[?@.a || @.b]"] {
        let page = splitter_until(path, None, None).split(&body).expect("a page");
        let within = body.as_ptr_range();
        assert!(
            page.records
                .iter()
                .all(|record| within.contains(&record.payload.as_ptr())),
            "{path}"
        );
    }
}

#[test]
fn of_members_with_the_same_name_the_last_one_counts() {
    let body = r#"{"r":[{"a":1}],"r":[{"a":2}]}"#;
    for path in ["$.r[*]", "$.r", "$..r[*]", "$.r[?@.a]"] {
        assert_eq!(payloads(path, body), [r#"{"a":2}"#], "{path}");
    }
    assert_eq!(
        payloads("$[*]", r#"{"k":{"a":1},"j":{"a":3},"k":{"a":2}}"#),
        [r#"{"a":2}"#, r#"{"a":3}"#]
    );
    assert_eq!(keys("$.id", r#"[{"id":1,"id":"two"}]"#), [Some("two".to_owned())]);
}

#[test]
fn keys_are_the_text_of_strings_and_the_json_of_everything_else() {
    let body = r#"[{"k":"a\"\u00e9"},{"k":228930314431312345},{"k":1.50},{"k":true},{"k":null},{},{"k":{"a": 1}},{"k":[1, 2]},{"k":""}]"#;
    let expected = [
        Some("a\"é"),
        Some("228930314431312345"),
        Some("1.50"),
        Some("true"),
        None,
        None,
        Some("{\"a\": 1}"),
        Some("[1, 2]"),
        Some(""),
    ];
    for path in ["$.k", "$['k']", "$..k", "$['k','none']"] {
        assert_eq!(keys(path, body), expected.map(|key| key.map(str::to_owned)), "{path}");
    }
    assert_eq!(
        keys(
            "$.login.uuid",
            r#"[{"login":{"uuid":"u1"}},{"login":"no"},{"login":null}]"#
        ),
        [Some("u1".to_owned()), None, None]
    );
    assert_eq!(
        keys("$.k", r#"[{"k":"\ud800"}]"#),
        [Some(r#""\ud800""#.to_owned())],
        "half a pair is no text"
    );
}

#[test]
fn a_record_that_is_not_an_object_is_refused_alone() {
    let says = |what: &str| Some(format!("record is not a JSON object but {what}"));
    assert_eq!(
        reasons("$[*]", r#"[{"a":1},5,"x",null,[{}],true,-1.5,{}]"#),
        [
            None,
            says("a number"),
            says("a string"),
            says("null"),
            says("an array"),
            says("a boolean"),
            says("a number"),
            None
        ]
    );
    let page = split("$[*]", Some("$.id"), "[ 12 ]").expect("a page");
    assert_eq!(
        (&page.records[0].payload[..], page.records[0].key.clone()),
        (&b"12"[..], None)
    );
    assert_eq!(page.records[0].reject.as_ref().map(|reject| reject.size_bytes), Some(2));
}

#[test]
fn a_refused_record_keeps_only_the_beginning_of_its_payload() {
    let long = format!("[\"{}\"]", "é".repeat(100_000));
    let page = split("$[*]", None, long).expect("a page");
    let record = &page.records[0];
    assert_eq!(record.reject.as_ref().map(|reject| reject.size_bytes), Some(200_002));
    assert!(record.payload.len() <= 32 * 1024 && std::str::from_utf8(&record.payload).is_ok());
}

#[test]
fn a_record_that_is_not_utf8_is_refused_alone() {
    let body = b"{\"r\":[{\"a\":\"\xc3\xa9\"},{\"a\":\"\xff\xc3\"},{\"a\":\"ok\"}]}".to_vec();
    for path in ["$.r[*]", "$..r[*]"] {
        assert_eq!(
            reasons(path, body.clone()),
            [None, Some("record is not UTF-8".to_owned()), None],
            "{path}"
        );
        let page = split(path, None, body.clone()).expect("a page");
        assert_eq!(&page.records[1].payload[..], b"{\"a\":\"\xff\xc3\"}");
        assert_eq!(&page.records[2].payload[..], b"{\"a\":\"ok\"}");
    }
}

/// A page of three records with the middle one spoilt, by simple paths and by those that need the engine.
fn assert_alone(spoilt: &[u8], reason: &str) {
    let body = [b"{\"n\":[1,2],\"r\":[{\"id\":1},", spoilt, b",{\"id\":\"3\"}]}"].concat();
    for path in ["$.r[*]", "$.r", "$..r[*]", "$.r[0:]"] {
        let page = split(path, Some("$.id"), body.clone()).unwrap_or_else(|problem| panic!("{path}: {problem}"));
        let shown = String::from_utf8_lossy(spoilt);
        assert_eq!(page.records.len(), 3, "{path}: {shown}");
        let refused = page.records[1].reject.as_ref().map(|reject| reject.reason.as_str());
        assert!(
            refused.is_some_and(|found| found.starts_with(reason)),
            "{path}: {shown}: {refused:?}"
        );
        assert_eq!(&page.records[1].payload[..], spoilt, "as it came");
        for (at, payload, key) in [(0, "{\"id\":1}", "1"), (2, "{\"id\":\"3\"}", "3")] {
            assert_eq!(page.records[at].reject, None, "{path}: {shown}");
            assert_eq!(
                (&page.records[at].payload[..], page.records[at].key.as_deref()),
                (payload.as_bytes(), Some(key.as_bytes()))
            );
        }
    }
}

#[test]
fn a_record_with_a_token_that_is_no_json_is_refused_alone() {
    for (spoilt, reason) in [
        (
            &b"{\"id\":2,\"mean\":NaN}"[..],
            "record is not JSON: expected value at line 1 column 16",
        ),
        (
            b"{\"id\":2,\"most\":[ Infinity ]}",
            "record is not JSON: expected value",
        ),
        (b"{\"id\":2,\"least\":-Infinity}", "record is not JSON: invalid number"),
        (b"{\"id\":2,\"s\":\"a\nb\"}", "record is not JSON: control character"),
        (b"{\"id\":2,\"s\":\"a\0b\"}", "record is not JSON: control character"),
        (b"{\"id\":2,\"s\":\"\\x41\"}", "record is not JSON: invalid escape"),
        (b"{\"id\":2,\"s\":\"\\u12\"}", "record is not JSON: invalid escape"),
        (b"{\"id\":2,\"s\":\"\xff\",\"mean\":NaN}", "record is not UTF-8"),
        (b"NaN", "record is not a JSON object but a number"),
    ] {
        assert_alone(spoilt, reason);
    }
}

#[test]
fn a_value_that_no_parser_has_a_value_for_takes_nothing_with_it() {
    let records = [
        r#"{"id":1,"s":"\ud800","n":1e400}"#,
        r#"{"\ud800":1,"id":-1e999}"#,
        r#"{"id":3,"\udc00\u0000":{"x":[1e-999]}}"#,
    ];
    let body: &'static str = Box::leak(format!("{{\"\\ud800\":1,\"r\":[{}]}}", records.join(",")).into_boxed_str());
    for path in ["$.r[*]", "$.r", "$..r[*]", "$.r[?@.id]"] {
        assert_eq!(payloads(path, body), records, "{path}");
        for key in ["$.id", "$..id", "$['id','none']"] {
            let page = split(path, Some(key), body).unwrap();
            let keys: Vec<_> = page.records.iter().map(|record| record.key.clone().unwrap()).collect();
            assert_eq!(keys, ["1", "-1e999", "3"], "{path} {key}");
        }
    }
}

#[test]
fn what_leads_to_the_next_page_is_never_taken_for_the_end_because_it_cannot_be_read() {
    let settings = |path: &str| HttpSource {
        records: JsonPath::parse("$.items[*]").unwrap(),
        records_text: "$.items[*]".to_owned(),
        paginate: Paginate::Cursor {
            param: "after".to_owned(),
            path: path.to_owned(),
            stop: None,
        },
        ..HttpSource::new("http://127.0.0.1:1/".parse().unwrap())
    };
    let token = |path: &str, body: &[u8]| {
        let page = Splitter::new(&settings(path))
            .unwrap()
            .split(&Bytes::copy_from_slice(body));
        page.map(|page| page.token).map_err(|problem| problem.0)
    };
    // Whatever the records hold: a general path parses all of the page.
    for spoilt in [
        r#""n":1e400"#,
        r#""s":"\ud800""#,
        r#""\ud800":1"#,
        r#""n":NaN"#,
        "\"s\":\"\t\"",
    ] {
        let body = format!(r#"{{"items":[{{{spoilt}}},{{"id":7}}],"next":"t8"}}"#);
        assert_eq!(
            token("$.items[-1].id", body.as_bytes()),
            Ok(Some("7".to_owned())),
            "{spoilt}"
        );
        assert_eq!(
            token("$.next", body.as_bytes()),
            Ok(Some("\"t8\"".to_owned())),
            "{spoilt}"
        );
        assert_eq!(token("$..none", body.as_bytes()), Ok(None), "{spoilt}");
    }
    // Half of a token would lead to another page.
    for body in [
        &b"{\"items\":[],\"next\":\"a\xff\"}"[..],
        b"{\"items\":[],\"next\":\"a\tb\"}",
        b"{\"items\":[],\"next\":NaN}",
    ] {
        for path in ["$.next", "$..next"] {
            let problem = token(path, body).unwrap_err();
            assert!(
                problem.contains("that is no JSON or no UTF-8") || problem.starts_with("it is not JSON: "),
                "{problem}"
            );
        }
    }
    let total = splitter_until("$.r[*]", None, Some(Stop::Total("$.total".to_owned())));
    assert!(total.split(&Bytes::from_static(b"{\"r\":[],\"total\":NaN}")).is_err());
}

#[test]
fn a_record_nested_a_hundred_thousand_deep_is_refused_alone_and_no_stack_overflows() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let body = format!("{{\"r\":[{{\"a\":1}},{deep},{{\"a\":2}}]}}");
    let reason = Some("record is nested deeper than 128 levels".to_owned());
    for path in ["$.r[*]", "$.r", "$..r[*]", "$.r[?@.a]"] {
        assert_eq!(reasons(path, body.clone()), [None, reason.clone(), None], "{path}");
    }
    for path in ["$", "$.a[*]", "$..a", "$[*]"] {
        let open = split(path, Some("$..k"), "[".repeat(100_000));
        assert!(open.is_err(), "{path}");
    }
    let brackets_in_text = format!("[{{\"a\":\"{}\\\"{}\"}}]", "[".repeat(500), "{".repeat(500));
    assert_eq!(reasons("$[*]", brackets_in_text), [None]);
    let at_the_limit = format!("[{{\"a\":{}{}}}]", "[".repeat(127), "]".repeat(127));
    assert_eq!(reasons("$[*]", at_the_limit), [None]);
}

#[test]
fn what_is_no_page_says_why() {
    assert_eq!(problem("$[*]", ""), "it is empty");
    assert_eq!(problem("$[*]", " \n"), "it is empty");
    assert_eq!(
        problem("$[*]", "<html><body>busy</body></html>"),
        "it is HTML or XML, not JSON"
    );
    assert!(problem("$.r[*]", r#"{"r":[{"a":1},{"a":"#).starts_with("it is not JSON: EOF"));
    assert!(problem("$.r[*]", r#"{"r":[{"a":1} {"a":2}]}"#).starts_with("it is not JSON: "));
    assert!(problem("$.r[*]", r#"{"r":[]} trailing"#).starts_with("it is not JSON: trailing characters"));
    assert!(problem("$..r", r#"{"r":[]} trailing"#).starts_with("it is not JSON: trailing characters"));
    assert_eq!(
        problem("$.r[*]", r#"{"error":"busy"}"#),
        "`records = $.r[*]` leads to nothing in it"
    );
    assert_eq!(
        problem("$.r[?@.a]", r#"{"error":"busy"}"#),
        "`records = $.r[?@.a]` leads to nothing in it"
    );
    assert_eq!(
        problem("$.r.s[*]", r#"{"r":5}"#),
        "`records = $.r.s[*]` leads to a number in it"
    );
    assert_eq!(
        problem("$.r", r#"{"r":"text"}"#),
        "`records = $.r` leads to a string in it"
    );
    assert_eq!(
        problem("$.r[*]", r#"{"r":false}"#),
        "`records = $.r[*]` leads to a boolean in it"
    );
}

#[test]
fn a_page_may_be_empty_in_several_ways() {
    for body in [r#"{"r":[]}"#, r#"{"r":null}"#, r#"{"r":{}}"#] {
        assert_eq!(payloads("$.r[*]", body), Vec::<String>::new(), "{body}");
    }
    assert_eq!(payloads("$.r[?@.active]", r#"{"r":[{"a":1}]}"#), Vec::<String>::new());
    // An empty envelope ends a sweep where an empty page does; elsewhere it is no page.
    let empty = Bytes::from_static(b"{}");
    assert!(
        splitter_until("$.r[*]", None, Some(Stop::Empty))
            .split(&empty)
            .expect("a page")
            .records
            .is_empty()
    );
    assert!(
        splitter_until("$.r[*]", None, Some(Stop::Last(3)))
            .split(&empty)
            .is_err()
    );
    assert!(splitter_until("$.r[*]", None, None).split(&empty).is_err());
}

#[test]
fn a_page_that_names_an_error_is_no_empty_page() {
    for body in [
        r#"{"data":null,"errors":[{"message":"too complex"}]}"#,
        r#"{"data":{"items":null},"errors":[{"message":"time-out"}]}"#,
        r#"{"data":null,"error":"busy"}"#,
    ] {
        for path in ["$.data.items[*]", "$.data.items", "$.data.items[?@.id]"] {
            let says = problem(path, body);
            assert!(
                says.starts_with(&format!("`records = {path}` leads to null in it, and it has `error")),
                "{says}"
            );
        }
    }
    for body in [
        r#"{"data":null}"#,
        r#"{"data":null,"errors":[],"error":null}"#,
        r#"{"data":{"items":[]},"errors":["partly"]}"#,
    ] {
        assert_eq!(payloads("$.data.items[*]", body), Vec::<String>::new(), "{body}");
    }
}

#[test]
fn a_byte_order_mark_is_overlooked() {
    assert_eq!(payloads("$[*]", "\u{feff}[{\"a\":1}]"), ["{\"a\":1}"]);
}

#[test]
fn the_total_is_read_from_the_page() {
    let total = |path: &str, body: &'static str| {
        splitter_until("$.r[*]", None, Some(Stop::Total(path.to_owned()))).split(&Bytes::from_static(body.as_bytes()))
    };
    let body = r#"{"r":[],"info":{"total":1234,"text":"99"}}"#;
    assert_eq!(total("$.info.total", body).expect("a page").total, Some(1_234));
    assert_eq!(total("$.info.text", body).expect("a page").total, Some(99));
    assert_eq!(total("$..total", body).expect("a page").total, Some(1_234));
    assert_eq!(
        total("$.info.none", body).expect_err("no total").to_string(),
        "`total = $.info.none` leads to nothing where a count should be"
    );
    assert!(total("$.info", body).is_err());
}
