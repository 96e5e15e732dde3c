//! How actix runs the fetcher: one loop for each producer that may lend shards, one for each shard that was lent.

use std::sync::Arc;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Recipient, WrapFuture};

use super::shard::{ShardLoop, Stopped};
use crate::{
    api::Source,
    messages::{Lend, Lent, Produce},
    supervision::Life,
    telemetry::Gauges,
};

/// What a fetcher is given at birth.
#[derive(Clone)]
pub struct FetcherSettings {
    /// Where pages come from.
    pub source: Source,
    /// So many records may be unanswered in a shard before the next page is fetched.
    pub max_unanswered_records: usize,
    /// And so many bytes of them.
    pub max_unanswered_bytes: usize,
    /// For `--once`: the moment from which a sweep counts as due, in milliseconds since 1970; a finished sweep is not
    /// begun again within the run. `None` = the clock.
    pub frozen_now_ms: Option<i64>,
    /// Live numbers for status and progress.
    pub gauges: Arc<Gauges>,
}

/// A producer as a fetcher sees it.
#[derive(Clone)]
pub struct Lender {
    /// Asks it for a shard.
    pub lend: Recipient<Lend>,
    /// Sends it a page.
    pub produce: Recipient<Produce>,
}

/// See [`super`].
pub struct Fetcher {
    life: Life,
    settings: FetcherSettings,
    producers: Vec<Lender>,
}

impl Fetcher {
    /// A fetcher that asks these producers for shards.
    pub fn new(life: Life, mut settings: FetcherSettings, producers: Vec<Lender>) -> Self {
        // What is said of a fetch names the actor and its life.
        settings.source = settings.source.logging_to(life.log());
        Self {
            life,
            settings,
            producers,
        }
    }

    /// Waits for this producer's next shard; begins to fetch it and asks again.
    fn ask(&self, producer: Lender, ctx: &mut Context<Self>) {
        let answer = producer.lend.send(Lend).into_actor(self);
        ctx.spawn(answer.map(move |answer, fetcher: &mut Self, ctx| {
            // A closed mailbox or a refusal: the producer has ended, and this fetcher is restarted after it.
            if let Ok(Ok(lent)) = answer {
                fetcher.fetch(lent, producer.produce.clone(), ctx);
                fetcher.ask(producer, ctx);
            }
        }));
    }

    fn fetch(&self, lent: Lent, produce: Recipient<Produce>, ctx: &mut Context<Self>) {
        let shard_loop = ShardLoop::new(self.settings.clone(), lent, produce, self.life.clone());
        ctx.spawn(
            shard_loop
                .run()
                .into_actor(self)
                .map(|stopped, fetcher: &mut Self, _ctx| match stopped {
                    Stopped::Lost => {}
                    Stopped::Park(reason) => fetcher.life.park(reason),
                    Stopped::Failed(error) => fetcher.life.fail(error),
                }),
        );
    }
}

impl Actor for Fetcher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        for producer in self.producers.clone() {
            self.ask(producer, ctx);
        }
    }
}
