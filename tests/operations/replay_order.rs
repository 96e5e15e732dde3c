//! A replayed record comes long after its neighbours: what it may overwrite, and what not.

use aqueduct::{
    config::settings::Table,
    model::{Position, Rejected, Stage},
    sql::Transformed,
    store::{
        dead_letters::{self, Filter},
        load::{LoadBatch, Loader, Revived, TableSpec},
        offsets::Fence,
    },
};

use crate::load::{Branch, TOPIC, ask, id_and_name, key, people, records, upsert};

const TABLE: &str = "CREATE TABLE people (id bigint PRIMARY KEY, name text CONSTRAINT short CHECK (length(name) < 10))";

fn letter(offset: i64) -> Rejected {
    Rejected {
        position: Position {
            topic: "people".into(),
            partition: 0,
            offset,
        },
        stage: Stage::Write,
        reason: "23514 too long".into(),
        table: Some("people".into()),
        key: None,
        payload: Some("{}".into()),
        headers: Vec::new(),
        timestamp_ms: None,
    }
}

/// A branch with row 1 in its table and dead letters at these offsets, known to its ledger.
fn branch(table: &Table, dead: i64) -> Branch {
    let mut branch = Branch::new(TABLE, &[(table.clone(), id_and_name())]);
    branch.write(1, vec![people([(1, "live")])]).unwrap();
    for offset in 0..dead {
        dead_letters::insert(&mut branch.session, "people", TOPIC, &[letter(offset)]).unwrap();
    }
    branch.run(&format!(
        "UPDATE aqueduct.offsets SET dead = {dead}, consumed = consumed + {dead}"
    ));
    branch
}

fn replay(branch: &mut Branch, table: &Table, keep: bool, rows: &[(i64, &str)]) -> Revived {
    let spec = TableSpec {
        table: table.clone(),
        schema: id_and_name(),
    };
    let mut loader = if keep {
        Loader::keeping_existing(vec![spec])
    } else {
        Loader::new(vec![spec])
    };
    let records = records(0, rows.len());
    let rows = Transformed {
        tables: vec![people(rows.iter().copied())],
        failures: Vec::new(),
    };
    let fence = Fence {
        key: key(0),
        topic_id: TOPIC,
        epoch: 0,
        expected: 0,
    };
    let letters = dead_letters::list(&mut branch.session, &Filter::default(), 100).unwrap();
    let ids: Vec<i64> = letters.iter().map(|letter| letter.id).collect();
    let batch = LoadBatch::whole(fence, records.len() as i64, &records, &rows, &[]);
    loader
        .replay(&mut branch.session, &batch, &ids[..records.len()])
        .unwrap()
}

const NAMES: &str = "SELECT string_agg(id || ' ' || name, ', ' ORDER BY id) FROM people";
const FATES: &str =
    "SELECT 'consumed ' || consumed || ' applied ' || applied || ' dead ' || dead FROM aqueduct.offsets";
const LETTERS: &str = "SELECT coalesce(string_agg(record_offset || ' tried ' || attempts, ', ' ORDER BY 1), '') FROM \
                       (SELECT record_offset, attempts FROM aqueduct.dead_letters ORDER BY 1) AS letters";

fn seen(branch: &mut Branch) -> [String; 3] {
    [NAMES, FATES, LETTERS].map(|query| ask(&mut branch.session, query).unwrap())
}

#[test]
fn a_replayed_record_does_not_overwrite_a_row_that_is_there() {
    let table = upsert("people", &["id"]);
    let mut branch = branch(&table, 2);
    let revived = replay(&mut branch, &table, true, &[(1, "old"), (2, "new")]);
    assert_eq!(
        (
            revived.counts.applied,
            revived.rows[0].inserted,
            revived.rows[0].superseded
        ),
        (2, 1, 1)
    );
    assert_eq!(seen(&mut branch), ["1 live, 2 new", "consumed 3 applied 3 dead 0", ""]);
}

#[test]
fn of_several_replayed_versions_the_last_one_wins_even_where_they_are_written_in_parts() {
    let table = upsert("people", &["id"]);
    let mut branch = branch(&table, 5);
    // The refused one makes the search write the others half by half.
    let versions = [
        (2, "first"),
        (2, "second"),
        (3, "far too long"),
        (2, "third"),
        (2, "fourth"),
    ];
    let revived = replay(&mut branch, &table, true, &versions);
    assert_eq!((revived.counts.applied, revived.refused.len()), (4, 1));
    assert_eq!(
        seen(&mut branch),
        ["1 live, 2 fourth", "consumed 6 applied 5 dead 1", "2 tried 2"]
    );
}

