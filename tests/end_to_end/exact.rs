//! Numbers that a double would round arrive equal.

use std::{
    io::{Read, Write},
    net::TcpListener,
};

use crate::{
    job::{Brokers, Job, PipelineText},
    kafka::unique,
    postgres::TestDatabase,
};

const RECORDS: &str = r#"{"results":[
{"login":{"uuid":"a"},"i":228930314431312345,"d":12345678901234567890.123456789012345678},
{"login":{"uuid":"b"},"i":9223372036854775807,"d":-99999999999999999999.999999999999999999},
{"login":{"uuid":"c"},"i":1.5,"d":1},
{"login":{"uuid":"d"},"i":9223372036854775808,"d":1},
{"login":{"uuid":"e"},"i":1,"d":0.1234567890123456789}
]}"#;

#[test]
fn large_integers_and_decimals_arrive_equal_and_inexact_ones_are_rejected() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{RECORDS}",
                RECORDS.len()
            );
        }
    });
    let name = unique("exact");
    let pipeline = PipelineText {
        schema: "login STRUCT<uuid: STRING>, i BIGINT, d DECIMAL(38, 18)".into(),
        sql: "SELECT login.uuid AS uuid, i, d FROM records".into(),
        shards: 1,
        ..PipelineText::users(&name, &url, 5, 1)
    };
    let table = pipeline.table.clone();
    let job = Job::new(TestDatabase::empty(), &Brokers::Embedded, &[pipeline]);
    let ledger = job.run_once();
    let rows = job.texts(&format!("SELECT uuid || ' ' || i::text || ' ' || d::text FROM {table}"));
    assert_eq!(
        rows,
        [
            "a 228930314431312345 12345678901234567890.123456789012345678",
            "b 9223372036854775807 -99999999999999999999.999999999999999999",
        ],
        "{ledger}"
    );
    assert_eq!(
        job.count("SELECT count(*) FROM aqueduct.dead_letters WHERE stage = 'decode'"),
        3,
        "{ledger}"
    );
}
