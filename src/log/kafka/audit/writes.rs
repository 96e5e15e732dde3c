//! Whether a topic can be written, without writing to it.

use std::time::Duration;

use rand::Rng;
use rdkafka::{
    producer::{BaseRecord, Producer},
    types::RDKafkaErrorCode as Code,
};
use tokio::time::Instant;

use super::{
    super::{
        delivery::{Progress, Tally},
        error, limits,
        transaction::ShardProducer,
    },
    Audit, finding, is_refusal, refused,
};
use crate::model::Finding;

/// How long a broker may take to refuse a record.
const LIMIT: Duration = Duration::from_secs(10);
/// How much larger than allowed the record is.
const TOO_MUCH_BYTES: usize = 4_096;
/// Where a topic takes more than this, no record is sent that is larger.
const LARGEST_BYTES: usize = 16 << 20;

impl Audit<'_> {
    /// A broker asks about the grant before it looks at the record, and then refuses the record: it is larger than the
    /// topic takes, which the topic's settings have just said. Random bytes: no compression makes it smaller.
    pub(super) fn writable(&self, topic: &str, findings: &mut Vec<Finding>) {
        let place = format!("topic {topic}");
        let settings = limits::admin(self.clients)
            .and_then(|admin| limits::topic_settings(&admin, self.clients, topic, &self.cancel));
        let limit_bytes = match settings {
            Ok(settings) => settings.max_batch_bytes,
            Err(problem) => {
                findings.push(finding(&place, &problem));
                return;
            }
        };
        let Some(limit_bytes) = limit_bytes.filter(|bytes| *bytes <= LARGEST_BYTES) else {
            findings.push(Finding::note(
                &place,
                "whether it may be written was not tried: what it takes at most cannot be read (DescribeConfigs), or is very \
                 much",
            ));
            return;
        };
        match self.send_too_much(topic, limit_bytes + TOO_MUCH_BYTES) {
            Ok(Some(Code::MessageSizeTooLarge)) => {}
            Ok(Some(code)) if is_refusal(code) => findings.push(refused(
                &place,
                "let it be written",
                code,
                &format!("--operation Write --topic {topic}"),
            )),
            Ok(Some(code)) => findings.push(Finding::away(&place, format!("a record could not be sent: {code}"))),
            Ok(None) => findings.push(Finding::away(
                &place,
                format!("a record was not answered within {} s", LIMIT.as_secs()),
            )),
            Err(problem) => findings.push(finding(&place, &problem)),
        }
    }

    /// The code that the broker refuses it with.
    fn send_too_much(&self, topic: &str, size_bytes: usize) -> Result<Option<Code>, crate::log::LogError> {
        let room = (size_bytes + TOO_MUCH_BYTES).to_string();
        let fixed = [
            ("enable.idempotence", "false"),
            ("message.max.bytes", room.as_str()),
            ("message.send.max.retries", "0"),
            ("message.timeout.ms", "10000"),
        ];
        let defaults = [("compression.codec", "none"), ("linger.ms", "0")];
        let producer: ShardProducer = self
            .clients
            .config(&defaults, &fixed)
            .create_with_context(self.clients.context(Tally::default()))
            .map_err(|problem| self.clients.open_error(&problem))?;
        let mut payload = vec![0; size_bytes];
        rand::rng().fill_bytes(&mut payload);
        let tally = &producer.context().side;
        tally.begin();
        let record: BaseRecord<'_, [u8], [u8], usize> = BaseRecord::with_opaque_to(topic, tally.sending(0))
            .partition(0)
            .payload(&payload);
        if let Err((problem, _)) = producer.send(record) {
            return Err(error::call("send a record to", topic, problem));
        }
        let begin = Instant::now();
        let code = loop {
            match tally.wait(Duration::from_millis(100)) {
                Progress::Failed(failure) => break Some(failure.code),
                Progress::Acknowledged => break None,
                Progress::Pending if begin.elapsed() > LIMIT => break None,
                Progress::Pending => {}
            }
        };
        super::super::close::close(self.clients.log(), topic, producer);
        Ok(code)
    }
}
