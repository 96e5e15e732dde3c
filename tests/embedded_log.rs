//! The embedded log keeps the promises of the log's traits, on real files.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aqueduct::{
    log::{
        Cancel, IngestEvent, LoadEvent, Log, LogError, Ownership, ReadLimit, ReadOutcome, TopicSpec, Waker,
        embedded::{EmbeddedLog, Retention},
    },
    model::{CursorRecord, LogRecord, Page, PageRecord, ShardId, Verdict},
};
use serde_json::json;

const LIMIT: ReadLimit = ReadLimit {
    records: 1000,
    bytes: 1 << 20,
};

fn spec(num_partitions: i32, num_shards: i32) -> TopicSpec {
    let shard = |number| ShardId {
        number,
        content: format!("{{\"stripe\":{number}}}").into(),
    };
    TopicSpec {
        pipeline: "p".into(),
        topic: "t".into(),
        num_partitions,
        replication: 1,
        shards: (0..num_shards).map(shard).collect(),
    }
}

fn open(folder: &Path) -> EmbeddedLog {
    open_with(folder, Retention::default())
}

fn open_with(folder: &Path, retention: Retention) -> EmbeddedLog {
    EmbeddedLog::open(&folder.join("log.redb"), retention).unwrap()
}

fn silent() -> Waker {
    Arc::new(|| {})
}

fn page(shard: &ShardId, number: u64, payloads: impl IntoIterator<Item = String>) -> Page {
    Page {
        shard: shard.clone(),
        cursor_before: json!(number),
        cursor_after: json!(number + 1),
        records: payloads
            .into_iter()
            .map(|payload| PageRecord {
                key: None,
                payload: payload.into(),
                reject: None,
            })
            .collect(),
    }
}

fn after(number: u64, num_records: u64) -> CursorRecord {
    CursorRecord {
        cursor: json!(number),
        fetched: num_records,
        produced: num_records,
        ..CursorRecord::default()
    }
}

fn read_all(log: &EmbeddedLog, spec: &TopicSpec, from: i64) -> Vec<LogRecord> {
    let mut member = log.join_load(spec, silent()).unwrap();
    let partitions: Vec<(i32, i64)> = (0..spec.num_partitions).map(|partition| (partition, from)).collect();
    member.poll(Duration::ZERO).unwrap();
    member.assign(&partitions).unwrap();
    let mut records = Vec::new();
    for (partition, _) in partitions {
        while member.read(partition, LIMIT, &mut records).unwrap() == ReadOutcome::More {}
    }
    records
}

#[test]
fn records_and_cursor_come_back_together_after_a_reopen() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(3, 1);
    let shard = &spec.shards[0];
    {
        let log = open(folder.path());
        log.prepare(&spec, &Cancel::new()).unwrap();
        let own = Ownership::granted();
        let mut writer = log.open_shard(&spec, shard, &own, &Cancel::new()).unwrap();
        assert_eq!(writer.committed(), None);
        let pages = [
            page(shard, 0, (0..50).map(|n| n.to_string())),
            page(shard, 1, (50..70).map(|n| n.to_string())),
        ];
        writer.commit(&pages, &after(2, 70), &own, &Cancel::new()).unwrap();
    }
    let log = open(folder.path());
    log.prepare(&spec, &Cancel::new()).unwrap();
    let writer = log
        .open_shard(&spec, shard, &Ownership::granted(), &Cancel::new())
        .unwrap();
    assert_eq!(writer.committed(), Some(&after(2, 70)));
    let mut payloads: Vec<u32> = read_all(&log, &spec, 0)
        .iter()
        .map(|record| {
            std::str::from_utf8(record.value.as_deref().unwrap())
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    payloads.sort_unstable();
    assert_eq!(payloads, (0..70).collect::<Vec<_>>());
}

#[test]
fn offsets_of_a_partition_follow_without_a_gap_and_reading_begins_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(1, 1);
    let (shard, own) = (&spec.shards[0], Ownership::granted());
    let log = open(folder.path());
    log.prepare(&spec, &Cancel::new()).unwrap();
    let mut writer = log.open_shard(&spec, shard, &own, &Cancel::new()).unwrap();
    for number in 0..10 {
        let payloads = (0..7).map(|n| format!("{number}-{n}"));
        writer
            .commit(
                &[page(shard, number, payloads)],
                &after(number + 1, 0),
                &own,
                &Cancel::new(),
            )
            .unwrap();
    }
    for from in 0..70 {
        let offsets: Vec<i64> = read_all(&log, &spec, from).iter().map(|record| record.offset).collect();
        assert_eq!(offsets, (from..70).collect::<Vec<_>>());
    }
}

#[test]
fn a_shard_that_is_opened_again_fences_its_earlier_writer() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(1, 1);
    let (shard, own) = (&spec.shards[0], Ownership::granted());
    let log = open(folder.path());
    log.prepare(&spec, &Cancel::new()).unwrap();
    let mut old = log.open_shard(&spec, shard, &own, &Cancel::new()).unwrap();
    let mut new = log.open_shard(&spec, shard, &own, &Cancel::new()).unwrap();
    let error = old
        .commit(&[page(shard, 0, ["a".into()])], &after(1, 1), &own, &Cancel::new())
        .unwrap_err();
    assert_eq!(error.verdict(), Verdict::Lost);
    new.commit(&[page(shard, 0, ["b".into()])], &after(1, 1), &own, &Cancel::new())
        .unwrap();
    let records = read_all(&log, &spec, 0);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].value.as_deref(), Some(b"b".as_slice()));
}

