//! What one bad row costs, counted by the server: each statement that it was sent, out of its own log.

use std::{collections::BTreeSet, fs};

use aqueduct::store;

use crate::{
    job::LIMIT,
    load::{self, Branch, claim, id_and_name, loader, settled},
    postgres::{TestPostgres, wait_for},
    refused::{KINDS, NUM_RECORDS, Way, batch, prepare},
};

/// 2·log2(10,000) + 6, rounded down.
const MOST: usize = 32;

/// The statements that the session has sent since `begin` and before `end`, which it has sent, too.
fn between(server: &TestPostgres, begin: &str, end: &str) -> Vec<String> {
    let read = || -> String {
        let files = fs::read_dir(server.base_dir().join("log")).unwrap();
        let texts = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
        texts.collect()
    };
    let mut log = String::new();
    wait_for("the server has logged it", LIMIT, || {
        log = read();
        log.contains(end)
    });
    let part = log.split_once(begin).unwrap().1.split_once(end).unwrap().0;
    let sent = part
        .lines()
        .filter_map(|line| line.strip_prefix("aqueduct test|LOG:  "));
    let texts = sent.filter_map(|said| {
        let (how, text) = said.split_once(": ")?;
        (how == "statement" || how.starts_with("execute")).then_some(text)
    });
    // Several in one message are several.
    texts
        .flat_map(|text| text.split("; "))
        .map(|text| text.trim().to_owned())
        .collect()
}

#[test]
fn one_bad_row_in_ten_thousand_costs_no_more_writes_than_twice_the_halvings_as_the_server_counts_them() {
    let server = TestPostgres::private_with(&[("log_statement", "all"), ("log_line_prefix", "%a|")]);
    for (number, kind) in KINDS.iter().enumerate() {
        for way in [Way::Append, Way::NewKeys, Way::KnownKeys] {
            // At the beginning it costs most: each first half is refused, and each second one is then written.
            let bad = if number % 2 == 0 { 1 } else { 6_789 };
            let what = format!("{}, {way:?}", kind.name);
            let database = server.database();
            store::migrate(&database.info(), None).unwrap();
            database.execute(&prepare(kind, way));
            let mut session = load::connect(&database);
            let fence = claim(&mut session, 0);
            let loader = loader(&[(way.table(), id_and_name())]);
            let mut branch = Branch {
                database,
                session,
                loader,
                fence,
                next: 0,
            };
            // What is sent once a session does not belong to a row.
            branch.loader.prepare(&mut branch.session).unwrap();
            let rows = batch(kind, &BTreeSet::from([bad]));
            let (begin, end) = (format!("'begin {what}'"), format!("'end {what}'"));
            branch.ask(&format!("SELECT {begin}"));
            let (counts, _, dead) = settled(branch.write(NUM_RECORDS, vec![rows]));
            branch.ask(&format!("SELECT {end}"));
            assert_eq!((counts.dead, dead.len()), (1, 1), "{what}");
            assert_eq!(dead[0].position.offset, bad as i64, "{what}");

            let sent = between(&server, &begin, &end);
            let writes: Vec<_> = sent
                .iter()
                .filter(|text| {
                    text.starts_with("COPY \"public\".\"t\"") || text.contains("INSERT INTO \"public\".\"t\"")
                })
                .collect();
            let attempts = branch.loader.num_attempts() as usize;
            assert!(writes.len() <= MOST, "{what}: {} writes", writes.len());
            // The loader's own count is the server's: each attempt begins with its savepoint.
            let begun = sent.iter().filter(|text| *text == "SAVEPOINT aqueduct_attempt").count();
            assert_eq!(begun, attempts, "{what}");
        }
    }
}
