//! How patient a branch is: back-off, intensity, grace.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use crate::config::settings::{OnEscalate, Supervision};

/// The rules of one branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// More failures than this within `window` escalate.
    pub max_restarts: u32,
    /// The span in which failures are counted. A window without a failure forgives.
    pub window: Duration,
    /// The first back-off.
    pub backoff: Duration,
    /// The longest back-off, and how often a parked branch is tried again.
    pub backoff_max: Duration,
    /// Work in hand without a sign of life for this long = the actor is replaced.
    pub stall_after: Duration,
    /// How long an actor may take to stop, and then again how long its threads may.
    pub grace: Duration,
    /// What to do when the restarts are spent.
    pub on_escalate: OnEscalate,
    /// How the back-off is spread.
    pub jitter: Jitter,
}

/// How a back-off is spread, so that what failed together does not come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jitter {
    /// Anything between nothing and the whole back-off, evenly.
    Full,
    /// Always the whole back-off.
    None,
}

/// Durations that a clock can add without overflow, and that are not a busy loop.
const SENSIBLE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(10 * 365 * 86_400));

impl From<&Supervision> for Policy {
    /// Takes the settings over; durations outside 1 ms to 10 years become the nearer end.
    fn from(settings: &Supervision) -> Self {
        let sensible = |duration: Duration| duration.clamp(SENSIBLE.0, SENSIBLE.1);
        Self {
            max_restarts: settings.max_restarts,
            window: sensible(settings.window),
            backoff: sensible(settings.backoff),
            backoff_max: sensible(settings.backoff_max),
            stall_after: sensible(settings.stall_after),
            grace: sensible(settings.grace),
            on_escalate: settings.on_escalate,
            jitter: Jitter::Full,
        }
    }
}

impl Policy {
    /// How long to wait after the `num_failures`-th failure in the window (from 1).
    pub(super) fn delay(&self, num_failures: u32) -> Duration {
        let ceiling = self.ceiling(num_failures);
        match self.jitter {
            Jitter::Full => ceiling.mul_f64(rand::random_range(0.0..=1.0)),
            Jitter::None => ceiling,
        }
    }

    /// `min(backoff_max, backoff * 2^n)`, where n are the failures before this one.
    fn ceiling(&self, num_failures: u32) -> Duration {
        let doublings = num_failures.saturating_sub(1);
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.backoff
            .checked_mul(factor)
            .unwrap_or(Duration::MAX)
            .min(self.backoff_max)
    }
}

/// The failures within the window.
#[derive(Debug, Default)]
pub(super) struct Intensity {
    failures: VecDeque<Instant>,
}

impl Intensity {
    /// Records a failure; returns how many there are in the window, this one included.
    pub(super) fn record(&mut self, now: Instant, window: Duration) -> u32 {
        self.prune(now, window);
        self.failures.push_back(now);
        self.len()
    }

    /// Forgets what lies a window or more back.
    pub(super) fn prune(&mut self, now: Instant, window: Duration) {
        while self
            .failures
            .front()
            .is_some_and(|failure| now.duration_since(*failure) >= window)
        {
            self.failures.pop_front();
        }
    }

    /// Forgets everything.
    pub(super) fn forgive(&mut self) {
        self.failures.clear();
    }

    /// Failures in the window, as of the last `record` or `prune`.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.failures.len()).unwrap_or(u32::MAX)
    }

    /// When the oldest failure will be forgotten.
    pub(super) fn forgets_at(&self, window: Duration) -> Option<Instant> {
        self.failures.front().map(|failure| *failure + window)
    }
}

#[cfg(test)]
pub(super) fn test_policy() -> Policy {
    Policy {
        max_restarts: 3,
        window: Duration::from_secs(60),
        backoff: Duration::from_millis(100),
        backoff_max: Duration::from_secs(10),
        stall_after: Duration::from_secs(5),
        grace: Duration::from_secs(2),
        on_escalate: OnEscalate::Park,
        jitter: Jitter::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_back_off_doubles_up_to_its_cap() {
        let policy = test_policy();
        let millis: Vec<_> = (1..=9).map(|n| policy.delay(n).as_millis()).collect();
        assert_eq!(millis, [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
        assert_eq!(policy.delay(u32::MAX), policy.backoff_max);
    }

    #[test]
    fn settings_that_would_spin_or_overflow_are_cut_to_size() {
        let settings = Supervision {
            max_restarts: 5,
            window: Duration::MAX,
            backoff: Duration::ZERO,
            backoff_max: Duration::ZERO,
            stall_after: Duration::from_secs(30),
            grace: Duration::from_secs(10),
            on_escalate: OnEscalate::Exit,
        };
        let policy = Policy::from(&settings);
        assert_eq!((policy.window, policy.backoff_max), (SENSIBLE.1, SENSIBLE.0));
        assert_eq!(
            (policy.stall_after, policy.grace),
            (settings.stall_after, settings.grace)
        );
        assert_eq!((policy.on_escalate, policy.jitter), (OnEscalate::Exit, Jitter::Full));
    }

    #[test]
    fn full_jitter_stays_within_the_back_off_and_varies() {
        let policy = Policy {
            jitter: Jitter::Full,
            ..test_policy()
        };
        let delays: Vec<_> = (0..100).map(|_| policy.delay(4)).collect();
        assert!(delays.iter().all(|delay| *delay <= Duration::from_millis(800)));
        assert!(delays.iter().any(|delay| *delay != delays[0]));
    }

    #[test]
    fn failures_leave_the_window_one_by_one() {
        let window = Duration::from_secs(60);
        let start = Instant::now();
        let mut intensity = Intensity::default();
        assert_eq!(intensity.record(start, window), 1);
        assert_eq!(intensity.record(start + Duration::from_secs(40), window), 2);
        assert_eq!(intensity.forgets_at(window), Some(start + window));
        assert_eq!(intensity.record(start + Duration::from_secs(60), window), 2);
        intensity.prune(start + Duration::from_secs(500), window);
        assert_eq!((intensity.len(), intensity.forgets_at(window)), (0, None));
    }
}
