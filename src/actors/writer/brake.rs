//! The brake on dead letters: beyond `dead_letters.max` it is no longer single records that are wrong.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard},
};

use tokio::time::Instant;

use crate::{
    config::settings::Rate,
    model::{Rejected, without_values},
};

/// Counts the dead letters of one pipeline, over all its writers.
#[derive(Debug)]
pub struct Brake {
    max: Rate,
    recent: Mutex<VecDeque<(Instant, usize)>>,
}

impl Brake {
    /// A brake that allows this many.
    pub fn new(max: Rate) -> Self {
        Self {
            max,
            recent: Mutex::default(),
        }
    }

    /// How many more are allowed now.
    pub fn left(&self) -> usize {
        let so_far = self.so_far(&mut self.recent());
        (self.max.count as usize).saturating_sub(so_far)
    }

    fn so_far(&self, recent: &mut VecDeque<(Instant, usize)>) -> usize {
        let now = Instant::now();
        while recent
            .front()
            .is_some_and(|(when, _)| now.duration_since(*when) >= self.max.per)
        {
            recent.pop_front();
        }
        recent.iter().map(|(_, count)| count).sum()
    }

    /// Counts dead letters that are committed.
    pub fn count(&self, num_dead: usize) {
        if num_dead > 0 {
            self.recent().push_back((Instant::now(), num_dead));
        }
    }

    /// Counts dead letters that are about to be committed, if that many are still allowed. All writers of the pipeline ask
    /// here, one after the other: what each of them may still write is not known before.
    pub fn try_count(&self, num_dead: usize) -> bool {
        let mut recent = self.recent();
        let so_far = self.so_far(&mut recent);
        let is_allowed = so_far + num_dead <= self.max.count as usize;
        if is_allowed && num_dead > 0 {
            recent.push_back((Instant::now(), num_dead));
        }
        is_allowed || num_dead == 0
    }

    /// Takes back what [`Brake::try_count`] has counted: it was not committed after all.
    pub fn give_back(&self, num_dead: usize) {
        let mut recent = self.recent();
        let mut rest = num_dead;
        // The newest first: which of them it was makes no difference to the sum.
        while rest > 0
            && let Some((when, count)) = recent.pop_back()
        {
            if count > rest {
                recent.push_back((when, count - rest));
            }
            rest = rest.saturating_sub(count);
        }
    }

    /// The sentence with which the pipeline parks.
    pub fn reason(&self, first: &[Rejected]) -> String {
        let examples: Vec<_> = first
            .iter()
            .take(3)
            .map(|dead| format!("{}: {}", dead.position, without_values(&dead.reason)))
            .collect();
        format!(
            "more than {} dead letters within {} (dead_letters.max): nothing of this batch was written; the first: {}",
            self.max.count,
            humantime::format_duration(self.max.per),
            examples.join("; ")
        )
    }

    fn recent(&self) -> MutexGuard<'_, VecDeque<(Instant, usize)>> {
        self.recent.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn dead_letters_within_the_limit_pass_and_age_out() {
        let brake = Brake::new(Rate {
            count: 3,
            per: Duration::from_secs(60),
        });
        brake.count(2);
        assert_eq!(brake.left(), 1);
        tokio::time::advance(Duration::from_secs(30)).await;
        brake.count(1);
        assert_eq!(brake.left(), 0);
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(brake.left(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn two_writers_together_get_no_more_than_the_limit() {
        let brake = Brake::new(Rate {
            count: 100,
            per: Duration::from_secs(60),
        });
        assert_eq!((brake.left(), brake.left()), (100, 100), "both begin a batch");
        assert!(brake.try_count(60));
        assert!(!brake.try_count(60), "the other one's batch would pass the limit");
        assert!(brake.try_count(40) && brake.try_count(0));
        brake.give_back(40);
        assert_eq!(brake.left(), 40);
        brake.give_back(1_000);
        assert_eq!(brake.left(), 100);
    }
}
