//! Actors that misbehave on demand, on a clock that stands still unless everybody waits.

use std::{
    collections::{HashMap, VecDeque},
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message, Running, System, WrapFuture};
use aqueduct::{
    config::settings::OnEscalate,
    supervision::{
        AttemptGuard, Branch, BranchHandle, BranchState, BranchStatus, ChildSpec, Jitter, Life, Placement, Policy,
        WaitGuard, WorkGuard,
    },
};
use slog::{Discard, Logger, o};
use tokio::time::{sleep, timeout};

/// No scenario takes longer; on paused time a scenario that hangs gets here at once.
const LIMIT: Duration = Duration::from_secs(24 * 3_600);

pub fn on_paused_time<T>(scenario: impl Future<Output = T>) -> T {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap()
    };
    System::with_tokio_rt(runtime).block_on(async { timeout(LIMIT, scenario).await.expect("the scenario hangs") })
}

pub fn on_real_time<T>(scenario: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(60);
    System::new().block_on(async { timeout(limit, scenario).await.expect("the scenario hangs") })
}

pub fn log() -> Logger {
    Logger::root(Discard, o!())
}

pub fn policy() -> Policy {
    Policy {
        max_restarts: 3,
        window: Duration::from_secs(60),
        backoff: Duration::from_millis(100),
        backoff_max: Duration::from_secs(30),
        stall_after: Duration::from_secs(20),
        grace: Duration::from_secs(5),
        on_escalate: OnEscalate::Park,
        jitter: Jitter::None,
    }
}

/// How a life begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Birth {
    Well,
    FactoryFails,
    FactoryPanics,
    PanicsInStarted,
    FailsInStarted,
    StopsInStarted,
}

/// What an actor is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub enum Do {
    Nothing,
    Panic,
    PanicInFuture,
    Fail,
    End,
    Park,
    /// Work in hand and not a sign of life.
    Hang,
    /// Work in hand, always busy, and not a sign of progress.
    Spin,
    /// Work in hand and a declared wait.
    Wait,
    /// A declared wait with an attempt that does not end.
    HangInAttempt,
    /// Work in hand for an hour, with a mark every second.
    Labour,
    /// `stopping` says no.
    RefuseToStop,
    /// Ends, and panics in its destructor.
    DropBadly,
}

/// Everything that a scenario sees of its actors.
#[derive(Clone, Default)]
pub struct Stage(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    births: HashMap<String, VecDeque<Birth>>,
    addresses: HashMap<String, Addr<Probe>>,
    lives: Vec<Life>,
    diary: Vec<String>,
}

impl Stage {
    /// The next lives of a child begin like this, later ones well.
    pub fn script(&self, child: &str, births: impl IntoIterator<Item = Birth>) {
        self.0
            .lock()
            .unwrap()
            .births
            .insert(child.to_owned(), births.into_iter().collect());
    }

    pub fn spec(&self, kind: &str, index: usize, tier: usize) -> ChildSpec<Probe> {
        self.spec_on(kind, index, tier, Placement::Shared)
    }

    pub fn spec_on(&self, kind: &str, index: usize, tier: usize, placement: Placement) -> ChildSpec<Probe> {
        let name = format!("{kind}-{index}");
        let (maker, publisher) = (self.clone(), self.clone());
        ChildSpec::new(kind, index, tier, placement, move |life| maker.make(life)).published(move |address| {
            publisher.note(format!("{name} published"));
            publisher.0.lock().unwrap().addresses.insert(name.clone(), address);
        })
    }

    fn make(&self, life: Life) -> Result<Probe, aqueduct::supervision::BoxError> {
        let name = life.child().name().to_owned();
        let birth = {
            let mut seen = self.0.lock().unwrap();
            seen.lives.push(life.clone());
            seen.births
                .get_mut(&name)
                .and_then(VecDeque::pop_front)
                .unwrap_or(Birth::Well)
        };
        match birth {
            Birth::FactoryFails => Err("no luck".into()),
            Birth::FactoryPanics => panic!("the factory is broken"),
            birth => Ok(Probe {
                life,
                stage: self.clone(),
                birth,
                refuses: false,
                drops_badly: false,
                held: Vec::new(),
            }),
        }
    }

    pub fn note(&self, line: String) {
        self.0.lock().unwrap().diary.push(line);
    }

