//! What can go wrong at a source, by operation.

use std::time::Duration;

use crate::model::Verdict;

/// An error of the source adapters. `request` is the method and the address, without secrets; causes are the `source`.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The settings of the source cannot be turned into requests.
    #[error("source {place}: {problem}")]
    Configure {
        /// The setting.
        place: &'static str,
        /// A sentence with the remedy.
        problem: String,
    },
    /// The committed cursor does not fit the settings.
    #[error("cursor of shard {shard}: {problem}")]
    Cursor {
        /// The shard's number.
        shard: i32,
        /// A sentence with the remedy.
        problem: String,
    },
    /// No whole answer within the deadline.
    #[error("{request}: no complete answer within {limit:?}")]
    Deadline {
        #[allow(missing_docs)]
        request: String,
        /// `source.timeout`
        limit: Duration,
    },
    /// The connection could not be made, or broke before the answer was complete.
    #[error("{request}: no answer")]
    Exchange {
        #[allow(missing_docs)]
        request: String,
        /// The cause, without the address.
        source: reqwest::Error,
    },
    /// The server answered with a status that is not a success.
    #[error("{request}: status {status}{excerpt}")]
    Status {
        #[allow(missing_docs)]
        request: String,
        /// The status code.
        status: u16,
        /// The beginning of the body after `: `, or nothing.
        excerpt: String,
        /// What the server asked to wait, capped.
        retry_after: Option<Duration>,
    },
    /// A chain of redirects that leads nowhere.
    #[error("{request}: {problem}")]
    Redirect {
        #[allow(missing_docs)]
        request: String,
        /// A sentence.
        problem: String,
    },
    /// The body is larger than a page may be.
    #[error(
        "{request}: the page is larger than {limit_bytes} bytes, decompressed; ask for fewer records a page, or raise \
         `max_page`"
    )]
    PageTooLarge {
        #[allow(missing_docs)]
        request: String,
        #[allow(missing_docs)]
        limit_bytes: usize,
    },
    /// The body is not a page of records, however often it was asked for.
    #[error("{request}: undecodable page: {reason}{excerpt}")]
    UndecodablePage {
        #[allow(missing_docs)]
        request: String,
        /// What is wrong with it.
        reason: String,
        /// The beginning of the body after `: `, or nothing.
        excerpt: String,
    },
    /// The pagination goes in a circle, or has more pages than it may: the sweep would never end.
    #[error("{request}: {problem}")]
    PageLoop {
        #[allow(missing_docs)]
        request: String,
        /// A sentence with the remedy.
        problem: String,
    },
    /// The server that gives out tokens answered, but not with one.
    #[error("{request}: no token: {problem}")]
    Token {
        #[allow(missing_docs)]
        request: String,
        /// What is wrong with the answer, without the answer.
        problem: String,
    },
    /// A run of the program failed.
    #[error(transparent)]
    Run(#[from] super::exec::RunError),
}

impl ApiError {
    /// What to do about it. `Retry` is repeated inside the adapter without end and is never returned by it.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Deadline { .. } => Verdict::Retry,
            Self::Exchange { source, .. } if source.is_builder() => Verdict::Fail,
            Self::Exchange { .. } => Verdict::Retry,
            Self::Status { status, .. } => status_verdict(*status),
            Self::Run(error) => error.verdict(),
            Self::Configure { .. }
            | Self::Cursor { .. }
            | Self::Redirect { .. }
            | Self::PageTooLarge { .. }
            | Self::UndecodablePage { .. }
            | Self::PageLoop { .. }
            | Self::Token { .. } => Verdict::Fail,
        }
    }

    /// What the server asked to wait before the next request.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

fn status_verdict(status: u16) -> Verdict {
    match status {
        501 | 505 => Verdict::Fail,
        408 | 409 | 423 | 425 | 429 | 500..=599 => Verdict::Retry,
        _ => Verdict::Fail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_the_verdict_of_the_table() {
        for status in [408, 409, 423, 425, 429, 500, 502, 503, 504, 507, 520, 599] {
            assert_eq!(status_verdict(status), Verdict::Retry, "{status}");
        }
        for status in [
            304, 400, 401, 402, 403, 404, 405, 406, 410, 413, 414, 418, 422, 426, 431, 451, 501, 505, 600,
        ] {
            assert_eq!(status_verdict(status), Verdict::Fail, "{status}");
        }
    }

    #[test]
    fn what_repeating_cannot_mend_fails() {
        let request = || "GET http://api/".to_owned();
        let excerpt = String::new;
        for error in [
            ApiError::Configure {
                place: "records",
                problem: excerpt(),
            },
            ApiError::Cursor {
                shard: 0,
                problem: excerpt(),
            },
            ApiError::Redirect {
                request: request(),
                problem: excerpt(),
            },
            ApiError::PageTooLarge {
                request: request(),
                limit_bytes: 1,
            },
            ApiError::UndecodablePage {
                request: request(),
                reason: excerpt(),
                excerpt: excerpt(),
            },
            ApiError::PageLoop {
                request: request(),
                problem: excerpt(),
            },
            ApiError::Token {
                request: request(),
                problem: excerpt(),
            },
        ] {
            assert_eq!(error.verdict(), Verdict::Fail, "{error}");
            assert_eq!(error.retry_after(), None);
        }
        let late = ApiError::Deadline {
            request: request(),
            limit: Duration::from_secs(30),
        };
        assert_eq!(late.verdict(), Verdict::Retry);
        assert_eq!(late.to_string(), "GET http://api/: no complete answer within 30s");
    }
}
