//! The multiset of ids in the table and in the dead letters against what the API has, and the ledger.

use std::collections::BTreeMap;

use aqueduct::demo::simulator::expected_uuids;

use crate::{
    job::ledger_counts,
    world::{RESULTS, World, is_bad},
};

pub fn verify(world: &mut World) {
    for slot in &mut world.slots {
        let status = slot.daemon().terminate();
        assert_eq!(status.code(), Some(0), "{}", slot.tail());
    }
    let ledger = world.job.run_once();
    let World {
        seed,
        pages,
        name,
        table,
        job,
        ..
    } = world;
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    let uuids = expected_uuids(name, 1..=*pages, RESULTS);
    let places = (1..=*pages).flat_map(|page| (0..RESULTS as usize).map(move |index| (page, index)));
    for (uuid, (page, index)) in uuids.iter().zip(places) {
        let fate = if is_bad(page, index) { &mut bad } else { &mut good };
        fate.push(uuid.to_string());
    }
    compare(
        *seed,
        "the table",
        good,
        job.texts(&format!("SELECT uuid FROM {table}")),
        &ledger,
    );
    let letters = "SELECT convert_from(payload, 'UTF8')::jsonb -> 'login' ->> 'uuid' FROM aqueduct.dead_letters";
    let num_bad = bad.len() as u64;
    compare(*seed, "the dead letters", bad, job.texts(letters), &ledger);
    let records = RESULTS * *pages;
    let counts = [records, records, records, records - num_bad, 0, num_bad, 0, 0];
    assert_eq!(ledger_counts(&ledger), counts, "seed {seed}: {ledger}");
    assert!(ledger.contains("the ledger adds up"), "seed {seed}: {ledger}");
    let inserted = job.count("SELECT sum(inserted) FROM aqueduct.row_counts");
    assert_eq!(inserted.cast_unsigned(), records - num_bad, "seed {seed}: {ledger}");
    println!("{ledger}");
}

/// Not `assert_eq`: it would print all ids twice.
fn compare(seed: u64, what: &str, expected: Vec<String>, found: Vec<String>, ledger: &str) {
    let mut balance: BTreeMap<String, i64> = BTreeMap::new();
    for uuid in expected {
        *balance.entry(uuid).or_default() -= 1;
    }
    for uuid in found {
        *balance.entry(uuid).or_default() += 1;
    }
    let missing: i64 = balance.values().filter(|count| **count < 0).sum();
    let doubled: i64 = balance.values().filter(|count| **count > 0).sum();
    let examples: Vec<_> = balance.iter().filter(|(_, count)| **count != 0).take(5).collect();
    assert!(
        missing == 0 && doubled == 0,
        "seed {seed}: {what}: {} are missing, {doubled} are too many, like {examples:?}: {ledger}",
        -missing
    );
}
