//! Marks of progress: how the supervisor tells a busy or waiting actor from a hung one.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use chrono::{SecondsFormat, Utc};
use serde::Serialize;
use tokio::time::Instant;

/// The progress of one life. Clones count together; any thread may mark.
///
/// Work in hand without a sign of life for `stall_after` gets the actor replaced. Signs are [`mark`](Self::mark), and the
/// beginning and end of work, waits and attempts. A declared [`wait`](Self::wait) is not a stall, but a bounded
/// [`attempt`](WaitGuard::attempt) within it that does not end is one, and so is one that passes its
/// [deadline](WaitGuard::attempt_within).
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    marks: AtomicU64,
    beats: AtomicU64,
    num_work: AtomicUsize,
    num_attempts: AtomicUsize,
    waits: Mutex<Waits>,
}

#[derive(Debug, Default)]
struct Waits {
    next: u64,
    held: BTreeMap<u64, Waiting>,
    /// By wait: until when its attempt may last, and how long that is.
    deadlines: BTreeMap<u64, (Instant, Duration)>,
}

/// What an actor waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// In words: `PostgreSQL`.
    pub what: String,
    /// Since when, RFC 3339 in UTC.
    pub since: String,
}

impl Progress {
    /// Something was achieved: records moved, or a poll was answered with nothing.
    pub fn mark(&self) {
        self.0.marks.fetch_add(1, Ordering::Relaxed);
        self.beat();
    }

    /// There is work in hand until the guard is dropped. Guards nest.
    pub fn work(&self) -> WorkGuard {
        self.0.num_work.fetch_add(1, Ordering::SeqCst);
        self.beat();
        WorkGuard(self.clone())
    }

    /// Declares a wait for somebody else, shown as "waiting for `what` since …" until the guard is dropped.
    pub fn wait(&self, what: impl Into<String>) -> WaitGuard {
        let waiting = Waiting {
            what: what.into(),
            since: now_text(),
        };
        let mut waits = self.waits();
        let number = waits.next;
        waits.next += 1;
        waits.held.insert(number, waiting);
        drop(waits);
        self.beat();
        WaitGuard {
            progress: self.clone(),
            number,
        }
    }

    /// How often something was achieved, over all lives of this child. For `/readyz`: it stands still during a wait.
    pub fn marks(&self) -> u64 {
        self.0.marks.load(Ordering::Relaxed)
    }

    /// Signs of life, over all lives of this child: marks, and waits as long as they are declared. For the systemd
    /// watchdog.
    pub fn beats(&self) -> u64 {
        self.0.beats.load(Ordering::Relaxed)
    }

    /// How many guards of work are held.
    pub fn num_work(&self) -> usize {
        self.0.num_work.load(Ordering::SeqCst)
    }

    /// The declared waits, the oldest first.
    pub fn waiting(&self) -> Vec<Waiting> {
        self.waits().held.values().cloned().collect()
    }

    /// Whether standing still now would be a stall.
    pub(super) fn must_move(&self) -> bool {
        if self.0.num_attempts.load(Ordering::SeqCst) > 0 {
            return true;
        }
        self.num_work() > 0 && self.waits().held.is_empty()
    }

    /// The limit of an attempt that has passed its deadline.
    pub(super) fn overdue(&self) -> Option<Duration> {
        let now = Instant::now();
        let waits = self.waits();
        let mut passed = waits.deadlines.values().filter(|(until, _)| *until <= now);
        passed.next().map(|(_, limit)| *limit)
    }

