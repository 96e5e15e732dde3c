//! The brake on dead letters: beyond `dead_letters.max` it is no longer single records that are wrong.

use std::{collections::VecDeque, sync::Mutex};

use tokio::time::Instant;

use crate::config::settings::Rate;

/// Counts the dead letters of one pipeline, over all its writers.
#[derive(Debug)]
pub struct Brake {
    max: Rate,
    recent: Mutex<VecDeque<(Instant, usize)>>,
}

impl Brake {
    /// A brake that allows this many.
    pub fn new(max: Rate) -> Self {
        Self { max, recent: Mutex::default() }
    }

    /// Whether `num_dead` more would still be within the limit. Counts them only if so.
    pub fn allows(&self, num_dead: usize) -> bool {
        if num_dead == 0 {
            return true;
        }
        let now = Instant::now();
        let mut recent = self.recent.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        while recent.front().is_some_and(|(when, _)| now.duration_since(*when) >= self.max.per) {
            recent.pop_front();
        }
        let so_far: usize = recent.iter().map(|(_, count)| count).sum();
        let allowed = so_far + num_dead <= self.max.count as usize;
        if allowed {
            recent.push_back((now, num_dead));
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn dead_letters_within_the_limit_pass_and_age_out() {
        let brake = Brake::new(Rate { count: 3, per: Duration::from_secs(60) });
        assert!(brake.allows(2));
        assert!(!brake.allows(2));
        assert!(brake.allows(1));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(brake.allows(3));
        assert!(!brake.allows(1));
    }
}
