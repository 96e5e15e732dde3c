//! PostgreSQL refuses 1, 2, 17 and half of 10,000 rows, in every way that it has: exactly those are dead letters.

use std::{collections::BTreeSet, sync::Arc};

use aqueduct::{
    config::settings::Table,
    sql::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray},
};

use crate::load::{Branch, append, id_and_name, rows, settled, upsert};

pub const NUM_RECORDS: usize = 10_000;

/// One way to be refused.
pub struct Kind {
    /// What is violated.
    pub name: &'static str,
    /// Makes the table `t (id …, name …)`. There is a row that has the name `taken` already.
    pub ddl: &'static str,
    /// Whether good rows must have different names.
    distinct: bool,
    bad: fn(usize) -> (i64, Option<&'static str>),
    sqlstate: &'static str,
}

const fn kind(
    name: &'static str,
    ddl: &'static str,
    distinct: bool,
    bad: fn(usize) -> (i64, Option<&'static str>),
    sqlstate: &'static str,
) -> Kind {
    Kind {
        name,
        ddl,
        distinct,
        bad,
        sqlstate,
    }
}

const NOBODY: fn(usize) -> (i64, Option<&'static str>) = |id| (id as i64, None);
const BAD: fn(usize) -> (i64, Option<&'static str>) = |id| (id as i64, Some("bad name"));
const TAKEN: fn(usize) -> (i64, Option<&'static str>) = |id| (id as i64, Some("taken"));

pub const KINDS: [Kind; 12] = [
    kind(
        "not null",
        "CREATE TABLE t (id bigint PRIMARY KEY, name text NOT NULL)",
        false,
        NOBODY,
        "23502",
    ),
    kind(
        "check",
        "CREATE TABLE t (id bigint PRIMARY KEY, name text CHECK (name <> 'bad name'))",
        false,
        BAD,
        "23514",
    ),
    kind(
        "foreign key",
        "CREATE TABLE names (name text PRIMARY KEY); INSERT INTO names VALUES ('good'), ('taken'); \
         CREATE TABLE t (id bigint PRIMARY KEY, name text REFERENCES names)",
        false,
        BAD,
        "23503",
    ),
    kind(
        "foreign key, deferred",
        "CREATE TABLE names (name text PRIMARY KEY); INSERT INTO names VALUES ('good'), ('taken'); \
         CREATE TABLE t (id bigint PRIMARY KEY, name text REFERENCES names DEFERRABLE INITIALLY DEFERRED)",
        false,
        BAD,
        "23503",
    ),
    kind(
        "unique on another column",
        "CREATE TABLE t (id bigint PRIMARY KEY, name text UNIQUE)",
        true,
        TAKEN,
        "23505",
    ),
    kind(
        "unique on another column, deferred",
        "CREATE TABLE t (id bigint PRIMARY KEY, name text UNIQUE DEFERRABLE INITIALLY DEFERRED)",
        true,
        TAKEN,
        "23505",
    ),
    kind(
        "too long",
        "CREATE TABLE t (id bigint PRIMARY KEY, name varchar(5))",
        false,
        BAD,
        "22001",
    ),
    kind(
        "out of range",
        "CREATE TABLE t (id numeric(5) PRIMARY KEY, name text)",
        false,
        |id| (id as i64 + 100_000, Some("good")),
        "22003",
    ),
    kind(
        "exclusion",
        "CREATE TABLE t (id bigint PRIMARY KEY, name text, EXCLUDE USING btree (name WITH =))",
        true,
        TAKEN,
        "23P01",
    ),
    kind(
        "exclusion, deferred",
        "CREATE TABLE t (id bigint PRIMARY KEY, name text, \
         EXCLUDE USING btree (name WITH =) DEFERRABLE INITIALLY DEFERRED)",
        true,
        TAKEN,
        "23P01",
    ),
    kind(
        "a trigger that raises",
        "CREATE TABLE t (id bigint PRIMARY KEY, name text); \
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN IF NEW.name LIKE ''bad%'' THEN RAISE ''no''; END IF; RETURN NEW; END'; \
         CREATE TRIGGER refuse BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION refuse()",
        false,
        BAD,
        "P0001",
    ),
    kind(
        "a constraint trigger that raises, deferred",
        "CREATE TABLE t (id bigint PRIMARY KEY, name text); \
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN IF NEW.name LIKE ''bad%'' THEN RAISE ''no''; END IF; RETURN NULL; END'; \
         CREATE CONSTRAINT TRIGGER refuse AFTER INSERT OR UPDATE ON t DEFERRABLE INITIALLY DEFERRED \
         FOR EACH ROW EXECUTE FUNCTION refuse()",
        false,
        BAD,
        "P0001",
    ),
];

/// How rows come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    Append,
    /// All keys are new: COPY straight into the table.
    NewKeys,
    /// Every hundredth row is there already, with another name: by the stage.
    KnownKeys,
}

impl Way {
    pub fn table(self) -> Table {
        match self {
            Self::Append => append("t"),
            Self::NewKeys | Self::KnownKeys => upsert("t", &["id"]),
        }
    }
}

const fn is_known(index: usize) -> bool {
    index.is_multiple_of(100)
}

pub fn batch(kind: &Kind, bad: &BTreeSet<usize>) -> RecordBatch {
    let row = |index: usize| {
        if bad.contains(&index) {
            let (id, name) = (kind.bad)(index);
            (id, name.map(str::to_owned))
        } else if kind.distinct {
            (index as i64, Some(format!("n{index}")))
        } else {
            (index as i64, Some("good".to_owned()))
        }
    };
    let (ids, names): (Vec<i64>, Vec<Option<String>>) = (0..NUM_RECORDS).map(row).unzip();
    let ids: ArrayRef = Arc::new(Int64Array::from(ids));
    let names: ArrayRef = Arc::new(StringArray::from(names));
    rows(vec![("id", ids), ("name", names)])
}

/// Makes the table, with the rows that are there before.
pub fn prepare(kind: &Kind, way: Way) -> String {
    let mut ddl = format!("{}; INSERT INTO t VALUES (-1, 'taken')", kind.ddl);
    if way == Way::KnownKeys {
        let name = if kind.distinct { "'old' || n" } else { "'good'" };
        ddl += &format!("; INSERT INTO t SELECT n, {name} FROM generate_series(0, {NUM_RECORDS} - 1, 100) AS n");
    }
    ddl
}

/// Writes the batch, and compares what is in the table, in the dead letters and in the ledger with what should be.
fn exactly_the_bad_ones_die(kind: &Kind, way: Way, bad: &BTreeSet<usize>) {
    let what = format!("{}, {way:?}, {} bad rows", kind.name, bad.len());
    let mut branch = Branch::new(&prepare(kind, way), &[(way.table(), id_and_name())]);
    let (counts, _, dead) = settled(branch.write(NUM_RECORDS, vec![batch(kind, bad)]));
    assert!(counts.adds_up(), "{what}: {counts:?}");
    let num_good = NUM_RECORDS - bad.len();
    assert_eq!(
        (counts.consumed, counts.applied, counts.dead),
        (NUM_RECORDS as u64, num_good as u64, bad.len() as u64),
        "{what}"
    );
    let found: BTreeSet<usize> = dead.iter().map(|letter| letter.position.offset as usize).collect();
    assert!(found == *bad && dead.len() == bad.len(), "{what}");
    for letter in &dead {
        assert!(letter.reason.starts_with(kind.sqlstate), "{what}: {}", letter.reason);
    }
    // Rows that were known before stay as they were where their new version is bad.
    let known = |index: &&usize| way == Way::KnownKeys && is_known(**index);
    let num_kept = bad.iter().filter(known).count();
    assert_eq!(
        branch.ask("SELECT count(*) FROM t WHERE id >= 0"),
        Some((num_good + num_kept).to_string()),
        "{what}"
    );
    let letters = format!(
        "SELECT count(*) || ' ' || count(DISTINCT record_offset) || ' ' || coalesce(sum(record_offset), 0) \
         FROM aqueduct.dead_letters WHERE sqlstate = '{}'",
        kind.sqlstate
    );
    let sum: usize = bad.iter().sum();
    assert_eq!(
        branch.ask(&letters),
        Some(format!("{0} {0} {sum}", bad.len())),
        "{what}"
    );
    let ledger = "SELECT concat_ws(' ', next_offset, consumed, applied, filtered, dead) FROM aqueduct.offsets";
    assert_eq!(
        branch.ask(ledger),
        Some(format!("{NUM_RECORDS} {NUM_RECORDS} {num_good} 0 {}", bad.len())),
        "{what}"
    );
}

/// `num` records, from the first to the last.
fn spread(num: usize) -> BTreeSet<usize> {
    let last = NUM_RECORDS - 1;
    (0..num).map(|index| index * last / (num - 1).max(1)).collect()
}

#[test]
fn of_ten_thousand_rows_that_are_appended_exactly_the_bad_ones_die() {
    for kind in &KINDS {
        for num in [2, 17] {
            exactly_the_bad_ones_die(kind, Way::Append, &spread(num));
        }
    }
}

#[test]
fn of_ten_thousand_rows_with_new_or_with_known_keys_exactly_the_bad_ones_die() {
    for kind in &KINDS {
        exactly_the_bad_ones_die(kind, Way::NewKeys, &spread(17));
        exactly_the_bad_ones_die(kind, Way::KnownKeys, &spread(17));
    }
}

/// Each second one, in the mean: the worst that a search by halves can meet.
#[test]
fn of_ten_thousand_rows_of_which_half_are_bad_exactly_these_die() {
    for kind in KINDS.iter().filter(|kind| !kind.name.ends_with("deferred")) {
        exactly_the_bad_ones_die(kind, Way::Append, &spread(5_000));
    }
    // By the stage, too.
    exactly_the_bad_ones_die(&KINDS[1], Way::KnownKeys, &spread(5_000));
}