#[test]
fn with_order_by_a_strictly_newer_version_wins_and_an_equal_or_older_one_does_not() {
    let table = Table {
        order_by: Some("name".into()),
        ..upsert("people", &["id"])
    };
    for (version, kept) in [("a", "1 live"), ("live", "1 live"), ("newer", "1 newer")] {
        let mut branch = branch(&table, 1);
        let revived = replay(&mut branch, &table, true, &[(1, version)]);
        assert_eq!(revived.counts.applied, 1);
        assert_eq!(
            seen(&mut branch),
            [kept, "consumed 2 applied 2 dead 0", ""],
            "{version}"
        );
    }
}

#[test]
fn whoever_says_so_overwrites() {
    let table = upsert("people", &["id"]);
    let mut branch = branch(&table, 1);
    let revived = replay(&mut branch, &table, false, &[(1, "replayed")]);
    assert_eq!(revived.rows[0].updated, 1);
    assert_eq!(seen(&mut branch), ["1 replayed", "consumed 2 applied 2 dead 0", ""]);
}

#[test]
fn a_letter_that_is_gone_is_not_written_again() {
    let table = upsert("people", &["id"]);
    let mut branch = branch(&table, 2);
    let purge = Filter {
        ids: vec![dead_letters::list(&mut branch.session, &Filter::default(), 1).unwrap()[0].id],
        ..Filter::default()
    };
    let ids: Vec<i64> = dead_letters::list(&mut branch.session, &Filter::default(), 9)
        .unwrap()
        .iter()
        .map(|letter| letter.id)
        .collect();
    assert_eq!(dead_letters::purge(&mut branch.session, &purge).unwrap(), 1);
    let (records, rows) = (records(0, 2), people([(7, "gone"), (8, "there")]));
    let rows = Transformed {
        tables: vec![rows],
        failures: Vec::new(),
    };
    let fence = Fence {
        key: key(0),
        topic_id: TOPIC,
        epoch: 0,
        expected: 0,
    };
    let batch = LoadBatch::whole(fence, 2, &records, &rows, &[]);
    let spec = TableSpec {
        table,
        schema: id_and_name(),
    };
    let mut loader = Loader::keeping_existing(vec![spec]);
    let revived = loader.replay(&mut branch.session, &batch, &ids).unwrap();
    assert_eq!((revived.num_gone, revived.counts.applied), (1, 1));
    let again = loader.replay(&mut branch.session, &batch, &ids).unwrap();
    assert_eq!((again.num_gone, again.counts.applied), (2, 0));
    assert_eq!(
        seen(&mut branch),
        ["1 live, 8 there", "consumed 3 applied 2 dead 0", ""]
    );
    let skipped = ask(&mut branch.session, "SELECT sum(skipped) FROM aqueduct.offsets");
    assert_eq!(
        skipped.as_deref(),
        Some("1"),
        "a purged record is given up, and counted so"
    );
}

#[test]
fn where_the_ledger_does_not_know_the_letters_nothing_is_written() {
    let table = upsert("people", &["id"]);
    let mut branch = branch(&table, 1);
    branch.run("UPDATE aqueduct.offsets SET dead = 0, filtered = 1");
    let spec = TableSpec {
        table,
        schema: id_and_name(),
    };
    let (records, rows) = (records(0, 1), people([(9, "x")]));
    let rows = Transformed {
        tables: vec![rows],
        failures: Vec::new(),
    };
    let fence = Fence {
        key: key(0),
        topic_id: TOPIC,
        epoch: 0,
        expected: 0,
    };
    let ids = [dead_letters::list(&mut branch.session, &Filter::default(), 1).unwrap()[0].id];
    let batch = LoadBatch::whole(fence, 1, &records, &rows, &[]);
    let error = Loader::new(vec![spec])
        .replay(&mut branch.session, &batch, &ids)
        .unwrap_err();
    assert!(error.to_string().contains("the ledger does not know"), "{error}");
    assert_eq!(ask(&mut branch.session, NAMES).as_deref(), Some("1 live"));
}
