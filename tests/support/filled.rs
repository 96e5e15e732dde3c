//! A topic that the test itself fills, and a pipeline that loads it (`kind = "none"`).

// Each test binary compiles this file and uses a part of it.
#![allow(dead_code)]

use std::{fs, time::Duration};

use futures::executor::block_on;
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    producer::{BaseProducer, BaseRecord, Producer},
};
use serde_json::Value;

use crate::{
    job::{Brokers, Daemon, Job, LIMIT},
    kafka::{TestKafka, unique},
    postgres::{TestDatabase, wait_for},
};

/// A topic with the pipeline of the same name.
pub struct Filled {
    pub name: String,
    pub table: String,
    pub job: Job,
    pub brokers: String,
    admin: AdminClient<DefaultClientContext>,
}

const DAEMON_LOG: &str = "daemon.log";

impl Filled {
    pub fn new(prefix: &str, num_partitions: i32) -> Self {
        let (brokers, name) = (TestKafka::shared().address().to_owned(), unique(prefix));
        let job = Job::new(TestDatabase::empty(), &Brokers::Kafka(brokers.clone()), &[]);
        let table = format!("{}_ids", name.replace('-', "_"));
        let path = job.dir.path().join("config.toml");
        let pipeline = format!(
            "[[pipeline]]\nname = \"{name}\"\nschema = \"id BIGINT\"\n[pipeline.source]\nkind = \"none\"\n[pipeline.topic]\n\
             partitions = {num_partitions}\n[pipeline.batch]\nage = \"100ms\"\n[[pipeline.table]]\nname = \"{table}\"\n\
             mode = \"append\"\ncreate = true\nsql = \"SELECT id FROM records\"\n"
        );
        fs::write(&path, fs::read_to_string(&path).unwrap() + &pipeline).unwrap();
        let admin = ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
        let filled = Self {
            name,
            table,
            job,
            brokers,
            admin,
        };
        filled.create(num_partitions);
        filled
    }

    fn options() -> AdminOptions {
        AdminOptions::new()
            .operation_timeout(Some(LIMIT))
            .request_timeout(Some(LIMIT))
    }

    pub fn create(&self, num_partitions: i32) {
        let topic = NewTopic::new(&self.name, num_partitions, TopicReplication::Fixed(1));
        wait_for("the topic is created", LIMIT, || {
            // Right after its deletion the name is taken.
            let created = block_on(self.admin.create_topics([&topic], &Self::options())).unwrap();
            created[0].is_ok()
        });
    }

    /// Adds partitions.
    pub fn grow(&self, num_partitions: usize) {
        let grown = NewPartitions::new(&self.name, num_partitions);
        let grown = block_on(self.admin.create_partitions([&grown], &Self::options())).unwrap();
        grown[0].as_ref().unwrap();
    }

    pub fn delete(&self) {
        let deleted = block_on(self.admin.delete_topics(&[&self.name], &Self::options())).unwrap();
        deleted[0].as_ref().unwrap();
    }

    /// Deletes the records before this offset, as retention does.
    pub fn delete_before(&self, partition: i32, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.name, partition, Offset::Offset(offset))
            .unwrap();
        block_on(self.admin.delete_records(&list, &Self::options())).unwrap();
    }

    /// Appends these ids in one transaction, whose marker takes an offset, too.
    pub fn append(&self, partition: i32, ids: std::ops::Range<i64>) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("transactional.id", unique("filler"))
            .create()
            .unwrap();
        producer.init_transactions(LIMIT).unwrap();
        producer.begin_transaction().unwrap();
        for id in ids {
            let payload = format!("{{\"id\":{id}}}");
            let record = BaseRecord::<(), _>::to(&self.name)
                .partition(partition)
                .payload(&payload);
            producer.send(record).map_err(|(problem, _)| problem).unwrap();
            producer.poll(Duration::ZERO);
        }
        producer.commit_transaction(LIMIT).unwrap();
    }

    pub fn start(&self) -> Daemon {
        self.job.start("config.toml", &["run"], DAEMON_LOG)
    }

    /// All ids in the table, sorted.
    pub fn ids(&self) -> Vec<i64> {
        let mut ids: Vec<i64> = self
            .job
            .texts(&format!("SELECT id FROM {}", self.table))
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        ids.sort_unstable();
        ids
    }

    /// Waits until the table holds this many rows.
    pub fn until_rows(&self, num: i64, daemon: &mut Daemon) {
        wait_for(&format!("{num} rows"), LIMIT, || {
            assert!(daemon.is_running(), "{}", daemon.tail());
            self.job.try_count(&format!("SELECT count(*) FROM {}", self.table)) == Some(num)
        });
    }

    pub fn next_offset(&self, partition: i32) -> Option<i64> {
        self.job.try_count(&format!(
            "SELECT next_offset FROM aqueduct.offsets WHERE partition = {partition}"
        ))
    }

    /// The pipeline's part of `status --json`.
    pub fn status(&self) -> Option<Value> {
        Some(self.job.status("config.toml")?["pipelines"][0].take())
    }

    /// Waits until the status names a lost range of this kind, and returns it.
    pub fn until_lost(&self, reason: &str, daemon: &mut Daemon) -> Value {
        let mut lost = Value::Null;
        wait_for(reason, LIMIT, || {
            assert!(daemon.is_running(), "{}", daemon.tail());
            let Some(mut status) = self.status() else { return false };
            lost = status["lost"].get_mut(0).map(Value::take).unwrap_or_default();
            lost["reason"] == reason
        });
        lost
    }

    /// Runs `aqueduct …` as a person types it; returns exit code and what was said.
    pub fn type_in(&self, line: &str) -> (i32, String) {
        let mut words = line.split(' ');
        assert_eq!(words.next(), Some("aqueduct"));
        let output = self
            .job
            .command("config.toml", &words.collect::<Vec<_>>())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), said)
    }
}
