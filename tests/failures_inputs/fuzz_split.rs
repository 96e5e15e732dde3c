//! Random pages into records: what comes out is what a page was made of, byte for byte, however its records are spoilt.

use aqueduct::{
    api::split::Splitter,
    config::settings::{HttpSource, Paginate},
};
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json_path::JsonPath;

use crate::fuzz::{Tape, fuzz, json_object, json_value};

const PATHS: [&str; 4] = ["$.items[*]", "$.items", "$['items'][0:]", "$.items[?@.id || !@.id]"];

fn splitter(records: &str, key: &str) -> Splitter {
    let path = |text: &str| JsonPath::parse(text).unwrap();
    Splitter::new(&HttpSource {
        records: path(records),
        records_text: records.to_owned(),
        key: Some(path(key)),
        key_text: Some(key.to_owned()),
        paginate: Paginate::Cursor {
            param: "after".to_owned(),
            path: "$.next".to_owned(),
            stop: None,
        },
        ..HttpSource::new("http://127.0.0.1:1/".parse().unwrap())
    })
    .unwrap()
}

/// What spoils a record, and nothing outside of it.
const SPOILS: [&[u8]; 8] = [
    b"\"x\":NaN",
    b"\"x\":-Infinity",
    b"\"x\":[Infinity,1]",
    b"\"x\":\"\xff\"",
    b"\"x\":\"\xed\xa0\x80\"",
    b"\"x\":\"a\nb\"",
    b"\"x\":\"\\q\"",
    b"\"x\":\"\\u12\"",
];

/// A record, and whether it is to be taken.
fn record(tape: &mut Tape<'_>) -> (Vec<u8>, bool) {
    let mut text = Vec::new();
    match tape.below(8) {
        0..4 => {
            json_object(tape, &["id", "a", "b", "\\ud800", "i\\u0064"], 3, &mut text);
            (text, true)
        }
        4 => {
            let deep = 120 + tape.below(20);
            text.extend_from_slice(format!("{{\"id\":{}{}}}", "[".repeat(deep), "]".repeat(deep)).as_bytes());
            (text, deep < 128)
        }
        5 => {
            json_value(tape, 0, &mut text);
            (text.trim_ascii().to_vec(), false)
        }
        _ => (["{".as_bytes(), tape.one(&SPOILS), b"}"].concat(), false),
    }
}

#[test]
fn fuzz_each_record_of_a_page_comes_out_as_it_went_in() {
    let splitters = PATHS.map(|path| splitter(path, "$.id"));
    fuzz(file!(), 200, &prop::collection::vec(any::<u8>(), 0..600), |bytes| {
        let mut tape = Tape::new(&bytes);
        let (mut body, mut expected) = (b"{\"meta\":".to_vec(), Vec::new());
        json_value(&mut tape, 2, &mut body);
        body.extend_from_slice(b",\"items\":[");
        for index in 0..tape.below(8) {
            if index > 0 {
                body.extend_from_slice(b" ,\n");
            }
            let (text, is_good) = record(&mut tape);
            body.extend_from_slice(&text);
            expected.push((text, is_good));
        }
        body.extend_from_slice(b"],\"next\":\"t1\"}");
        for (path, splitter) in PATHS.iter().zip(&splitters) {
            let shown = || format!("{path}: {}", String::from_utf8_lossy(&body));
            let page = splitter.split(&Bytes::from(body.clone()));
            let page = page.map_err(|problem| TestCaseError::fail(format!("{problem}: {}", shown())))?;
            prop_assert_eq!(page.token.as_deref(), Some("\"t1\""), "{}", shown());
            prop_assert_eq!(page.records.len(), expected.len(), "{}", shown());
            for (found, (text, is_good)) in page.records.iter().zip(&expected) {
                prop_assert_eq!(&found.payload[..], &text[..], "{}", shown());
                prop_assert_eq!(found.reject.is_none(), *is_good, "{:?}: {}", found.reject, shown());
                prop_assert!(found.key.is_none() || *is_good);
            }
        }
        Ok(())
    });
}

#[derive(serde::Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

/// Bytes that are JSON are split as serde_json reads them; others are a page only where the damage keeps to its record.
#[test]
fn fuzz_a_damaged_page_is_read_as_serde_json_reads_it_or_refused() {
    let splitters = PATHS.map(|path| splitter(path, "$..id"));
    let pieces: [&[u8]; 12] = [
        b"\"",
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b"NaN",
        b"\xff",
        b"null",
        b"\"items\":[{}]",
        b"\xef\xbb\xbf",
    ];
    fuzz(file!(), 200, &prop::collection::vec(any::<u8>(), 0..400), |bytes| {
        let mut tape = Tape::new(&bytes);
        let mut body = b"{\"items\":[".to_vec();
        for index in 0..tape.below(4) {
            if index > 0 {
                body.push(b',');
            }
            json_object(&mut tape, &["id", "a"], 2, &mut body);
        }
        body.extend_from_slice(b"]}");
        tape.mutate(&mut body, &pieces);
        let body = Bytes::from(body);
        let shown = || String::from_utf8_lossy(&body).into_owned();
        // The first two paths are read without an engine, the others with it.
        let pages = splitters.iter().map(|splitter| splitter.split(&body).ok());
        let pages: Vec<_> = pages.collect();
        let within = body.as_ptr_range();
        let mut records = pages.iter().flatten().flat_map(|page| &page.records);
        prop_assert!(
            records.all(|record| record.payload.is_empty() || within.contains(&record.payload.as_ptr())),
            "{}",
            shown()
        );
        let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&body);
        let Ok(envelope) = serde_json::from_slice::<Envelope<'_>>(text) else {
            return Ok(());
        };
        for (path, page) in PATHS.iter().zip(&pages) {
            let Some(page) = page else {
                return Err(TestCaseError::fail(format!("{path}: {}", shown())));
            };
            let found: Vec<&[u8]> = page.records.iter().map(|record| &record.payload[..]).collect();
            let expected: Vec<&[u8]> = envelope.items.iter().map(|item| item.get().as_bytes()).collect();
            prop_assert_eq!(found, expected, "{}: {}", path, shown());
        }
        Ok(())
    });
}
