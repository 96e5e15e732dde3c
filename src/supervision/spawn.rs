//! Runs one actor so that its end is heard, whatever it is.
//!
//! The actor's future is polled inside ours, so that a panic is caught *before* actix's own destructor runs: that one
//! would call `stopping` and `stopped` on the half-broken actor while unwinding (a second panic there ends the process),
//! and could even serve the rest of the mailbox.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::{self, Poll},
    time::Duration,
};

use actix::{Actor, ActorContext, AsyncContext, Context, dev::ContextFut};
use futures::FutureExt;

use super::{
    Life,
    chain::{chain, panic_text},
    child::{Factory, Published},
    life::Obituary,
};

/// How a life ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Its context was stopped and nobody gave a reason.
    Stopped,
    /// It failed, with the whole chain of causes.
    Failed(String),
    /// It asks for the branch to be parked.
    Parked(String),
    /// It panicked.
    Panicked(String),
    /// Work in hand and no sign of life.
    Stalled(Duration),
    /// It was asked to end and did not within the grace.
    Overdue(Duration),
    /// The supervisor dropped it.
    Aborted,
    /// Its arbiter ended under it.
    Vanished,
}

impl End {
    /// The reason in words, for the log and the status.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Stopped => "ended without a reason".to_owned(),
            Self::Failed(reason) => format!("failed: {reason}"),
            Self::Parked(reason) => reason.clone(),
            Self::Panicked(text) => format!("panicked: {text}"),
            Self::Stalled(after) => {
                format!(
                    "hung: no progress for {} with work in hand",
                    humantime::format_duration(*after)
                )
            }
            Self::Overdue(grace) => format!("did not end within {}", humantime::format_duration(*grace)),
            Self::Aborted => "aborted".to_owned(),
            Self::Vanished => "its arbiter ended".to_owned(),
        }
    }
}

/// Tells the new address to those who need it; run by the supervisor, if the life is still the current one by then.
pub(super) type Publish = Box<dyn FnOnce() + Send>;

/// Called when the actor has started.
pub(super) type Born = Box<dyn FnOnce(Publish) + Send>;

/// Lives one life: makes the actor, runs it, and ends with the reason of its end.
pub(super) async fn live<A>(
    life: Life,
    drains: bool,
    factory: Arc<Factory<A>>,
    published: Option<Arc<Published<A>>>,
    born: Born,
) -> End
where
    A: Actor<Context = Context<A>>,
{
    // A factory or a `started` that hangs is found like any other work that hangs.
    let starting = life.progress().work();
    let actor = match catch_unwind(AssertUnwindSafe(|| factory(life.clone()))) {
        Ok(Ok(actor)) => actor,
        Ok(Err(error)) => return sum_up(&life, End::Failed(format!("cannot be made: {}", chain(&*error)))),
        Err(payload) => {
            return sum_up(
                &life,
                End::Panicked(format!("while being made: {}", panic_text(&*payload))),
            );
        }
    };
    let context = Context::new();
    // Held for the whole life: actix ends an actor whose last address is dropped.
    let address = context.address();
    let mut actor = Running(context.into_future(actor));

    if let Poll::Ready(end) = poll_fn(|cx| Poll::Ready(actor.poll_unpin(cx))).await {
        return sum_up(&life, end);
    }
    if life.obituary().is_none() {
        let address = address.clone();
        born(Box::new(move || {
            if let Some(published) = published {
                published(address);
            }
        }));
    }
    drop(starting);

    let (over, stop) = (life.over(), life.stop_requested());
    let mut stop = pin!(stop.cancelled());
    let mut asked = drains;
    loop {
        tokio::select! {
            biased;
            () = over.cancelled() => return End::Aborted,
            () = life.ending().cancelled() => {
                actor.end_now();
                return sum_up(&life, End::Stopped);
            }
            () = &mut stop, if !asked => {
                asked = true;
                actor.0.ctx().stop();
            }
            end = &mut actor => return sum_up(&life, end),
        }
    }
}

/// The first cause counts: what the obituary says, else what was seen.
pub(super) fn sum_up(life: &Life, seen: End) -> End {
    match life.obituary() {
        Some(Obituary::Failed(reason)) => End::Failed(reason.clone()),
        Some(Obituary::Parked(reason)) => End::Parked(reason.clone()),
        None => seen,
    }
}

/// An actor at work. Ends with `Stopped` or `Panicked`.
struct Running<A: Actor<Context = Context<A>>>(ContextFut<A, Context<A>>);

impl<A: Actor<Context = Context<A>>> Running<A> {
    /// Stops the actor within this call, with its `stopping` and `stopped`; one that says `Running::Continue` is not asked
    /// twice.
    fn end_now(&mut self) {
        self.0.ctx().stop();
        if self.now_or_never().is_none() {
            self.0.ctx().terminate();
            // What `stopped` makes of it no longer matters: the reason is known.
            let _ = self.now_or_never();
        }
    }
}

impl<A: Actor<Context = Context<A>>> Future for Running<A> {
    type Output = End;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<End> {
        match catch_unwind(AssertUnwindSafe(|| self.0.poll_unpin(cx))) {
            Ok(polled) => polled.map(|()| End::Stopped),
            Err(payload) => {
                self.0.ctx().terminate();
                Poll::Ready(End::Panicked(panic_text(&*payload)))
            }
        }
    }
}

impl<A: Actor<Context = Context<A>>> Drop for Running<A> {
    fn drop(&mut self) {
        // A terminated context is not polled by its own destructor.
        self.0.ctx().terminate();
    }
}
