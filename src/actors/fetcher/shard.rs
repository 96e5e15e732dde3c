//! The loop of one shard: plan, fetch, send, wait.

use std::{collections::VecDeque, time::Duration};

use actix::{MailboxError, Recipient};
use futures::{FutureExt, future::LocalBoxFuture};
use serde_json::Value;

use super::{actor::FetcherSettings, note};
use crate::{
    api::{
        ApiError, Feed, Next, Request,
        http::{Attempt, Fetched},
    },
    messages::{Delivered, Lent, Produce, Refused},
    model::Page,
    supervision::{BoxError, Life, chain},
};

/// Why a shard's loop has ended.
pub(super) enum Stopped {
    /// The shard has another owner, or its producer has ended. It is lent again where it is right.
    Lost,
    /// A page that does not decode, or a pagination that goes in circles: a person has to look.
    Park(String),
    /// Ours or the operator's fault.
    Failed(BoxError),
}

/// A page that was sent: its number of records, and the reply to come.
struct Unanswered {
    num_records: usize,
    size_bytes: usize,
    reply: LocalBoxFuture<'static, Answer>,
}

type Answer = Result<Result<Delivered, Refused>, MailboxError>;

pub(super) struct ShardLoop {
    settings: FetcherSettings,
    feed: Feed,
    lent: Lent,
    produce: Recipient<Produce>,
    life: Life,
    cursor: Value,
    unanswered: VecDeque<Unanswered>,
    unanswered_records: usize,
    unanswered_bytes: usize,
}

impl ShardLoop {
    pub(super) fn new(settings: FetcherSettings, mut lent: Lent, produce: Recipient<Produce>, life: Life) -> Self {
        let cursor = lent.cursor.take().unwrap_or(Value::Null);
        Self {
            feed: settings.source.feed(&lent.shard),
            settings,
            lent,
            produce,
            life,
            cursor,
            unanswered: VecDeque::new(),
            unanswered_records: 0,
            unanswered_bytes: 0,
        }
    }

    pub(super) async fn run(mut self) -> Stopped {
        let Err(stopped) = self.fetch_for_ever().await;
        if matches!(stopped, Stopped::Lost) {
            return stopped;
        }
        // The pages before are good. The branch that now stops would take them out of the producer's hands, and they would come
        // when it is tried again, a minute later or when a person says so.
        let revoked = self.lent.lease.revoked.clone();
        let heard = tokio::select! {
            () = revoked.cancelled() => Err(Stopped::Lost),
            heard = self.hear_all() => heard,
        };
        heard.err().unwrap_or(stopped)
    }

    async fn fetch_for_ever(&mut self) -> Result<std::convert::Infallible, Stopped> {
        let progress = self.life.progress().clone();
        loop {
            self.hear_answered()?;
            while !self.unanswered.is_empty()
                && (self.unanswered_records >= self.settings.max_unanswered_records
                    || self.unanswered_bytes >= self.settings.max_unanswered_bytes)
            {
                self.hear_oldest().await?;
            }
            let cursor = Some(&self.cursor).filter(|cursor| !cursor.is_null());
            match self
                .settings
                .source
                .plan(&self.lent.shard, cursor, self.now_ms())
                .map_err(stopped)?
            {
                Next::Fetch(request) => {
                    let fetched = self.fetch(&request).await?;
                    self.send(fetched);
                }
                Next::WaitUntil(due_ms) => {
                    self.hear_all().await?;
                    self.say(format!("waiting until {}", readable(due_ms)));
                    let _waiting = progress.wait("the next sweep");
                    self.sleep_until(due_ms).await?;
                }
                Next::Finished => {
                    self.hear_all().await?;
                    self.say("finished");
                    let _waiting = progress.wait("nothing: the source is at its end");
                    self.lent.lease.revoked.cancelled().await;
                    return Err(Stopped::Lost);
                }
            }
        }
    }

    fn now_ms(&self) -> i64 {
        self.settings
            .frozen_now_ms
            .unwrap_or_else(|| chrono::Utc::now().timestamp_millis())
    }

    fn say(&self, state: impl Into<String>) {
        self.settings.gauges.shard_state(self.lent.shard.number, state);
    }