    /// A sign of life without an achievement.
    pub fn beat(&self) {
        self.0.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// The progress of the next life: nothing in hand, the counts go on.
    pub(super) fn next_life(&self) -> Self {
        let next = Counters::default();
        next.marks.store(self.marks(), Ordering::Relaxed);
        next.beats.store(self.beats(), Ordering::Relaxed);
        Self(Arc::new(next))
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.0.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The present as RFC 3339 in UTC, to the second.
pub(super) fn now_text() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Work in hand, until dropped.
#[derive(Debug)]
#[must_use = "the work is over when the guard is dropped"]
pub struct WorkGuard(Progress);

impl Drop for WorkGuard {
    fn drop(&mut self) {
        self.0.0.num_work.fetch_sub(1, Ordering::SeqCst);
        self.0.beat();
    }
}

/// A declared wait, until dropped.
#[derive(Debug)]
#[must_use = "the wait is over when the guard is dropped"]
pub struct WaitGuard {
    progress: Progress,
    number: u64,
}

impl WaitGuard {
    /// A bounded attempt to end the wait: if it does not end within `stall_after`, it counts as a stall after all.
    pub fn attempt(&self) -> AttemptGuard {
        self.progress.0.num_attempts.fetch_add(1, Ordering::SeqCst);
        self.progress.beat();
        AttemptGuard(self.progress.clone())
    }

    /// An attempt in several steps, each of which ends within `limit` or never: the returned function begins the next step.
    /// When a step does not, it counts as a stall, whatever `stall_after` is. Ends with the wait.
    pub fn attempt_within(&self, limit: Duration) -> impl Fn() + Clone + Send + Sync + use<> + 'static {
        let (progress, number) = (self.progress.clone(), self.number);
        let step = move || {
            let mut waits = progress.waits();
            if waits.held.contains_key(&number) {
                waits.deadlines.insert(number, (Instant::now() + limit, limit));
            }
        };
        step();
        step
    }
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        let mut waits = self.progress.waits();
        waits.held.remove(&self.number);
        waits.deadlines.remove(&self.number);
        drop(waits);
        self.progress.beat();
    }
}

/// An attempt within a wait, until dropped.
#[derive(Debug)]
#[must_use = "the attempt is over when the guard is dropped"]
pub struct AttemptGuard(Progress);

impl Drop for AttemptGuard {
    fn drop(&mut self) {
        self.0.0.num_attempts.fetch_sub(1, Ordering::SeqCst);
        self.0.beat();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_work_in_hand_must_move() {
        let progress = Progress::default();
        assert!(!progress.must_move());
        let outer = progress.work();
        let inner = progress.work();
        drop(inner);
        assert!(progress.must_move(), "the outer work is still in hand");
        drop(outer);
        assert!(!progress.must_move());
    }

    #[test]
    fn a_declared_wait_need_not_move_but_an_attempt_within_it_must() {
        let progress = Progress::default();
        let _work = progress.work();
        let wait = progress.wait("PostgreSQL");
        assert!(!progress.must_move());
        let attempt = wait.attempt();
        assert!(progress.must_move());
        drop(attempt);
        assert!(!progress.must_move());
        drop(wait);
        assert!(progress.must_move());
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_in_steps_is_overdue_when_one_of_them_does_not_end_in_time() {
        let progress = Progress::default();
        let limit = Duration::from_secs(75);
        let wait = progress.wait("PostgreSQL");
        let next = wait.attempt_within(limit);
        for _ in 0..10 {
            tokio::time::advance(Duration::from_secs(74)).await;
            assert_eq!(progress.overdue(), None);
            next();
        }
        tokio::time::advance(limit).await;
        assert_eq!(progress.overdue(), Some(limit));
        drop(wait);
        assert_eq!(progress.overdue(), None);
        next();
        tokio::time::advance(limit).await;
        assert_eq!(progress.overdue(), None, "the wait is over");
    }

    #[test]
    fn waits_are_shown_while_they_are_held() {
        let progress = Progress::default();
        let first = progress.wait("PostgreSQL");
        let _second = progress.wait("the broker");
        drop(first);
        let shown: Vec<_> = progress.waiting().into_iter().map(|waiting| waiting.what).collect();
        assert_eq!(shown, ["the broker"]);
    }

    #[test]
    fn waiting_is_a_sign_of_life_but_no_achievement() {
        let progress = Progress::default();
        progress.mark();
        let beats = progress.beats();
        drop(progress.wait("the broker"));
        assert_eq!(progress.marks(), 1);
        assert!(progress.beats() > beats);
    }

    #[test]
    fn the_next_life_counts_on_with_nothing_in_hand() {
        let progress = Progress::default();
        let _work = progress.work();
        progress.mark();
        let next = progress.next_life();
        assert_eq!((next.marks(), next.num_work()), (1, 0));
        progress.mark();
        assert_eq!(next.marks(), 1, "late marks of the old life do not count");
    }
}
