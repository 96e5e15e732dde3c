//! The three classes of a transactional call's error.
//!
//! Retriable: the *same* call again, never another one (that gets `_CONFLICT`, which says retriable too and would be
//! retried for ever). Requires-abort: abort, then everything again. Fatal: the client is done.

use std::time::Duration;

use rdkafka::{error::KafkaError, types::RDKafkaErrorCode as Code};

use super::error;
use crate::model::Verdict;

/// One try of a call. A call that is not through goes on in the background, and the next try takes it up.
pub(super) const TRY: Duration = Duration::from_millis(200);

/// What a failed call asks for.
#[derive(Debug)]
pub(super) enum Class {
    /// The same call again.
    SameCall,
    /// Abort the transaction.
    Abort,
    /// The client is of no use any more: somebody else has its id, or the transaction timed out.
    Fatal,
    /// A misconfiguration, a missing grant or our own bug.
    Broken,
}

/// The class of an error of a transactional call.
pub(super) fn class(error: &KafkaError) -> Class {
    match error {
        KafkaError::Transaction(native) => of(
            native.code(),
            native.is_fatal(),
            native.txn_requires_abort(),
            native.is_retriable(),
        ),
        // `commit_transaction` flushes first, and says it this way.
        KafkaError::Flush(_) => Class::SameCall,
        other => error::code(other).map_or(Class::Broken, |code| of(code, false, false, false)),
    }
}

fn of(code: Code, is_fatal: bool, requires_abort: bool, is_retriable: bool) -> Class {
    let verdict = error::verdict(code);
    if is_fatal {
        return if verdict == Verdict::Fail && code != Code::Fatal {
            Class::Broken
        } else {
            Class::Fatal
        };
    }
    if requires_abort {
        return Class::Abort;
    }
    match verdict {
        // Says retriable: another call is under way. And a missing grant may be marked so by `init_transactions`.
        Verdict::Fail => match code {
            Code::Conflict | Code::State => Class::Broken,
            _ if is_retriable && !is_operators(code) => Class::SameCall,
            _ => Class::Broken,
        },
        Verdict::Lost => Class::Fatal,
        Verdict::Retry => Class::SameCall,
        Verdict::Reject if is_retriable => Class::SameCall,
        Verdict::Reject => Class::Broken,
    }
}

/// Codes that stay until an operator does something.
fn is_operators(code: Code) -> bool {
    matches!(
        code,
        Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            | Code::InvalidTransactionTimeout
            | Code::UnsupportedVersion
            | Code::UnsupportedFeature
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flag_has_its_class_and_the_worse_flag_wins() {
        let cases = [
            ((Code::OperationTimedOut, false, false, true), "SameCall"),
            ((Code::CoordinatorNotAvailable, false, false, true), "SameCall"),
            ((Code::IllegalGeneration, false, true, false), "Abort"),
            ((Code::MessageTimedOut, false, true, true), "Abort"),
            ((Code::Fenced, true, false, false), "Fatal"),
            ((Code::Fenced, true, true, true), "Fatal"),
            ((Code::InvalidTransactionTimeout, true, false, false), "Broken"),
            ((Code::Conflict, false, false, true), "Broken"),
            ((Code::State, false, false, false), "Broken"),
            ((Code::TransactionalIdAuthorizationFailed, false, false, true), "Broken"),
        ];
        for ((code, is_fatal, requires_abort, is_retriable), expected) in cases {
            assert_eq!(
                format!("{:?}", of(code, is_fatal, requires_abort, is_retriable)),
                expected,
                "{code}"
            );
        }
        let timeout = KafkaError::Flush(Code::OperationTimedOut);
        assert!(
            matches!(class(&timeout), Class::SameCall),
            "the commit's own flush is tried again"
        );
    }
}
