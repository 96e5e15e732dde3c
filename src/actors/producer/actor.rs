//! How actix runs the producer: who asks for a shard, who has it, who lost it.

use std::{
    collections::{HashMap, VecDeque},
    sync::mpsc,
    time::Duration,
};

use actix::{
    Actor, AsyncContext, Context, Handler, ResponseFuture, StreamHandler,
    dev::{MessageResponse, OneshotSender},
};
use futures::channel::mpsc::{UnboundedSender, unbounded};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{
    membership,
    news::News,
    settings::ProducerSettings,
    shard::{Job, ShardThread},
};
use crate::{
    log::Ownership,
    messages::{Delivered, Lease, Lend, Lent, Produce, Refused},
    model::ShardId,
    supervision::Life,
};

/// See [`super`].
pub struct Producer {
    life: Life,
    settings: ProducerSettings,
    news: Option<UnboundedSender<News>>,
    shards: HashMap<i32, Owned>,
    /// Fetchers that wait for a shard, first come first served: with several of them the shards spread evenly.
    asking: VecDeque<oneshot::Sender<Result<Lent, Refused>>>,
    num_grants: u64,
    num_leases: u64,
}

/// A shard that the group gave to this producer.
struct Owned {
    grant: u64,
    shard: ShardId,
    jobs: mpsc::Sender<Job>,
    revoked: CancellationToken,
    /// Who fetches it.
    lease: Option<u64>,
    /// `Some` = open, and nobody fetches it.
    idle_at: Option<Option<Value>>,
}

impl Producer {
    /// A producer that will join the group when it starts.
    pub fn new(life: Life, settings: ProducerSettings) -> Self {
        Self {
            life,
            settings,
            news: None,
            shards: HashMap::new(),
            asking: VecDeque::new(),
            num_grants: 0,
            num_leases: 0,
        }
    }

    fn take(&mut self, shard: ShardId, own: Ownership, heartbeat: Duration) {
        let Some(news) = self.news.clone() else { return };
        self.num_grants += 1;
        let grant = self.num_grants;
        let (jobs, inbox) = mpsc::channel();
        let thread = ShardThread {
            settings: self.settings.clone(),
            shard: shard.clone(),
            own,
            heartbeat,
            grant,
            progress: self.life.progress().clone(),
            log: self.life.log().clone(),
        };
        let failing = self.life.clone();
        let started = self.life.thread(format!("shard-{shard}"), move |cancel| {
            if let Err(error) = thread.run(&inbox, &news, &cancel)
                && !cancel.is_cancelled()
            {
                failing.fail(error);
            }
        });
        if let Err(error) = started {
            self.life.fail(error);
        }
        let owned = Owned {
            grant,
            shard: shard.clone(),
            jobs,
            revoked: CancellationToken::new(),
            lease: None,
            idle_at: None,
        };
        self.shards.insert(shard.number, owned);
        self.settings.gauges.shard_owned(shard.number, true);
    }

    fn lose(&mut self, number: i32) {
        if let Some(owned) = self.shards.remove(&number) {
            owned.revoked.cancel();
            self.settings.gauges.shard_owned(number, false);
        }
    }

    /// Gives idle shards to those who ask.
    fn lend(&mut self) {
        let Some(news) = &self.news else { return };
        // Whoever asked and is gone by now is not waited for.
        self.asking.retain(|asking| !asking.is_closed());
        for owned in self.shards.values_mut().filter(|owned| owned.idle_at.is_some()) {
            let Some(asking) = self.asking.pop_front() else { return };
            let Some(cursor) = owned.idle_at.take() else { continue };
            self.num_leases += 1;
            let (number, lease) = (owned.shard.number, self.num_leases);
            owned.lease = Some(lease);
            let back = news.clone();
            let give_back = move || {
                // A producer that is gone needs no shard back.
                let _ = back.unbounded_send(News::GivenBack { shard: number, lease });
            };
            let lease = Lease {
                revoked: owned.revoked.clone(),
                give_back: Some(Box::new(give_back)),
            };
            // Where the one who asked goes away just now, the lease is dropped with the answer, which gives it back.
            let _ = asking.send(Ok(Lent {
                shard: owned.shard.clone(),
                cursor,
                lease,
            }));
        }
    }
}

