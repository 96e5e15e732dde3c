//! `kind = "none"`: a topic that others fill, with or without transactions, keys, headers and values.

use std::{fs, time::Duration};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
};

use crate::{
    job::{Brokers, Job, LIMIT},
    kafka::{TestKafka, unique},
    postgres::{TestDatabase, wait_for},
};

const PARTITIONS: i32 = 3;

fn producer(address: &str, properties: &[(&str, &str)]) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address);
    properties.iter().for_each(|(key, value)| {
        config.set(*key, *value);
    });
    config.create().unwrap()
}

fn transactional(address: &str, id: &str) -> BaseProducer {
    let producer = producer(address, &[("transactional.id", id)]);
    producer.init_transactions(LIMIT).unwrap();
    producer
}

fn send(producer: &BaseProducer, topic: &str, ids: std::ops::Range<i64>) {
    for id in ids {
        let (key, value) = (format!("key-{id}"), format!(r#"{{"id":{id}}}"#));
        producer
            .send(BaseRecord::to(topic).key(&key).payload(&value))
            .map_err(|(error, _)| error)
            .unwrap();
    }
}

fn create(address: &str, topic: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", address).create().unwrap();
    let topic = NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1));
    let created = futures::executor::block_on(admin.create_topics([&topic], &AdminOptions::new())).unwrap();
    assert!(created.iter().all(Result::is_ok), "{created:?}");
}

fn job(address: &str, topic: &str) -> Job {
    let job = Job::new(TestDatabase::empty(), &Brokers::Kafka(address.to_owned()), &[]);
    let path = job.dir.path().join("config.toml");
    let head = fs::read_to_string(&path).unwrap();
    let text = format!(
        "{head}[[pipeline]]\nname = \"{topic}-p\"\nschema = \"id BIGINT\"\n[pipeline.source]\nkind = \"none\"\n\
         [pipeline.topic]\nname = \"{topic}\"\n[pipeline.batch]\nage = \"20ms\"\n\
         [[pipeline.table]]\nname = \"events\"\nmode = \"append\"\ncreate = true\n\
         sql = \"SELECT id, _key AS message_key, _headers['trace'] AS trace, _headers AS headers, _partition AS part, \
         _timestamp AS at FROM records\"\n"
    );
    fs::write(&path, text).unwrap();
    job
}

