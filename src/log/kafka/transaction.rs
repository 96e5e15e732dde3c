//! One transaction of a shard: begin, send, await every report, commit; or abort.

use std::{thread, time::Duration};

use rdkafka::{
    error::KafkaError,
    message::{Header, OwnedHeaders},
    producer::{BaseRecord, Producer, ThreadedProducer},
    types::RDKafkaErrorCode as Code,
};
use slog::{Logger, info};
use tokio::time::Instant;

use super::{
    Failpoint, Step,
    class::{Class, TRY, class},
    client::Context,
    delivery::{CURSOR, Failure, Progress, Tally},
    error, record,
    shard_writer::Place,
    wait,
};
use crate::{
    failpoint,
    log::{Cancel, LogError, Ownership},
    model::{IngestReject, Page, PageRecord, Verdict},
};

pub(super) const OPERATION: &str = "commit transaction";

/// How long a full send queue, or reports, are waited for before cancel and ownership are looked at again.
const GLANCE: Duration = Duration::from_millis(50);

/// How long reports are waited for at all. The coordinator has ended the transaction by then (`transaction.timeout.ms`, 60 s),
/// and librdkafka was seen to report nothing any more after a broker under ZooKeeper had been killed: it served again before it
/// knew the topic.
const REPORTS_LIMIT: Duration = Duration::from_secs(90);

/// How often an abort is tried when the caller wants to be gone: well below a second.
const HASTY_TRIES: usize = 3;

/// A shard's producer. Its own thread serves its events, as the transactional calls need while they block.
pub(super) type ShardProducer = ThreadedProducer<Context<Tally>>;

/// Why a transaction cannot be committed as it is.
pub(super) enum Obstacle {
    /// The client is of no use any more, and with it goes the transaction: nothing can be aborted.
    Spent(LogError),
    /// Abort, and send the same pages again.
    Again(String),
    /// Abort, and give up with this error.
    GiveUp(LogError),
    /// Abort, and name this record.
    TooLarge(Failure),
    /// Abort, and find out what the topic takes now: a broker refused a batch that was within the limit.
    BatchTooLarge,
}

/// What a transaction is made with.
pub(super) struct Transaction<'a> {
    pub(super) log: &'a Logger,
    pub(super) producer: &'a ShardProducer,
    pub(super) place: &'a Place,
    pub(super) failpoint: Option<&'a Failpoint>,
    pub(super) own: &'a Ownership,
    pub(super) cancel: &'a Cancel,
}

type Message<'a> = BaseRecord<'a, [u8], [u8], usize>;

