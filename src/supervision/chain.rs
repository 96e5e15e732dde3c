//! Errors and panics as one line of text, made at this boundary and nowhere below it.

use std::{any::Any, error::Error};

/// Prints an error with all its causes, each once: some libraries repeat the cause in their own text.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// The text that a panic was raised with.
pub(super) fn panic_text(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("open the log")]
    struct Outer(#[source] Middle);

    #[derive(Debug, thiserror::Error)]
    #[error("read the header: {0}")]
    struct Middle(#[source] std::io::Error);

    #[test]
    fn every_cause_is_printed_once() {
        let error = Outer(Middle(std::io::Error::other("disk is gone")));
        assert_eq!(chain(&error), "open the log: read the header: disk is gone");
    }

    #[test]
    fn a_panic_keeps_its_text() {
        let formatted = std::panic::catch_unwind(|| panic!("number {}", 7)).unwrap_err();
        let literal = std::panic::catch_unwind(|| panic!("plain")).unwrap_err();
        let other = std::panic::catch_unwind(|| std::panic::panic_any(7_u8)).unwrap_err();
        assert_eq!(panic_text(&*formatted), "number 7");
        assert_eq!(panic_text(&*literal), "plain");
        assert_eq!(panic_text(&*other), "a panic without a text");
    }
}
