//! How long to wait before an outage is tried again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The longest slice of a blocking wait.
const LOOK: Duration = Duration::from_millis(50);

/// The longest delay before jitter.
const LONGEST: Duration = Duration::from_secs(4);

/// Growing, jittered delays without an end: an outage is waited out.
pub struct Backoff(ExponentialBackoff);

impl Backoff {
    /// From a tenth of a second to eight seconds (jitter adds up to as much again): work resumes within ten seconds of an
    /// outage's end.
    pub fn outage() -> Self {
        let delays = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(LONGEST)
            .with_jitter()
            .without_max_times();
        Self(delays.build())
    }

    /// The next delay.
    pub fn delay(&mut self) -> Duration {
        self.0.next().unwrap_or(LONGEST)
    }

    /// Waits on an OS thread, and ends early when cancelled.
    pub fn block(&mut self, cancel: &CancellationToken) {
        let until = Instant::now() + self.delay();
        while !cancel.is_cancelled() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::park_timeout(left.min(LOOK));
        }
    }
}
