//! One batch from its arrival to its reply: connect, write, and decide what an error means.

use std::{cell::Cell, collections::VecDeque, sync::Arc};

use tokio::time::Instant;

use super::{Brake, meter::Meter};
use crate::{
    messages::{Refused, RowBatch, Settled},
    store::{
        ConnectInfo, Remedy, Session, StoreError,
        load::{LoadBatch, Loader, Outcome},
        offsets::Fence,
    },
    supervision::{Backoff, Life, WaitGuard, chain},
};

/// A writer's connection and what it has prepared on it.
pub(super) struct Desk {
    life: Life,
    name: String,
    connect: Arc<ConnectInfo>,
    brake: Arc<Brake>,
    loader: Loader,
    meter: Meter,
    session: Option<Session>,
}

/// What came of a batch.
pub(super) enum Given {
    Reply(Result<Settled, Refused>),
    /// Failed or parked: the reason is in the life's obituary.
    Up,
}

/// A part of a batch that is still to be written.
struct Part<'a> {
    batch: LoadBatch<'a>,
    /// It was too much for the server once; the next time it is split.
    was_too_large: bool,
    /// COMMIT was sent and not answered.
    commit_unknown: bool,
    /// Dead letters that the brake has counted for the commit whose answer is unknown.
    num_counted: usize,
}

impl Desk {
    pub(super) fn new(
        life: Life,
        name: String,
        connect: Arc<ConnectInfo>,
        brake: Arc<Brake>,
        loader: Loader,
        meter: Meter,
    ) -> Self {
        Self {
            life,
            name,
            connect,
            brake,
            loader,
            meter,
            session: None,
        }
    }

    /// Writes the batch, however long PostgreSQL is away. It is one transaction, unless the server cannot take it whole:
    /// then it is several, each with its own part of the offsets.
    pub(super) async fn settle(&mut self, batch: &RowBatch) -> Given {
        let progress = self.life.progress().clone();
        {
            let _waiting = progress.wait("the log to confirm the topic's identity");
            if !batch.identity.holds().await {
                return Given::Reply(Err(Refused::Lost));
            }
        }
        let mut num_dead = 0;
        let mut parts = VecDeque::from([Part {
            batch: whole(batch),
            was_too_large: false,
            commit_unknown: false,
            num_counted: 0,
        }]);
        let mut backoff = Backoff::outage();
        let mut outage: Option<WaitGuard> = None;
        while let Some(part) = parts.front_mut() {
            // Not work in hand: many statements in a row, each bounded by the session's time-outs, may take longer than
            // `stall_after` and are no stall. One that is not answered at all is.
            let writing = progress.wait("PostgreSQL to take a batch");
            let started = Instant::now();
            let outcome = self.attempt(part, writing.attempt_within(self.connect.limits.answer()));
            drop(writing);
            let error = match outcome {
                Ok(Outcome::Settled { counts, rows, dead, .. }) => {
                    self.meter.settled(started.elapsed(), &counts, &rows);
                    num_dead += dead.len();
                    parts.pop_front();
                    progress.mark();
                    (backoff, outage) = (Backoff::outage(), None);
                    continue;
                }
                Ok(Outcome::NotWritten) => {
                    part.commit_unknown = false;
                    continue;
                }
                Ok(Outcome::Lost) => return Given::Reply(Err(Refused::Lost)),
                Ok(Outcome::WentBack) => return Given::Reply(Err(Refused::WentBack)),
                Ok(Outcome::Braked { dead }) => {
                    self.life.park(self.brake.reason(&dead));
                    return Given::Up;
                }
                Err(error) => error,
            };
            part.commit_unknown |= matches!(error, StoreError::Commit { .. });
            match error.remedy(false) {
                Remedy::RetryAnew => part.was_too_large = false,
                // Once more as it is: the shortage may be over. Then in halves; a single record is at fault itself.
                // A commit whose answer is unknown is settled before anything else.
                Remedy::RetrySmaller if part.commit_unknown => {}
                Remedy::RetrySmaller if !part.was_too_large => part.was_too_large = true,
                Remedy::RetrySmaller => match part.batch.split() {
                    None => part.batch.reject_if_too_large = true,
                    Some((first, second)) => {
                        parts.pop_front();
                        for half in [second, first] {
                            parts.push_front(Part {
                                batch: half,
                                was_too_large: true,
                                commit_unknown: false,
                                num_counted: 0,
                            });
                        }
                    }
                },
                _ if error.connection_lost() => {}
                // A table that does not fit is not mended by a restart.
                _ if matches!(error, StoreError::Mismatch { .. }) => {
                    self.life.park(chain(&error));
                    return Given::Up;
                }
                _ => {
                    self.life.fail(error);
                    return Given::Up;
                }
            }
            // Pools that stay with a demoted primary fail for days: each repeat has a new connection.
            self.session = None;
            let reason = chain(&error);
            slog::warn!(self.life.log(), "waiting for PostgreSQL"; "reason" => &reason);
            outage.get_or_insert_with(|| progress.wait(format!("PostgreSQL: {reason}")));
            tokio::time::sleep(backoff.delay()).await;
        }
        Given::Reply(Ok(Settled {
            next_offset: batch.next_offset,
            num_dead,
        }))
    }

    /// Calls `heed` at each statement.
    fn attempt(
        &mut self,
        part: &mut Part<'_>,
        heed: impl Fn() + Clone + Send + 'static,
    ) -> Result<Outcome, StoreError> {
        let session = match &mut self.session {
            Some(session) => session,
            None => self.session.insert(Session::connect(&self.connect, &self.name)?),
        };
        session.on_statement(heed);
        if part.commit_unknown {
            let outcome = self.loader.settle_unknown(session, &part.batch);
            if matches!(outcome, Ok(Outcome::NotWritten | Outcome::Lost | Outcome::WentBack)) {
                self.brake.give_back(std::mem::take(&mut part.num_counted));
            }
            return outcome;
        }
        part.batch.max_dead = self.brake.left();
        let (brake, counted) = (&self.brake, Cell::new(0));
        let allow_dead = |num_dead| {
            // Asked again where the tables had changed and the batch was tried anew.
            brake.give_back(counted.take());
            let is_allowed = brake.try_count(num_dead);
            counted.set(if is_allowed { num_dead } else { 0 });
            is_allowed
        };
        let batch = LoadBatch {
            allow_dead: Some(&allow_dead),
            ..part.batch.clone()
        };
        let outcome = self.loader.write_batch(session, &batch, &mut || true);
        match &outcome {
            Ok(Outcome::Settled { .. }) => {}
            Err(StoreError::Commit { .. }) => part.num_counted = counted.get(),
            _ => brake.give_back(counted.get()),
        }
        outcome
    }
}

fn whole(batch: &RowBatch) -> LoadBatch<'_> {
    let fence = Fence {
        key: batch.claim.key.clone(),
        topic_id: batch.claim.topic_id,
        epoch: batch.claim.epoch,
        expected: batch.expected_offset,
    };
    LoadBatch::whole(fence, batch.next_offset, &batch.records, &batch.rows, &batch.rejected)
}
