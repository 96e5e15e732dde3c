//! How actix runs the consumer: which partitions are ours, what is in flight, who has to let go of what.

use std::{collections::HashMap, sync::Arc, time::Duration};

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Recipient, StreamHandler, WrapFuture};
use futures::channel::mpsc::{UnboundedSender, unbounded};
use tokio_util::sync::DropGuard;

use super::{
    claims::{ClaimSettings, Claimed, Claims},
    questions::Questions,
    reader::{self, Order, Orders, ReaderSettings},
    routes::{Routes, Seat},
};
use crate::{
    config::settings::Batch,
    log::{LoadEvent, Log, TopicSpec},
    messages::{Claim, RawBatch, Refused, Settled, Transform},
    model::{PartitionKey, TopicId},
    store::ConnectInfo,
    supervision::Life,
    telemetry::Gauges,
};

/// A revoked partition's batches may take this long to settle; after it the fence covers the rest.
const DRAIN: Duration = Duration::from_secs(10);

/// After a fence: so long the group has to tell us that the partition is not ours any more, before we claim it again. A
/// process that was stopped for a while would otherwise push the rightful owner out.
const HEARTBEAT: Duration = Duration::from_secs(3);

/// What a consumer is given at birth.
#[derive(Clone)]
pub struct ConsumerSettings {
    /// The log to read from.
    pub log: Arc<dyn Log>,
    /// The pipeline's topics.
    pub spec: TopicSpec,
    /// When a batch is full.
    pub limits: Batch,
    /// Where partitions are claimed.
    pub connect: Arc<ConnectInfo>,
    /// Who claims: host, process and actor, for people who look at `aqueduct.offsets`.
    pub owner: String,
    /// Which transformer and writer a partition stays with.
    pub routes: Routes,
    /// Live numbers for status and progress.
    pub gauges: Arc<Gauges>,
}

/// See [`super`].
pub struct Consumer {
    life: Life,
    settings: ConsumerSettings,
    transformers: Vec<Recipient<Transform>>,
    partitions: HashMap<i32, Partition>,
    /// Revocations that wait for batches to settle.
    leaving: Vec<Leaving>,
    num_tickets: u64,
    /// An ordered stop is under way: nothing new is begun.
    is_stopping: bool,
    crew: Option<Crew>,
}

/// The threads.
struct Crew {
    orders: Orders,
    claims: Claims,
}

enum Partition {
    /// A claim is under way, or will be.
    Claiming {
        ticket: u64,
        /// Takes the order back when the partition is not claimed any more. `None` = not ordered yet.
        _order: Option<DropGuard>,
    },
    Reading {
        claim: Arc<Claim>,
        in_flight: usize,
        /// The log has no more of what comes next: claim again once everything before is settled.
        out_of_range: bool,
        _seat: Seat,
    },
    /// Not read: its position is lost. Only `offsets skip` or a restart leads on.
    Stopped,
}

struct Leaving {
    ticket: u64,
    partitions: Vec<i32>,
    /// By partition and epoch.
    in_flight: HashMap<(i32, i64), usize>,
}

/// What the consumer's threads tell it.
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
    TopicReplaced {
        claimed: TopicId,
        found: TopicId,
    },
}

impl Consumer {
    /// A consumer that will join the group when it starts.
    pub fn new(life: Life, settings: ConsumerSettings, transformers: Vec<Recipient<Transform>>) -> Self {
        let (partitions, leaving) = (HashMap::new(), Vec::new());
        Self {
            life,
            settings,
            transformers,
            partitions,
            leaving,
            num_tickets: 0,
            is_stopping: false,
            crew: None,
        }
    }

    fn order(&mut self, order: Order) {
        if let Some(crew) = &mut self.crew {
            crew.orders.send(order);
        }
    }

    fn ticket(&mut self) -> u64 {
        self.num_tickets += 1;
        self.num_tickets
    }

    fn claim(&mut self, partition: i32) {
        if self.is_stopping {
            return;
        }
        let (ticket, unwanted) = (self.ticket(), self.life.over().child_token());
        let order = Some(unwanted.clone().drop_guard());
        self.partitions
            .insert(partition, Partition::Claiming { ticket, _order: order });
        self.settings.gauges.partition_state(partition, true, "claiming");
        if let Some(crew) = &self.crew {
            crew.claims.order(partition, ticket, unwanted);
        }
    }

    fn claimed(&mut self, partition: i32, ticket: u64, claimed: Claimed) {
        let Some(Partition::Claiming { ticket: waiting, .. }) = self.partitions.get(&partition) else {
            return;
        };
        if *waiting != ticket || self.is_stopping {
            return;
        }
        match claimed {
            Claimed::Stopped(reason) => self.stop_partition(partition, &reason),
            Claimed::At {
                topic_id,
                epoch,
                next_offset,
            } => {
                let seat = self.settings.routes.take();
                let key = PartitionKey {
                    pipeline: self.settings.spec.pipeline.clone(),
                    topic: self.settings.spec.topic.clone(),
                    partition,
                };
                let claim = Arc::new(Claim {
                    key,
                    topic_id,
                    epoch,
                    route: seat.route,
                });
                self.settings.gauges.partition_claimed(partition, epoch, next_offset);
                slog::info!(self.life.log(), "claimed"; "partition" => partition, "epoch" => epoch, "next_offset" => next_offset);
                self.order(Order::Read {
                    claim: claim.clone(),
                    next_offset,
                });
                self.partitions.insert(
                    partition,
                    Partition::Reading {
                        claim,
                        in_flight: 0,
                        out_of_range: false,
                        _seat: seat,
                    },
                );
            }
        }
    }

