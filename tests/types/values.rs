//! One column there and back: what is written by the encoder is read as PostgreSQL's own text.

use std::cell::RefCell;

use aqueduct::sql::arrow::{array::ArrayRef, datatypes::SchemaRef};

use crate::load::{self, Branch, append, rows, settled};

/// Lets a test begin again in the database that it has.
pub const EMPTY: &str = "DROP SCHEMA public CASCADE; CREATE SCHEMA public; SET extra_float_digits = 3";

thread_local! {
    /// One database for all columns of a test, which has a thread of its own.
    static BRANCH: RefCell<Option<Branch>> = const { RefCell::new(None) };
}

/// Writes `array` into a column of `type_name`, one record a value, and returns the column's text and the reasons of the
/// dead letters.
pub fn written(ddl: &str, type_name: &str, array: ArrayRef) -> (Vec<Option<String>>, Vec<String>) {
    BRANCH.with_borrow_mut(|branch| {
        let branch = branch.get_or_insert_with(|| Branch::new("SELECT 1", &[]));
        let num_records = array.len();
        let batch = rows(vec![("n", load::ints(0..num_records as i64)), ("x", array)]);
        let schema: SchemaRef = batch.schema();
        branch.run(&format!(
            "{EMPTY}; {ddl}; CREATE TABLE t (n bigint PRIMARY KEY, x {type_name})"
        ));
        branch.loader = load::loader(&[(append("t"), schema)]);
        let first = branch.next;
        let (counts, _, dead) = settled(branch.write(num_records, vec![batch]));
        assert_eq!((counts.applied + counts.dead) as usize, num_records);
        let texts = (0..num_records)
            .filter(|n| !dead.iter().any(|letter| letter.position.offset == first + *n as i64))
            .map(|n| branch.ask(&format!("SELECT x::text FROM t WHERE n = {n}")))
            .collect();
        (texts, dead.into_iter().map(|letter| letter.reason).collect())
    })
}

/// The same where nothing may be refused.
pub fn round_trip(type_name: &str, array: ArrayRef) -> Vec<Option<String>> {
    let (texts, dead) = written("SELECT 1", type_name, array);
    assert_eq!(dead, Vec::<String>::new(), "{type_name}");
    texts
}

pub fn all(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|value| Some((*value).to_owned())).collect()
}

/// The SQLSTATEs of the reasons.
pub fn states(reasons: &[String]) -> Vec<&str> {
    reasons.iter().map(|reason| &reason[..5]).collect()
}
