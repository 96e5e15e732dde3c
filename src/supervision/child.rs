//! What the supervisor knows about a child: its name, its place, and how to make it anew.

use std::{fmt, sync::Arc};

use actix::{Actor, Addr, Context};
use actix_rt::ArbiterHandle;
use futures::{FutureExt, future::LocalBoxFuture};

use super::{
    BoxError, Life,
    spawn::{Born, End, live},
};

/// A child's name: its kind and its number within the kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ChildId {
    kind: Arc<str>,
    index: usize,
    name: Arc<str>,
}

impl ChildId {
    /// Names a child: `("writer", 0)` is `writer-0`.
    pub fn new(kind: impl Into<Arc<str>>, index: usize) -> Self {
        let kind = kind.into();
        let name = format!("{kind}-{index}").into();
        Self { kind, index, name }
    }

    /// The whole name, `writer-0`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kind, `writer`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The number within the kind, from 0.
    pub fn index(&self) -> usize {
        self.index
    }
}

impl fmt::Display for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Which thread an actor runs on.
#[derive(Clone, Debug)]
pub enum Placement {
    /// The branch's own arbiter. The actor must never block.
    Shared,
    /// A given arbiter. The actor must never block.
    On(ArbiterHandle),
    /// An arbiter, and so an OS thread, for this life alone: the actor may block it.
    Own,
}

pub(super) type Factory<A> = dyn Fn(Life) -> Result<A, BoxError> + Send + Sync;
pub(super) type Published<A> = dyn Fn(Addr<A>) + Send + Sync;

/// How to make one child, again and again.
pub struct ChildSpec<A: Actor<Context = Context<A>>> {
    id: ChildId,
    tier: usize,
    placement: Placement,
    drains: bool,
    factory: Arc<Factory<A>>,
    published: Option<Arc<Published<A>>>,
}

impl<A: Actor<Context = Context<A>>> ChildSpec<A> {
    /// Describes the child `kind-index` of a tier. Tier 0 is the most downstream one and starts first; an actor may hold
    /// addresses of lower tiers only. The factory runs on the thread of `placement`, once a life.
    pub fn new(
        kind: impl Into<Arc<str>>,
        index: usize,
        tier: usize,
        placement: Placement,
        factory: impl Fn(Life) -> Result<A, BoxError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            id: ChildId::new(kind, index),
            tier,
            placement,
            drains: false,
            factory: Arc::new(factory),
            published: None,
        }
    }

    /// Whether the actor ends by itself, with `ctx.stop()`, once [`Life::stop_requested`] is cancelled. It has `grace` for
    /// it. Without this the actor is stopped as soon as it should.
    pub fn drains(mut self, drains: bool) -> Self {
        self.drains = drains;
        self
    }

    /// Has `callback` called with the new address at each start, after the actor's `started` and before later tiers start.
    /// It runs on the branch's thread.
    pub fn published(mut self, callback: impl Fn(Addr<A>) + Send + Sync + 'static) -> Self {
        self.published = Some(Arc::new(callback));
        self
    }

    /// Forgets the actor's type.
    pub(super) fn erase(self) -> Child {
        let Self {
            id,
            tier,
            placement,
            drains,
            factory,
            published,
        } = self;
        let body = move |life: Life, born: Born| {
            live::<A>(life, drains, factory.clone(), published.clone(), born).boxed_local()
        };
        Child {
            id,
            tier,
            placement,
            body: Arc::new(body),
        }
    }
}

/// Lives one life, on the thread where it is called.
pub(super) type Body = dyn Fn(Life, Born) -> LocalBoxFuture<'static, End> + Send + Sync;

/// A child without its actor's type.
pub(super) struct Child {
    pub(super) id: ChildId,
    pub(super) tier: usize,
    pub(super) placement: Placement,
    pub(super) body: Arc<Body>,
}