#[test]
fn a_topic_that_others_fill_is_loaded_once_whoever_fills_it_and_what_was_aborted_is_not() {
    let address = TestKafka::shared().address();
    let topic = unique("foreign");
    create(address, &topic);

    let plain = producer(address, &[("compression.type", "gzip")]);
    send(&plain, &topic, 0..100);
    // Headers with a value, without one, binary, and one name twice.
    let headers = OwnedHeaders::new()
        .insert(Header {
            key: "trace",
            value: Some("abc"),
        })
        .insert(Header {
            key: "none",
            value: None::<&str>,
        })
        .insert(Header {
            key: "binary",
            value: Some(&[0xff_u8, 0x01][..]),
        });
    plain
        .send(
            BaseRecord::<(), _>::to(&topic)
                .payload(r#"{"id":100}"#)
                .headers(headers)
                .timestamp(1_700_000_000_123),
        )
        .map_err(|(error, _)| error)
        .unwrap();
    for number in 0..5 {
        let key = format!("key-{number}");
        plain
            .send(BaseRecord::<_, ()>::to(&topic).key(&key))
            .map_err(|(error, _)| error)
            .unwrap();
    }
    for bad in ["not JSON", "", "[1]"] {
        plain
            .send(BaseRecord::<(), _>::to(&topic).payload(bad))
            .map_err(|(error, _)| error)
            .unwrap();
    }
    plain.flush(LIMIT).unwrap();

    let steady = transactional(address, &format!("{topic}-steady"));
    for (ids, committed) in [
        (1_000..1_050, true),
        (2_000..2_050, false),
        (3_000..3_010, true),
        (4_000..4_500, false),
    ] {
        steady.begin_transaction().unwrap();
        send(&steady, &topic, ids);
        steady.flush(LIMIT).unwrap();
        match committed {
            true => steady.commit_transaction(LIMIT).unwrap(),
            false => steady.abort_transaction(LIMIT).unwrap(),
        }
    }
    // Still open: nobody knows yet what becomes of it.
    let open = transactional(address, &format!("{topic}-open"));
    open.begin_transaction().unwrap();
    send(&open, &topic, 5_000..5_007);
    open.flush(LIMIT).unwrap();

    let job = job(address, &topic);
    let ledger = job.run_once();
    assert!(ledger.contains("the ledger adds up"), "{ledger}");
    let expected = |more: std::ops::Range<i64>| {
        let mut ids: Vec<String> = (0..=100)
            .chain(1_000..1_050)
            .chain(3_000..3_010)
            .chain(more)
            .map(|id| id.to_string())
            .collect();
        ids.sort();
        ids
    };
    assert_eq!(job.texts("SELECT id FROM events"), expected(0..0), "{ledger}");
    assert_eq!(
        job.count("SELECT count(*) FROM events WHERE message_key = 'key-' || id"),
        160
    );
    assert_eq!(
        job.texts("SELECT trace || ' ' || (headers::jsonb ->> 'trace') || ' ' || coalesce(headers::jsonb ->> 'none', '~') || ' ' || \
                   coalesce(message_key, '~') || ' ' || (extract(epoch FROM at) * 1000)::bigint FROM events WHERE id = 100"),
        ["abc abc ~ ~ 1700000000123"]
    );
    let fates =
        "SELECT sum(consumed) || ' ' || sum(applied) || ' ' || sum(filtered) || ' ' || sum(dead) FROM aqueduct.offsets";
    assert_eq!(
        job.texts(fates),
        ["169 161 5 3"],
        "tombstones are filtered, what does not decode is dead"
    );
    assert_eq!(
        job.texts("SELECT DISTINCT stage FROM aqueduct.dead_letters"),
        ["decode"]
    );

    open.commit_transaction(LIMIT).unwrap();
    let ledger = job.run_once();
    assert!(ledger.contains("the ledger adds up"), "{ledger}");
    assert_eq!(job.texts("SELECT id FROM events"), expected(5_000..5_007), "{ledger}");

    // Nothing is fetched, so nothing is known about it, and no topic for cursors is made.
    let mut daemon = job.start("config.toml", &["run"], "daemon.log");
    let mut status = None;
    wait_for("the status", LIMIT, || {
        assert!(daemon.is_running(), "{}", daemon.tail());
        status = job
            .status("config.toml")
            .filter(|status| !status["pipelines"][0]["ledger"].is_null());
        status.is_some()
    });
    let pipeline = status.unwrap()["pipelines"][0].clone();
    assert!(
        pipeline["ledger"]["fetched"].is_null() && pipeline["ledger"]["produced"].is_null(),
        "{pipeline:#}"
    );
    assert_eq!(
        (&pipeline["ledger"]["consumed"], &pipeline["gap"]),
        (&serde_json::json!(176), &serde_json::Value::Null)
    );
    let branches = pipeline["branches"].as_array().unwrap();
    assert_eq!(branches.len(), 1, "the load branch alone: {branches:#?}");
    let metadata = plain.client().fetch_metadata(None, LIMIT).unwrap();
    assert!(
        !metadata
            .topics()
            .iter()
            .any(|found| found.name() == format!("{topic}-p.cursors"))
    );
    // What comes while it runs is taken as it comes.
    send(&plain, &topic, 6_000..6_010);
    plain.flush(LIMIT).unwrap();
    wait_for("what came later", LIMIT, || {
        job.try_count("SELECT count(*) FROM events WHERE id >= 6000") == Some(10)
    });
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
}

#[test]
fn once_ends_at_what_was_there_though_others_go_on_filling_the_topic() {
    let address = TestKafka::shared().address();
    let topic = unique("busy");
    create(address, &topic);
    let plain = producer(address, &[]);
    send(&plain, &topic, 0..200);
    plain.flush(LIMIT).unwrap();
    let job = job(address, &topic);
    let mut daemon = job.start("config.toml", &["run", "--once"], "once.log");
    let mut next = 200;
    while daemon.is_running() {
        assert!(next < 1_000_000, "it does not end: {}", daemon.tail());
        send(&plain, &topic, next..next + 20);
        next += 20;
        plain.poll(Duration::from_millis(5));
    }
    assert_eq!(daemon.wait("the run ends").code(), Some(0), "{}", daemon.tail());
    assert_eq!(job.count("SELECT count(*) FROM events WHERE id < 200"), 200);
    plain.flush(LIMIT).unwrap();
    let ledger = job.run_once();
    assert!(ledger.contains("the ledger adds up"), "{ledger}");
    assert_eq!(job.count("SELECT count(DISTINCT id) FROM events"), next);
    assert_eq!(job.count("SELECT count(*) FROM events"), next);
}
