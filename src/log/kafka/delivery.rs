//! Counts delivery reports, so that a transaction is committed only when each of its records was acknowledged.

use std::{
    collections::BTreeMap,
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

use rdkafka::{
    Message,
    producer::{DeliveryResult, ProducerContext},
    types::RDKafkaErrorCode as Code,
};

use super::{
    client::{Context, lock},
    error,
};

/// Bits of a report's tag that number the record; the others number the transaction.
const RECORD_BITS: u32 = 40;

/// The cursor's number in its transaction: no record has it.
pub(super) const CURSOR: usize = (1 << RECORD_BITS) - 1;

/// A record that was not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// Its number in the transaction.
    pub(super) record: usize,
    pub(super) code: Code,
}

/// The last offset that a transaction took in each partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ends {
    /// In the shard's partition of the cursors.
    pub(super) cursor: Option<i64>,
    /// By partition of the records' topic.
    pub(super) records: BTreeMap<i32, i64>,
}

/// The reports of one transaction. Reports of earlier ones, which were aborted, are passed over.
#[derive(Default)]
pub(super) struct Tally {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    transaction: usize,
    num_reported: usize,
    num_sent: usize,
    failures: Vec<Failure>,
    ends: Ends,
}

/// How far the reports have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Every record that was sent is acknowledged.
    Acknowledged,
    /// Some are not reported yet.
    Pending,
    /// At least one failed: the first of them.
    Failed(Failure),
}

impl Tally {
    /// A new transaction begins.
    pub(super) fn begin(&self) {
        let mut state = lock(&self.state);
        let transaction = state.transaction.wrapping_add(1) & (usize::MAX >> RECORD_BITS);
        *state = State {
            transaction,
            ..State::default()
        };
    }

    /// One more record is about to be sent; answers the tag that its report will bear.
    pub(super) fn sending(&self, record: usize) -> usize {
        let mut state = lock(&self.state);
        state.num_sent += 1;
        (state.transaction << RECORD_BITS) | record
    }

    fn report(&self, tag: usize, outcome: Result<(i32, i64), Code>) {
        let mut state = lock(&self.state);
        if tag >> RECORD_BITS != state.transaction {
            return;
        }
        state.num_reported += 1;
        let record = tag & CURSOR;
        match outcome {
            Err(code) => state.failures.push(Failure { record, code }),
            Ok((_, offset)) if record == CURSOR => state.ends.cursor = Some(offset),
            Ok((partition, offset)) => {
                let end = state.ends.records.entry(partition).or_insert(offset);
                *end = offset.max(*end);
            }
        }
        if state.num_reported >= state.num_sent || !state.failures.is_empty() {
            self.changed.notify_all();
        }
    }

    /// Waits for news at most this long.
    pub(super) fn wait(&self, limit: Duration) -> Progress {
        let state = lock(&self.state);
        let (state, _) = self
            .changed
            .wait_timeout_while(state, limit, |state| {
                state.failures.is_empty() && state.num_reported < state.num_sent
            })
            .unwrap_or_else(PoisonError::into_inner);
        match state.failures.first() {
            Some(failure) => Progress::Failed(*failure),
            None if state.num_reported >= state.num_sent => Progress::Acknowledged,
            None => Progress::Pending,
        }
    }

    /// Where the acknowledged records lie.
    pub(super) fn ends(&self) -> Ends {
        lock(&self.state).ends.clone()
    }

    /// All failures so far; complete after the abort.
    pub(super) fn failures(&self) -> Vec<Failure> {
        lock(&self.state).failures.clone()
    }
}

impl ProducerContext for Context<Tally> {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, tag: usize) {
        let outcome = match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((problem, _)) => Err(error::code(problem).unwrap_or(Code::Unknown)),
        };
        self.side.report(tag, outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_acknowledged_when_each_record_is() {
        let tally = Tally::default();
        tally.begin();
        assert_eq!(tally.wait(Duration::ZERO), Progress::Acknowledged, "nothing was sent");
        let tags = [tally.sending(0), tally.sending(1)];
        tally.report(tags[1], Ok((0, 8)));
        assert_eq!(tally.wait(Duration::ZERO), Progress::Pending);
        tally.report(tags[0], Ok((0, 7)));
        assert_eq!(tally.wait(Duration::ZERO), Progress::Acknowledged);
        let cursor = tally.sending(CURSOR);
        tally.report(cursor, Ok((3, 40)));
        let (cursor, records) = (Some(40), BTreeMap::from([(0, 8)]));
        assert_eq!(tally.ends(), Ends { cursor, records });
    }

    #[test]
    fn a_failed_record_is_named_and_a_late_report_of_an_aborted_transaction_is_passed_over() {
        let tally = Tally::default();
        tally.begin();
        let late = tally.sending(5);
        tally.begin();
        let tag = tally.sending(3);
        tally.report(late, Err(Code::PurgeQueue));
        assert_eq!(tally.wait(Duration::ZERO), Progress::Pending);
        tally.report(tag, Err(Code::MessageSizeTooLarge));
        let failure = Failure {
            record: 3,
            code: Code::MessageSizeTooLarge,
        };
        assert_eq!(tally.wait(Duration::ZERO), Progress::Failed(failure));
        assert_eq!(tally.failures(), [failure]);
    }
}
