//! Attends one life from the supervisor's side: starts it on its thread, hears its end, notices that it hangs, gives it
//! its grace, and buries what it leaves behind. Nothing here waits without a limit, since an actor may block its thread.

use std::{io, panic::AssertUnwindSafe, thread, time::Duration};

use actix_rt::{Arbiter, System};
use futures::FutureExt;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout_at},
};

use super::{
    Life, Policy, Progress,
    chain::panic_text,
    child::{Child, Placement},
    spawn::{End, Publish, sum_up},
};

/// News of a child.
pub(super) struct Event {
    pub(super) child: usize,
    pub(super) life: u64,
    pub(super) news: News,
}

/// What happened in a life, in this order; `Born` may be missing.
pub(super) enum News {
    /// The actor has started.
    Born(Publish),
    /// The actor has ended or is given up.
    Died(End),
    /// Everything that the life owned is gone, but for `num_abandoned` threads. The next life may start.
    Gone { num_abandoned: u64 },
}

/// Starts a life on its thread, and its attendance on this one.
pub(super) fn start(spec: &Child, child: usize, life: Life, policy: Policy, events: &mpsc::UnboundedSender<Event>) {
    let number = life.number();
    let tell = {
        let events = events.clone();
        // A closed channel means that the supervisor is gone; nobody is left to be told.
        move |news| {
            drop(events.send(Event {
                child,
                life: number,
                news,
            }))
        }
    };

    let (ended, end) = oneshot::channel();
    let (body, born) = (spec.body.clone(), tell.clone());
    let task_life = life.clone();
    let run = move || {
        actix_rt::spawn(async move {
            let whole = async move { body(task_life, Box::new(move |publish| born(News::Born(publish)))).await };
            // The actor's panics are caught closer to it; what is left are those of its destructors.
            let end = AssertUnwindSafe(whole)
                .catch_unwind()
                .await
                .unwrap_or_else(|payload| End::Panicked(format!("while being dropped: {}", panic_text(&*payload))));
            let _ = ended.send(end);
        });
    };
    let own = match &spec.placement {
        Placement::Shared => {
            run();
            None
        }
        Placement::On(arbiter) => {
            // `false` = it has ended: `run`, and with it the sender of the end, is dropped, which is heard.
            arbiter.spawn_fn(run);
            None
        }
        Placement::Own => match own_arbiter() {
            Ok(arbiter) => {
                arbiter.spawn_fn(run);
                Some(arbiter)
            }
            Err(error) => {
                life.fail(error);
                None
            }
        },
    };
    actix_rt::spawn(attend(life, end, own, policy, tell));
}

async fn attend(
    life: Life,
    mut end: oneshot::Receiver<End>,
    own: Option<Arbiter>,
    policy: Policy,
    tell: impl Fn(News),
) {
    let (seen, is_lost) = watch(&life, &mut end, policy).await;
    life.give_up();
    tell(News::Died(seen));
    let num_abandoned = bury(&life, is_lost.then_some(end), own, policy.grace).await;
    tell(News::Gone { num_abandoned });
}

/// Watches until the actor ends or is given up; the flag says that its task is still there.
async fn watch(life: &Life, end: &mut oneshot::Receiver<End>, policy: Policy) -> (End, bool) {
    let stop = life.stop_requested();
    let mut deadline: Option<Instant> = None;
    let mut stillness = Stillness::new(life.progress());
    // Looking four times finds a stall at most a quarter late.
    let period = (policy.stall_after / 4).max(Duration::from_millis(1));
    let mut look = interval_at(Instant::now() + period, period);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            ended = &mut *end => return (sum_up(life, ended.unwrap_or(End::Vanished)), false),
            () = async { tokio::select! { () = stop.cancelled() => (), () = life.ending().cancelled() => () } },
                if deadline.is_none() => deadline = Some(Instant::now() + policy.grace),
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() =>
                return (sum_up(life, End::Overdue(policy.grace)), true),
            _ = look.tick(), if deadline.is_none() => {
                if stillness.lasts(life.progress(), policy.stall_after) {
                    return (End::Stalled(policy.stall_after), true);
                }
                if let Some(limit) = life.progress().overdue() {
                    return (End::Stalled(limit), true);
                }
            }
        }
    }
}

/// How long an actor that should move has not moved.
struct Stillness {
    beats: u64,
    since: Instant,
}

impl Stillness {
    fn new(progress: &Progress) -> Self {
        Self {
            beats: progress.beats(),
            since: Instant::now(),
        }
    }

    fn lasts(&mut self, progress: &Progress, limit: Duration) -> bool {
        if progress.must_move() && progress.beats() == self.beats {
            return self.since.elapsed() >= limit;
        }
        if !progress.waiting().is_empty() {
            // A declared wait keeps the watchdog content.
            progress.beat();
        }
        *self = Self::new(progress);
        false
    }
}

/// Waits for the task, the threads and the arbiter of a life that is over, all within one grace. Returns how many threads
/// were left behind.
async fn bury(life: &Life, task: Option<oneshot::Receiver<End>>, own: Option<Arbiter>, grace: Duration) -> u64 {
    let deadline = Instant::now() + grace;
    let task_left = match task {
        Some(task) => timeout_at(deadline, task).await.is_err(),
        None => false,
    };
    let threads_left = life.threads().outlive(deadline).await;
    let arbiter_left = match own {
        Some(arbiter) => !joined(arbiter, deadline).await,
        // A task that does not answer blocks the arbiter that it was put on.
        None => task_left,
    };
    threads_left as u64 + u64::from(arbiter_left)
}

/// An arbiter of its own, or why there is none.
fn own_arbiter() -> io::Result<Arbiter> {
    if System::try_current().is_none() {
        return Err(io::Error::other("no actix system runs on the supervisor's thread"));
    }
    Arbiter::try_new()
}

/// Stops an arbiter and joins its thread until the deadline.
async fn joined(arbiter: Arbiter, deadline: Instant) -> bool {
    arbiter.stop();
    let (done, joined) = oneshot::channel();
    // A thread, not `spawn_blocking`: one that waits for ever would keep the runtime from shutting down.
    let reaper = thread::Builder::new().name("reaper".to_owned()).spawn(move || {
        // Its panics were heard by its task.
        let _ = arbiter.join();
        let _ = done.send(());
    });
    reaper.is_ok() && matches!(timeout_at(deadline, joined).await, Ok(Ok(())))
}
