//! The API: there, and shaped as declared.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
};

use aqueduct::demo::simulator::{Options, Simulator};

use crate::{Said, check};

/// Answers every request alike, until the process ends.
fn always(status: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                while lines.next().is_some() {
                    while lines.next().is_some_and(|line| !line.is_empty()) {}
                    let answer = format!(
                        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    if (&stream).write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn fetching(url: &str, schema: &str, source: &str) -> Said {
    check(&format!(
        "[[pipeline]]\nname = \"p\"\nschema = \"{schema}\"\n[pipeline.source]\nkind = \"http\"\nurl = \"{url}\"\n{source}\n\
         [pipeline.source.paginate]\nkind = \"single\"\n[[pipeline.table]]\nname = \"t\"\nmode = \"append\"\ncreate = true\n\
         sql = \"SELECT email FROM records\"\n"
    ))
}

const USERS: &str = "records = \"$.results[*]\"\nkey = \"$.login.uuid\"\nquery = { results = 20, seed = \"check\" }";

#[test]
fn a_page_that_is_shaped_as_declared_is_fine() {
    let simulator = Simulator::start(Options::default()).unwrap();
    let said = fetching(
        &simulator.url(),
        "email STRING, login STRUCT<uuid: STRING>, dob STRUCT<age: INT>",
        USERS,
    );
    assert_eq!(said.code, Some(0), "{}", said.text);
    assert!(
        said.text
            .contains("ok: pipeline p: API: the first page has 20 record(s)"),
        "{}",
        said.text
    );
    assert!(!said.text.contains("schema declares"), "{}", said.text);
}

#[test]
fn a_field_that_no_record_has_is_named_with_the_one_that_was_meant() {
    let simulator = Simulator::start(Options::default()).unwrap();
    let said = fetching(
        &simulator.url(),
        "email STRING, emial STRING, login STRUCT<uid: STRING>, shoe_size INT",
        USERS,
    );
    assert_eq!(said.code, Some(64), "{}", said.text);
    said.has_problem(&["pipeline p: schema", "declares login.uid,", "did you mean \"uuid\"?"]);
    said.has_note(&["declares shoe_size,", "it will be NULL", "gender"]);
}

#[test]
fn a_records_path_and_a_key_that_lead_nowhere_are_named() {
    let simulator = Simulator::start(Options::default()).unwrap();
    let records = fetching(&simulator.url(), "email STRING", "records = \"$.reslts[*]\"");
    assert_eq!(records.code, Some(64), "{}", records.text);
    records.has_problem(&["API", "$.reslts[*]", "array of records"]);
    let key = fetching(
        &simulator.url(),
        "email STRING",
        "records = \"$.results[*]\"\nkey = \"$.login.uid\"\nquery = { results = 3 }",
    );
    assert_eq!(key.code, Some(64), "{}", key.text);
    key.has_problem(&["API", "$.login.uid"]);
}

#[test]
fn records_of_another_type_than_declared_are_counted_with_the_reason() {
    let simulator = Simulator::start(Options::default()).unwrap();
    let said = fetching(&simulator.url(), "email BIGINT", USERS);
    assert_eq!(said.code, Some(64), "{}", said.text);
    said.has_problem(&["API", "20 of 20 record(s)", "email"]);
}

#[test]
fn wrong_credentials_end_with_64_and_an_outage_with_69() {
    let refused = fetching(&always("401 Unauthorized", "{}"), "email STRING", "records = \"$[*]\"");
    assert_eq!(refused.code, Some(64), "{}", refused.text);
    refused.has_problem(&["API", "401", "credentials"]);
    let broken = fetching(
        &always("503 Service Unavailable", "{}"),
        "email STRING",
        "records = \"$[*]\"",
    );
    assert_eq!(broken.code, Some(69), "{}", broken.text);
    broken.has_problem(&["API", "503"]);
    // Port 9 (discard) is no API.
    let away = fetching("http://127.0.0.1:9/", "email STRING", "records = \"$[*]\"");
    assert_eq!(away.code, Some(69), "{}", away.text);
    away.has_problem(&["API", "is source.url right"]);
}