    fn stop_partition(&mut self, partition: i32, reason: &str) {
        slog::error!(self.life.log(), "the partition has stopped"; "partition" => partition, "reason" => reason);
        self.settings
            .gauges
            .partition_state(partition, true, format!("stopped: {reason}"));
        self.order(Order::Leave(vec![partition]));
        self.partitions.insert(partition, Partition::Stopped);
    }

    fn revoked(&mut self, partitions: Vec<i32>, lost: bool, ctx: &mut Context<Self>) {
        let mut in_flight = HashMap::new();
        // Lost while they were drained: nobody waits for them, and they may come back before their batches are answered.
        for leaving in &mut self.leaving {
            leaving.partitions.retain(|partition| !partitions.contains(partition));
            leaving
                .in_flight
                .retain(|(partition, _), _| !partitions.contains(partition));
        }
        self.release_drained();
        for partition in &partitions {
            self.settings
                .gauges
                .partition_state(*partition, false, "with another consumer");
            if let Some(Partition::Reading {
                claim,
                in_flight: num @ 1..,
                ..
            }) = self.partitions.remove(partition)
            {
                in_flight.insert((*partition, claim.epoch), num);
            }
        }
        if lost || in_flight.is_empty() {
            self.order(Order::Release(partitions));
            return;
        }
        self.order(Order::Leave(partitions.clone()));
        let ticket = self.ticket();
        self.leaving.push(Leaving {
            ticket,
            partitions,
            in_flight,
        });
        ctx.run_later(DRAIN, move |consumer, _ctx| {
            if let Some(index) = consumer.leaving.iter().position(|leaving| leaving.ticket == ticket) {
                let partitions = consumer.leaving.swap_remove(index).partitions;
                slog::warn!(consumer.life.log(), "gave partitions back with batches in flight"; "partitions" => ?partitions);
                consumer.order(Order::Release(partitions));
            }
        });
    }

    fn send(&mut self, batch: RawBatch, ctx: &mut Context<Self>) {
        let (partition, epoch) = (batch.claim.key.partition, batch.claim.epoch);
        // A batch that was read before the partition was given back is dropped: the next owner reads it again.
        let Some(Partition::Reading { claim, in_flight, .. }) = self.partitions.get_mut(&partition) else {
            return;
        };
        if claim.epoch != epoch {
            return;
        }
        *in_flight += 1;
        let num_records = batch.records.len();
        let transformer = &self.transformers[claim.route.transformer % self.transformers.len()];
        let reply = transformer.send(Transform(batch)).into_actor(self);
        ctx.spawn(reply.map(move |reply, consumer: &mut Self, ctx| {
            // A closed mailbox: the transformer has ended, and this consumer is restarted after it.
            let reply = reply.unwrap_or(Err(Refused::Lost));
            consumer.heard(partition, epoch, num_records, reply, ctx);
        }));
    }

    fn heard(
        &mut self,
        partition: i32,
        epoch: i64,
        num_records: usize,
        reply: Result<Settled, Refused>,
        ctx: &mut Context<Self>,
    ) {
        self.life.progress().mark();
        if let Ok(Settled { next_offset, num_dead }) = reply {
            self.settings
                .gauges
                .settled(partition, next_offset, num_records, num_dead);
            self.order(Order::Settled {
                partition,
                epoch,
                next_offset,
            });
        }
        self.heard_leaving((partition, epoch));
        let state = self.partitions.get_mut(&partition);
        let Some(Partition::Reading {
            claim,
            in_flight,
            out_of_range,
            ..
        }) = state
        else {
            return;
        };
        if claim.epoch != epoch {
            return;
        }
        *in_flight = in_flight.saturating_sub(1);
        let read_no_further = *out_of_range && *in_flight == 0;
        match reply {
            _ if self.is_stopping => {}
            Ok(_) if read_no_further => self.claim(partition),
            Ok(_) => {}
            Err(Refused::WentBack) => {
                slog::warn!(self.life.log(), "PostgreSQL went back to an earlier offset; claiming again"; "partition" => partition);
                self.order(Order::Leave(vec![partition]));
                self.claim(partition);
            }
            Err(Refused::Lost) => {
                slog::info!(self.life.log(), "another owner has the partition"; "partition" => partition, "epoch" => epoch);
                self.settings.gauges.partition_state(partition, true, "fenced");
                self.order(Order::Leave(vec![partition]));
                let ticket = self.ticket();
                self.partitions
                    .insert(partition, Partition::Claiming { ticket, _order: None });
                ctx.run_later(HEARTBEAT, move |consumer, _ctx| {
                    let still = consumer.partitions.get(&partition);
                    if matches!(still, Some(Partition::Claiming { ticket: waiting, .. }) if *waiting == ticket) {
                        consumer.claim(partition);
                    }
                });
            }
        }
    }

