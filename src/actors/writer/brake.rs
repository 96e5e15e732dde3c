//! The brake on dead letters: beyond `dead_letters.max` it is no longer single records that are wrong.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard},
};

use tokio::time::Instant;

use crate::{config::settings::Rate, model::Rejected};

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
        let mut recent = self.recent();
        let now = Instant::now();
        while recent
            .front()
            .is_some_and(|(when, _)| now.duration_since(*when) >= self.max.per)
        {
            recent.pop_front();
        }
        let so_far: usize = recent.iter().map(|(_, count)| count).sum();
        (self.max.count as usize).saturating_sub(so_far)
    }

    /// Counts dead letters that are committed.
    pub fn count(&self, num_dead: usize) {
        if num_dead > 0 {
            self.recent().push_back((Instant::now(), num_dead));
        }
    }

    /// The sentence with which the pipeline parks.
    pub fn reason(&self, first: &[Rejected]) -> String {
        let examples: Vec<_> = first
            .iter()
            .take(3)
            .map(|dead| format!("{}: {}", dead.position, dead.reason))
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
}
