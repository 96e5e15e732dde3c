//! Repeats what an outage interrupted, until it is over.

use std::time::Duration;

use tokio::time::Instant;

use super::{Limits, Pauses, credentials::Renewal};
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

/// Decides after each failed attempt: outages are repeated without end, undecodable pages a few times, the rest never.
#[derive(Debug)]
pub(super) struct Repeats {
    /// The number of the attempt, from 1.
    pub number: u32,
    /// When the first attempt failed.
    pub since: Option<Instant>,
    pauses: Pauses,
    undecodable: u32,
    decode_attempts: u32,
    unauthorized: u32,
    auth_attempts: u32,
}

impl Repeats {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            number: 1,
            since: None,
            pauses: Pauses::new(limits.shortest_pause, limits.longest_pause),
            undecodable: 0,
            decode_attempts: limits.decode_attempts,
            unauthorized: 0,
            auth_attempts: limits.auth_attempts,
        }
    }

    /// How long to wait before the next attempt after a 401, with what has become of the credential; `None` = it is final.
    pub(super) fn pause_after_refusal(&mut self, renewal: Renewal) -> Option<Duration> {
        self.unauthorized += 1;
        let may_repeat = renewal != Renewal::Fixed && self.unauthorized < self.auth_attempts;
        may_repeat.then(|| {
            self.since.get_or_insert_with(Instant::now);
            match renewal {
                // One that has expired is replaced at once; of what is refused when it is new, no more than a few.
                Renewal::Another if self.unauthorized == 1 => Duration::ZERO,
                _ => self.pauses.next(None),
            }
        })
    }

    /// How long to wait before the next attempt; `None` = the error is final.
    pub(super) fn pause_after(&mut self, error: &ApiError) -> Option<Duration> {
        // A token may expire again and again while an outage lasts.
        self.unauthorized = 0;
        let again = match error {
            ApiError::UndecodablePage { .. } => {
                self.undecodable += 1;
                self.undecodable < self.decode_attempts
            }
            _ => error.verdict() == Verdict::Retry,
        };
        again.then(|| {
            self.since.get_or_insert_with(Instant::now);
            self.pauses.next(error.retry_after())
        })
    }
}

#[cfg(test)]
mod tests {
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

    /// The pauses after a list of failures; ends with `None` where an error was final.
    fn play(failures: impl IntoIterator<Item = ApiError>) -> Vec<Option<Duration>> {
        let mut repeats = Repeats::new(&Limits::default());
        failures.into_iter().map(|error| repeats.pause_after(&error)).collect()
    }

    #[test]
    fn an_outage_is_waited_out_however_long_it_lasts() {
        let pauses = play((0..200).map(|_| status(503, None)));
        let pauses: Vec<Duration> = pauses.into_iter().map(|pause| pause.expect("a pause")).collect();
        assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(60)));
        assert!(
            pauses.iter().sum::<Duration>() > Duration::from_secs(1_800),
            "the pauses grow"
        );
    }

    #[test]
    fn the_servers_retry_after_is_kept() {
        let pauses = play([status(429, Some(120)), status(503, Some(300))]);
        assert_eq!(pauses, [Some(Duration::from_secs(120)), Some(Duration::from_secs(300))]);
    }

    #[test]
    fn an_undecodable_page_is_asked_for_three_times_also_between_outages() {
        let pauses = play([
            undecodable(),
            status(503, None),
            undecodable(),
            status(503, None),
            undecodable(),
        ]);
        assert_eq!(
            pauses.iter().map(Option::is_some).collect::<Vec<_>>(),
            [true, true, true, true, false]
        );
    }

    #[test]
    fn what_repeating_cannot_mend_is_not_repeated() {
        for code in [400, 401, 404, 501, 505] {
            assert_eq!(play([status(code, Some(1))]), [None]);
        }
    }

    #[test]
    fn a_refused_credential_is_replaced_at_once_and_then_with_patience() {
        let play = |renewals: &[Renewal]| {
            let mut repeats = Repeats::new(&Limits::default());
            let pauses: Vec<_> = renewals
                .iter()
                .map(|renewal| repeats.pause_after_refusal(*renewal))
                .collect();
            (pauses[0], pauses.iter().map(Option::is_some).collect::<Vec<_>>())
        };
        use Renewal::{Another, Fixed, Same};
        assert_eq!(
            play(&[Another; 4]),
            (Some(Duration::ZERO), vec![true, true, true, false])
        );
        assert_eq!(play(&[Same; 4]).1, [true, true, true, false]);
        assert_eq!(play(&[Fixed]), (None, vec![false]));
        // An outage in between is another story.
        let mut repeats = Repeats::new(&Limits::default());
        for _ in 0..10 {
            assert_eq!(repeats.pause_after_refusal(Another), Some(Duration::ZERO));
            assert!(repeats.pause_after(&status(429, None)).is_some());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_knows_since_when_the_api_is_away() {
        let mut repeats = Repeats::new(&Limits::default());
        let start = Instant::now();
        repeats.pause_after(&status(503, None));
        tokio::time::advance(Duration::from_secs(60)).await;
        repeats.pause_after(&status(503, None));
        assert_eq!(repeats.since, Some(start));
    }
}
