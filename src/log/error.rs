//! What can go wrong at the log, by operation.

use crate::model::Verdict;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// An error of the log adapters. Its text names operation and place; the cause is its `source`.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The client could not be made: a property that librdkafka does not take, a file that cannot be opened.
    #[error("open {log}")]
    Open {
        /// Brokers or file.
        log: String,
        /// The cause.
        source: Source,
    },
    /// A call failed.
    #[error("{operation} on {place}")]
    Call {
        /// What was tried: `create topic`, `init transactions`, `read cursor`, `commit transaction`, `poll`, ...
        operation: &'static str,
        /// Topic, partition, shard.
        place: String,
        /// What it means.
        verdict: Verdict,
        /// The cause.
        source: Source,
    },
    /// Something is there, but not as the configuration wants it.
    #[error("{place}: {problem}")]
    Mismatch {
        /// Topic or file.
        place: String,
        /// A sentence with the remedy.
        problem: String,
    },
    /// The records' topic does not exist, or no longer.
    #[error("topic {topic} does not exist any more; create it, or restart the pipeline, which creates it")]
    Gone {
        /// The topic.
        topic: String,
    },
    /// A record of a page is larger than the topic takes.
    #[error("record {record} of page {page} is larger than the topic takes")]
    RecordTooLarge {
        /// Index of the page in the call.
        page: usize,
        /// Index of the record in the page.
        record: usize,
    },
    /// The shard or the membership belongs to somebody else now.
    #[error("{place} has another owner")]
    Lost {
        /// Shard or group.
        place: String,
    },
    /// The caller's `Cancel` was cancelled while the log was away or busy.
    #[error("{operation} on {place} was cancelled")]
    Cancelled {
        /// What was under way.
        operation: &'static str,
        /// Topic, partition, shard.
        place: String,
    },
}

impl LogError {
    /// What to do about it.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Open { .. } | Self::Mismatch { .. } | Self::Gone { .. } => Verdict::Fail,
            Self::Call { verdict, .. } => *verdict,
            Self::RecordTooLarge { .. } => Verdict::Reject,
            Self::Lost { .. } | Self::Cancelled { .. } => Verdict::Lost,
        }
    }
}
