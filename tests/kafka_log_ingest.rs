//! The ingest side of the Kafka adapter, on a real broker.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[path = "support/kafka.rs"]
mod kafka;
#[path = "support/kafka_log.rs"]
mod support;

use std::{collections::BTreeMap, sync::Arc};

use aqueduct::{
    log::{Cancel, Log, LogError, Ownership, kafka::Step},
    model::{IngestReject, PageRecord, Verdict},
};
use bytes::Bytes;
use futures::executor::block_on;
use kafka::TestKafka;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AlterConfig, NewTopic, ResourceSpecifier, TopicReplication},
    consumer::{BaseConsumer, Consumer},
    message::Headers,
};
use support::{
    LIMIT, PolledIngest, admin, admin_options, cursor, kafka_log, kafka_log_with, no_waker, page, payloads, prepared,
    record, shard, spec, visible, wait_for,
};

fn address() -> &'static str {
    TestKafka::shared().address()
}

/// Bytes that no codec makes smaller.
fn noise(len: usize) -> Bytes {
    (0..len).map(|_| rand::random::<u8>()).collect()
}

#[test]
fn records_and_cursor_are_committed_together_and_come_back() {
    let log = kafka_log(address());
    let spec = prepared(&log, 1, 2);
    let (own, cancel) = (Ownership::granted(), Cancel::new());

    let mut writer = log.open_shard(&spec, &spec.shards[1], &own, &cancel).unwrap();
    assert!(writer.committed().is_none());
    let rejected = PageRecord {
        key: Some("k".into()),
        payload: "trunc".into(),
        reject: Some(IngestReject {
            reason: "not an object".to_owned(),
            size_bytes: 70_000,
        }),
    };
    let pages = [
        page(&spec.shards[1], 0, vec![record("a"), record("b")]),
        page(&spec.shards[1], 1, Vec::new()),
        page(&spec.shards[1], 2, vec![rejected, record("")]),
    ];
    writer.commit(&pages, &cursor(3), &own, &cancel).unwrap();
    assert_eq!(writer.committed(), Some(&cursor(3)));
    writer
        .commit(&[page(&spec.shards[1], 3, Vec::new())], &cursor(4), &own, &cancel)
        .unwrap();
    drop(writer);

    let reopened = log.open_shard(&spec, &spec.shards[1], &own, &cancel).unwrap();
    assert_eq!(reopened.committed(), Some(&cursor(4)));
    let other = log.open_shard(&spec, &spec.shards[0], &own, &cancel).unwrap();
    assert!(other.committed().is_none());

    let texts: Vec<_> = visible(address(), &spec.topic)[&0]
        .iter()
        .map(|(_, text)| text.clone())
        .collect();
    assert_eq!(texts, ["a", "b", "trunc", ""], "in the source's order");
    assert_eq!(
        headers_of(&spec.topic, 2),
        [
            (IngestReject::REASON_HEADER.to_owned(), "not an object".to_owned()),
            (IngestReject::SIZE_HEADER.to_owned(), "70000".to_owned()),
        ]
    );
    assert_eq!(headers_of(&spec.topic, 0), []);
}

fn headers_of(topic: &str, offset: i64) -> Vec<(String, String)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", address())
        .set("group.id", "headers")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(offset)).unwrap();
    consumer.assign(&list).unwrap();
    let message = consumer.poll(LIMIT).unwrap().unwrap();
    let text = |value: Option<&[u8]>| String::from_utf8(value.unwrap().to_vec()).unwrap();
    message.headers().map_or_else(Vec::new, |headers| {
        headers
            .iter()
            .map(|header| (header.key.to_owned(), text(header.value)))
            .collect()
    })
}

#[test]
fn a_second_opening_fences_the_first_and_goes_on_at_the_right_cursor() {
    let log = kafka_log(address());
    let spec = prepared(&log, 2, 1);
    let (own, cancel) = (Ownership::granted(), Cancel::new());
    let shard = &spec.shards[0];

    let mut first = log.open_shard(&spec, shard, &own, &cancel).unwrap();
    first
        .commit(&[page(shard, 0, vec![record("0")])], &cursor(1), &own, &cancel)
        .unwrap();
    let mut second = log.open_shard(&spec, shard, &own, &cancel).unwrap();
    assert_eq!(second.committed(), Some(&cursor(1)));

    for _ in 0..2 {
        let error = first
            .commit(&[page(shard, 1, vec![record("zombie")])], &cursor(2), &own, &cancel)
            .unwrap_err();
        assert!(matches!(error, LogError::Lost { .. }), "{error}");
    }
    second
        .commit(&[page(shard, 1, vec![record("1")])], &cursor(2), &own, &cancel)
        .unwrap();
    assert_eq!(payloads(address(), &spec.topic), ["0", "1"]);
}