    /// Fetches the next page, however long the source is away. Ends early when the shard is taken away.
    async fn fetch(&mut self, request: &Request) -> Result<Fetched, Stopped> {
        self.say(request.describe());
        let noun = self.settings.source.noun();
        let revoked = self.lent.lease.revoked.clone();
        let progress = self.life.progress();
        let mut waiting = None;
        let asking = self.settings.gauges.meters().asking(self.lent.shard.number);
        let mut report = |attempt: Attempt<'_>| {
            note::note(&asking, &attempt);
            waiting = match attempt {
                // Bounded by the deadline of the request, which may be longer than `stall_after`.
                Attempt::Started { .. } => Some(progress.wait(format!("{noun} to answer"))),
                Attempt::RateLimited { .. } => Some(progress.wait("the rate limit of the source")),
                Attempt::Waiting { error, .. } => Some(progress.wait(format!("{noun}: {}", chain(error)))),
                Attempt::Done { .. } => {
                    progress.mark();
                    None
                }
            };
        };
        let fetched = tokio::select! {
            () = revoked.cancelled() => return Err(Stopped::Lost),
            fetched = self.feed.fetch(request, &mut report) => fetched,
        };
        if let Err(error) = &fetched
            && let Some(class) = note::class(error)
        {
            asking.ended(class);
        }
        fetched.map_err(stopped)
    }

    fn send(&mut self, fetched: Fetched) {
        let (num_records, size_bytes) = (fetched.records.len(), fetched.size_bytes);
        self.settings.gauges.page_fetched(num_records, size_bytes);
        let page = Page {
            shard: self.lent.shard.clone(),
            cursor_before: std::mem::replace(&mut self.cursor, fetched.cursor_after.clone()),
            cursor_after: fetched.cursor_after,
            records: fetched.records,
        };
        // Pushed into the producer's mailbox here and now, so that pages keep their order.
        let request = self.produce.send(Produce(page));
        let reply = Box::pin(request);
        self.unanswered.push_back(Unanswered {
            num_records,
            size_bytes,
            reply,
        });
        self.unanswered_bytes += size_bytes;
        self.unanswered_records += num_records.max(1);
    }

    async fn hear_oldest(&mut self) -> Result<(), Stopped> {
        let Some(Unanswered {
            num_records,
            size_bytes,
            reply,
        }) = self.unanswered.pop_front()
        else {
            return Ok(());
        };
        self.unanswered_records -= num_records.max(1);
        self.unanswered_bytes -= size_bytes;
        self.heard(reply.await)
    }

    /// Hears what has been answered by now: a refused page is noticed before the next one is fetched, not only when a
    /// slow source has filled two transactions.
    fn hear_answered(&mut self) -> Result<(), Stopped> {
        while let Some(oldest) = self.unanswered.front_mut() {
            let Some(answer) = (&mut oldest.reply).now_or_never() else {
                return Ok(());
            };
            self.unanswered_records -= oldest.num_records.max(1);
            self.unanswered_bytes -= oldest.size_bytes;
            self.unanswered.pop_front();
            self.heard(answer)?;
        }
        Ok(())
    }

    fn heard(&self, answer: Answer) -> Result<(), Stopped> {
        match answer {
            Ok(Ok(Delivered { .. })) => {
                self.life.progress().mark();
                Ok(())
            }
            Ok(Err(_)) | Err(_) => Err(Stopped::Lost),
        }
    }

    async fn hear_all(&mut self) -> Result<(), Stopped> {
        while !self.unanswered.is_empty() {
            self.hear_oldest().await?;
        }
        Ok(())
    }

    async fn sleep_until(&self, due_ms: i64) -> Result<(), Stopped> {
        let wait = Duration::from_millis(u64::try_from(due_ms - self.now_ms()).unwrap_or(0));
        tokio::select! {
            () = self.lent.lease.revoked.cancelled() => Err(Stopped::Lost),
            () = tokio::time::sleep(wait) => Ok(()),
        }
    }
}

/// A page that no repeat makes readable needs a person; what is misconfigured fails.
fn stopped(error: ApiError) -> Stopped {
    match error {
        ApiError::UndecodablePage { .. } | ApiError::PageLoop { .. } | ApiError::PageTooLarge { .. } => {
            Stopped::Park(chain(&error))
        }
        _ => Stopped::Failed(Box::new(error)),
    }
}

fn readable(ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(ms).map_or_else(|| ms.to_string(), |time| time.to_rfc3339())
}
