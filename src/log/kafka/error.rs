//! What librdkafka's codes mean, and how they become [`LogError`]s.

use rdkafka::{error::KafkaError, types::RDKafkaErrorCode as Code};

use crate::{log::LogError, model::Verdict};

/// What to do about a code, where the call itself does not say it more exactly (transactions do).
pub(super) fn verdict(code: Code) -> Verdict {
    match code {
        // Somebody else bears our identity, or the group went on without us.
        Code::Fenced
        | Code::ProducerFenced
        | Code::InvalidProducerEpoch
        | Code::InvalidTransactionalState
        | Code::TransactionCoordinatorFenced
        | Code::FencedInstanceId
        | Code::FencedMemberEpoch
        | Code::StaleMemberEpoch
        | Code::UnreleasedInstanceId
        | Code::UnknownMemberId
        | Code::IllegalGeneration
        | Code::AssignmentLost
        | Code::PurgeQueue
        | Code::PurgeInflight => Verdict::Lost,

        Code::MessageSizeTooLarge => Verdict::Reject,

        // Brokers that are away, starting, moving or slow.
        Code::BrokerTransportFailure
        | Code::AllBrokersDown
        | Code::BrokerDestroy
        | Code::DestroyBroker
        | Code::UnknownBroker
        | Code::Resolve
        // A broker that closes the connection during the handshake is reported as SSL too.
        | Code::SSL
        | Code::OperationTimedOut
        | Code::MessageTimedOut
        | Code::TimedOutQueue
        | Code::WaitingForCoordinator
        | Code::WaitCache
        | Code::NodeUpdate
        | Code::Retry
        | Code::Interrupted
        | Code::InProgress
        | Code::PreviousInProgress
        | Code::Outdated
        | Code::Partial
        | Code::QueueFull
        | Code::ISRInsufficient
        | Code::LeaderNotAvailable
        | Code::NotLeaderForPartition
        | Code::RequestTimedOut
        | Code::BrokerNotAvailable
        | Code::ReplicaNotAvailable
        | Code::StaleControllerEpoch
        | Code::NetworkException
        | Code::CoordinatorLoadInProgress
        | Code::CoordinatorNotAvailable
        | Code::NotCoordinator
        | Code::NotEnoughReplicas
        | Code::NotEnoughReplicasAfterAppend
        | Code::NotController
        | Code::RebalanceInProgress
        | Code::MemberIdRequired
        | Code::PollExceeded
        | Code::ConcurrentTransactions
        | Code::KafkaStorageError
        | Code::ReassignmentInProgress
        | Code::FetchSessionIdNotFound
        | Code::InvalidFetchSessionEpoch
        | Code::ListenerNotFound
        | Code::FencedLeaderEpoch
        | Code::UnknownLeaderEpoch
        | Code::StaleBrokerEpoch
        | Code::OffsetNotAvailable
        | Code::PreferredLeaderNotAvailable
        | Code::EligibleLeadersNotAvailable
        | Code::UnstableOffsetCommit
        | Code::ThrottlingQuotaExceeded
        | Code::UnknownTopicId
        | Code::RebootstrapRequired
        // librdkafka takes a new epoch after the abort that these ask for.
        | Code::OutOfOrderSequenceNumber
        | Code::UnknownProducerId
        | Code::InvalidProducerIdMapping => Verdict::Retry,

        // Credentials, grants, versions, configuration, bugs: waiting does not help.
        _ => Verdict::Fail,
    }
}

/// The code within an error of rdkafka, also where rdkafka's own accessor leaves it out.
pub(super) fn code(error: &KafkaError) -> Option<Code> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    }
}

/// A code with what was said about it.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {reason}")]
pub(super) struct Reported {
    pub(super) code: Code,
    pub(super) reason: String,
}

/// Somebody else is in the group, and cannot hand partitions over one by one as our members do.
const STRANGER: &str = "another program is a member of this consumer group, with another assignment strategy than \
    cooperative-sticky; end it, or give the pipeline another name";

/// A failed call as a [`LogError`].
pub(super) fn call(operation: &'static str, place: impl Into<String>, error: KafkaError) -> LogError {
    let place = place.into();
    if code(&error) == Some(Code::InconsistentGroupProtocol) {
        return LogError::Mismatch {
            place,
            problem: STRANGER.to_owned(),
        };
    }
    let verdict = code(&error).map_or(Verdict::Fail, verdict);
    if verdict == Verdict::Lost {
        return LogError::Lost { place };
    }
    LogError::Call {
        operation,
        place,
        verdict,
        source: Box::new(error),
    }
}

/// The same, from a code and a text.
pub(super) fn reported(
    operation: &'static str,
    place: impl Into<String>,
    code: Code,
    reason: impl Into<String>,
) -> LogError {
    let place = place.into();
    match verdict(code) {
        Verdict::Lost => LogError::Lost { place },
        verdict => LogError::Call {
            operation,
            place,
            verdict,
            source: Box::new(Reported {
                code,
                reason: reason.into(),
            }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_code_has_its_verdict() {
        let table = [
            (Code::BrokerTransportFailure, Verdict::Retry),
            (Code::AllBrokersDown, Verdict::Retry),
            (Code::OperationTimedOut, Verdict::Retry),
            (Code::CoordinatorLoadInProgress, Verdict::Retry),
            (Code::NotLeaderForPartition, Verdict::Retry),
            (Code::ConcurrentTransactions, Verdict::Retry),
            (Code::NotEnoughReplicas, Verdict::Retry),
            (Code::Resolve, Verdict::Retry),
            (Code::Authentication, Verdict::Fail),
            (Code::SaslAuthenticationFailed, Verdict::Fail),
            (Code::TopicAuthorizationFailed, Verdict::Fail),
            (Code::GroupAuthorizationFailed, Verdict::Fail),
            (Code::TransactionalIdAuthorizationFailed, Verdict::Fail),
            (Code::UnknownTopicOrPartition, Verdict::Fail),
            (Code::UnknownTopic, Verdict::Fail),
            (Code::InvalidTransactionTimeout, Verdict::Fail),
            (Code::InconsistentGroupProtocol, Verdict::Fail),
            (Code::Conflict, Verdict::Fail),
            (Code::State, Verdict::Fail),
            (Code::Fenced, Verdict::Lost),
            (Code::InvalidProducerEpoch, Verdict::Lost),
            (Code::ProducerFenced, Verdict::Lost),
            (Code::FencedInstanceId, Verdict::Lost),
            (Code::UnknownMemberId, Verdict::Lost),
            (Code::IllegalGeneration, Verdict::Lost),
            (Code::PurgeQueue, Verdict::Lost),
            (Code::MessageSizeTooLarge, Verdict::Reject),
        ];
        for (code, expected) in table {
            assert_eq!(verdict(code), expected, "{code}");
        }
    }

    #[test]
    fn an_admin_error_keeps_its_code() {
        let error = call("create topic", "users", KafkaError::AdminOp(Code::OperationTimedOut));
        assert_eq!(error.verdict(), Verdict::Retry);
    }
}