#[test]
fn a_writer_that_dies_between_the_steps_leaves_nothing_half_done() {
    for (step, survives) in [(Step::Begun, false), (Step::Sent, false), (Step::Committed, true)] {
        let log = kafka_log(address());
        let spec = prepared(&log, 2, 1);
        let (own, cancel) = (Ownership::granted(), Cancel::new());
        let shard = &spec.shards[0];
        let mut writer = log.open_shard(&spec, shard, &own, &cancel).unwrap();
        writer
            .commit(&[page(shard, 0, vec![record("0")])], &cursor(1), &own, &cancel)
            .unwrap();
        drop(writer);

        let dying = kafka_log(address()).with_failpoint(Arc::new(move |at| at == step));
        let mut writer = dying.open_shard(&spec, shard, &own, &cancel).unwrap();
        let pages = [page(shard, 1, vec![record("1"), record("2")])];
        let error = writer.commit(&pages, &cursor(2), &own, &cancel).unwrap_err();
        assert_eq!(error.verdict(), Verdict::Lost);
        drop(writer);

        // The cursor decides whether the page went in.
        let mut writer = log.open_shard(&spec, shard, &own, &cancel).unwrap();
        let expected = if survives { cursor(2) } else { cursor(1) };
        assert_eq!(writer.committed(), Some(&expected), "died at {step:?}");
        if !survives {
            writer.commit(&pages, &cursor(2), &own, &cancel).unwrap();
        }
        assert_eq!(payloads(address(), &spec.topic), ["0", "1", "2"], "died at {step:?}");
    }
}

#[test]
fn who_is_not_the_owner_appends_nothing() {
    let log = kafka_log(address());
    let spec = prepared(&log, 1, 1);
    let (own, cancel) = (Ownership::granted(), Cancel::new());
    let shard = &spec.shards[0];
    let mut writer = log.open_shard(&spec, shard, &own, &cancel).unwrap();
    own.clear();
    let error = writer
        .commit(&[page(shard, 0, vec![record("0")])], &cursor(1), &own, &cancel)
        .unwrap_err();
    assert!(matches!(error, LogError::Lost { .. }), "{error}");
    let error = log.open_shard(&spec, shard, &own, &cancel).err().unwrap();
    assert!(matches!(error, LogError::Lost { .. }), "{error}");

    // Revoked at the last moment: everything is sent, nothing is committed.
    let own = Ownership::granted();
    let revoked = own.clone();
    let log = log.with_failpoint(Arc::new(move |step| {
        if step == Step::Sent {
            revoked.clear();
        }
        false
    }));
    let mut writer = log.open_shard(&spec, shard, &own, &cancel).unwrap();
    let error = writer
        .commit(&[page(shard, 0, vec![record("0")])], &cursor(1), &own, &cancel)
        .unwrap_err();
    assert!(matches!(error, LogError::Lost { .. }), "{error}");
    assert_eq!(payloads(address(), &spec.topic), [""; 0]);
}

#[test]
fn a_record_that_is_too_large_is_named_and_its_page_goes_in_without_it() {
    let log = kafka_log(address());
    let spec = prepared(&log, 1, 1);
    let (own, cancel) = (Ownership::granted(), Cancel::new());
    let shard = &spec.shards[0];
    let mut writer = log.open_shard(&spec, shard, &own, &cancel).unwrap();

    let limit = writer.max_record_bytes();
    let too_large = record(noise(limit + 2_000));
    let largest = PageRecord {
        key: Some(noise(900)),
        payload: noise(limit),
        reject: None,
    };
    let first = page(shard, 0, vec![record("0"), largest]);
    let mut pages = [
        first,
        page(shard, 1, vec![record("1"), record("2"), too_large, record("3")]),
    ];
    let error = writer.commit(&pages, &cursor(2), &own, &cancel).unwrap_err();
    assert!(
        matches!(error, LogError::RecordTooLarge { page: 1, record: 2 }),
        "{error}"
    );
    assert_eq!(payloads(address(), &spec.topic), [""; 0]);

    pages[1].records.remove(2);
    writer.commit(&pages, &cursor(2), &own, &cancel).unwrap();
    assert_eq!(
        payloads(address(), &spec.topic).len(),
        5,
        "also the largest that is allowed"
    );
}

