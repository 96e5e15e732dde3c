//! How long to wait before a request is repeated.

use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// Exponential pauses with full jitter: each lasts anything from nothing to twice the span of the one before, so that
/// daemons that lost the same server together do not come back together.
#[derive(Debug)]
pub struct Pauses {
    spans: ExponentialBackoff,
    longest: Duration,
}

impl Pauses {
    /// Pauses whose span grows from `shortest` to `longest`.
    pub fn new(shortest: Duration, longest: Duration) -> Self {
        let spans = ExponentialBuilder::new()
            .with_min_delay(shortest)
            .with_max_delay(longest)
            .without_max_times()
            .build();
        Self { spans, longest }
    }

    /// The next pause. The server's own wish is the least that it may be.
    pub fn next(&mut self, wish: Option<Duration>) -> Duration {
        let span = self.spans.next().unwrap_or(self.longest).min(self.longest);
        rand::random_range(Duration::ZERO..=span).max(wish.unwrap_or(Duration::ZERO))
    }
}

/// Reads Retry-After, in seconds or as a date, capped. A date counts from the server's own Date where there is one.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime, cap: Duration) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(
            text.parse()
                .map_or(cap, |seconds| Duration::from_secs(seconds).min(cap)),
        );
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let date = |headers: &HeaderMap| httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok();
    Some(
        until
            .duration_since(date(headers).unwrap_or(now))
            .unwrap_or(Duration::ZERO)
            .min(cap),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAP: Duration = Duration::from_secs(600);

    #[test]
    fn pauses_grow_to_the_longest_and_have_full_jitter() {
        let (mut longest, mut shortest) = ([Duration::ZERO; 12], [CAP; 12]);
        for _ in 0..400 {
            let mut pauses = Pauses::new(Duration::from_millis(500), Duration::from_secs(60));
            for at in 0..12 {
                let pause = pauses.next(None);
                longest[at] = longest[at].max(pause);
                shortest[at] = shortest[at].min(pause);
            }
        }
        for at in 0..12 {
            let span = Duration::from_millis(500 << at).min(Duration::from_secs(60));
            assert!(
                longest[at] <= span && longest[at] > span / 2,
                "pause {at} lasted up to {:?}",
                longest[at]
            );
            assert!(shortest[at] < span / 4, "pause {at} lasted at least {:?}", shortest[at]);
        }
    }

    #[test]
    fn the_servers_wish_is_the_least() {
        let mut pauses = Pauses::new(Duration::from_millis(500), Duration::from_secs(60));
        assert_eq!(pauses.next(Some(Duration::from_secs(90))), Duration::from_secs(90));
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date_and_is_capped() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").expect("a date");
        let cases: &[(&str, Option<&str>, Option<u64>)] = &[
            ("7", None, Some(7)),
            (" 0 ", None, Some(0)),
            ("99999", None, Some(600)),
            ("99999999999999999999999", None, Some(600)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", None, Some(60)),
            (
                "Sun, 06 Nov 1994 08:50:37 GMT",
                Some("Sun, 06 Nov 1994 08:50:30 GMT"),
                Some(7),
            ),
            ("Sun, 06 Nov 1994 08:00:00 GMT", None, Some(0)),
            ("Sat, 06 Nov 2094 08:00:00 GMT", None, Some(600)),
            ("-1", None, None),
            ("soon", None, None),
            ("", None, None),
        ];
        for (text, date, seconds) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().expect("a header"));
            if let Some(date) = date {
                headers.insert(DATE, date.parse().expect("a header"));
            }
            assert_eq!(
                retry_after(&headers, now, CAP),
                seconds.map(Duration::from_secs),
                "{text}"
            );
        }
        assert_eq!(retry_after(&HeaderMap::new(), now, CAP), None);
    }
}
