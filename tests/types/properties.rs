//! Random values of each type are written as binary COPY and read back equal. What they ought to be is PostgreSQL's own
//! reading of a text that stands beside each of them, so that nothing of ours judges itself.

use std::{cell::RefCell, sync::Arc};

use aqueduct::{
    sql::arrow::array::{ArrayRef, StringArray},
    store::load::Outcome,
};
use proptest::prelude::*;

use crate::{
    fuzz::{Tape, fuzz, json_value},
    load::{Branch, append, rows},
    random::{ROWS, columns},
    values::states,
};

/// The short form; `AQUEDUCT_FUZZ_SECONDS` gives each of them that long.
const CASES: u32 = 16;

#[test]
fn random_values_of_each_type_are_read_back_equal() {
    let columns = columns();
    let pairs: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(index, column)| format!("x{index} {}, l{index} text", column.type_name))
        .collect();
    let ddl = format!(
        "CREATE TYPE mood AS ENUM ('sad', 'so \"so\"'); CREATE DOMAIN zip AS varchar(5) CHECK (VALUE ~ '^[0-9]+$'); \
         CREATE TABLE t ({})",
        pairs.join(", ")
    );
    let types: Vec<&str> = columns.iter().map(|column| column.type_name).collect();
    let strategies: Vec<_> = columns.iter().map(|column| column.values.clone()).collect();
    let branch: RefCell<Option<Branch>> = RefCell::new(None);
    fuzz(file!(), CASES, &strategies, |values| {
        let names: Vec<(String, ArrayRef)> = values
            .into_iter()
            .enumerate()
            .flat_map(|(index, (array, texts))| {
                let texts: ArrayRef = Arc::new(StringArray::from(texts));
                [(format!("x{index}"), array), (format!("l{index}"), texts)]
            })
            .collect();
        let batch = rows(
            names
                .iter()
                .map(|(name, array)| (name.as_str(), array.clone()))
                .collect(),
        );
        let mut branch = branch.borrow_mut();
        let branch = branch.get_or_insert_with(|| Branch::new(&ddl, &[(append("t"), batch.schema())]));
        branch.run("TRUNCATE t");
        let outcome = branch.write(ROWS, vec![batch]);
        let Ok(Outcome::Settled { dead, .. }) = outcome else {
            return Err(TestCaseError::fail(format!("{outcome:?}")));
        };
        let reasons: Vec<String> = dead.into_iter().map(|letter| letter.reason).collect();
        prop_assert_eq!(states(&reasons), Vec::<&str>::new(), "{:?}", reasons);
        for (index, type_name) in types.iter().enumerate() {
            let unequal = format!(
                "SELECT string_agg(coalesce(x{index}::text, 'NULL') || ' is not ' || coalesce(l{index}, 'NULL'), '; ') FROM t \
                 WHERE x{index}::text IS DISTINCT FROM l{index}::{type_name}::text"
            );
            prop_assert_eq!(branch.ask(&unequal), None, "{}", type_name);
        }
        Ok(())
    });
}

/// Whatever text comes for a type that is read from text: it is written as PostgreSQL would read it, or rejected. Never is it
/// taken for something else, and never does the server see bytes that are not the type's.
#[test]
fn a_text_is_taken_as_postgresql_takes_it_or_not_at_all() {
    let pieces = prop::collection::vec(
        prop::sample::select(vec![
            "1",
            "0",
            "-",
            "+",
            ":",
            ".",
            "/",
            " ",
            "P",
            "T",
            "Y",
            "M",
            "D",
            "H",
            "S",
            "W",
            "day",
            "mon",
            "12",
            "59",
            "24",
            "00",
            "255",
            "::",
            "1",
            "fe80",
            "ago",
            "@",
            "years",
            "us",
            "Z",
            "999999",
            "2147483648",
        ]),
        0..9,
    )
    .prop_map(|pieces| pieces.concat());
    const TYPES: [&str; 6] = ["time", "timetz", "interval", "inet", "cidr", "uuid"];
    let ddl: Vec<String> = TYPES
        .iter()
        .map(|name| format!("CREATE TABLE t_{name} (x {name}, l text)"))
        .collect();
    let ddl = format!("{}; {ORACLE}", ddl.join("; "));
    let branches: RefCell<Option<Branch>> = RefCell::new(None);
    fuzz(file!(), CASES, &prop::collection::vec(pieces, 200), |texts| {
        let mut branch = branches.borrow_mut();
        let branch = branch.get_or_insert_with(|| Branch::new(&ddl, &[]));
        TYPES
            .iter()
            .try_for_each(|type_name| taken_as_postgresql_takes_it(branch, type_name, &texts).map(drop))
    });
}

