//! Two daemons, one API.

use std::{collections::BTreeMap, time::Duration};

use aqueduct::demo::simulator::{Options, Simulator, expected_uuids};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};
use tokio::time::Instant;

use crate::{
    job::{Brokers, Job, LIMIT, PipelineText},
    kafka::{TestKafka, unique},
    postgres::{TestDatabase, wait_for},
};

const RESULTS: u64 = 50;
const PAGES: u64 = 150;
/// As the job's config has it.
const SESSION_TIMEOUT: Duration = Duration::from_secs(3);
/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(15);

/// The ids of all records that a reader of committed records finds in the topic, repeats included.
fn committed_ids(brokers: &str, topic: &str, num_partitions: i32) -> Vec<String> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", unique("reader"))
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..num_partitions {
        list.add_partition_offset(topic, partition, Offset::Offset(0)).unwrap();
    }
    consumer.assign(&list).unwrap();
    let (mut ids, mut num_ended) = (Vec::new(), 0);
    wait_for("the ends of the partitions", LIMIT, || {
        while let Some(read) = consumer.poll(Duration::from_millis(100)) {
            match read {
                Err(KafkaError::PartitionEOF(_)) => num_ended += 1,
                Err(problem) => panic!("{problem}"),
                Ok(message) => {
                    let record: serde_json::Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
                    ids.push(record["login"]["uuid"].as_str().unwrap().to_owned());
                }
            }
        }
        num_ended >= num_partitions
    });
    ids.sort();
    ids
}

#[test]
fn one_of_two_daemons_polls_and_after_its_kill_9_the_other_takes_over_and_no_page_is_twice_in_the_topic() {
    let simulator = Simulator::start(Options {
        delay: Duration::from_millis(40),
        remember: true,
        ..Options::default()
    })
    .unwrap();
    let (name, brokers) = (unique("pollers"), TestKafka::shared().address().to_owned());
    let text = || PipelineText {
        shards: 1,
        ..PipelineText::users(&name, &simulator.url(), RESULTS, PAGES)
    };
    let table = text().table;
    let kafka = Brokers::Kafka(brokers.clone());
    let job = Job::new(TestDatabase::empty(), &kafka, &[text()]);
    job.write_config("second.toml", &kafka, &[text()]);
    let served = || -> BTreeMap<u64, u64> {
        let records = simulator.served();
        records
            .into_iter()
            .map(|((_, page), count)| (page, count / RESULTS))
            .collect()
    };

    let mut first = job.start("config.toml", &["run"], "first.log");
    wait_for("the first one polls", LIMIT, || {
        assert!(first.is_running(), "{}", first.tail());
        served().len() > 10
    });
    let mut second = job.start("second.toml", &["run"], "second.log");
    let owners = || job.texts("SELECT DISTINCT split_part(owner, ' ', 1) FROM aqueduct.offsets");
    wait_for("both read the topic", LIMIT, || {
        assert!(second.is_running(), "{}", second.tail());
        owners().len() == 2
    });
    let at_join = served().len();
    wait_for("it goes on with two", LIMIT, || served().len() > at_join + 10);
    assert!(
        served().values().all(|count| *count == 1),
        "two have polled one shard: {:?}",
        served()
    );

    first.kill9();
    let (killed, at_kill) = (Instant::now(), simulator.num_requests());
    wait_for("the second one polls", LIMIT, || {
        assert!(second.is_running(), "{}", second.tail());
        simulator.num_requests() > at_kill + 1
    });
    let took = killed.elapsed();
    assert!(
        took < SESSION_TIMEOUT + SLACK,
        "the second daemon has taken over only after {took:?}: {}",
        second.tail()
    );
    wait_for("all rows are there", LIMIT, || {
        assert!(second.is_running(), "{}", second.tail());
        job.count(&format!("SELECT count(*) FROM {table}")) == (RESULTS * PAGES).cast_signed()
    });
    assert_eq!(second.terminate().code(), Some(0), "{}", second.tail());

    let mut expected: Vec<String> = expected_uuids(&name, 1..=PAGES, RESULTS)
        .iter()
        .map(ToString::to_string)
        .collect();
    expected.sort();
    let in_topic = committed_ids(&brokers, &name, 3);
    assert_eq!(in_topic.len() as u64, RESULTS * PAGES, "records in the topic");
    assert!(in_topic == expected, "the topic holds other records than the API has");
    assert!(job.texts(&format!("SELECT uuid FROM {table}")) == expected);
    let ledger = job.run_once();
    assert!(ledger.contains("the ledger adds up"), "{ledger}");
}
