//! The thread that claims partitions in PostgreSQL, off the polling thread: the group goes on while PostgreSQL is slow.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::Duration,
};

use futures::channel::mpsc::UnboundedSender;

use super::actor::News;
use crate::{
    failpoint,
    log::{Cancel, Inspector, Log, TopicSpec},
    model::{PartitionKey, TopicId, Verdict},
    store::{ConnectInfo, Session, offsets},
    supervision::{Backoff, BoxError, Life},
};

const LOOK: Duration = Duration::from_millis(100);

/// What came of a claim.
#[derive(Debug)]
pub(super) enum Claimed {
    /// Read on from here.
    At {
        topic_id: TopicId,
        epoch: i64,
        next_offset: i64,
    },
    /// The position is outside what the log holds, or the topic is another one: the sentence names the lost range.
    Stopped(String),
}

/// A claim to be made.
struct Order {
    partition: i32,
    ticket: u64,
    /// Cancelled when the partition is given back before it was claimed: a claim would then fence its next owner.
    unwanted: Cancel,
}

/// Orders claims.
pub(super) struct Claims(Sender<Order>);

/// Who claims, and from where.
pub(super) struct ClaimSettings {
    pub(super) connect: Arc<ConnectInfo>,
    pub(super) log: Arc<dyn Log>,
    pub(super) spec: TopicSpec,
    pub(super) owner: String,
}

impl Claims {
    /// Starts the thread.
    pub(super) fn spawn(life: &Life, settings: ClaimSettings, news: UnboundedSender<News>) -> Self {
        let (sender, inbox) = channel();
        let claiming = life.clone();
        let started = life.thread("claims", move |cancel| {
            if let Err(error) = claim_for_ever(&claiming, &settings, &inbox, &news, &cancel) {
                claiming.fail(error);
            }
        });
        if let Err(error) = started {
            life.fail(error);
        }
        Self(sender)
    }

    /// Claims a partition, unless it is `unwanted` by then; the answer comes as [`News::Claimed`] with the same ticket.
    pub(super) fn order(&self, partition: i32, ticket: u64, unwanted: Cancel) {
        // A thread that has ended has failed this life already.
        let _ = self.0.send(Order {
            partition,
            ticket,
            unwanted,
        });
    }
}

fn claim_for_ever(
    life: &Life,
    settings: &ClaimSettings,
    inbox: &Receiver<Order>,
    news: &UnboundedSender<News>,
    cancel: &Cancel,
) -> Result<(), BoxError> {
    let inspector = settings.log.inspector(&settings.spec)?;
    let mut session = None;
    while !cancel.is_cancelled() {
        let order = match inbox.recv_timeout(LOOK) {
            Ok(order) => order,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        let Order {
            partition,
            ticket,
            unwanted,
        } = order;
        let mut backoff = Backoff::outage();
        let claimed = loop {
            if unwanted.is_cancelled() {
                break None;
            }
            let error: BoxError = match claim(settings, inspector.as_ref(), &mut session, partition, &unwanted) {
                Ok(claimed) => break claimed,
                Err(ClaimError::Store(error)) if error.verdict() == Verdict::Retry => error.into(),
                Err(ClaimError::Log(error)) if error.verdict() == Verdict::Retry => error.into(),
                Err(ClaimError::Store(error)) => return Err(error.into()),
                Err(ClaimError::Log(error)) => return Err(error.into()),
            };
            session = None;
            let reason = crate::supervision::chain(error.as_ref());
            slog::warn!(life.log(), "cannot claim yet"; "partition" => partition, "reason" => &reason);
            let _waiting = life
                .progress()
                .wait(format!("a claim of partition {partition}: {reason}"));
            backoff.block(&unwanted);
        };
        let Some(claimed) = claimed else { continue };
        if news
            .unbounded_send(News::Claimed {
                partition,
                ticket,
                claimed,
            })
            .is_err()
        {
            return Ok(());
        }
    }
    Ok(())
}

#[derive(Debug)]
enum ClaimError {
    Store(crate::store::StoreError),
    Log(crate::log::LogError),
}

fn claim(
    settings: &ClaimSettings,
    inspector: &dyn Inspector,
    session: &mut Option<Session>,
    partition: i32,
    unwanted: &Cancel,
) -> Result<Option<Claimed>, ClaimError> {
    let spec = &settings.spec;
    let topic_id = inspector.topic_id().map_err(ClaimError::Log)?;
    let mut bounds = inspector.bounds(partition).map_err(ClaimError::Log)?;
    let session = match session {
        Some(session) => session,
        None => session.insert(Session::connect(&settings.connect, &settings.owner).map_err(ClaimError::Store)?),
    };
    // The last look before the epoch is bumped.
    if unwanted.is_cancelled() {
        return Ok(None);
    }
    let key = PartitionKey {
        pipeline: spec.pipeline.clone(),
        topic: spec.topic.clone(),
        partition,
    };
    let claimed = offsets::claim(session, &key, topic_id, bounds.low, &settings.owner).map_err(ClaimError::Store)?;
    failpoint::reach("load-after-claim");
    let next_offset = claimed.next_offset;
    if next_offset > bounds.last_stable {
        // The owner before has loaded what came after the first look. From the claim on the offset stands still.
        bounds = inspector.bounds(partition).map_err(ClaimError::Log)?;
    }
    if claimed.recorded_topic_id != topic_id {
        return Ok(Some(Claimed::Stopped(format!(
            "topic {} was deleted and created again (its identity was {} and is {topic_id}): what the old one held from offset \
             {next_offset} on is lost to this pipeline",
            spec.topic, claimed.recorded_topic_id
        ))));
    }
    if next_offset < bounds.low {
        return Ok(Some(Claimed::Stopped(format!(
            "offsets {next_offset} to {} are gone: retention has passed them before they were loaded",
            bounds.low - 1
        ))));
    }
    if next_offset > bounds.last_stable {
        return Ok(Some(Claimed::Stopped(format!(
            "the log ends at offset {} but {next_offset} was loaded already: the log has lost its end",
            bounds.last_stable
        ))));
    }
    Ok(Some(Claimed::At {
        topic_id,
        epoch: claimed.epoch,
        next_offset,
    }))
}