/// What PostgreSQL makes of a text. That a sign may stand before the P of an interval, as other programs write it, is ours.
const ORACLE: &str = "CREATE FUNCTION reads(type_name text, value text) RETURNS text LANGUAGE plpgsql AS 'DECLARE answer text; \
    BEGIN IF type_name = ''interval'' AND value ~ ''^[-+]P'' THEN \
    EXECUTE format(''SELECT (%s %L::interval)::text'', rtrim(left(value, 1), ''+''), substr(value, 2)) INTO answer; \
    ELSE EXECUTE format(''SELECT %L::%s::text'', value, type_name) INTO answer; END IF; RETURN answer; \
    EXCEPTION WHEN OTHERS THEN RETURN ''refused''; END'";

/// Writes the texts, as often as a multiple of their number has been written before; returns those that were refused, and why.
fn taken_as_postgresql_takes_it(
    branch: &mut Branch,
    type_name: &str,
    texts: &[String],
) -> Result<Vec<(String, String)>, TestCaseError> {
    let column: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
    let batch = rows(vec![("x", column.clone()), ("l", column.clone())]);
    let table = append(&format!("t_{type_name}"));
    branch.loader = crate::load::loader(&[(table, batch.schema())]);
    branch.run(&format!("TRUNCATE t_{type_name}"));
    let outcome = branch.write(column.len(), vec![batch]);
    let Ok(Outcome::Settled { dead, .. }) = outcome else {
        return Err(TestCaseError::fail(format!("{type_name}: {outcome:?}")));
    };
    prop_assert!(dead.iter().all(|letter| letter.reason.starts_with("22")), "{:?}", dead);
    let unequal = format!(
        "SELECT string_agg(l || ' became ' || x::text, '; ') FROM t_{type_name} \
         WHERE reads('{type_name}', l) IS DISTINCT FROM x::text"
    );
    prop_assert_eq!(branch.ask(&unequal), None, "{}", type_name);
    let taken = branch.ask(&format!("SELECT count(*) FROM t_{type_name}"));
    prop_assert_eq!(taken, Some((texts.len() - dead.len()).to_string()), "{}", type_name);
    let refused = dead.into_iter().map(|letter| {
        let place = letter.position.offset as usize % texts.len();
        (texts[place].clone(), letter.reason)
    });
    Ok(refused.collect())
}

/// JSON of any kind, some of it spoilt, into columns that hold JSON.
#[test]
fn a_text_of_json_is_taken_exactly_where_postgresql_takes_it() {
    let pieces: [&[u8]; 12] = [
        b"\"",
        b"\\",
        b"\\u",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"NaN",
        b"1e400",
        b"\xef\xbb\xbf",
    ];
    let ddl = format!("CREATE TABLE t_json (x json, l text); CREATE TABLE t_jsonb (x jsonb, l text); {ORACLE}");
    let branches: RefCell<Option<Branch>> = RefCell::new(None);
    let tapes = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 100);
    fuzz(file!(), CASES, &tapes, |tapes| {
        let texts: Vec<String> = tapes
            .iter()
            .map(|bytes| {
                let (mut tape, mut text) = (Tape::new(bytes), Vec::new());
                json_value(&mut tape, 3, &mut text);
                if tape.once_in(3) {
                    tape.mutate(&mut text, &pieces);
                }
                String::from_utf8_lossy(&text).replace('\0', "")
            })
            .collect();
        let mut branch = branches.borrow_mut();
        let branch = branch.get_or_insert_with(|| Branch::new(&ddl, &[]));
        for type_name in ["json", "jsonb"] {
            for (text, reason) in taken_as_postgresql_takes_it(branch, type_name, &texts)? {
                let quoted = text.replace('\'', "''");
                let read = branch.ask(&format!("SELECT reads('{type_name}', '{quoted}')"));
                prop_assert_eq!(read.as_deref(), Some("refused"), "{} {}: {}", type_name, text, reason);
            }
        }
        Ok(())
    });
}
