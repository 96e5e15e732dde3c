//! One claim: what PostgreSQL and the log say about a partition, and whether it may be read on.

use std::sync::Arc;

use super::{claims::ClaimSettings, news::Claimed};
use crate::{
    failpoint,
    log::{Bounds, Cancel, Inspector, LogError},
    model::{Loss, LostRange, PartitionKey, Verdict},
    store::{Session, StoreError, offsets, stops},
};

/// Who claims, with a session that is kept.
pub(super) struct Claimant<'a> {
    pub(super) settings: &'a ClaimSettings,
    pub(super) inspector: &'a dyn Inspector,
    pub(super) session: Option<Session>,
    /// Called at each step of the claim under way.
    pub(super) heed: Arc<dyn Fn() + Send + Sync>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ClaimError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Log(#[from] LogError),
}

impl ClaimError {
    pub(super) fn verdict(&self) -> Verdict {
        match self {
            Self::Store(error) => error.verdict(),
            Self::Log(error) => error.verdict(),
        }
    }
}

impl Claimant<'_> {
    /// Claims a partition; `None` = it was unwanted by then. `if_led_on`: not while a stop is written down.
    pub(super) fn claim(
        &mut self,
        partition: i32,
        if_led_on: bool,
        unwanted: &Cancel,
    ) -> Result<Option<Claimed>, ClaimError> {
        let claimed = self.try_claim(partition, if_led_on, unwanted);
        if claimed.is_err() {
            self.session = None;
        }
        claimed
    }

    fn try_claim(&mut self, partition: i32, if_led_on: bool, unwanted: &Cancel) -> Result<Option<Claimed>, ClaimError> {
        let spec = &self.settings.spec;
        let key = PartitionKey {
            pipeline: spec.pipeline.clone(),
            topic: spec.topic.clone(),
            partition,
        };
        if if_led_on {
            // A demoted primary would say for ever that the partition is stopped.
            self.session()?.expect_writable()?;
            if let Some(lost) = stops::find(self.session()?, &key)? {
                return Ok(Some(Claimed::Stopped(Box::new(lost))));
            }
        }
        let (topic_id, mut bounds) = match self.look(partition) {
            Err(LogError::Gone { .. }) => return self.absent(&key).map(Some),
            looked => looked?,
        };
        self.session()?;
        // The last look before the epoch is bumped.
        if unwanted.is_cancelled() {
            return Ok(None);
        }
        let owner = &self.settings.owner;
        let claimed = offsets::claim(self.session()?, &key, topic_id, bounds.low, owner)?;
        failpoint::reach("load-after-claim");
        let next_offset = claimed.next_offset;
        if next_offset > bounds.last_stable {
            // The owner before has loaded what came after the first look. From the claim on the offset stands still.
            bounds = self.inspector.bounds(partition)?;
        }
        let found = if claimed.recorded_topic_id == topic_id {
            LostRange::of_position(&key, next_offset, bounds.low, bounds.last_stable)
        } else {
            let recorded = claimed.recorded_topic_id;
            Some(LostRange::topic_replaced(&key, next_offset, recorded, topic_id))
        };
        let known = stops::find(self.session()?, &key)?;
        let Some(lost) = standing(known, found) else {
            return Ok(Some(Claimed::At {
                topic_id,
                epoch: claimed.epoch,
                next_offset,
            }));
        };
        // Not written down where somebody has claimed or skipped since; that is found at the next look.
        stops::stop(self.session()?, &key, claimed.epoch, &lost)?;
        Ok(Some(Claimed::Stopped(Box::new(lost))))
    }

    fn session(&mut self) -> Result<&mut Session, StoreError> {
        let heed = Arc::clone(&self.heed);
        heed();
        let session = match &mut self.session {
            Some(session) => session,
            none => none.insert(Session::connect(&self.settings.connect, &self.settings.owner)?),
        };
        session.on_statement(move || heed());
        Ok(session)
    }

    fn look(&self, partition: i32) -> Result<(crate::model::TopicId, Bounds), LogError> {
        let topic_id = self.inspector.topic_id()?;
        match self.inspector.bounds(partition) {
            Ok(bounds) => Ok((topic_id, bounds)),
            // Deleted between the two questions: the first says it better.
            Err(error) if error.verdict() == Verdict::Fail => self.inspector.topic_id().and(Err(error)),
            Err(error) => Err(error),
        }
    }

    /// There is nothing to claim. It is not written down: a topic that comes back has another identity, which is.
    fn absent(&mut self, key: &PartitionKey) -> Result<Claimed, ClaimError> {
        let rows = offsets::read_all(self.session()?, &key.pipeline)?;
        let next_offset = rows.iter().find(|row| row.key == *key).map_or(0, |row| row.next_offset);
        Ok(Claimed::Stopped(Box::new(LostRange::topic_absent(key, next_offset))))
    }
}

/// What holds of an earlier stop and of what was found now. A stop is not lifted by a log that has grown beyond the
/// position again: other records lie there now.
fn standing(known: Option<LostRange>, found: Option<LostRange>) -> Option<LostRange> {
    match (known, found) {
        (Some(known), None) => Some(known),
        (Some(known), Some(found))
            if known.reason == Loss::LogEnd && found.reason == Loss::LogEnd && known.log_end <= found.log_end =>
        {
            Some(known)
        }
        (_, found) => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_has_lost_its_end_and_grown_again_is_still_stopped_at_the_end_that_was_seen_first() {
        let key = PartitionKey {
            pipeline: "p".into(),
            topic: "t".into(),
            partition: 0,
        };
        let at_end = |last_stable| LostRange::of_position(&key, 80, 0, last_stable);
        assert_eq!(standing(None, at_end(50)), at_end(50));
        assert_eq!(standing(at_end(50), at_end(60)), at_end(50));
        assert_eq!(
            standing(at_end(50), at_end(90)),
            at_end(50),
            "80 lies within the log again"
        );
        assert_eq!(standing(at_end(50), at_end(40)), at_end(40));
        let retention = LostRange::of_position(&key, 80, 85, 90);
        assert_eq!(standing(at_end(50), retention.clone()), retention);
    }
}
