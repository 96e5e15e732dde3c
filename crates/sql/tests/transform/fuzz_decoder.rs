//! Random records of random schemas, some spoilt, against a reference: the same values, the same rejections, and of
//! neighbours nothing but their own.

use aqueduct_sql::LINEAGE;
use proptest::{prelude::*, test_runner::TestCaseResult};

use crate::{
    fuzz::{Tape, fuzz},
    fuzz_kinds::{self, Member},
    fuzz_reference::{self, Tree},
    support::*,
};

const PIECES: [&[u8]; 18] = [
    b"\"",
    b"\\",
    b"\\u",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"NaN",
    b"1e400",
    b"\xff",
    b"\xed\xa0\x80",
    b"\0",
    b"\xef\xbb\xbf",
    b"-",
    b"{\"a\":1}",
];

/// Records that once were, or might have been, read wrongly: one a line, tried with every schema.
const CORPUS: &str = include_str!("corpus/records.txt");

fn records(members: &[Member], tape: &mut Tape<'_>) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    // Many, because a schema is planned anew for each case.
    for _ in 0..=tape.below(64) {
        let mut record = Vec::new();
        match tape.below(24) {
            22 => record.extend_from_slice(tape.one(&CORPUS.lines().collect::<Vec<_>>()).as_bytes()),
            23 => {
                let depth = 120 + tape.below(20);
                record.extend_from_slice(format!("{{\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth)).as_bytes());
            }
            _ => fuzz_kinds::write_record(members, tape, &mut record),
        }
        if tape.once_in(4) {
            tape.mutate(&mut record, &PIECES);
        }
        records.push(record);
    }
    records
}

fn check(members: &[Member], ddl: &str, records: &[Vec<u8>]) -> TestCaseResult {
    let transformed = futures::executor::block_on(run(&mut engine(ddl, "SELECT * FROM records"), records));
    let rows = &transformed.tables[0];
    let columns = &rows.columns()[..rows.num_columns() - LINEAGE.len()];
    let mut places = lineage(rows).into_iter().enumerate();
    for (index, record) in (0..).zip(records) {
        let shown = || format!("{ddl}: {}", String::from_utf8_lossy(record));
        let reason = transformed.failures.iter().find(|failure| failure.record == index);
        match fuzz_reference::record(members, record) {
            None => prop_assert!(reason.is_some_and(|it| !it.reason.is_empty()), "taken: {}", shown()),
            Some(expected) => {
                prop_assert!(reason.is_none(), "{:?}: {}", reason, shown());
                let Some((row, (of, 0))) = places.next() else {
                    return Err(TestCaseError::fail(format!("no row: {}", shown())));
                };
                prop_assert_eq!(of, index, "the rows keep the order of their records: {}", shown());
                let found: Vec<Tree> = columns.iter().map(|column| fuzz_reference::tree(column, row)).collect();
                prop_assert_eq!(found, expected, "{}", shown());
            }
        }
    }
    prop_assert_eq!(places.next(), None);
    Ok(())
}

#[test]
fn fuzz_records_are_read_as_the_reference_reads_them_or_rejected_alone() {
    fuzz(file!(), 40, &prop::collection::vec(any::<u8>(), 0..3000), |bytes| {
        let mut tape = Tape::new(&bytes);
        let members = fuzz_kinds::members(&mut tape, 3);
        let mut ddl = String::new();
        fuzz_kinds::write(&members, &mut Tape::new(&[]), &mut ddl);
        check(&members, &ddl, &records(&members, &mut tape))
    });
}

#[test]
fn every_record_of_the_corpus_is_read_as_the_reference_reads_it() {
    let tapes: [&[u8]; 4] = [&[0; 40], &[90; 40], &[130; 60], &[200; 80]];
    for tape in tapes {
        let members = fuzz_kinds::members(&mut Tape::new(tape), 2);
        let mut ddl = String::new();
        fuzz_kinds::write(&members, &mut Tape::new(&[]), &mut ddl);
        let records: Vec<Vec<u8>> = CORPUS.lines().map(|line| line.as_bytes().to_vec()).collect();
        check(&members, &ddl, &records).unwrap();
    }
}
