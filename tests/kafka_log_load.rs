//! The load side of the Kafka adapter, on a real broker.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[path = "support/kafka.rs"]
mod kafka;
#[path = "support/kafka_log.rs"]
mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use aqueduct::{
    log::{Bounds, Cancel, LoadEvent, LoadMember, Log, Ownership, ReadLimit, ReadOutcome, kafka::Step},
    model::{Header, IngestReject, LogRecord, PageRecord},
};
use futures::executor::block_on;
use kafka::TestKafka;
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};
use support::{
    LIMIT, POLL, admin, admin_options, await_assigned, await_markers, cursor, fill, kafka_log, kafka_log_with,
    next_events, no_waker, page, prepared, read_to_end, record, wait_for,
};
use tokio::time::Instant;

fn address() -> &'static str {
    TestKafka::shared().address()
}

fn texts(records: &[LogRecord]) -> Vec<String> {
    records
        .iter()
        .map(|record| String::from_utf8(record.value.clone().unwrap().to_vec()).unwrap())
        .collect()
}

/// Serves several members, as several daemons would, until the condition holds.
fn poll_all(members: &mut [&mut dyn LoadMember], what: &str, mut done: impl FnMut(usize, Vec<LoadEvent>) -> bool) {
    wait_for(what, || {
        let mut is_done = false;
        for (index, member) in members.iter_mut().enumerate() {
            is_done |= done(index, member.poll(POLL).unwrap());
        }
        is_done.then_some(())
    });
}

#[test]
fn a_partition_is_read_from_exactly_its_offset_to_its_end() {
    let log = kafka_log(address());
    let spec = prepared(&log, 1, 1);
    fill(&log, &spec, &[&["a", "b"], &["c"]]);
    let num_wakes = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&num_wakes);
    let waker = Arc::new(move || {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    let mut member = log.join_load(&spec, waker).unwrap();
    await_assigned(&mut *member, &[0]);
    assert!(num_wakes.load(Ordering::SeqCst) > 0, "an assignment wakes");

    // Two records, a marker, one record, a marker.
    let before = num_wakes.load(Ordering::SeqCst);
    member.assign(&[(0, 1)]).unwrap();
    wait_for("records to wake the reader", || {
        (num_wakes.load(Ordering::SeqCst) > before).then_some(())
    });
    let (records, outcome) = read_to_end(&mut *member, 0);
    assert_eq!(
        (texts(&records), outcome),
        (vec!["b".to_owned(), "c".to_owned()], ReadOutcome::End)
    );
    assert_eq!(records.iter().map(|record| record.offset).collect::<Vec<_>>(), [1, 3]);
    assert!(
        records
            .iter()
            .all(|record| record.timestamp_ms.is_some_and(|ms| ms > 1_600_000_000_000))
    );

    let inspector = log.inspector(&spec).unwrap();
    assert_eq!(
        inspector.bounds(0).unwrap(),
        Bounds { low: 0, last_stable: 5 },
        "beyond the last marker"
    );

    // Records that come later wake the reader again, and end again.
    let before = num_wakes.load(Ordering::SeqCst);
    fill(&log, &spec, &[&["d"]]);
    wait_for("new records to wake the reader", || {
        (num_wakes.load(Ordering::SeqCst) > before).then_some(())
    });
    let (records, outcome) = read_to_end(&mut *member, 0);
    assert_eq!((texts(&records), outcome), (vec!["d".to_owned()], ReadOutcome::End));
}

#[test]
fn keys_headers_and_limits_are_kept() {
    let log = kafka_log(address());
    let spec = prepared(&log, 1, 1);
    let (own, cancel) = (Ownership::granted(), Cancel::new());
    let mut writer = log.open_shard(&spec, &spec.shards[0], &own, &cancel).unwrap();
    let rejected = PageRecord {
        key: Some("k".into()),
        payload: "x".into(),
        reject: Some(IngestReject {
            reason: "why".to_owned(),
            size_bytes: 9,
        }),
    };
    let mut records = vec![rejected];
    records.extend((0..10).map(|_| record("0123456789")));
    writer
        .commit(&[page(&spec.shards[0], 0, records)], &cursor(1), &own, &cancel)
        .unwrap();

    let mut member = log.join_load(&spec, no_waker()).unwrap();
    await_assigned(&mut *member, &[0]);
    member.assign(&[(0, 0)]).unwrap();
    let mut take = |records, bytes| {
        let mut into = Vec::new();
        wait_for("the limit", || {
            let limit = ReadLimit {
                records: records - into.len(),
                bytes,
            };
            (member.read(0, limit, &mut into).unwrap() == ReadOutcome::More).then_some(())
        });
        into
    };
    let first = take(1, 1 << 20);
    let header = |name: &str, value: &'static str| Header {
        name: name.to_owned(),
        value: Some(value.into()),
    };
    assert_eq!(first[0].key.as_deref(), Some(&b"k"[..]));
    assert_eq!(
        first[0].headers,
        [
            header(IngestReject::REASON_HEADER, "why"),
            header(IngestReject::SIZE_HEADER, "9")
        ]
    );
    assert_eq!(take(3, 1 << 20).len(), 3);
    let by_bytes = take(100, 1);
    assert_eq!(by_bytes.len(), 1, "at least one record, however large");
    assert_eq!(
        (by_bytes[0].offset, &by_bytes[0].key, &by_bytes[0].headers),
        (4, &None, &Vec::new())
    );
}

