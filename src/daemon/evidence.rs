//! What is known of something that a pipeline needs: when it last answered, and since when it does not.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Serialize;
use tokio::time::Instant;

/// Something that a pipeline needs, at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DependencyStatus {
    /// `kafka`, `embedded log`, `postgres` or `api`.
    pub name: &'static str,
    /// Where it is, without secrets.
    pub place: String,
    /// Whether it answers; `None` = it was not asked yet.
    pub up: Option<bool>,
    /// Since when that is so, RFC 3339 in UTC.
    pub since: String,
    /// Why it counts as away.
    pub reason: Option<String>,
    /// When it is asked again, RFC 3339 in UTC, and what goes on meanwhile.
    pub next: Option<String>,
}

impl DependencyStatus {
    /// Whether it was asked and does not answer.
    pub fn is_down(&self) -> bool {
        self.up == Some(false)
    }
}

/// The answers of one dependency. Nothing here is a state that somebody sets to "well": an answer is good for twice the
/// interval and no longer, so a question that hangs counts as no answer.
#[derive(Debug)]
pub(super) struct Evidence {
    name: &'static str,
    place: String,
    meanwhile: &'static str,
    known: Mutex<Known>,
}

/// So many failures in a row are told.
const NEWS: u32 = 2;

#[derive(Debug)]
struct Known {
    begun: (Instant, DateTime<Utc>),
    answered: Option<(Instant, DateTime<Utc>)>,
    up_since: Option<DateTime<Utc>>,
    failing: Option<(DateTime<Utc>, String)>,
    /// Failures in a row. One alone is no news: a topic that was made a moment ago has no leader yet.
    num_failures: u32,
    next: Option<DateTime<Utc>>,
}

impl Evidence {
    pub(super) fn new(name: &'static str, place: String, meanwhile: &'static str) -> Self {
        let known = Known {
            begun: now(),
            answered: None,
            up_since: None,
            failing: None,
            num_failures: 0,
            next: None,
        };
        Self {
            name,
            place,
            meanwhile,
            known: Mutex::new(known),
        }
    }

    /// What goes on while it is away.
    pub(super) fn meanwhile(&self) -> &'static str {
        self.meanwhile
    }

    /// It has answered; `true` = after an outage that was news.
    pub(super) fn answered(&self) -> bool {
        let mut known = self.known();
        let now = now();
        known.answered = Some(now);
        if known.failing.take().is_some() || known.up_since.is_none() {
            known.up_since = Some(now.1);
        }
        std::mem::take(&mut known.num_failures) >= NEWS
    }

    /// It has answered with an error, or an attempt has run out of time; `true` = that is news.
    pub(super) fn failed(&self, reason: String) -> bool {
        let mut known = self.known();
        let since = match known.failing.take() {
            Some((since, _)) => since,
            // Not now: the question may have hung for a while, and the outage keeps its beginning.
            None => known.answered.unwrap_or(known.begun).1,
        };
        known.failing = Some((since, reason));
        known.num_failures = known.num_failures.saturating_add(1);
        known.num_failures == NEWS
    }

    /// It will be asked again after this time.
    pub(super) fn asks_again_in(&self, pause: Duration) {
        let pause = TimeDelta::from_std(pause).unwrap_or_default();
        self.known().next = Utc::now().checked_add_signed(pause);
    }

    /// What the answers mean now, where one counts for `good_for`.
    pub(super) fn judge(&self, good_for: Duration) -> DependencyStatus {
        let known = self.known();
        let silent = |since: (Instant, DateTime<Utc>)| {
            let span = Duration::from_secs(since.0.elapsed().as_secs());
            let reason = format!("no answer for {}", humantime::format_duration(span));
            (Some(false), since.1, Some(reason))
        };
        let (up, since, reason) = match (&known.failing, known.answered) {
            (Some((since, reason)), _) => (Some(false), *since, Some(reason.clone())),
            (None, Some(answered)) if answered.0.elapsed() < good_for => {
                (Some(true), known.up_since.unwrap_or(answered.1), None)
            }
            (None, Some(answered)) => silent(answered),
            (None, None) if known.begun.0.elapsed() < good_for => (None, known.begun.1, None),
            (None, None) => silent(known.begun),
        };
        let next = (up == Some(false)).then(|| {
            let next = known.next.filter(|next| *next > Utc::now());
            match next {
                Some(next) => format!("asked again at {}; {}", text(next), self.meanwhile),
                None => format!("being asked now; {}", self.meanwhile),
            }
        });
        DependencyStatus {
            name: self.name,
            place: self.place.clone(),
            up,
            since: text(since),
            reason,
            next,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now() -> (Instant, DateTime<Utc>) {
    (Instant::now(), Utc::now())
}

/// RFC 3339 in UTC, to the second.
pub(super) fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn evidence() -> Evidence {
        Evidence::new("kafka", "localhost:9092".into(), "records wait in the API")
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_good_for_the_limit_and_no_longer() {
        let evidence = evidence();
        assert_eq!(evidence.judge(LIMIT).up, None, "not asked yet is no answer");
        assert!(!evidence.answered());
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(evidence.judge(LIMIT).up, Some(true));
        tokio::time::advance(Duration::from_secs(1)).await;
        let status = evidence.judge(LIMIT);
        assert_eq!(status.up, Some(false), "a question that hangs is no answer");
        assert_eq!(status.reason.as_deref(), Some("no answer for 10s"));
        evidence.answered();
        assert_eq!(evidence.judge(LIMIT).up, Some(true));
    }

    #[tokio::test(start_paused = true)]
    async fn something_that_never_answered_is_away_after_the_limit() {
        let evidence = evidence();
        tokio::time::advance(LIMIT).await;
        assert!(evidence.judge(LIMIT).is_down());
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_counts_at_once_with_its_reason_and_what_comes_next() {
        let evidence = evidence();
        evidence.answered();
        assert!(
            !evidence.failed("refused".into()),
            "one alone is told by the status only"
        );
        assert!(evidence.judge(LIMIT).is_down());
        assert!(evidence.failed("refused once more".into()), "the second one is news");
        assert!(!evidence.failed("refused again".into()));
        evidence.asks_again_in(Duration::from_secs(3600));
        let status = evidence.judge(LIMIT);
        assert_eq!(
            (status.up, status.reason.as_deref()),
            (Some(false), Some("refused again"))
        );
        let next = status.next.unwrap();
        assert!(
            next.starts_with("asked again at ") && next.ends_with("records wait in the API"),
            "{next}"
        );
        assert!(evidence.answered(), "that it is back is news");
    }
}
