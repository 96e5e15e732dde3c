//! `rate = "4 in 5m"`: no more requests than this in any span of that length, over all shards of this daemon.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use tokio::time::{Duration, Instant};

use crate::config::settings::Rate;

/// Remembers when requests were let through. A window that slides, not a leaking bucket: a bucket that holds four and
/// regains one every 75 s lets up to eight through in its first five minutes, and the API would answer 429.
#[derive(Debug)]
pub struct RequestRate {
    limit: Rate,
    /// When each of the last `limit.count` requests was let through; at most those of the last `limit.per`.
    let_through: Mutex<VecDeque<Instant>>,
}

impl RequestRate {
    /// A rate of which nothing is used up.
    pub fn new(limit: Rate) -> Self {
        Self {
            limit,
            let_through: Mutex::new(VecDeque::new()),
        }
    }

    /// Lets one request through now, or says how long to wait before asking again.
    pub fn try_acquire(&self) -> Result<(), Duration> {
        let now = Instant::now();
        let mut let_through = self.let_through.lock().unwrap_or_else(PoisonError::into_inner);
        while let_through
            .front()
            .is_some_and(|first| now.duration_since(*first) >= self.limit.per)
        {
            let_through.pop_front();
        }
        if (let_through.len() as u64) < u64::from(self.limit.count.max(1)) {
            let_through.push_back(now);
            return Ok(());
        }
        let first = let_through.front().copied().unwrap_or(now);
        Err(self.limit.per.saturating_sub(now.duration_since(first)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Rate = Rate {
        count: 4,
        per: Duration::from_secs(300),
    };

    #[tokio::test(start_paused = true)]
    async fn no_span_of_the_given_length_sees_more_than_the_given_count() {
        let (rate, start) = (RequestRate::new(LIMIT), Instant::now());
        let mut seconds = Vec::new();
        while seconds.len() < 14 {
            match rate.try_acquire() {
                Ok(()) => {
                    seconds.push(start.elapsed().as_secs());
                    tokio::time::advance(Duration::from_secs(20)).await;
                }
                Err(wait) => tokio::time::advance(wait).await,
            }
        }
        assert_eq!(
            seconds,
            [0, 20, 40, 60, 300, 320, 340, 360, 600, 620, 640, 660, 900, 920]
        );
        assert!(seconds.windows(5).all(|five| five[4] - five[0] >= 300));
    }
}