#[test]
fn records_of_a_transaction_that_was_left_open_are_never_read() {
    let log = kafka_log(address());
    let spec = prepared(&log, 1, 1);
    fill(&log, &spec, &[&["0"]]);
    let dying = kafka_log(address()).with_failpoint(Arc::new(|step| step == Step::Sent));
    let (own, cancel) = (Ownership::granted(), Cancel::new());
    let mut writer = dying.open_shard(&spec, &spec.shards[0], &own, &cancel).unwrap();
    writer
        .commit(
            &[page(&spec.shards[0], 1, vec![record("dead")])],
            &cursor(2),
            &own,
            &cancel,
        )
        .unwrap_err();
    drop(writer);

    let mut member = log.join_load(&spec, no_waker()).unwrap();
    await_assigned(&mut *member, &[0]);
    member.assign(&[(0, 0)]).unwrap();
    let inspector = log.inspector(&spec).unwrap();
    assert_eq!(
        inspector.bounds(0).unwrap().last_stable,
        2,
        "below the open transaction"
    );
    // The next opening aborts it.
    fill(&log, &spec, &[&["1"]]);
    let mut all = Vec::new();
    wait_for("the record behind the aborted one", || {
        all.extend(read_to_end(&mut *member, 0).0);
        (all.len() == 2).then_some(())
    });
    assert_eq!(texts(&all), ["0", "1"]);
}

#[test]
fn an_offset_that_the_log_does_not_hold_is_out_of_range_and_another_claim_goes_on() {
    let log = kafka_log(address());
    let spec = prepared(&log, 2, 1);
    let (own, cancel) = (Ownership::granted(), Cancel::new());
    let mut writer = log.open_shard(&spec, &spec.shards[0], &own, &cancel).unwrap();
    let records = (0..100).map(|number| record(number.to_string())).collect();
    writer
        .commit(&[page(&spec.shards[0], 0, records)], &cursor(1), &own, &cancel)
        .unwrap();
    drop(writer);
    await_markers(&log, &spec);
    let mut deleted = TopicPartitionList::new();
    deleted.add_partition_offset(&spec.topic, 0, Offset::Offset(5)).unwrap();
    block_on(admin(address()).delete_records(&deleted, &admin_options())).unwrap();

    let mut member = log.join_load(&spec, no_waker()).unwrap();
    await_assigned(&mut *member, &[0, 1]);
    let inspector = log.inspector(&spec).unwrap();
    assert_eq!(inspector.bounds(0).unwrap().low, 5);
    member.assign(&[(0, 0), (1, 1_000_000)]).unwrap();
    assert_eq!(
        read_to_end(&mut *member, 0).1,
        ReadOutcome::OutOfRange,
        "below the first offset"
    );
    assert_eq!(
        read_to_end(&mut *member, 1).1,
        ReadOutcome::OutOfRange,
        "beyond the end"
    );

    // `offsets skip`, or a store that went back: the same partition at another offset.
    member.release(&[0]).unwrap();
    member.assign(&[(0, 5)]).unwrap();
    let (records, outcome) = read_to_end(&mut *member, 0);
    assert_eq!((records[0].offset, outcome), (5, ReadOutcome::End));
    member.assign(&[(0, 6)]).unwrap();
    let (again, _) = read_to_end(&mut *member, 0);
    assert_eq!(again[..], records[1..], "also without a release");
}

