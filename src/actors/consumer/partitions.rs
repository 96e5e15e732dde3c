//! The states of a partition that the group gave to this consumer.

use std::sync::Arc;

use tokio_util::sync::DropGuard;

use super::routes::Seat;
use crate::{messages::Claim, model::LostRange};

/// One partition.
pub(super) enum Partition {
    /// A claim is under way, or will be.
    Claiming {
        ticket: u64,
        /// Takes the order back when the partition is not claimed any more. `None` = not ordered yet.
        _order: Option<DropGuard>,
    },
    Reading(Reading),
    /// Not read: its position is lost. Only `offsets skip` leads on.
    Stopped {
        lost: Box<LostRange>,
        /// The question under way, whether somebody has led it on.
        question: Option<(u64, DropGuard)>,
    },
}

/// A partition that is read.
pub(super) struct Reading {
    pub(super) claim: Arc<Claim>,
    /// Batches that were not answered yet.
    pub(super) num_in_flight: usize,
    /// What comes next cannot be read: claim again once everything before is settled. The claim finds out why.
    pub(super) is_at_loss: bool,
    pub(super) _seat: Seat,
}

impl Partition {
    /// Whether the answer with this ticket is awaited.
    pub(super) fn awaits(&self, answer: u64) -> bool {
        match self {
            Self::Claiming { ticket, .. } => *ticket == answer,
            Self::Stopped { question, .. } => question.as_ref().is_some_and(|(ticket, _)| *ticket == answer),
            Self::Reading(_) => false,
        }
    }

    /// The partition under this claim, if it is being read.
    pub(super) fn reading(&mut self, epoch: i64) -> Option<&mut Reading> {
        match self {
            Self::Reading(reading) if reading.claim.epoch == epoch => Some(reading),
            _ => None,
        }
    }

    /// Whether answers are awaited.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self, Self::Reading(reading) if reading.num_in_flight > 0)
    }
}