impl Actor for Producer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // Without a bound a message is in the mailbox as soon as it is sent, and pages keep their order; the fetchers'
        // limit on unanswered pages is the bound.
        ctx.set_mailbox_capacity(0);
        let (news, inbox) = unbounded();
        ctx.add_stream(inbox);
        membership::spawn(
            &self.life,
            self.settings.log.clone(),
            self.settings.spec.clone(),
            news.clone(),
        );
        self.news = Some(news);
    }

    fn stopped(&mut self, _ctx: &mut Self::Context) {
        self.shards.values().for_each(|owned| owned.revoked.cancel());
    }
}

impl StreamHandler<News> for Producer {
    fn handle(&mut self, news: News, _ctx: &mut Self::Context) {
        match news {
            News::Assigned { shards, heartbeat } => {
                shards
                    .into_iter()
                    .for_each(|(shard, own)| self.take(shard, own, heartbeat));
            }
            News::Revoked(shards) => shards.iter().for_each(|shard| self.lose(shard.number)),
            News::Idle { shard, grant, cursor } => {
                let owned = self.shards.get_mut(&shard).filter(|owned| owned.grant == grant);
                if let Some(owned) = owned.filter(|owned| owned.lease.is_none()) {
                    owned.idle_at = Some(cursor);
                }
            }
            News::GivenBack { shard, lease } => {
                let lent = self.shards.get_mut(&shard).filter(|owned| owned.lease == Some(lease));
                if let Some(owned) = lent {
                    owned.lease = None;
                    // What its last borrower sent is committed first; the answer comes as `Idle`.
                    let _ = owned.jobs.send(Job::TellCursor);
                }
            }
        }
        self.lend();
    }

    /// Only the producer's own end closes the stream.
    fn finished(&mut self, _ctx: &mut Self::Context) {}
}

/// The answer to a [`Lend`], which may take hours. actix keeps a `ResponseFuture` until it is ready, whoever waits for it;
/// this one ends with the fetcher that has asked, so that no shard is lent to the dead.
pub struct Asked(oneshot::Receiver<Result<Lent, Refused>>);

impl MessageResponse<Producer, Lend> for Asked {
    fn handle(self, _ctx: &mut Context<Producer>, asking: Option<OneshotSender<Result<Lent, Refused>>>) {
        let Some(mut asking) = asking else { return };
        actix_rt::spawn(async move {
            tokio::select! {
                () = asking.closed() => {}
                // Where the fetcher goes away just now, the lease is dropped with the answer.
                answer = self.0 => drop(asking.send(answer.unwrap_or(Err(Refused::Lost)))),
            }
        });
    }
}

impl Handler<Lend> for Producer {
    type Result = Asked;

    fn handle(&mut self, _: Lend, _ctx: &mut Self::Context) -> Self::Result {
        let (answer, answered) = oneshot::channel();
        self.asking.push_back(answer);
        self.lend();
        Asked(answered)
    }
}

impl Handler<Produce> for Producer {
    type Result = ResponseFuture<Result<Delivered, Refused>>;

    fn handle(&mut self, Produce(page): Produce, _ctx: &mut Self::Context) -> Self::Result {
        let (answer, answered) = oneshot::channel();
        if let Some(owned) = self.shards.get(&page.shard.number) {
            // A shard thread that has ended drops the answer, which says `Lost` below.
            let _ = owned.jobs.send(Job::Commit { page, answer });
        }
        Box::pin(async move { answered.await.unwrap_or(Err(Refused::Lost)) })
    }
}