#[test]
fn partitions_are_handed_over_only_when_they_are_released() {
    let log = kafka_log(address());
    let spec = prepared(&log, 4, 1);
    let mut first = log.join_load(&spec, no_waker()).unwrap();
    await_assigned(&mut *first, &[0, 1, 2, 3]);
    first.assign(&[(0, 0), (1, 0), (2, 0), (3, 0)]).unwrap();

    let mut second = log.join_load(&spec, no_waker()).unwrap();
    let mut revoked = Vec::new();
    poll_all(&mut [&mut *first, &mut *second], "a revocation", |index, events| {
        for event in events {
            match (index, event) {
                (0, LoadEvent::Revoked { partitions, lost }) => {
                    assert!(!lost);
                    revoked = partitions;
                }
                (_, event) => panic!("unexpected {event:?}"),
            }
        }
        !revoked.is_empty()
    });
    assert_eq!(revoked.len(), 2);

    // What is not released stays: the others go on being read, and nobody gets it.
    let kept: Vec<i32> = (0..4).filter(|partition| !revoked.contains(partition)).collect();
    first.release(&revoked[..1]).unwrap();
    for _ in 0..20 {
        assert_eq!(first.poll(POLL).unwrap(), []);
        assert_eq!(second.poll(POLL).unwrap(), []);
    }
    // A claim that was under way while the partition was revoked comes to nothing.
    first.assign(&[(revoked[1], 0)]).unwrap();
    first.release(&revoked[1..]).unwrap();
    let mut assigned = Vec::new();
    poll_all(&mut [&mut *first, &mut *second], "the hand-over", |index, events| {
        for event in events {
            match (index, event) {
                (1, LoadEvent::Assigned(partitions)) => assigned.extend(partitions),
                (_, event) => panic!("unexpected {event:?}"),
            }
        }
        assigned.len() == 2
    });
    assigned.sort_unstable();
    revoked.sort_unstable();
    assert_eq!(assigned, revoked);
    second.assign(&[(assigned[0], 0), (assigned[1], 0)]).unwrap();

    // Both read what is theirs, and the leaver's partitions come back.
    fill(&log, &spec, &[&["x"; 200]]);
    let count = |member: &mut dyn LoadMember, partitions: &[i32]| -> usize {
        partitions
            .iter()
            .map(|partition| read_to_end(member, *partition).0.len())
            .sum()
    };
    let mut total = 0;
    wait_for("all records", || {
        total += count(&mut *first, &kept) + count(&mut *second, &assigned);
        (total == 200).then_some(())
    });
    drop(second);
    await_assigned(&mut *first, &assigned);
}

#[test]
fn a_slow_claim_holds_nobody_up() {
    let log = kafka_log(address());
    let spec = prepared(&log, 4, 1);
    let mut slow = log.join_load(&spec, no_waker()).unwrap();
    await_assigned(&mut *slow, &[0, 1, 2, 3]);
    // It claims nothing yet, and gives back what it has never read.
    let mut other = log.join_load(&spec, no_waker()).unwrap();
    let (mut num_assigned, mut revoked) = (0, Vec::new());
    wait_for("the other member's share", || {
        for event in slow.poll(POLL).unwrap() {
            let LoadEvent::Revoked {
                partitions,
                lost: false,
            } = event
            else {
                panic!("unexpected {event:?}")
            };
            slow.release(&partitions).unwrap();
            revoked = partitions;
        }
        for event in other.poll(POLL).unwrap() {
            let LoadEvent::Assigned(partitions) = event else {
                panic!("unexpected {event:?}")
            };
            num_assigned += partitions.len();
        }
        (num_assigned == 2).then_some(())
    });
    // Its claims are through at last: what was revoked meanwhile is passed over.
    slow.assign(&[(0, 0), (1, 0), (2, 0), (3, 0)]).unwrap();
    let mut into = Vec::new();
    for partition in 0..4 {
        let limit = ReadLimit { records: 1, bytes: 1 };
        let is_ours = !revoked.contains(&partition);
        let outcome = wait_for("an answer", || {
            assert_eq!(slow.poll(POLL).unwrap(), []);
            let outcome = slow.read(partition, limit, &mut into).unwrap();
            (!is_ours || outcome == ReadOutcome::End).then_some(outcome)
        });
        assert_eq!(outcome, if is_ours { ReadOutcome::End } else { ReadOutcome::Empty });
    }
}

