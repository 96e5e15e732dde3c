//! Waiting that a [`Cancel`] ends early, and asking again until an outage is over.

use std::{future::Future, sync::mpsc, thread, time::Duration};

use futures::{
    executor::block_on,
    future::{Either, select},
    pin_mut,
};
use slog::{Logger, info, warn};

use crate::{
    log::{Cancel, LogError},
    model::Verdict,
};

/// How long a thread may be deaf to its [`Cancel`].
pub(super) const SLICE: Duration = Duration::from_millis(100);

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// Exponential back-off with full jitter, so that many clients of a broker that comes back do not come all at once.
#[derive(Default)]
pub(super) struct Backoff {
    attempts: u32,
}

impl Backoff {
    pub(super) fn next(&mut self) -> Duration {
        let ceiling = SHORTEST.saturating_mul(1 << self.attempts.min(16)).min(LONGEST);
        self.attempts = self.attempts.saturating_add(1);
        // Not below a tenth: a retry in the same millisecond asks the same broker in the same state.
        ceiling.mul_f64(rand::random_range(0.1..=1.0))
    }
}

/// Waits; `true` when it was cancelled.
pub(super) fn pause(cancel: &Cancel, time: Duration) -> bool {
    let mut left = time;
    while !left.is_zero() && !cancel.is_cancelled() {
        let slice = left.min(SLICE);
        // The thread is the room's own; nothing unparks it, and if something did, the wait would only be shorter.
        thread::park_timeout(slice);
        left -= slice;
    }
    cancel.is_cancelled()
}

/// Waits for a future of an admin client; `None` when it was cancelled.
pub(super) fn answer<F: Future>(cancel: &Cancel, future: F) -> Option<F::Output> {
    let cancelled = cancel.cancelled();
    pin_mut!(future, cancelled);
    match block_on(select(future, cancelled)) {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}

/// Makes a call that blocks for seconds and knows no cancelling; `None` when it was cancelled. The call then goes on to
/// its own time limit on a thread that nobody waits for.
pub(super) fn detached<T: Send + 'static>(cancel: &Cancel, call: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let spawned = thread::Builder::new().name("kafka-call".to_owned()).spawn(move || {
        let _ = sender.send(call());
    });
    spawned.ok()?;
    loop {
        match receiver.recv_timeout(SLICE) {
            Ok(output) => return Some(output),
            Err(mpsc::RecvTimeoutError::Disconnected) => return None,
            Err(mpsc::RecvTimeoutError::Timeout) if cancel.is_cancelled() => return None,
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Repeats an operation for as long as its errors are outages. The caller's `cancel` is the only limit.
pub(super) fn retrying<T>(
    log: &Logger,
    cancel: &Cancel,
    operation: &'static str,
    place: &str,
    mut attempt: impl FnMut() -> Result<T, LogError>,
) -> Result<T, LogError> {
    let mut backoff = Backoff::default();
    let mut is_waiting = false;
    loop {
        let cancelled = || LogError::Cancelled {
            operation,
            place: place.to_owned(),
        };
        if cancel.is_cancelled() {
            return Err(cancelled());
        }
        match attempt() {
            Err(error) if error.verdict() == Verdict::Retry => {
                let cause = std::error::Error::source(&error)
                    .map(ToString::to_string)
                    .unwrap_or_default();
                let wait = backoff.next();
                if !is_waiting || wait > LONGEST / 2 {
                    warn!(log, "waiting for Kafka"; "operation" => operation, "place" => place, "cause" => cause);
                    is_waiting = true;
                }
                if pause(cancel, wait) {
                    return Err(cancelled());
                }
            }
            result => {
                if is_waiting && result.is_ok() {
                    info!(log, "Kafka answers again"; "operation" => operation, "place" => place);
                }
                return result;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use slog::{Discard, o};

    use super::*;

    fn outage() -> LogError {
        LogError::Call {
            operation: "poll",
            place: "users".to_owned(),
            verdict: Verdict::Retry,
            source: "connection refused".into(),
        }
    }

    #[test]
    fn an_outage_is_waited_out_and_another_error_is_not() {
        let log = Logger::root(Discard, o!());
        let mut answers = vec![Ok(7), Err(outage()), Err(outage())];
        let result = retrying(&log, &Cancel::new(), "poll", "users", || {
            answers.pop().expect("no fourth call")
        });
        assert_eq!(result.unwrap(), 7);

        let result: Result<(), _> = retrying(&log, &Cancel::new(), "poll", "users", || {
            Err(LogError::Lost {
                place: "users".to_owned(),
            })
        });
        assert_eq!(result.unwrap_err().verdict(), Verdict::Lost);
    }

    #[test]
    fn a_cancelled_wait_ends_early() {
        let cancel = Cancel::new();
        let other = cancel.clone();
        let waiting = thread::spawn(move || pause(&other, Duration::from_secs(3600)));
        cancel.cancel();
        assert!(waiting.join().unwrap());
        assert!(detached(&cancel, || thread::park_timeout(Duration::from_secs(1))).is_none());
        assert!(answer(&cancel, futures::future::pending::<()>()).is_none());
    }

    #[test]
    fn the_back_off_grows_and_stays_bounded() {
        let mut backoff = Backoff::default();
        let first = backoff.next();
        assert!(first <= SHORTEST);
        let last = (0..40).map(|_| backoff.next()).last().unwrap();
        assert!(last <= LONGEST && last >= LONGEST / 10);
    }
}
