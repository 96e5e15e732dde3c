//! The thread that claims partitions in PostgreSQL, off the polling thread: the group goes on while PostgreSQL is slow.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::Duration,
};

use futures::channel::mpsc::UnboundedSender;

use super::{claim::Claimant, news::News};
use crate::{
    log::{Cancel, Log, TopicSpec},
    model::Verdict,
    store::ConnectInfo,
    supervision::{Backoff, BoxError, Life},
};

const LOOK: Duration = Duration::from_millis(100);

/// A claim to be made.
struct Order {
    partition: i32,
    ticket: u64,
    /// Only if no stop is written down any more.
    if_led_on: bool,
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
        self.send(partition, ticket, unwanted, false);
    }

    /// The same for a partition that has stopped: it is claimed only if somebody has led it on.
    pub(super) fn order_if_led_on(&self, partition: i32, ticket: u64, unwanted: Cancel) {
        self.send(partition, ticket, unwanted, true);
    }

    fn send(&self, partition: i32, ticket: u64, unwanted: Cancel, if_led_on: bool) {
        // A thread that has ended has failed this life already.
        let _ = self.0.send(Order {
            partition,
            ticket,
            if_led_on,
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
    let mut claimant = Claimant {
        settings,
        inspector: inspector.as_ref(),
        session: None,
        heed: Arc::new(|| ()),
    };
    while !cancel.is_cancelled() {
        let order = match inbox.recv_timeout(LOOK) {
            Ok(order) => order,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        let Order {
            partition,
            ticket,
            if_led_on,
            unwanted,
        } = order;
        let mut backoff = Backoff::outage();
        let claimed = loop {
            if unwanted.is_cancelled() {
                break None;
            }
            let asking = life.progress().wait(format!("a claim of partition {partition}"));
            claimant.heed = Arc::new(asking.attempt_within(settings.connect.limits.answer()));
            let claimed = claimant.claim(partition, if_led_on, &unwanted);
            drop(asking);
            let error = match claimed {
                Ok(claimed) => break claimed,
                Err(error) if error.verdict() == Verdict::Retry => error,
                Err(error) => return Err(error.into()),
            };
            let reason = crate::supervision::chain(&error);
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