#[test]
fn who_falls_silent_has_lost_its_partitions() {
    let log = kafka_log(address());
    let silent = kafka_log_with(address(), &[("max.poll.interval.ms", "2500")]);
    let spec = prepared(&log, 2, 1);
    let mut first = silent.join_load(&spec, no_waker()).unwrap();
    await_assigned(&mut *first, &[0, 1]);
    first.assign(&[(0, 0), (1, 0)]).unwrap();
    let tool: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", address())
        .create()
        .unwrap();
    wait_for("the group to be empty", || {
        let list = tool.fetch_group_list(Some(&spec.pipeline), LIMIT).unwrap();
        list.groups()[0].members().is_empty().then_some(())
    });
    let mut second = log.join_load(&spec, no_waker()).unwrap();
    await_assigned(&mut *second, &[0, 1]);

    let mut events = next_events(&mut *first);
    let Some(LoadEvent::Revoked {
        mut partitions,
        lost: true,
    }) = events.pop()
    else {
        panic!("unexpected {events:?}")
    };
    partitions.sort_unstable();
    assert_eq!(partitions, [0, 1]);
    first.release(&partitions).unwrap();
}

#[test]
fn dropping_a_member_never_hangs() {
    let log = kafka_log(address());
    let spec = prepared(&log, 4, 1);
    let dropped = |member: Box<dyn LoadMember>| {
        let begin = Instant::now();
        drop(member);
        begin.elapsed()
    };
    let quick = Duration::from_secs(4);

    assert!(
        dropped(log.join_load(&spec, no_waker()).unwrap()) < quick,
        "before it has joined"
    );
    let mut unclaimed = log.join_load(&spec, no_waker()).unwrap();
    await_assigned(&mut *unclaimed, &[0, 1, 2, 3]);
    assert!(dropped(unclaimed) < quick, "with partitions that were never claimed");

    let mut reading = log.join_load(&spec, no_waker()).unwrap();
    await_assigned(&mut *reading, &[0, 1, 2, 3]);
    reading.assign(&[(0, 0), (2, 0)]).unwrap();
    let mut second = log.join_load(&spec, no_waker()).unwrap();
    poll_all(&mut [&mut *reading, &mut *second], "a revocation", |_, events| {
        !events.is_empty()
    });
    assert!(dropped(reading) < quick, "in the middle of a revocation");
    await_assigned(&mut *second, &[0, 1, 2, 3]);
    assert!(dropped(second) < quick);
}

#[test]
fn settled_offsets_are_told_to_the_group_for_lag_tools() {
    let log = kafka_log(address());
    let spec = prepared(&log, 1, 1);
    fill(&log, &spec, &[&["a", "b"]]);
    let mut member = log.join_load(&spec, no_waker()).unwrap();
    await_assigned(&mut *member, &[0]);
    member.assign(&[(0, 0)]).unwrap();
    assert_eq!(read_to_end(&mut *member, 0).0.len(), 2);
    member.note_settled(0, 3);
    // Of a partition that is not ours: passed over.
    member.note_settled(7, 3);

    let tool: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", address())
        .set("group.id", &*spec.pipeline)
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition(&spec.topic, 0);
    wait_for("the committed offset", || {
        assert_eq!(member.poll(POLL).unwrap(), []);
        let committed = tool.committed_offsets(list.clone(), LIMIT).unwrap();
        (committed.find_partition(&spec.topic, 0).unwrap().offset() == Offset::Offset(3)).then_some(())
    });
}

#[test]
fn an_inspector_serves_many_threads() {
    let log = kafka_log(address());
    let spec = prepared(&log, 2, 2);
    fill(&log, &spec, &[&["a", "b", "c"]]);
    let inspector = log.inspector(&spec).unwrap();
    let id = inspector.topic_id().unwrap();
    let ask = || {
        for _ in 0..20 {
            assert_eq!(inspector.topic_id().unwrap(), id);
            assert_eq!(inspector.bounds(0).unwrap().low, 0);
            assert_eq!(inspector.cursors().unwrap()[0].1, Some(cursor(1)));
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}
