//! Keeps an outage from filling the journal: each kind of line at most once in ten seconds, with a count.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

const INTERVAL: Duration = Duration::from_secs(10);

/// When each kind of line was last written, and how many were not since.
#[derive(Default)]
pub(in crate::log::kafka) struct Quiet {
    kinds: HashMap<String, (Instant, u64)>,
}

impl Quiet {
    /// `Some(lines left out since the last one)` when this one may be written.
    pub(in crate::log::kafka) fn admits(&mut self, kind: &str) -> Option<u64> {
        let now = Instant::now();
        match self.kinds.get_mut(kind) {
            Some((last, num_suppressed)) if now.duration_since(*last) < INTERVAL => {
                *num_suppressed += 1;
                None
            }
            Some((last, num_suppressed)) => {
                *last = now;
                Some(std::mem::take(num_suppressed))
            }
            None => {
                self.kinds.insert(kind.to_owned(), (now, 0));
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_repeated_line_is_written_once_in_ten_seconds_with_the_count() {
        let mut quiet = Quiet::default();
        assert_eq!(quiet.admits("FAIL"), Some(0));
        assert_eq!(quiet.admits("FAIL"), None);
        assert_eq!(quiet.admits("FAIL"), None);
        assert_eq!(quiet.admits("REQTMOUT"), Some(0));
        tokio::time::advance(INTERVAL).await;
        assert_eq!(quiet.admits("FAIL"), Some(2));
    }
}
