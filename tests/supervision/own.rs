//! Actors on arbiters of their own, which may block them: on the real clock, since a paused one does not wait for threads.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, ThreadId},
    time::Duration,
};

use actix::{Actor, Addr, Arbiter, AsyncContext, Context, Handler, Message, MessageResult, WrapFuture};
use aqueduct::supervision::{
    Branch, BranchHandle, BranchState, BranchStatus, ChildSpec, Life, Placement, Policy, Stopped,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::stage::{Do, Stage, lives, log, on_real_time, policy, reason, until};

fn hasty() -> Policy {
    Policy {
        backoff: Duration::from_millis(5),
        grace: Duration::from_secs(30),
        ..policy()
    }
}

fn impatient() -> Policy {
    Policy {
        grace: Duration::from_millis(30),
        ..hasty()
    }
}

async fn running(stage: &Stage, policy: Policy) -> BranchHandle {
    let own = || Placement::Own;
    let branch = Branch::new("load", policy, &log())
        .child(stage.spec_on("writer", 0, 0, own()))
        .child(stage.spec_on("writer", 1, 0, own()))
        .child(stage.spec_on("transformer", 0, 1, own()))
        .start();
    until(&branch, |status| status.state == BranchState::Running).await;
    branch
}

/// The thread ended and was joined: nothing was left behind, whatever ended the actor.
fn a_death_is_told_apart(what: Do, expected: &str) {
    on_real_time(async {
        let stage = Stage::default();
        let branch = running(&stage, hasty()).await;
        stage.tell("writer-0", what).await;
        let back = |status: &BranchStatus| status.state == BranchState::Running && lives(status) == [2, 1, 2];
        let status = until(&branch, back).await;
        assert_eq!(reason(&status, "writer-0"), expected);
        assert_eq!(status.abandoned_threads, 0);
        stage.address("writer-0").send(Do::Nothing).await.unwrap();
        let summary = branch.stop().await;
        assert!(summary.is_clean());
        assert_eq!(summary.children[0].name, "transformer-0");
    });
}

#[test]
fn a_panic_on_an_own_arbiter_is_heard() {
    a_death_is_told_apart(Do::Panic, "panicked: boom");
}

#[test]
fn a_failure_on_an_own_arbiter_is_heard() {
    a_death_is_told_apart(Do::Fail, "failed: write the batch: disk is full");
}

#[test]
fn an_end_without_a_reason_on_an_own_arbiter_is_heard() {
    a_death_is_told_apart(Do::End, "ended without a reason");
}

/// Blocks its thread until the other end of the channel is dropped; its next lives have nothing to block on.
struct Blocker {
    entered: UnboundedSender<()>,
    blocked: Option<mpsc::Receiver<()>>,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Block;

#[derive(Message)]
#[rtype(result = "ThreadId")]
struct WhichThread;

impl Actor for Blocker {
    type Context = Context<Self>;
}

impl Handler<Block> for Blocker {
    type Result = ();

    fn handle(&mut self, _: Block, _: &mut Self::Context) {
        let _ = self.entered.send(());
        if let Some(blocked) = self.blocked.take() {
            let _ = blocked.recv();
        }
    }
}

impl Handler<WhichThread> for Blocker {
    type Result = MessageResult<WhichThread>;

    fn handle(&mut self, _: WhichThread, _: &mut Self::Context) -> Self::Result {
        MessageResult(thread::current().id())
    }
}

/// A branch with one blocker.
struct Blocked {
    branch: BranchHandle,
    address: Addr<Blocker>,
    life: Life,
    entered: UnboundedReceiver<()>,
    release: mpsc::Sender<()>,
}

impl Blocked {
    async fn new(policy: Policy) -> Self {
        let (release, blocked) = mpsc::channel();
        let (enter, entered) = unbounded_channel();
        let (tell_life, mut told_life) = unbounded_channel();
        let (tell_address, mut told_address) = unbounded_channel();
        let blocked = Mutex::new(Some(blocked));
        let spec = ChildSpec::new("writer", 0, 0, Placement::Own, move |life: Life| {
            let _ = tell_life.send(life);
            Ok(Blocker {
                entered: enter.clone(),
                blocked: blocked.lock().unwrap().take(),
            })
        });
        let spec = spec.published(move |address| drop(tell_address.send(address)));
        let branch = Branch::new("load", policy, &log()).child(spec).start();
        let (address, life) = (told_address.recv().await.unwrap(), told_life.recv().await.unwrap());
        Self {
            branch,
            address,
            life,
            entered,
            release,
        }
    }

    /// Returns when the actor blocks its thread.
    async fn block(&mut self) {
        self.address.try_send(Block).unwrap();
        self.entered.recv().await.unwrap();
    }
}

#[test]
fn an_actor_that_blocks_its_arbiter_for_good_is_left_behind_and_replaced() {
    on_real_time(async {
        let mut blocked = Blocked::new(impatient()).await;
        blocked.block().await;
        blocked.life.fail("the poll thread has died");
        let up = |status: &BranchStatus| lives(status) == [2] && status.state == BranchState::Running;
        let status = until(&blocked.branch, up).await;
        assert_eq!(status.abandoned_threads, 1);
        assert_eq!(reason(&status, "writer-0"), "failed: the poll thread has died");
        assert!(
            blocked.life.over().is_cancelled(),
            "the old one can know that it is over"
        );
        drop(blocked.release);
        blocked.branch.stop().await;
    });
}

#[test]
fn a_stop_does_not_wait_for_ever_for_an_actor_that_blocks_its_arbiter() {
    on_real_time(async {
        let mut blocked = Blocked::new(impatient()).await;
        blocked.block().await;
        let summary = blocked.branch.stop().await;
        assert_eq!(summary.children[0].how, Stopped::Abandoned);
        assert_eq!(summary.abandoned_threads, 1);
        drop(blocked.release);
    });
}

#[test]
fn an_actor_that_blocks_its_arbiter_without_a_mark_is_found() {
    on_real_time(async {
        let policy = Policy {
            stall_after: Duration::from_millis(400),
            ..impatient()
        };
        let mut blocked = Blocked::new(policy).await;
        let _work = blocked.life.progress().work();
        blocked.block().await;
        let status = until(&blocked.branch, |status| lives(status) == [2]).await;
        assert_eq!(
            reason(&status, "writer-0"),
            "hung: no progress for 400ms with work in hand"
        );
        drop(blocked.release);
        blocked.branch.stop().await;
    });
}

/// Never yields: its arbiter hears nothing any more, not even that it should end.
struct Spinner {
    life: Life,
    ends: Arc<AtomicBool>,
}

impl Actor for Spinner {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if self.life.number() == 1 {
            let (ends, work) = (self.ends.clone(), self.life.progress().work());
            let spin = async move {
                while !ends.load(Ordering::SeqCst) {
                    std::hint::spin_loop();
                }
                drop(work);
            };
            ctx.spawn(spin.into_actor(self));
        }
    }
}

#[test]
fn an_actor_that_spins_without_ever_yielding_is_found_left_behind_and_replaced() {
    on_real_time(async {
        let ends = Arc::new(AtomicBool::new(false));
        let policy = Policy {
            stall_after: Duration::from_millis(200),
            ..impatient()
        };
        let spun = ends.clone();
        let make = move |life| {
            let ends = spun.clone();
            Ok(Spinner { life, ends })
        };
        let branch = Branch::new("load", policy, &log())
            .child(ChildSpec::new("writer", 0, 0, Placement::Own, make))
            .start();
        let status = until(&branch, |status| {
            lives(status) == [2] && status.state == BranchState::Running
        })
        .await;
        assert_eq!(
            reason(&status, "writer-0"),
            "hung: no progress for 200ms with work in hand"
        );
        assert_eq!(status.abandoned_threads, 1);
        assert!(branch.stop().await.is_clean(), "the second life ends in order");
        ends.store(true, Ordering::SeqCst);
    });
}

#[test]
fn an_actor_on_a_given_arbiter_runs_there_and_is_missed_when_that_arbiter_ends() {
    on_real_time(async {
        let stage = Stage::default();
        let arbiter = Arbiter::new();
        let branch = Branch::new("load", hasty(), &log())
            .child(stage.spec_on("writer", 0, 0, Placement::On(arbiter.handle())))
            .start();
        until(&branch, |status| status.state == BranchState::Running).await;
        stage.address("writer-0").send(Do::Nothing).await.unwrap();
        arbiter.stop();
        let status = until(&branch, |status| status.state == BranchState::Parked).await;
        assert_eq!(
            (lives(&status), reason(&status, "writer-0")),
            (vec![4], "its arbiter ended".to_owned())
        );
        arbiter.join().unwrap();
    });
}

#[test]
fn each_own_child_has_a_thread_of_its_own() {
    on_real_time(async {
        let (first, second) = (Blocked::new(hasty()).await, Blocked::new(hasty()).await);
        let threads = (
            first.address.send(WhichThread).await.unwrap(),
            second.address.send(WhichThread).await.unwrap(),
        );
        assert_ne!(threads.0, threads.1);
        assert_ne!(threads.0, thread::current().id());
        first.branch.stop().await;
        second.branch.stop().await;
    });
}