#[test]
fn a_limit_that_was_lowered_is_noticed_and_the_record_is_named() {
    let log = kafka_log(address());
    let spec = prepared(&log, 1, 1);
    let (own, cancel) = (Ownership::granted(), Cancel::new());
    let shard = &spec.shards[0];
    let mut writer = log.open_shard(&spec, shard, &own, &cancel).unwrap();
    let lowered = AlterConfig::new(ResourceSpecifier::Topic(&spec.topic)).set("max.message.bytes", "20000");
    let results = block_on(admin(address()).alter_configs([&lowered], &admin_options())).unwrap();
    assert!(results[0].is_ok());

    let pages = [page(shard, 0, vec![record("0"), record(noise(50_000)), record("1")])];
    let commit_until_named = || {
        let error = writer.commit(&pages, &cursor(1), &own, &cancel).unwrap_err();
        if error.verdict() == Verdict::Lost {
            writer = log.open_shard(&spec, shard, &own, &cancel).unwrap();
        }
        (error.verdict() == Verdict::Reject).then_some(error)
    };
    let error = wait_for("the record to be named", commit_until_named);
    assert!(
        matches!(error, LogError::RecordTooLarge { page: 0, record: 1 }),
        "{error}"
    );
    assert!(writer.max_record_bytes() < 20_000);
    assert_eq!(payloads(address(), &spec.topic), [""; 0]);
}

