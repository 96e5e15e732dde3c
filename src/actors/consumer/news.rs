//! What the consumer's threads tell it.

use crate::{
    log::LoadEvent,
    messages::RawBatch,
    model::{LostRange, TopicId},
};

/// Something has happened in a thread.
pub(super) enum News {
    Group(LoadEvent),
    Claimed {
        partition: i32,
        ticket: u64,
        claimed: Claimed,
    },
    Batch(Box<RawBatch>),
    /// The log does not hold what comes next under this claim.
    OutOfRange {
        partition: i32,
        epoch: i64,
    },
    /// The topic is not the claimed one any more: it was replaced, or there is none.
    TopicReplaced {
        claimed: TopicId,
    },
}

/// What came of a claim.
#[derive(Debug)]
pub(super) enum Claimed {
    /// Read on from here.
    At {
        topic_id: TopicId,
        epoch: i64,
        next_offset: i64,
    },
    /// The position is lost; a person must lead on.
    Stopped(Box<LostRange>),
}
