//! How actix runs the consumer: which partitions are ours, what is in flight, who has to let go of what.

use std::{collections::HashMap, sync::Arc, time::Duration};

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Recipient, StreamHandler, WrapFuture};
use futures::channel::mpsc::{UnboundedSender, unbounded};

use super::{
    claims::{ClaimSettings, Claims},
    leaving::Leaving,
    news::{Claimed, News},
    partitions::{Partition, Reading},
    questions::Questions,
    reader::{self, Order, Orders, ReaderSettings},
    settings::ConsumerSettings,
    stalls::Stands,
};
use crate::{
    log::LoadEvent,
    messages::{Claim, RawBatch, Refused, Settled, Transform},
    model::{LostRange, PartitionKey, TopicId},
    supervision::Life,
};

/// A revoked partition's batches may take this long to settle; after it the fence covers the rest.
const DRAIN: Duration = Duration::from_secs(10);

/// After a fence: so long the group has to tell us that the partition is not ours any more, before we claim it again. A
/// process that was stopped for a while would otherwise push the rightful owner out.
const HEARTBEAT: Duration = Duration::from_secs(3);

/// How often a partition that has stopped looks whether somebody has led it on: with this daemon's door, or with any other.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// See [`super`].
pub struct Consumer {
    life: Life,
    settings: ConsumerSettings,
    transformers: Vec<Recipient<Transform>>,
    partitions: HashMap<i32, Partition>,
    leaving: Leaving,
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

impl Consumer {
    /// A consumer that will join the group when it starts.
    pub fn new(life: Life, settings: ConsumerSettings, transformers: Vec<Recipient<Transform>>) -> Self {
        Self {
            life,
            settings,
            transformers,
            partitions: HashMap::new(),
            leaving: Leaving::default(),
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
        let awaited = self
            .partitions
            .get(&partition)
            .is_some_and(|state| state.awaits(ticket));
        if !awaited || self.is_stopping {
            return;
        }
        match claimed {
            Claimed::Stopped(lost) => self.stop_partition(partition, lost),
            Claimed::At {
                topic_id,
                epoch,
                next_offset,
            } => self.read(partition, topic_id, epoch, next_offset),
        }
    }

    fn read(&mut self, partition: i32, topic_id: TopicId, epoch: i64, next_offset: i64) {
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
        let reading = Reading {
            claim,
            num_in_flight: 0,
            is_at_loss: false,
            _seat: seat,
        };
        self.partitions.insert(partition, Partition::Reading(reading));
    }

    fn stop_partition(&mut self, partition: i32, lost: Box<LostRange>) {
        let known =
            matches!(self.partitions.get(&partition), Some(Partition::Stopped { lost: known, .. }) if *known == lost);
        if !known {
            slog::error!(self.life.log(), "the partition has stopped";
                "partition" => partition, "lost" => lost.offsets(), "reason" => &lost.found, "remedy" => &lost.remedy);
            self.settings.gauges.partition_stopped(&lost);
            self.order(Order::Leave(vec![partition]));
        }
        let question = None;
        self.partitions.insert(partition, Partition::Stopped { lost, question });
    }

    /// Asks for every stopped partition whether somebody has led it on.
    fn look_again(&mut self) {
        let Self {
            partitions,
            num_tickets,
            life,
            crew,
            is_stopping: false,
            ..
        } = self
        else {
            return;
        };
        for (partition, state) in partitions {
            if let Partition::Stopped {
                question: question @ None,
                ..
            } = state
                && let Some(crew) = &crew
            {
                *num_tickets += 1;
                let unwanted = life.over().child_token();
                *question = Some((*num_tickets, unwanted.clone().drop_guard()));
                crew.claims.order_if_led_on(*partition, *num_tickets, unwanted);
            }
        }
    }

    fn revoked(&mut self, partitions: Vec<i32>, lost: bool, ctx: &mut Context<Self>) {
        let mut in_flight = HashMap::new();
        self.leaving.forget(&partitions);
        self.release_drained();
        for partition in &partitions {
            self.settings
                .gauges
                .partition_state(*partition, false, "with another consumer");
            if let Some(Partition::Reading(reading)) = self.partitions.remove(partition)
                && reading.num_in_flight > 0
            {
                in_flight.insert((*partition, reading.claim.epoch), reading.num_in_flight);
            }
        }
        if lost || in_flight.is_empty() {
            self.order(Order::Release(partitions));
            return;
        }
        self.order(Order::Leave(partitions.clone()));
        let ticket = self.ticket();
        self.leaving.add(ticket, partitions, in_flight);
        ctx.run_later(DRAIN, move |consumer, _ctx| {
            if let Some(partitions) = consumer.leaving.give_up(ticket) {
                slog::warn!(consumer.life.log(), "gave partitions back with batches in flight"; "partitions" => ?partitions);
                consumer.order(Order::Release(partitions));
            }
        });
    }

    fn send(&mut self, batch: RawBatch, ctx: &mut Context<Self>) {
        let (partition, epoch) = (batch.claim.key.partition, batch.claim.epoch);
        // A batch that was read before the partition was given back is dropped: the next owner reads it again.
        let Some(reading) = reading(&mut self.partitions, partition, epoch) else {
            return;
        };
        reading.num_in_flight += 1;
        let num_records = batch.records.len();
        let transformer = &self.transformers[reading.claim.route.transformer % self.transformers.len()];
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
        self.leaving.heard((partition, epoch));
        self.release_drained();
        let Some(reading) = reading(&mut self.partitions, partition, epoch) else {
            return;
        };
        reading.num_in_flight = reading.num_in_flight.saturating_sub(1);
        let read_no_further = reading.is_at_loss && reading.num_in_flight == 0;
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

    fn release_drained(&mut self) {
        for partitions in self.leaving.drained() {
            self.order(Order::Release(partitions));
        }
    }

    /// What comes next is not in the log. The batches before it are, in memory: a claim now would fence them.
    fn at_loss(&mut self, partition: i32, epoch: i64) {
        // Of a partition that is with another consumer by now it says nothing.
        let Some(reading) = reading(&mut self.partitions, partition, epoch) else {
            return;
        };
        reading.is_at_loss = true;
        // A new claim finds out which offsets are gone, and says so.
        if reading.num_in_flight == 0 {
            self.claim(partition);
        }
    }

    fn topic_replaced(&mut self, claimed: TopicId) {
        let of_claimed = |(partition, state): (&i32, &Partition)| match state {
            Partition::Reading(reading) if reading.claim.topic_id == claimed && !reading.is_at_loss => {
                Some((*partition, reading.claim.epoch))
            }
            _ => None,
        };
        let affected: Vec<_> = self.partitions.iter().filter_map(of_claimed).collect();
        for (partition, epoch) in affected {
            self.order(Order::Leave(vec![partition]));
            self.at_loss(partition, epoch);
        }
    }

    /// An ordered stop: read no further, hear what is in flight, then end.
    fn wind_down(&mut self, ctx: &mut Context<Self>) {
        self.is_stopping = true;
        let partitions: Vec<i32> = self.partitions.keys().copied().collect();
        self.order(Order::Leave(partitions));
        ctx.run_interval(Duration::from_millis(20), |consumer, ctx| {
            if consumer.leaving.is_empty() && !consumer.partitions.values().any(Partition::is_busy) {
                ctx.stop();
            }
        });
    }
}

fn reading(partitions: &mut HashMap<i32, Partition>, partition: i32, epoch: i64) -> Option<&mut Reading> {
    partitions.get_mut(&partition)?.reading(epoch)
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
            budget_bytes,
            connect,
            owner,
            stall_after,
            ..
        } = self.settings.clone();
        let stands = Stands::default();
        let watched = (stands.clone(), stall_after);
        let questions = Questions::spawn(&self.life, log.clone(), spec.clone(), watched, news.clone());
        let claim_settings = ClaimSettings {
            connect,
            log: log.clone(),
            spec: spec.clone(),
            owner: format!("{owner} {}", self.life.child()),
        };
        let claims = Claims::spawn(&self.life, claim_settings, news.clone());
        let orders = reader::spawn(
            &self.life,
            ReaderSettings {
                log,
                spec,
                limits,
                budget_bytes,
                questions,
                stands,
            },
            news,
        );
        self.crew = Some(Crew { orders, claims });
        ctx.run_interval(LOOK_AGAIN, |consumer, _ctx| consumer.look_again());
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
            News::OutOfRange { partition, epoch } => self.at_loss(partition, epoch),
            News::TopicReplaced { claimed } => self.topic_replaced(claimed),
        }
    }

    /// The threads have ended: with this life, or by a failure that they have told already.
    fn finished(&mut self, _ctx: &mut Self::Context) {}
}