#[test]
fn a_cursor_of_another_content_is_passed_over_and_an_old_one_is_found_far_back() {
    let log = kafka_log(address());
    let spec = prepared(&log, 1, 1);
    let (own, cancel) = (Ownership::granted(), Cancel::new());
    let (old, new) = (shard(0, r#"{"nat":"fr"}"#), shard(0, r#"{"nat":"de"}"#));

    let mut writer = log.open_shard(&spec, &old, &own, &cancel).unwrap();
    writer
        .commit(&[page(&old, 6, vec![record("old")])], &cursor(7), &own, &cancel)
        .unwrap();
    let mut writer = log.open_shard(&spec, &new, &own, &cancel).unwrap();
    assert!(writer.committed().is_none());
    for number in 0..300 {
        writer
            .commit(&[page(&new, number, Vec::new())], &cursor(number + 1), &own, &cancel)
            .unwrap();
    }

    let writer = log.open_shard(&spec, &new, &own, &cancel).unwrap();
    assert_eq!(writer.committed(), Some(&cursor(300)));
    let writer = log.open_shard(&spec, &old, &own, &cancel).unwrap();
    assert_eq!(writer.committed(), Some(&cursor(7)), "beyond the first window");
}

#[test]
fn keys_stay_in_their_partition_and_records_without_one_are_spread() {
    let log = kafka_log(address());
    let spec = prepared(&log, 4, 1);
    let (own, cancel) = (Ownership::granted(), Cancel::new());
    let shard = &spec.shards[0];
    let mut writer = log.open_shard(&spec, shard, &own, &cancel).unwrap();
    for number in 0..4 {
        let keyless = (0..500).map(|_| record("keyless"));
        let keyed = (0..20).map(|key| PageRecord {
            key: Some(format!("key-{key}").into()),
            payload: format!("key-{key}").into(),
            reject: None,
        });
        let pages = [page(shard, number, keyless.chain(keyed).collect())];
        writer.commit(&pages, &cursor(number + 1), &own, &cancel).unwrap();
    }
    let found = visible(address(), &spec.topic);
    let mut partitions_by_key = BTreeMap::new();
    for (partition, records) in &found {
        let num_keyless = records.iter().filter(|(_, text)| text == "keyless").count();
        assert!(
            (400..=600).contains(&num_keyless),
            "{num_keyless} of 2000 in partition {partition}"
        );
        for (_, key) in records.iter().filter(|(_, text)| text != "keyless") {
            assert_eq!(
                partitions_by_key.entry(key.clone()).or_insert(partition),
                &partition,
                "{key} has moved"
            );
        }
    }
    assert_eq!(partitions_by_key.len(), 20);
    // The Java client's partitioner: toPositive(murmur2("key-0")) % 4, …
    for (key, hash) in [("key-0", murmur2(b"key-0")), ("key-13", murmur2(b"key-13"))] {
        assert_eq!(
            **partitions_by_key.get(key).unwrap(),
            ((hash & 0x7fff_ffff) % 4) as i32,
            "{key}"
        );
    }
}

/// `org.apache.kafka.common.utils.Utils.murmur2`, from its published constants.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ data.len() as u32;
    let mut chunks = data.chunks_exact(4);
    for chunk in &mut chunks {
        let mut word = u32::from_le_bytes(chunk.try_into().unwrap()).wrapping_mul(M);
        word = (word ^ (word >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ word;
    }
    let rest = chunks.remainder();
    for (index, byte) in rest.iter().enumerate() {
        hash ^= u32::from(*byte) << (8 * index);
    }
    if !rest.is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[test]
fn two_members_share_the_shards_and_ownership_moves_when_one_leaves() {
    let log = kafka_log(address());
    let spec = prepared(&log, 1, 4);
    let mut first = PolledIngest::new(log.join_ingest(&spec, no_waker()).unwrap());
    wait_for("all shards", || (first.held() == [0, 1, 2, 3]).then_some(()));
    let before = first.owned[&0].num_polls();
    wait_for("polls to be counted", || {
        (first.owned[&0].num_polls() > before + 2).then_some(())
    });

    let mut second = PolledIngest::new(log.join_ingest(&spec, no_waker()).unwrap());
    wait_for("half of the shards each", || {
        (first.held().len() == 2 && second.held().len() == 2).then_some(())
    });
    let kept = first.held();
    assert!(second.held().iter().all(|number| !kept.contains(number)));

    let handed_over: Vec<Ownership> = first.owned.values().cloned().collect();
    drop(first);
    assert!(
        handed_over.iter().all(|ownership| !ownership.holds()),
        "who leaves owns nothing"
    );
    wait_for("all shards again", || (second.held() == [0, 1, 2, 3]).then_some(()));
}

#[test]
fn topics_are_created_once_widened_for_more_shards_and_checked() {
    let log = kafka_log(address());
    let cancel = Cancel::new();
    let mut spec = prepared(&log, 3, 1);
    log.prepare(&spec, &cancel).unwrap();
    let found = log.inspector(&spec).unwrap();
    assert_eq!(found.num_partitions().unwrap(), 3);

    spec.shards = (0..5).map(|number| shard(number, "{}")).collect();
    log.prepare(&spec, &cancel).unwrap();
    assert_eq!(visible(address(), &spec.cursors_topic()).len(), 5);
    spec.shards = spec.shards[..2].into();
    log.prepare(&spec, &cancel).unwrap();
    assert_eq!(
        visible(address(), &spec.cursors_topic()).len(),
        5,
        "partitions are never taken away"
    );
}

#[test]
fn what_cannot_be_prepared_is_said_with_the_remedy() {
    let log = kafka_log(address());
    let cancel = Cancel::new();
    let mut many = spec(1, 1);
    many.replication = 3;
    let error = log.prepare(&many, &cancel).unwrap_err();
    assert!(matches!(error, LogError::Mismatch { .. }), "{error}");
    assert!(
        error.to_string().contains("topic.replication") && error.to_string().contains("1 broker"),
        "{error}"
    );

    let deleting = spec(1, 1);
    let name = deleting.cursors_topic();
    let topic = NewTopic::new(&name, 1, TopicReplication::Fixed(1)).set("cleanup.policy", "delete");
    block_on(admin(address()).create_topics([&topic], &admin_options())).unwrap();
    let error = log.prepare(&deleting, &cancel).unwrap_err();
    assert!(matches!(error, LogError::Mismatch { .. }), "{error}");
    assert!(error.to_string().contains("cleanup.policy=delete"), "{error}");

    let log = kafka_log_with(address(), &[("transaction.timeout.ms", "3600000")]);
    let spec = prepared(&log, 1, 1);
    let error = log
        .open_shard(&spec, &spec.shards[0], &Ownership::granted(), &cancel)
        .err()
        .unwrap();
    assert_eq!(error.verdict(), Verdict::Fail, "{error}");
}

#[test]
fn a_topic_that_is_created_again_has_another_id() {
    let log = kafka_log(address());
    let spec = prepared(&log, 2, 2);
    let inspector = log.inspector(&spec).unwrap();
    let before = inspector.topic_id().unwrap();
    assert_eq!(inspector.topic_id().unwrap(), before);

    block_on(admin(address()).delete_topics(&[&spec.topic], &admin_options())).unwrap();
    let error = wait_for("the topic to be gone", || inspector.topic_id().err());
    assert!(matches!(error, LogError::Gone { .. }), "{error}");
    log.prepare(&spec, &Cancel::new()).unwrap();
    let after = wait_for("the new topic", || inspector.topic_id().ok());
    assert_ne!(after, before);
}

#[test]
fn the_inspector_reads_all_cursors_without_fencing_anybody() {
    let log = kafka_log(address());
    let spec = prepared(&log, 1, 3);
    let (own, cancel) = (Ownership::granted(), Cancel::new());
    let inspector = log.inspector(&spec).unwrap();
    let shard = &spec.shards[2];
    let mut writer = log.open_shard(&spec, shard, &own, &cancel).unwrap();
    for number in 0..3 {
        writer
            .commit(
                &[page(shard, number, vec![record("x")])],
                &cursor(number + 1),
                &own,
                &cancel,
            )
            .unwrap();
        let cursors = wait_for("the cursor to be visible", || {
            let cursors = inspector.cursors().unwrap();
            (cursors[2].1 == Some(cursor(number + 1))).then_some(cursors)
        });
        assert_eq!(
            cursors.iter().map(|(shard, _)| shard.number).collect::<Vec<_>>(),
            [0, 1, 2]
        );
        assert!(cursors[0].1.is_none() && cursors[1].1.is_none());
    }
}