    /// What happened since the diary was last read.
    pub fn diary(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().diary)
    }

    pub fn address(&self, child: &str) -> Addr<Probe> {
        self.0.lock().unwrap().addresses[child].clone()
    }

    /// The n-th life of a child, from 1.
    pub fn life(&self, child: &str, number: u64) -> Life {
        let seen = self.0.lock().unwrap();
        let mut lives = seen.lives.iter().rev();
        lives
            .find(|life| life.child().name() == child && life.number() == number)
            .expect("no such life")
            .clone()
    }

    /// Tells an actor what to do; most do not live to answer.
    pub async fn tell(&self, child: &str, what: Do) {
        let _ = self.address(child).send(what).await;
    }

    /// `a-0 a-1` <- `b-0 b-1` <- `c-0`.
    pub fn branch(&self, name: &str, policy: Policy) -> Branch {
        Branch::new(name, policy, &log())
            .child(self.spec("c", 0, 2))
            .child(self.spec("a", 0, 0))
            .child(self.spec("a", 1, 0))
            .child(self.spec("b", 0, 1))
            .child(self.spec("b", 1, 1))
    }

    /// Starts that branch and waits until it runs.
    pub async fn running(&self, name: &str, policy: Policy) -> BranchHandle {
        let branch = self.branch(name, policy).start();
        until(&branch, |status| status.state == BranchState::Running).await;
        branch
    }
}

/// Waits until the status fulfils a condition.
pub async fn until(branch: &BranchHandle, condition: impl FnMut(&BranchStatus) -> bool) -> BranchStatus {
    branch
        .watch()
        .wait_for(condition)
        .await
        .expect("the supervisor has ended")
        .clone()
}

/// The numbers of the children's lives, in the order `a-0 a-1 b-0 b-1 c-0`.
pub fn lives(status: &BranchStatus) -> Vec<u64> {
    status.children.iter().map(|child| child.life).collect()
}

/// Waits until the branch runs with these lives.
pub async fn until_lives(branch: &BranchHandle, expected: [u64; 5]) -> BranchStatus {
    until(branch, |status| {
        status.state == BranchState::Running && lives(status) == expected
    })
    .await
}

/// The reason of a child's last failure.
pub fn reason(status: &BranchStatus, child: &str) -> String {
    status
        .child(child)
        .and_then(|child| child.last_failure.clone())
        .map(|failure| failure.reason)
        .unwrap_or_default()
}

pub struct Probe {
    life: Life,
    stage: Stage,
    birth: Birth,
    refuses: bool,
    drops_badly: bool,
    held: Vec<Held>,
}

#[expect(dead_code, reason = "guards are held, not read")]
enum Held {
    Work(WorkGuard),
    Wait(WaitGuard),
    Attempt(AttemptGuard),
}

#[derive(Debug, thiserror::Error)]
#[error("write the batch")]
struct WriteError(#[source] std::io::Error);

impl Probe {
    fn note(&self, what: &str) {
        self.stage.note(format!("{} {what}", self.life.child()));
    }
}

impl Actor for Probe {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.note("started");
        match self.birth {
            Birth::PanicsInStarted => panic!("cannot start"),
            Birth::FailsInStarted => self.life.fail("cannot connect"),
            Birth::StopsInStarted => ctx.stop(),
            Birth::Well | Birth::FactoryFails | Birth::FactoryPanics => (),
        }
    }

    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        if self.refuses { Running::Continue } else { Running::Stop }
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.note("stopped");
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.note("dropped");
        assert!(!self.drops_badly, "cannot be dropped");
    }
}

impl Handler<Do> for Probe {
    type Result = ();

    fn handle(&mut self, what: Do, ctx: &mut Self::Context) {
        let progress = self.life.progress();
        match what {
            Do::Nothing => (),
            Do::Panic => panic!("boom"),
            Do::PanicInFuture => drop(ctx.spawn(async { panic!("boom in a future") }.into_actor(self))),
            Do::Fail => self.life.fail(WriteError(std::io::Error::other("disk is full"))),
            Do::End => ctx.stop(),
            Do::Park => self.life.park("too many dead letters"),
            Do::Hang => {
                self.held.push(Held::Work(progress.work()));
                ctx.wait(pending::<()>().into_actor(self));
            }
            Do::Spin => {
                self.held.push(Held::Work(progress.work()));
                let spin = async {
                    loop {
                        tokio::task::yield_now().await;
                    }
                };
                ctx.spawn(spin.into_actor(self));
            }
            Do::Wait => {
                self.held.push(Held::Work(progress.work()));
                self.held.push(Held::Wait(progress.wait("PostgreSQL")));
            }
            Do::HangInAttempt => {
                let wait = progress.wait("PostgreSQL");
                self.held.push(Held::Attempt(wait.attempt()));
                self.held.push(Held::Wait(wait));
            }
            Do::Labour => {
                let (work, progress) = (progress.work(), progress.clone());
                let labour = async move {
                    for _ in 0..3_600 {
                        sleep(Duration::from_secs(1)).await;
                        progress.mark();
                    }
                    drop(work);
                };
                ctx.spawn(labour.into_actor(self));
            }
            Do::RefuseToStop => self.refuses = true,
            Do::DropBadly => {
                self.drops_badly = true;
                ctx.stop();
            }
        }
    }
}
