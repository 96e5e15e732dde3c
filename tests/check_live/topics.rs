//! Kafka: brokers and topics.

use aqueduct::{
    log::{Cancel, Log, TopicSpec, kafka::KafkaLog},
    model::ShardId,
};
use slog::{Discard, Logger, o};

use crate::{
    Said, check,
    kafka::{TestKafka, unique},
    loading,
};

pub fn on_kafka(address: &str, pipelines: &str) -> Said {
    check(&format!("[kafka]\nbrokers = \"{address}\"\n{pipelines}"))
}

pub fn kafka_log(address: &str) -> KafkaLog {
    KafkaLog::new(address, &[], Logger::root(Discard, o!())).unwrap()
}

/// Creates a pipeline's topics as a first run would.
pub fn prepare(address: &str, pipeline: &str, num_partitions: i32, num_shards: i32) -> TopicSpec {
    let spec = TopicSpec {
        pipeline: pipeline.into(),
        topic: pipeline.into(),
        num_partitions,
        replication: 1,
        shards: (0..num_shards)
            .map(|number| ShardId {
                number,
                content: format!("{number}").into(),
            })
            .collect(),
    };
    kafka_log(address).prepare(&spec, &Cancel::new()).unwrap();
    spec
}

/// A pipeline that fetches from nowhere: its topics and grants are what is looked at.
pub fn fetching(name: &str) -> String {
    format!(
        "[[pipeline]]\nname = \"{name}\"\nschema = \"id BIGINT\"\n[pipeline.source]\nkind = \"http\"\nurl = \"http://127.0.0.1:9/\"\n\
         records = \"$[*]\"\ntimeout = \"1s\"\n[pipeline.source.paginate]\nkind = \"single\"\n[pipeline.topic]\npartitions = 2\n\
         [[pipeline.table]]\nname = \"t\"\nmode = \"append\"\ncreate = true\nsql = \"SELECT id FROM records\"\n"
    )
}

#[test]
fn topics_with_all_grants_are_fine_and_looking_appends_nothing() {
    let kafka = TestKafka::shared();
    let name = unique("p");
    let spec = prepare(kafka.address(), &name, 2, 1);
    let said = on_kafka(kafka.address(), &fetching(&name));
    let about_kafka: Vec<_> = said.text.lines().filter(|line| !line.contains(": API: ")).collect();
    assert!(
        about_kafka.iter().all(|line| !line.starts_with("PROBLEM")),
        "{}",
        said.text
    );
    for part in [
        format!("topic {name}: is there: 2 partition(s)"),
        format!("transactions of {name}: the brokers support them"),
    ] {
        assert!(said.text.contains(&part), "{part} is not in: {}", said.text);
    }
    let inspector = kafka_log(kafka.address()).inspector(&spec).unwrap();
    for partition in 0..2 {
        assert_eq!(
            inspector.bounds(partition).unwrap().last_stable,
            0,
            "partition {partition} is as it was"
        );
    }
    assert_eq!(inspector.cursors().unwrap()[0].1, None);
}

#[test]
fn topics_that_are_not_there_are_not_created_by_looking() {
    let kafka = TestKafka::shared();
    let name = unique("p");
    for _ in 0..2 {
        let said = on_kafka(kafka.address(), &fetching(&name));
        said.has_note(&[&format!("topic {name}: is not there yet"), "2 partition(s)"]);
        said.has_note(&[&format!("topic {name}.cursors: is not there yet")]);
    }
}

#[test]
fn a_topic_with_fewer_partitions_than_configured_and_one_that_cannot_be_replicated_are_named() {
    let kafka = TestKafka::shared();
    let (few, alone) = (unique("few"), unique("alone"));
    prepare(kafka.address(), &few, 1, 0);
    let with_topic = |name: &str, topic: &str| {
        loading(name, "name = \"t\"\nmode = \"append\"\ncreate = true").replace(
            "[[pipeline.table]]",
            &format!("[pipeline.topic]\n{topic}\n[[pipeline.table]]"),
        )
    };
    let said = on_kafka(
        kafka.address(),
        &(with_topic(&few, "partitions = 4") + &with_topic(&alone, "replication = 3")),
    );
    assert_eq!(said.code, Some(64), "{}", said.text);
    said.has_problem(&[
        &format!("topic {few}"),
        "has 1 partition(s)",
        "topic.partitions = 1",
        "--partitions 4",
    ]);
    said.has_problem(&[&format!("topic {alone}"), "replication 3", "topic.replication"]);
}

#[test]
fn a_broker_that_is_away_ends_with_69_and_names_the_address() {
    // Port 9 (discard) is no broker.
    let said = on_kafka(
        "127.0.0.1:9",
        &loading("p", "name = \"t\"\nmode = \"append\"\ncreate = true"),
    );
    assert_eq!(said.code, Some(69), "{}", said.text);
    said.has_problem(&["pipeline p: Kafka", "kafka.brokers"]);
}
