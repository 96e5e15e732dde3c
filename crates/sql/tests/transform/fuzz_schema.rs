//! Spark DDL in all its spellings is understood as it was meant, and whatever else stands there is refused with its place.

use aqueduct_sql::Program;
use proptest::{prelude::*, test_runner::TestCaseResult};

use crate::{
    fuzz::{Tape, fuzz},
    fuzz_kinds,
    support::declaration,
};

const TOKENS: [&[u8]; 30] = [
    b"a ",
    b"STRUCT",
    b"<",
    b">",
    b">>",
    b"<>",
    b"ARRAY<",
    b"MAP<STRING,",
    b" INT",
    b"DECIMAL(",
    b"(",
    b")",
    b",",
    b":",
    b"`",
    b"``",
    b"'",
    b"\"",
    b"--",
    b"/*",
    b"*/",
    b" NOT",
    b" NULL",
    b" COMMENT",
    b"99999999999999999999",
    b"-1",
    b"\0",
    b"[]",
    b";",
    b"$$",
];

/// Schemas that once were, or might have been, trouble: separated by empty lines.
const CORPUS: &str = include_str!("corpus/schemas.txt");

#[test]
fn fuzz_a_schema_is_understood_as_it_was_meant() {
    fuzz(file!(), 200, &prop::collection::vec(any::<u8>(), 0..300), |bytes| {
        let mut tape = Tape::new(&bytes);
        let members = fuzz_kinds::members(&mut tape, 4);
        let mut ddl = String::new();
        fuzz_kinds::write(&members, &mut tape, &mut ddl);
        match Program::compile(&declaration(&ddl, &[])) {
            Ok(program) => {
                let schema = program.schema();
                prop_assert_eq!(schema.fields(), &fuzz_kinds::fields(&members), "{}", ddl);
            }
            Err(problems) => return Err(TestCaseError::fail(format!("{problems:?}: {ddl}"))),
        }
        Ok(())
    });
}

fn refused_with_a_place_or_taken(ddl: &str) -> TestCaseResult {
    let lines: Vec<&str> = ddl.split('\n').collect();
    let Err(problems) = Program::compile(&declaration(ddl, &[])) else {
        return Ok(());
    };
    prop_assert!(!problems.is_empty(), "no reason: {:?}", ddl);
    for problem in problems {
        prop_assert!(
            problem.table.is_none() && problem.message.len() > 8,
            "{:?}: {:?}",
            problem,
            ddl
        );
        prop_assert!(!problem.message.ends_with('.'), "{:?}", problem);
        let Some((line, column)) = problem.place else {
            return Err(TestCaseError::fail(format!("without a place: {problem:?}: {ddl:?}")));
        };
        let text = lines.get(line as usize - 1);
        let within = text.is_some_and(|text| (1..=text.chars().count() as u64 + 1).contains(&column));
        prop_assert!(within, "{:?}: {:?}", problem, ddl);
    }
    Ok(())
}

#[test]
fn fuzz_what_is_no_schema_is_refused_with_its_place() {
    fuzz(file!(), 200, &prop::collection::vec(any::<u8>(), 0..300), |bytes| {
        let mut tape = Tape::new(&bytes);
        let mut ddl = String::new();
        if !tape.once_in(4) {
            let members = fuzz_kinds::members(&mut tape, 3);
            fuzz_kinds::write(&members, &mut tape, &mut ddl);
        }
        let mut ddl = ddl.into_bytes();
        for _ in 0..=tape.below(3) {
            tape.mutate(&mut ddl, &TOKENS);
        }
        refused_with_a_place_or_taken(&String::from_utf8_lossy(&ddl))
    });
}

#[test]
fn every_schema_of_the_corpus_is_refused_with_its_place_or_taken() {
    for ddl in CORPUS.split("\n\n") {
        refused_with_a_place_or_taken(ddl).unwrap();
    }
}
