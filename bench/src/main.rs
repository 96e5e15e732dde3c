//! The limit of the ingest branch: a bare idempotent librdkafka producer of the same documents.
//!
//!     bench-producer BROKERS TOPIC PARTITIONS DOCUMENTS
//!
//! DOCUMENTS has a JSON document a line; its `uuid` is the key. Everything is in memory, and the topic is there, before the
//! clock starts; it stops when the broker has acknowledged the last record. Prints one JSON object: `records`, `seconds`,
//! `cpu_seconds`. A producer has the daemon's properties, but no transactions.

use std::{error::Error, fs, process::ExitCode, time::Duration};

use rdkafka::{
    ClientConfig, ClientContext,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::{KafkaError, RDKafkaErrorCode as Code},
    producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer},
};

mod clock;
mod documents;
mod reports;

use clock::Clock;
use documents::documents;
use reports::Reports;

type Failure = Box<dyn Error>;

fn main() -> ExitCode {
    match produce(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("bench-producer: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn produce(arguments: &[String]) -> Result<String, Failure> {
    let [brokers, topic, partitions, path] = arguments else {
        return Err("usage: bench-producer BROKERS TOPIC PARTITIONS DOCUMENTS".into());
    };
    create_topic(brokers, topic, partitions.parse()?)?;
    let text = fs::read_to_string(path)?;
    let documents = documents(&text)?;
    let producer: ThreadedProducer<Reports> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        .set("compression.codec", "lz4")
        .set("linger.ms", "1")
        .set("partitioner", "murmur2_random")
        .create_with_context(Reports::default())?;
    let clock = Clock::start()?;
    for &(key, document) in &documents {
        let mut record = BaseRecord::<str, str>::to(topic).key(key).payload(document);
        while let Err((problem, unsent)) = producer.send(record) {
            match problem {
                KafkaError::MessageProduction(Code::QueueFull) => std::thread::park_timeout(Duration::from_millis(1)),
                other => return Err(other.into()),
            }
            record = unsent;
        }
    }
    producer.flush(Duration::from_secs(300))?;
    let (seconds, cpu_seconds) = clock.stop()?;
    producer.context().all_acknowledged(documents.len())?;
    Ok(format!(
        "{{\"records\": {}, \"seconds\": {seconds:.3}, \"cpu_seconds\": {cpu_seconds:.2}}}",
        documents.len()
    ))
}

fn create_topic(brokers: &str, topic: &str, partitions: i32) -> Result<(), Failure> {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", brokers).create()?;
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
    for created in futures::executor::block_on(admin.create_topics([&new], &options))? {
        created.map_err(|(topic, code)| format!("topic {topic} could not be created: {code}"))?;
    }
    Ok(())
}

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => self.acknowledged(),
            Err((problem, _)) => self.refused(problem.to_string()),
        }
    }
}