#[test]
fn who_does_not_own_the_shard_appends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(1, 1);
    let (shard, own) = (&spec.shards[0], Ownership::granted());
    let log = open(folder.path());
    log.prepare(&spec, &Cancel::new()).unwrap();
    let mut writer = log.open_shard(&spec, shard, &own, &Cancel::new()).unwrap();
    own.clear();
    let error = writer
        .commit(&[page(shard, 0, ["a".into()])], &after(1, 1), &own, &Cancel::new())
        .unwrap_err();
    assert!(matches!(error, LogError::Lost { .. }));
    assert!(read_all(&log, &spec, 0).is_empty());
}

#[test]
fn shards_move_to_a_second_member_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(1, 4);
    let log = open(folder.path());
    log.prepare(&spec, &Cancel::new()).unwrap();
    let mut first = log.join_ingest(&spec, silent()).unwrap();
    let assigned = |events: Vec<IngestEvent>| -> Vec<(i32, Ownership)> {
        events
            .into_iter()
            .filter_map(|event| match event {
                IngestEvent::Assigned(shards) => Some(shards),
                IngestEvent::Revoked(_) => None,
            })
            .flatten()
            .map(|(shard, own)| (shard.number, own))
            .collect()
    };
    let owned = assigned(first.poll(Duration::ZERO).unwrap());
    assert_eq!(
        owned.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
        [0, 1, 2, 3]
    );
    let mut second = log.join_ingest(&spec, silent()).unwrap();
    assert!(
        second.poll(Duration::ZERO).unwrap().is_empty(),
        "nothing is free before the first lets go"
    );
    let events = first.poll(Duration::ZERO).unwrap();
    assert!(matches!(&events[..], [IngestEvent::Revoked(shards)] if shards.len() == 2));
    assert_eq!(
        owned.iter().filter(|(_, own)| own.holds()).count(),
        2,
        "ownership was cleared first"
    );
    assert_eq!(assigned(second.poll(Duration::ZERO).unwrap()).len(), 2);
    drop(first);
    assert_eq!(assigned(second.poll(Duration::ZERO).unwrap()).len(), 2);
}

#[test]
fn the_end_is_told_once_and_a_commit_wakes_the_reader() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(1, 1);
    let (shard, own) = (&spec.shards[0], Ownership::granted());
    let log = open(folder.path());
    log.prepare(&spec, &Cancel::new()).unwrap();
    let num_wakes = Arc::new(AtomicUsize::new(0));
    let counted = num_wakes.clone();
    let waker: Waker = Arc::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let mut member = log.join_load(&spec, waker).unwrap();
    assert_eq!(member.poll(Duration::ZERO).unwrap(), [LoadEvent::Assigned(vec![0])]);
    member.assign(&[(0, 0)]).unwrap();
    let mut records = Vec::new();
    assert_eq!(member.read(0, LIMIT, &mut records).unwrap(), ReadOutcome::End);
    assert_eq!(member.position(0), Some(0));
    assert_eq!(member.read(0, LIMIT, &mut records).unwrap(), ReadOutcome::Empty);
    let before = num_wakes.load(Ordering::SeqCst);
    let mut writer = log.open_shard(&spec, shard, &own, &Cancel::new()).unwrap();
    writer
        .commit(&[page(shard, 0, ["a".into()])], &after(1, 1), &own, &Cancel::new())
        .unwrap();
    assert!(num_wakes.load(Ordering::SeqCst) > before);
    assert_eq!(member.read(0, LIMIT, &mut records).unwrap(), ReadOutcome::End);
    assert_eq!((records.len(), member.position(0)), (1, Some(1)));
}

#[test]
fn retention_deletes_what_is_settled_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(1, 1);
    let (shard, own) = (&spec.shards[0], Ownership::granted());
    let log = open_with(
        folder.path(),
        Retention {
            age: Duration::MAX,
            bytes_a_partition: 1,
        },
    );
    log.prepare(&spec, &Cancel::new()).unwrap();
    let mut writer = log.open_shard(&spec, shard, &own, &Cancel::new()).unwrap();
    let mut num_records = 0;
    while num_records < 150_000 {
        let payloads = (0..10_000).map(|n| n.to_string());
        writer
            .commit(&[page(shard, 0, payloads)], &after(1, 0), &own, &Cancel::new())
            .unwrap();
        num_records += 10_000;
    }
    let inspector = log.inspector(&spec).unwrap();
    let mut member = log.join_load(&spec, silent()).unwrap();
    member.poll(Duration::ZERO).unwrap();
    member.assign(&[(0, 0)]).unwrap();
    member.note_settled(0, 105_000);
    assert_eq!(
        inspector.bounds(0).unwrap().low,
        100_000,
        "whole values below the settled offset are gone"
    );
    assert_eq!(inspector.bounds(0).unwrap().last_stable, 150_000);
    member.assign(&[(0, 50_000)]).unwrap();
    assert_eq!(member.read(0, LIMIT, &mut Vec::new()).unwrap(), ReadOutcome::OutOfRange);
    member.assign(&[(0, 100_000)]).unwrap();
    let mut records = Vec::new();
    assert_eq!(member.read(0, LIMIT, &mut records).unwrap(), ReadOutcome::More);
    assert_eq!(records[0].offset, 100_000);
}

#[test]
fn a_second_process_is_told_that_the_file_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let _log = open(folder.path());
    let error = EmbeddedLog::open(&folder.path().join("log.redb"), Retention::default())
        .err()
        .unwrap();
    assert_eq!(error.verdict(), Verdict::Fail);
}

#[test]
fn another_number_of_partitions_is_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    log.prepare(&spec(3, 1), &Cancel::new()).unwrap();
    let error = log.prepare(&spec(4, 1), &Cancel::new()).unwrap_err();
    assert!(error.to_string().contains("set topic.partitions = 3"), "{error}");
}
