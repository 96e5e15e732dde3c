//! What a broker has confirmed while it shuts down is there when it comes back.
//!
//! Kafka 4 loses transaction markers in that moment (docs/decisions/0007-lost-markers.md): the coordinator finds no leader
//! for a partition, takes the topic for deleted, and calls the transaction complete. Nothing but the adapter's own
//! look at the last stable offset tells.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[path = "support/kafka.rs"]
mod kafka;
#[path = "support/kafka_log.rs"]
mod support;

use std::{
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    thread,
};

use aqueduct::log::{Cancel, Log, LogError, Ownership, TopicSpec, kafka::KafkaLog};
use kafka::TestKafka;
use support::{cursor, kafka_log, page, payloads, prepared, record, wait_for};

const NUM_SHARDS: usize = 12;
const NUM_ROUNDS: usize = 3;
const RECORDS_A_PAGE: u64 = 4;

fn text(shard: usize, page: u64, record: u64) -> String {
    format!("{shard:02}-{page:06}-{record}")
}

/// Commits pages until it is cancelled; `confirmed` counts what the broker has said Ok to.
fn commit_until_cancelled(log: &KafkaLog, spec: &TopicSpec, number: usize, confirmed: &AtomicU64, cancel: &Cancel) {
    let (own, shard) = (Ownership::granted(), &spec.shards[number]);
    let mut writer = match log.open_shard(spec, shard, &own, cancel) {
        Ok(writer) => writer,
        Err(LogError::Cancelled { .. }) => return,
        Err(problem) => panic!("{problem:?}"),
    };
    let found = writer.committed().map_or(0, |cursor| cursor.pages);
    let known = confirmed.load(SeqCst);
    assert!(
        found >= known,
        "shard {number}: {found} pages found, {known} were confirmed"
    );
    confirmed.store(found, SeqCst);
    loop {
        let next = confirmed.load(SeqCst);
        let records = (0..RECORDS_A_PAGE)
            .map(|index| record(text(number, next, index)))
            .collect();
        match writer.commit(&[page(shard, next, records)], &cursor(next + 1), &own, cancel) {
            Ok(()) => confirmed.store(next + 1, SeqCst),
            Err(LogError::Cancelled { .. }) => return,
            // The outcome is open; the next opening decides.
            Err(LogError::Lost { .. }) => return,
            Err(problem) => panic!("{problem:?}"),
        }
    }
}

#[test]
fn what_a_broker_confirms_while_it_shuts_down_is_there_when_it_is_back() {
    let mut broker = TestKafka::private();
    let log = kafka_log(broker.address());
    let spec = prepared(&log, 24, NUM_SHARDS as i32);
    let confirmed: Vec<_> = (0..NUM_SHARDS).map(|_| AtomicU64::new(0)).collect();

    for round in 0..NUM_ROUNDS {
        let cancel = Cancel::new();
        thread::scope(|scope| {
            let committing: Vec<_> = confirmed
                .iter()
                .enumerate()
                .map(|(number, confirmed)| {
                    let (log, spec, cancel) = (&log, &spec, &cancel);
                    scope.spawn(move || commit_until_cancelled(log, spec, number, confirmed, cancel))
                })
                .collect();
            let before: Vec<_> = confirmed.iter().map(|it| it.load(SeqCst)).collect();
            wait_for("commits of every shard", || {
                confirmed
                    .iter()
                    .zip(&before)
                    .all(|(now, before)| now.load(SeqCst) > before + 20)
                    .then_some(())
            });
            if round == 1 {
                broker.kill9();
            } else {
                broker.stop();
            }
            cancel.cancel();
            let ended: Vec<_> = committing.into_iter().map(|it| it.join()).collect();
            broker.start_again();
            for ended in ended {
                ended.unwrap();
            }
        });
    }

    let mut expected = Vec::new();
    for (number, confirmed) in confirmed.iter().enumerate() {
        let writer = log
            .open_shard(&spec, &spec.shards[number], &Ownership::granted(), &Cancel::new())
            .unwrap();
        let found = writer.committed().map_or(0, |cursor| cursor.pages);
        assert!(
            found >= confirmed.load(SeqCst),
            "shard {number}: {found} of {confirmed:?}"
        );
        expected.extend((0..found).flat_map(|page| (0..RECORDS_A_PAGE).map(move |index| text(number, page, index))));
    }
    // Records that are only there for their markers have no payload.
    let mut found = payloads(broker.address(), &spec.topic);
    found.retain(|payload| !payload.is_empty());
    assert_eq!(found.len(), expected.len());
    assert_eq!(found, expected);
}
