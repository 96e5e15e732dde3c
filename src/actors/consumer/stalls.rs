//! Whether each partition gets on: one whose queue stays empty while the log holds more has stalled.
//!
//! The consumer's marks cannot say it: they come as long as the thread polls, or any other partition moves. What is in
//! flight is not judged here; it is work in hand of a transformer or a writer. A partition at its end may rest for ever.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::log::Inspector;

/// A stall is found at most this part of `stall_after` late.
const LOOKS: u32 = 4;

/// A partition of which more could be read, and from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Stand {
    pub(super) partition: i32,
    pub(super) epoch: i64,
    pub(super) at: i64,
}

/// Where the reader stands; written by its thread, looked at by another one.
#[derive(Clone, Default)]
pub(super) struct Stands(Arc<Mutex<Vec<Stand>>>);

impl Stands {
    /// Replaces what was known.
    pub(super) fn note(&self, now: impl Iterator<Item = Stand>) {
        let mut stands = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stands.clear();
        stands.extend(now);
    }

    fn now(&self) -> Vec<Stand> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Records wait, and the reader does not get them.
#[derive(Debug, thiserror::Error)]
#[error(
    "partition {} of {topic} has stalled: offsets {} to {} wait in the log, and nothing of them has come for {}",
    .stand.partition, .stand.at, .last_stable - 1, humantime::format_duration(*.limit)
)]
pub(super) struct Stalled {
    topic: String,
    stand: Stand,
    last_stable: i64,
    limit: Duration,
}

/// Compares where the reader stands with where it stood.
pub(super) struct Stalls {
    topic: String,
    stands: Stands,
    limit: Duration,
    /// Since when there was something to read there and it did not come.
    since: HashMap<Stand, Instant>,
    due: Instant,
}

impl Stalls {
    /// `limit`: `supervision.stall_after`.
    pub(super) fn new(topic: &str, stands: Stands, limit: Duration) -> Self {
        Self {
            topic: topic.to_owned(),
            stands,
            limit,
            since: HashMap::new(),
            due: Instant::now() + limit / LOOKS,
        }
    }

    /// Looks, if it is time to.
    pub(super) fn look(&mut self, inspector: &dyn Inspector) -> Result<(), Stalled> {
        let now = Instant::now();
        if now < self.due {
            return Ok(());
        }
        self.due = now + self.limit / LOOKS;
        let before = std::mem::take(&mut self.since);
        for stand in self.stands.now() {
            let Some(since) = before.get(&stand) else {
                self.since.insert(stand, now);
                continue;
            };
            match inspector.bounds(stand.partition) {
                Ok(bounds) if bounds.last_stable <= stand.at => drop(self.since.insert(stand, Instant::now())),
                Ok(bounds) if since.elapsed() >= self.limit => {
                    return Err(Stalled {
                        topic: self.topic.clone(),
                        stand,
                        last_stable: bounds.last_stable,
                        limit: self.limit,
                    });
                }
                Ok(_) => drop(self.since.insert(stand, *since)),
                // Nobody answers: an outage is waited out elsewhere, and excuses everything before it.
                Err(_) => {
                    self.since.clear();
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
