//! The Kafka adapter while its broker is killed, stopped, frozen and not there yet.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[path = "support/kafka.rs"]
mod kafka;
#[path = "support/kafka_log.rs"]
mod support;

use std::{thread, time::Duration};

use aqueduct::{
    config::settings::Secret,
    log::{Cancel, IngestEvent, IngestMember, Log, LogError, Ownership, ReadLimit, TopicSpec, kafka::KafkaLog},
    model::Verdict,
};
use kafka::TestKafka;
use support::{
    POLL, await_assigned, cursor, fill, kafka_log, kafka_log_with, logger, no_waker, page, payloads, prepared, record,
    spec, wait_for,
};
use tokio::time::Instant;

const NUM_PAGES: u64 = 150;

/// Commits pages until `NUM_PAGES`, going on at the cursor after each loss, as the producer's room does.
fn commit_all(log: &KafkaLog, spec: &TopicSpec) -> usize {
    let (own, cancel) = (Ownership::granted(), Cancel::new());
    let shard = &spec.shards[0];
    let mut num_openings = 0;
    loop {
        let mut writer = log.open_shard(spec, shard, &own, &cancel).unwrap();
        num_openings += 1;
        loop {
            let number = writer.committed().map_or(0, |cursor| cursor.pages);
            if number == NUM_PAGES {
                return num_openings;
            }
            let records = (0..10).map(|index| record(format!("{number:04}-{index}"))).collect();
            match writer.commit(&[page(shard, number, records)], &cursor(number + 1), &own, &cancel) {
                Ok(()) => thread::park_timeout(Duration::from_millis(20)),
                Err(error) if error.verdict() == Verdict::Lost => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn a_broker_that_dies_and_comes_back_loses_and_doubles_nothing() {
    let mut broker = TestKafka::private();
    let log = kafka_log(broker.address());
    let spec = prepared(&log, 2, 1);
    let inspector = log.inspector(&spec).unwrap();
    let mut member = log.join_load(&spec, no_waker()).unwrap();
    await_assigned(&mut *member, &[0, 1]);
    member.assign(&[(0, 0), (1, 0)]).unwrap();

    let mut read = Vec::new();
    thread::scope(|scope| {
        let committing = scope.spawn(|| commit_all(&log, &spec));
        let progress = |at_least: u64| {
            wait_for("progress", || {
                let pages = inspector.cursors().ok()?[0].1.as_ref().map_or(0, |cursor| cursor.pages);
                (pages >= at_least).then_some(())
            });
        };
        progress(20);
        broker.kill9();
        broker.start_again();
        progress(60);
        broker.stop();
        broker.start_again();
        progress(100);
        broker.freeze();
        thread::park_timeout(Duration::from_secs(3));
        broker.thaw();
        committing.join().unwrap();
    });
    let expected: Vec<String> = (0..NUM_PAGES)
        .flat_map(|number| (0..10).map(move |index| format!("{number:04}-{index}")))
        .collect();
    assert_eq!(payloads(broker.address(), &spec.topic), expected);

    // The reader has lived through it all, possibly with its partitions lost and claimed again.
    let mut next = [0, 0];
    wait_for("the reader", || {
        for event in member.poll(POLL).unwrap() {
            match event {
                aqueduct::log::LoadEvent::Revoked { partitions, .. } => member.release(&partitions).unwrap(),
                aqueduct::log::LoadEvent::Assigned(partitions) => {
                    let claims: Vec<_> = partitions.iter().map(|it| (*it, next[*it as usize])).collect();
                    member.assign(&claims).unwrap();
                }
            }
        }
        for partition in 0..2 {
            let from = read.len();
            member
                .read(
                    partition,
                    ReadLimit {
                        records: 500,
                        bytes: 1 << 20,
                    },
                    &mut read,
                )
                .unwrap();
            if read.len() > from {
                assert!(read[from].offset >= next[partition as usize]);
                next[partition as usize] = read[read.len() - 1].offset + 1;
            }
        }
        (read.len() >= expected.len()).then_some(())
    });
    let mut texts: Vec<_> = read
        .iter()
        .map(|record| String::from_utf8(record.value.clone().unwrap().to_vec()).unwrap())
        .collect();
    texts.sort();
    assert_eq!(texts, expected);
}

#[test]
fn calls_wait_for_a_broker_and_end_when_they_are_cancelled() {
    let mut broker = TestKafka::private();
    let log = kafka_log(broker.address());
    let first = prepared(&log, 1, 1);
    let second = spec(1, 1);
    let own = Ownership::granted();
    let mut writer = log.open_shard(&first, &first.shards[0], &own, &Cancel::new()).unwrap();
    writer
        .commit(
            &[page(&first.shards[0], 0, vec![record("0")])],
            &cursor(1),
            &own,
            &Cancel::new(),
        )
        .unwrap();
    let inspector = log.inspector(&first).unwrap();
    inspector.topic_id().unwrap();

    broker.freeze();
    let soon = |what: &str, call: &mut dyn FnMut(&Cancel) -> Result<(), LogError>| {
        let cancel = Cancel::new();
        let canceller = cancel.clone();
        thread::scope(|scope| {
            scope.spawn(move || {
                thread::park_timeout(Duration::from_millis(500));
                canceller.cancel();
            });
            let begin = Instant::now();
            let error = call(&cancel).unwrap_err();
            assert!(matches!(error, LogError::Cancelled { .. }), "{what}: {error}");
            // Far below any time-out of librdkafka's.
            assert!(
                begin.elapsed() < Duration::from_secs(8),
                "{what} took {:?}",
                begin.elapsed()
            );
        });
    };
    soon("prepare", &mut |cancel| log.prepare(&second, cancel));
    soon("open", &mut |cancel| {
        log.open_shard(&first, &first.shards[0], &own, cancel).map(drop)
    });
    let pages = [page(&first.shards[0], 1, vec![record("cancelled")])];
    soon("commit", &mut |cancel| writer.commit(&pages, &cursor(2), &own, cancel));
    drop(writer);
    let begin = Instant::now();
    assert_eq!(inspector.bounds(0).unwrap_err().verdict(), Verdict::Retry);
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
    assert_eq!(inspector.topic_id().unwrap_err().verdict(), Verdict::Retry);

    thread::scope(|scope| {
        let preparing = scope.spawn(|| log.prepare(&second, &Cancel::new()));
        thread::park_timeout(Duration::from_secs(1));
        broker.thaw();
        preparing.join().unwrap().unwrap();
    });
    assert_eq!(
        inspector.cursors().unwrap()[0].1,
        Some(cursor(1)),
        "the same client, when the broker is back"
    );

    // Nobody is there at all.
    broker.stop();
    let mut member = log.join_load(&first, no_waker()).unwrap();
    assert_eq!(member.poll(POLL).unwrap(), [], "an outage is no error of a member");
    let begin = Instant::now();
    drop(member);
    drop(log.join_ingest(&first, no_waker()).unwrap());
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
}

/// Polls until the shard is assigned.
fn next_shard(member: &mut dyn IngestMember) -> Ownership {
    wait_for("the shard", || match member.poll(POLL).unwrap().pop() {
        Some(IngestEvent::Assigned(mut shards)) => shards.pop().map(|(_, ownership)| ownership),
        _ => None,
    })
}

#[test]
fn a_member_that_was_cut_off_owns_nothing_and_its_successor_is_not_pushed_out() {
    let broker = TestKafka::private();
    let log = kafka_log(broker.address());
    let spec = prepared(&log, 1, 1);
    fill(&log, &spec, &[&["0"]]);
    // It will stop polling for longer than it may: librdkafka leaves the group for it.
    let silent = kafka_log_with(broker.address(), &[("max.poll.interval.ms", "2500")]);
    let mut zombie = silent.join_ingest(&spec, no_waker()).unwrap();
    let own = next_shard(&mut *zombie);
    let cancel = Cancel::new();
    let mut stale = silent.open_shard(&spec, &spec.shards[0], &own, &cancel).unwrap();

    let mut heir = log.join_ingest(&spec, no_waker()).unwrap();
    let heirs = next_shard(&mut *heir);
    let mut writer = log.open_shard(&spec, &spec.shards[0], &heirs, &cancel).unwrap();
    writer
        .commit(
            &[page(&spec.shards[0], 1, vec![record("1")])],
            &cursor(2),
            &heirs,
            &cancel,
        )
        .unwrap();

    // The zombie wakes up. It still believes, but its id was taken over.
    assert!(own.holds());
    let error = stale.commit(
        &[page(&spec.shards[0], 1, vec![record("zombie")])],
        &cursor(2),
        &own,
        &cancel,
    );
    assert!(matches!(error, Err(LogError::Lost { .. })), "{error:?}");
    // After a heartbeat and a poll it knows, and opens nothing.
    thread::park_timeout(zombie.heartbeat());
    wait_for("the revocation", || {
        let _ = zombie.poll(POLL).unwrap();
        (!own.holds()).then_some(())
    });
    assert!(matches!(
        log.open_shard(&spec, &spec.shards[0], &own, &cancel),
        Err(LogError::Lost { .. })
    ));
    writer
        .commit(
            &[page(&spec.shards[0], 2, vec![record("2")])],
            &cursor(3),
            &heirs,
            &cancel,
        )
        .unwrap();
    assert_eq!(payloads(broker.address(), &spec.topic), ["0", "1", "2"]);
}

#[test]
fn a_broker_that_never_answers_is_named_and_secrets_are_not() {
    let properties = [
        ("sasl.password".to_owned(), Secret::new("hunter2")),
        ("sasl.username".to_owned(), Secret::new("ada")),
    ];
    let log = KafkaLog::new("127.0.0.1:1", &properties, logger()).unwrap();
    let spec = spec(1, 1);
    let inspector = log.inspector(&spec).unwrap();
    let error = inspector.bounds(0).unwrap_err();
    assert_eq!(error.verdict(), Verdict::Retry);
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[test]
fn wrong_credentials_are_said_at_once_and_right_ones_work() {
    let module = "org.apache.kafka.common.security.plain.PlainLoginModule required";
    let users = r#"username="ada" password="engine" user_ada="engine""#;
    let broker = TestKafka::private_with(&[
        "listener.security.protocol.map=PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name=PLAINTEXT",
        "sasl.mechanism.inter.broker.protocol=PLAIN",
        "listener.name.plaintext.sasl.enabled.mechanisms=PLAIN",
        &format!("listener.name.plaintext.plain.sasl.jaas.config={module} {users};"),
    ]);
    let with_password = |password| {
        let properties = [
            ("security.protocol", "sasl_plaintext"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", "ada"),
            ("sasl.password", password),
        ];
        kafka_log_with(broker.address(), &properties)
    };
    let right = with_password("engine");
    let spec = prepared(&right, 1, 1);
    fill(&right, &spec, &[&["0"]]);
    let inspector = right.inspector(&spec).unwrap();
    wait_for("the cursor", || inspector.cursors().unwrap()[0].1.take());

    let wrong = with_password("difference");
    let cancel = Cancel::new();
    let told = |what: &str, error: LogError| {
        assert_eq!(error.verdict(), Verdict::Fail, "{what}: {error:?}");
        let text = format!("{error:?}").to_lowercase();
        assert!(text.contains("authentication"), "{what}: {text}");
        assert!(!text.contains("difference"), "{what}: {text}");
    };
    told("prepare", wrong.prepare(&spec, &cancel).unwrap_err());
    let own = Ownership::granted();
    told(
        "open",
        wrong.open_shard(&spec, &spec.shards[0], &own, &cancel).err().unwrap(),
    );
    told("inspect", wrong.inspector(&spec).unwrap().bounds(0).unwrap_err());
    let mut member = wrong.join_load(&spec, no_waker()).unwrap();
    told(
        "join load",
        wait_for("the load member's error", || member.poll(POLL).err()),
    );
    let mut member = wrong.join_ingest(&spec, no_waker()).unwrap();
    told(
        "join ingest",
        wait_for("the ingest member's error", || member.poll(POLL).err()),
    );
}
