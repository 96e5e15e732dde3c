//! One actor under a real supervisor.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use actix::{Actor, Addr, Context};
use aqueduct::{
    config::settings::OnEscalate,
    supervision::{
        BoxError, Branch, BranchHandle, BranchState, ChildSpec, ChildStatus, Jitter, Life, Placement, Policy,
        StopSummary,
    },
};

use crate::{clock::until, load::postgres::silent};

pub struct Room<A: Actor> {
    pub branch: BranchHandle,
    address: Arc<Mutex<Option<Addr<A>>>>,
}

pub fn policy() -> Policy {
    Policy {
        max_restarts: 5,
        window: Duration::from_secs(60),
        backoff: Duration::from_millis(5),
        backoff_max: Duration::from_secs(3_600),
        stall_after: Duration::from_secs(30),
        grace: Duration::from_secs(20),
        on_escalate: OnEscalate::Park,
        jitter: Jitter::None,
    }
}

impl<A: Actor<Context = Context<A>>> Room<A> {
    /// Starts `kind-0` and waits until it is up.
    pub async fn open(
        kind: &str,
        placement: Placement,
        drains: bool,
        factory: impl Fn(Life) -> Result<A, BoxError> + Send + Sync + 'static,
    ) -> Self {
        Self::open_with(policy(), kind, placement, drains, factory).await
    }

    /// The same, under another policy.
    pub async fn open_with(
        policy: Policy,
        kind: &str,
        placement: Placement,
        drains: bool,
        factory: impl Fn(Life) -> Result<A, BoxError> + Send + Sync + 'static,
    ) -> Self {
        let address = Arc::new(Mutex::new(None));
        let published = address.clone();
        let spec = ChildSpec::new(kind, 0, 0, placement, factory)
            .drains(drains)
            .published(move |address| *published.lock().unwrap() = Some(address));
        let branch = Branch::new("room", policy, &silent()).child(spec).start();
        until("it runs", || branch.status().state == BranchState::Running).await;
        Self { branch, address }
    }

    pub fn address(&self) -> Addr<A> {
        self.address.lock().unwrap().clone().unwrap()
    }

    pub fn child(&self) -> ChildStatus {
        self.branch.status().children.remove(0)
    }

    /// Nothing has ended it so far.
    pub fn is_in_its_first_life(&self) -> bool {
        let status = self.branch.status();
        status.state == BranchState::Running && status.children[0].life == 1 && status.restarts_left == 5
    }

    /// Waits until it is parked, and returns why.
    pub async fn parked(&self) -> String {
        until("it is parked", || self.branch.status().state == BranchState::Parked).await;
        self.branch.status().reason.unwrap()
    }

    pub async fn stop(&self) -> StopSummary {
        self.branch.stop().await
    }
}
