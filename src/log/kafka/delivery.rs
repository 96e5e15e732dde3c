//! Counts delivery reports, so that a transaction is committed only when each of its records was acknowledged.

use std::{
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

use rdkafka::{
    producer::{DeliveryResult, ProducerContext},
    types::RDKafkaErrorCode as Code,
};

use super::{
    client::{Context, lock},
    error,
};

/// Bits of a report's tag that number the record; the others number the transaction.
const RECORD_BITS: u32 = 40;

/// A record that was not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// Its number in the transaction.
    pub(super) record: usize,
    pub(super) code: Code,
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

    fn report(&self, tag: usize, failure: Option<Code>) {
        let mut state = lock(&self.state);
        if tag >> RECORD_BITS != state.transaction {
            return;
        }
        state.num_reported += 1;
        if let Some(code) = failure {
            state.failures.push(Failure {
                record: tag & ((1 << RECORD_BITS) - 1),
                code,
            });
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

    /// All failures so far; complete after the abort.
    pub(super) fn failures(&self) -> Vec<Failure> {
        lock(&self.state).failures.clone()
    }
}

impl ProducerContext for Context<Tally> {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, tag: usize) {
        let failure = result
            .as_ref()
            .err()
            .map(|(problem, _)| error::code(problem).unwrap_or(Code::Unknown));
        self.side.report(tag, failure);
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
        tally.report(tags[1], None);
        assert_eq!(tally.wait(Duration::ZERO), Progress::Pending);
        tally.report(tags[0], None);
        assert_eq!(tally.wait(Duration::ZERO), Progress::Acknowledged);
    }

    #[test]
    fn a_failed_record_is_named_and_a_late_report_of_an_aborted_transaction_is_passed_over() {
        let tally = Tally::default();
        tally.begin();
        let late = tally.sending(5);
        tally.begin();
        let tag = tally.sending(3);
        tally.report(late, Some(Code::PurgeQueue));
        assert_eq!(tally.wait(Duration::ZERO), Progress::Pending);
        tally.report(tag, Some(Code::MessageSizeTooLarge));
        let failure = Failure {
            record: 3,
            code: Code::MessageSizeTooLarge,
        };
        assert_eq!(tally.wait(Duration::ZERO), Progress::Failed(failure));
        assert_eq!(tally.failures(), [failure]);
    }
}
