//! A branch: the children that stand or fall together.

use std::sync::Arc;

use actix::{Actor, Context};
use slog::{Logger, o};
use tokio::sync::{mpsc, watch};

use super::{BranchHandle, ChildSpec, Policy, child::Child, handle::Board, supervisor::Supervisor};

/// A branch before it starts.
pub struct Branch {
    name: Arc<str>,
    policy: Policy,
    log: Logger,
    children: Vec<Child>,
}

impl Branch {
    /// A branch without children.
    pub fn new(name: impl Into<Arc<str>>, policy: Policy, log: &Logger) -> Self {
        let name = name.into();
        let log = log.new(o!("branch" => name.to_string()));
        Self {
            name,
            policy,
            log,
            children: Vec::new(),
        }
    }

    /// Adds a child. Its tier decides when it starts; children of one tier start together.
    pub fn child<A: Actor<Context = Context<A>>>(mut self, spec: ChildSpec<A>) -> Self {
        self.children.push(spec.erase());
        self
    }

    /// Starts the children, tier by tier, and supervises them from this thread, which nothing may block.
    ///
    /// # Panics
    /// Outside an actix system.
    pub fn start(mut self) -> BranchHandle {
        self.children.sort_by_key(|child| child.tier);
        let (commands, inbox) = mpsc::unbounded_channel();
        let (events, news) = mpsc::unbounded_channel();
        let (summary, summary_seen) = watch::channel(None);
        let board = Board::new(self.children.len());
        let mut supervisor = Supervisor::new(
            self.name.clone(),
            self.policy,
            self.log,
            self.children,
            board.clone(),
            events,
        );
        let (status, status_seen) = watch::channel(supervisor.status());
        actix_rt::spawn(async move {
            supervisor.run(inbox, news, &status).await;
            let _ = summary.send(Some(supervisor.sum_up()));
        });
        BranchHandle {
            name: self.name,
            commands,
            status: status_seen,
            summary: summary_seen,
            board,
        }
    }
}