impl Transaction<'_> {
    /// Commits the records of the pages and the cursor after them.
    pub(super) fn run(&self, pages: &[Page], cursor: &[u8]) -> Result<(), Obstacle> {
        self.begin()?;
        for (number, record) in pages.iter().flat_map(|page| &page.records).enumerate() {
            self.send(number, |tag| self.record(record, tag))?;
        }
        failpoint::reach("ingest-after-records");
        self.conclude(self.place.shard.content.as_bytes(), cursor)
    }

    /// Commits nothing but markers: in the cursors' partition, by repeating the cursor that is there, and in these
    /// partitions of the topic, by records that readers pass over. See [`markers`](super::markers).
    pub(super) fn mark(
        &self,
        partitions: impl Iterator<Item = i32>,
        key: &[u8],
        cursor: &[u8],
    ) -> Result<(), Obstacle> {
        self.begin()?;
        for (number, partition) in partitions.enumerate() {
            self.send(number, |tag| {
                BaseRecord::with_opaque_to(&self.place.topic, tag)
                    .partition(partition)
                    .headers(record::marker())
            })?;
        }
        self.conclude(key, cursor)
    }

    fn begin(&self) -> Result<(), Obstacle> {
        failpoint::reach("ingest-before-begin");
        self.producer
            .begin_transaction()
            .map_err(|problem| self.obstacle("begin transaction", problem))?;
        self.producer.context().side.begin();
        failpoint::reach("ingest-after-begin");
        self.stops_dead_at(Step::Begun)
    }

    /// The cursor goes when every record is acknowledged, not with them: so a cursor in the log means that all that
    /// belongs to it is there too, even where the broker does not say how the transaction ended.
    fn conclude(&self, key: &[u8], cursor: &[u8]) -> Result<(), Obstacle> {
        self.await_reports()?;
        failpoint::reach("ingest-after-reports");
        self.send(CURSOR, |tag| self.cursor(key, cursor, tag))?;
        failpoint::reach("ingest-after-cursor");
        self.await_reports()?;
        settle(self.producer);
        self.stops_dead_at(Step::Sent)?;
        // Last look before the point of no return.
        match self.stopped() {
            Some(reason) => Err(Obstacle::GiveUp(reason)),
            None => self.finish(),
        }
    }

    /// Aborts; `Err` when the client is spent instead.
    pub(super) fn abort(&self) -> Result<(), LogError> {
        let mut num_hasty = 0;
        loop {
            let Err(problem) = self.producer.abort_transaction(TRY) else {
                return Ok(());
            };
            match class(&problem) {
                Class::SameCall | Class::Abort => {
                    if let Some(reason) = self.stopped() {
                        num_hasty += 1;
                        if num_hasty >= HASTY_TRIES {
                            return Err(reason);
                        }
                    }
                    wait::pause(self.cancel, TRY / 10);
                }
                Class::Fatal => return Err(self.place.lost()),
                Class::Broken => return Err(error::call("abort transaction", &self.place.id, problem)),
            }
        }
    }

    /// What every wait looks at; `None` = go on.
    pub(super) fn stopped(&self) -> Option<LogError> {
        if !self.own.holds() {
            Some(self.place.lost())
        } else if self.cancel.is_cancelled() {
            Some(self.place.cancelled(OPERATION))
        } else {
            None
        }
    }

    fn stops_dead_at(&self, step: Step) -> Result<(), Obstacle> {
        match self.failpoint {
            Some(failpoint) if failpoint(step) => Err(Obstacle::Spent(self.place.lost())),
            _ => Ok(()),
        }
    }

    fn record<'b>(&'b self, record: &'b PageRecord, tag: usize) -> Message<'b> {
        let mut message = BaseRecord::with_opaque_to(&self.place.topic, tag).payload(&record.payload[..]);
        if let Some(key) = &record.key {
            message = message.key(&key[..]);
        }
        if let Some(IngestReject { reason, size_bytes }) = &record.reject {
            let size = size_bytes.to_string();
            let (reason, size) = (
                (IngestReject::REASON_HEADER, reason),
                (IngestReject::SIZE_HEADER, &size),
            );
            let insert = |headers: OwnedHeaders, (key, value)| {
                headers.insert(Header {
                    key,
                    value: Some(value),
                })
            };
            message = message.headers(
                [reason, size]
                    .into_iter()
                    .fold(OwnedHeaders::new_with_capacity(2), insert),
            );
        }
        message
    }

    fn cursor<'b>(&'b self, key: &'b [u8], value: &'b [u8], tag: usize) -> Message<'b> {
        BaseRecord::with_opaque_to(&self.place.cursors, tag)
            .partition(self.place.shard.number)
            .key(key)
            .payload(value)
    }

    fn send<'b>(&self, number: usize, make: impl FnOnce(usize) -> Message<'b>) -> Result<(), Obstacle> {
        let tally = &self.producer.context().side;
        // Counted before it is sent: its report may be here before `send` returns.
        let mut message = make(tally.sending(number));
        loop {
            let Err((problem, unsent)) = self.producer.send(message) else {
                return Ok(());
            };
            match error::code(&problem) {
                Some(Code::QueueFull) => {
                    if let Some(reason) = self.stopped() {
                        return Err(Obstacle::GiveUp(reason));
                    }
                    // The producer's own thread empties it as reports come in.
                    match tally.wait(GLANCE) {
                        Progress::Failed(failure) => return Err(self.undelivered(failure)),
                        Progress::Pending | Progress::Acknowledged => message = unsent,
                    }
                }
                Some(code @ Code::MessageSizeTooLarge) => {
                    return Err(Obstacle::TooLarge(Failure { record: number, code }));
                }
                Some(code) => return Err(self.undelivered(Failure { record: number, code })),
                None => {
                    let failed = error::call("append record", &self.place.topic, problem);
                    return Err(Obstacle::GiveUp(failed));
                }
            }
        }
    }

    fn await_reports(&self) -> Result<(), Obstacle> {
        let begin = Instant::now();
        loop {
            if begin.elapsed() > REPORTS_LIMIT {
                info!(self.log, "no report of a record: the client is given up"; "waited_s" => REPORTS_LIMIT.as_secs());
                return Err(Obstacle::Spent(self.place.lost()));
            }
            match self.producer.context().side.wait(GLANCE) {
                Progress::Acknowledged => return Ok(()),
                Progress::Failed(failure) => return Err(self.undelivered(failure)),
                Progress::Pending => {
                    if self.producer.client().fatal_error().is_some() {
                        return Err(Obstacle::Spent(self.place.lost()));
                    }
                    if let Some(reason) = self.stopped() {
                        return Err(Obstacle::GiveUp(reason));
                    }
                }
            }
        }
    }

    fn finish(&self) -> Result<(), Obstacle> {
        failpoint::reach("ingest-before-commit");
        loop {
            let Err(problem) = self.producer.commit_transaction(TRY) else {
                failpoint::reach("ingest-after-commit");
                return self.stops_dead_at(Step::Committed);
            };
            match class(&problem) {
                Class::SameCall => {
                    // Whether it goes in is open now, so that nothing can be aborted either.
                    if let Some(reason) = self.stopped() {
                        return Err(Obstacle::Spent(reason));
                    }
                    wait::pause(self.cancel, TRY / 10);
                }
                // It may have gone in all the same: a coordinator that restarts can answer the repeated call with an error
                // after it has committed. An abort would then undo nothing, and the same pages would go in twice. So
                // the client is dropped, and the cursor decides.
                Class::Abort => {
                    info!(self.log, "the outcome of a commit is unknown"; "cause" => %problem);
                    return Err(Obstacle::Spent(self.place.lost()));
                }
                Class::Fatal | Class::Broken => return Err(self.obstacle(OPERATION, problem)),
            }
        }
    }

    /// A record that did not go in.
    fn undelivered(&self, failure: Failure) -> Obstacle {
        match failure.code {
            // Inside a transaction that has failed already: the abort says why.
            Code::State => Obstacle::Again("the transaction has failed".to_owned()),
            Code::MessageSizeTooLarge => Obstacle::BatchTooLarge,
            code => match error::verdict(code) {
                Verdict::Lost => Obstacle::Spent(self.place.lost()),
                Verdict::Retry => Obstacle::Again(code.to_string()),
                Verdict::Reject | Verdict::Fail => {
                    let reason = match failure.record {
                        CURSOR => "the cursor was refused".to_owned(),
                        number => format!("record {number} was refused"),
                    };
                    Obstacle::GiveUp(error::reported("append record", &self.place.topic, code, reason))
                }
            },
        }
    }

    fn obstacle(&self, operation: &'static str, problem: KafkaError) -> Obstacle {
        match class(&problem) {
            Class::Abort => Obstacle::Again(problem.to_string()),
            Class::SameCall | Class::Fatal => {
                info!(self.log, "the shard's producer is done"; "operation" => operation, "cause" => %problem);
                Obstacle::Spent(self.place.lost())
            }
            Class::Broken => Obstacle::Spent(error::call(operation, &self.place.id, problem)),
        }
    }
}

/// Waits until librdkafka has put the acknowledged records away. Without it `commit_transaction` may find the last report
/// still in hand and then waits for 100 ms.
fn settle(producer: &ShardProducer) {
    for _ in 0..10_000 {
        if producer.flush(Duration::ZERO).is_ok() {
            return;
        }
        thread::yield_now();
    }
}