    /// A batch of a partition that has to be given back was answered: perhaps the last one.
    fn heard_leaving(&mut self, batch: (i32, i64)) {
        for leaving in &mut self.leaving {
            if let Some(num) = leaving.in_flight.get_mut(&batch) {
                *num -= 1;
                if *num == 0 {
                    leaving.in_flight.remove(&batch);
                }
            }
        }
        self.release_drained();
    }

    fn release_drained(&mut self) {
        let done = self
            .leaving
            .extract_if(.., |leaving| leaving.in_flight.is_empty())
            .filter(|leaving| !leaving.partitions.is_empty())
            .collect::<Vec<_>>();
        done.into_iter()
            .for_each(|leaving| self.order(Order::Release(leaving.partitions)));
    }

    /// What comes next is not in the log. The batches before it are, in memory: a claim now would fence them.
    fn out_of_range(&mut self, partition: i32, epoch: i64) {
        let state = self.partitions.get_mut(&partition);
        let Some(Partition::Reading {
            claim,
            in_flight,
            out_of_range,
            ..
        }) = state
        else {
            return;
        };
        // Of a partition that is with another consumer by now it says nothing.
        if claim.epoch == epoch {
            *out_of_range = true;
            // A new claim finds out which offsets are gone, and says so.
            if *in_flight == 0 {
                self.claim(partition);
            }
        }
    }

    fn topic_replaced(&mut self, claimed: TopicId, found: TopicId) {
        let affected: Vec<i32> = self
            .partitions
            .iter()
            .filter_map(|(partition, state)| match state {
                Partition::Reading { claim, .. } if claim.topic_id == claimed => Some(*partition),
                _ => None,
            })
            .collect();
        let topic = self.settings.spec.topic.clone();
        for partition in affected {
            self.stop_partition(
                partition,
                &format!(
                    "topic {topic} was deleted and created again (its identity was {claimed} and is {found}): what the old one \
                     held beyond the last settled offset is lost to this pipeline"
                ),
            );
        }
    }

    /// An ordered stop: read no further, hear what is in flight, then end.
    fn wind_down(&mut self, ctx: &mut Context<Self>) {
        self.is_stopping = true;
        let partitions: Vec<i32> = self.partitions.keys().copied().collect();
        self.order(Order::Leave(partitions));
        ctx.run_interval(Duration::from_millis(20), |consumer, ctx| {
            let reading = |state: &Partition| matches!(state, Partition::Reading { in_flight: 1.., .. });
            if consumer.leaving.is_empty() && !consumer.partitions.values().any(reading) {
                ctx.stop();
            }
        });
    }
}

impl Actor for Consumer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (news, inbox): (UnboundedSender<News>, _) = unbounded();
        ctx.add_stream(inbox);
        let ConsumerSettings {
            log,
            spec,
            limits,
            connect,
            owner,
            ..
        } = self.settings.clone();
        let questions = Questions::spawn(&self.life, log.clone(), spec.clone(), news.clone());
        let claim_settings = ClaimSettings {
            connect,
            log: log.clone(),
            spec: spec.clone(),
            owner,
        };
        let claims = Claims::spawn(&self.life, claim_settings, news.clone());
        let orders = reader::spawn(
            &self.life,
            ReaderSettings {
                log,
                spec,
                limits,
                questions,
            },
            news,
        );
        self.crew = Some(Crew { orders, claims });
        let stop = self.life.stop_requested();
        ctx.spawn(
            async move { stop.cancelled().await }
                .into_actor(self)
                .map(|(), consumer: &mut Self, ctx| {
                    consumer.wind_down(ctx);
                }),
        );
    }

    fn stopped(&mut self, _ctx: &mut Self::Context) {
        for partition in self.partitions.keys() {
            self.settings.gauges.partition_state(*partition, false, "released");
        }
    }
}

impl StreamHandler<News> for Consumer {
    fn handle(&mut self, news: News, ctx: &mut Self::Context) {
        match news {
            News::Group(LoadEvent::Assigned(partitions)) => {
                partitions.into_iter().for_each(|partition| self.claim(partition));
            }
            News::Group(LoadEvent::Revoked { partitions, lost }) => self.revoked(partitions, lost, ctx),
            News::Claimed {
                partition,
                ticket,
                claimed,
            } => self.claimed(partition, ticket, claimed),
            News::Batch(batch) => self.send(*batch, ctx),
            News::OutOfRange { partition, epoch } => self.out_of_range(partition, epoch),
            News::TopicReplaced { claimed, found } => self.topic_replaced(claimed, found),
        }
    }

    /// The threads have ended: with this life, or by a failure that they have told already.
    fn finished(&mut self, _ctx: &mut Self::Context) {}
}
