//! Repeats what an outage interrupted, until it is over.

use std::time::Duration;

use tokio::time::Instant;

use super::{Limits, Pauses};
use crate::{api::ApiError, model::Verdict};

/// What a fetch is doing: each is a mark of progress, and the pauses are declared waits.
#[derive(Debug)]
pub enum Attempt<'a> {
    /// A request goes out; it is answered or given up within `deadline`.
    Started {
        /// The number of the attempt at this page, from 1.
        number: u32,
        /// `source.timeout`
        deadline: Duration,
    },
    /// `source.rate` is used up.
    RateLimited {
        /// How long it waits before it asks again.
        pause: Duration,
    },
    /// The attempt failed; it will be repeated.
    Waiting {
        /// The number of the attempt that failed, from 1.
        number: u32,
        /// Since when no attempt has succeeded.
        since: Instant,
        /// How long it waits before the next attempt.
        pause: Duration,
        /// Why it failed.
        error: &'a ApiError,
    },
    /// The page is here.
    Done {
        /// How many attempts it took.
        attempts: u32,
    },
}

/// Runs `attempt` until it succeeds or fails for good: outages without end, undecodable pages a few times.
pub(super) async fn repeat<T, P>(
    limits: &Limits,
    deadline: Duration,
    progress: &mut P,
    mut attempt: impl AsyncFnMut(&mut P) -> Result<T, ApiError>,
) -> Result<T, ApiError>
where
    P: FnMut(Attempt<'_>) + ?Sized,
{
    let mut pauses = Pauses::new(limits.shortest_pause, limits.longest_pause);
    let (mut number, mut undecodable, mut since) = (1_u32, 0_u32, None);
    loop {
        progress(Attempt::Started { number, deadline });
        let error = match attempt(progress).await {
            Ok(page) => {
                progress(Attempt::Done { attempts: number });
                return Ok(page);
            }
            Err(error) => error,
        };
        undecodable += u32::from(matches!(error, ApiError::UndecodablePage { .. }));
        let again = match error {
            ApiError::UndecodablePage { .. } => undecodable < limits.decode_attempts,
            _ => error.verdict() == Verdict::Retry,
        };
        if !again {
            return Err(error);
        }
        let pause = pauses.next(error.retry_after());
        progress(Attempt::Waiting {
            number,
            since: *since.get_or_insert_with(Instant::now),
            pause,
            error: &error,
        });
        tokio::time::sleep(pause).await;
        number = number.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    fn status(status: u16, retry_after: Option<u64>) -> ApiError {
        let retry_after = retry_after.map(Duration::from_secs);
        ApiError::Status {
            request: "GET http://api/".to_owned(),
            status,
            excerpt: String::new(),
            retry_after,
        }
    }

    fn undecodable() -> ApiError {
        ApiError::UndecodablePage {
            request: "GET http://api/".to_owned(),
            reason: "it is empty".to_owned(),
            excerpt: String::new(),
        }
    }

    /// Repeats until the script of failures is over; returns the pauses too.
    async fn play(script: Vec<ApiError>) -> (Result<(), ApiError>, Vec<Duration>) {
        let (mut script, mut pauses) = (VecDeque::from(script), Vec::new());
        let mut progress = |attempt: Attempt<'_>| {
            if let Attempt::Waiting { pause, .. } = attempt {
                pauses.push(pause);
            }
        };
        let answer = repeat(&Limits::default(), Duration::from_secs(30), &mut progress, async |_| {
            script.pop_front().map_or(Ok(()), Err)
        })
        .await;
        (answer, pauses)
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_waited_out_however_long_it_lasts() {
        let start = Instant::now();
        let (answer, pauses) = play((0..200).map(|_| status(503, None)).collect()).await;
        assert!(answer.is_ok());
        assert_eq!(pauses.len(), 200);
        assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(60)));
        assert!(start.elapsed() > Duration::from_secs(1_800), "the pauses grow");
    }

    #[tokio::test(start_paused = true)]
    async fn the_servers_retry_after_is_kept() {
        let (answer, pauses) = play(vec![status(429, Some(120)), status(429, Some(300))]).await;
        assert!(answer.is_ok());
        assert_eq!(pauses, [Duration::from_secs(120), Duration::from_secs(300)]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_undecodable_page_is_asked_for_three_times_also_between_outages() {
        let (answer, pauses) = play(vec![undecodable(), status(503, None), undecodable()]).await;
        assert!(answer.is_ok());
        assert_eq!(pauses.len(), 3);
        let (answer, pauses) = play(vec![undecodable(), status(503, None), undecodable(), undecodable()]).await;
        assert!(matches!(answer, Err(ApiError::UndecodablePage { .. })));
        assert_eq!(pauses.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn what_repeating_cannot_mend_is_not_repeated() {
        for code in [400, 401, 404, 501, 505] {
            let (answer, pauses) = play(vec![status(code, Some(1))]).await;
            assert!(matches!(answer, Err(ApiError::Status { status, .. }) if status == code));
            assert!(pauses.is_empty());
        }
    }
}
