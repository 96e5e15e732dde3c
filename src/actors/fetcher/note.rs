//! What of a fetch is counted.

use crate::{
    api::{ApiError, http::Attempt},
    supervision::chain,
    telemetry::AskingGuard,
};

/// Counts one piece of news of a fetch.
pub(super) fn note(asking: &AskingGuard<'_>, attempt: &Attempt<'_>) {
    match attempt {
        Attempt::Started { .. } => asking.sent(),
        Attempt::RateLimited { pause } => asking.held_back(*pause),
        Attempt::Waiting { error, .. } => asking.will_repeat(class(error).unwrap_or("no_answer"), &chain(*error)),
        Attempt::Done { .. } => asking.ended("2xx"),
    }
}

/// The class of an answer that was none of ours; `None` where nothing was asked.
pub(super) fn class(error: &ApiError) -> Option<&'static str> {
    match error {
        ApiError::Status { status, .. } => Some(match status / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        }),
        ApiError::Deadline { .. } => Some("timeout"),
        ApiError::Exchange { .. } => Some("no_answer"),
        ApiError::Redirect { .. } => Some("3xx"),
        ApiError::UndecodablePage { .. } | ApiError::PageTooLarge { .. } | ApiError::PageLoop { .. } => Some("2xx"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_its_class() {
        let status = |status| ApiError::Status {
            request: String::new(),
            status,
            excerpt: String::new(),
            retry_after: None,
        };
        let classes = [304, 404, 503, 600].map(|code| class(&status(code)));
        assert_eq!(classes, [Some("3xx"), Some("4xx"), Some("5xx"), Some("5xx")]);
        let late = ApiError::Deadline {
            request: String::new(),
            limit: std::time::Duration::from_secs(1),
        };
        assert_eq!(class(&late), Some("timeout"));
    }
}
