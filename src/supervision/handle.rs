//! What the rest of the daemon holds of a branch.

use std::{
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{mpsc, watch};

use super::{BranchState, BranchStatus, ChildStatus, Progress, StopSummary};

/// What a branch can be told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Command {
    Stop,
    Resume,
}

/// A running branch. Clones are the same branch; when the last one is dropped, the branch stops in order.
#[derive(Clone, Debug)]
pub struct BranchHandle {
    pub(super) name: Arc<str>,
    pub(super) commands: mpsc::UnboundedSender<Command>,
    pub(super) status: watch::Receiver<BranchStatus>,
    pub(super) summary: watch::Receiver<Option<StopSummary>>,
    pub(super) board: Board,
}

impl BranchHandle {
    /// The branch's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The branch at this moment, with the progress and the waits of its actors.
    pub fn status(&self) -> BranchStatus {
        let mut status = self.status.borrow().clone();
        self.board.fill_in(&mut status.children);
        status
    }

    /// Changes with every start, end and decision; progress and waits in it are as of the last such change.
    pub fn watch(&self) -> watch::Receiver<BranchStatus> {
        self.status.clone()
    }

    /// Stops the branch in order, later tiers first, each actor awaited up to `grace` and then aborted. A branch that has
    /// stopped already returns the same summary again.
    pub async fn stop(&self) -> StopSummary {
        // A closed channel = it has ended; then the summary is there, or never will be.
        let _ = self.commands.send(Command::Stop);
        let mut summary = self.summary.clone();
        let summary = summary
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|summary| summary.clone());
        summary.unwrap_or_else(|| StopSummary {
            branch: self.name.to_string(),
            children: Vec::new(),
            abandoned_threads: self.status.borrow().abandoned_threads,
            is_supervisor_lost: true,
        })
    }

    /// Tries a parked branch at once, with all its restarts. A running branch's back-off is cut short.
    pub fn resume(&self) {
        // A branch that has ended has nothing to resume.
        let _ = self.commands.send(Command::Resume);
    }

    /// Resolves with the reason when the branch has spent its restarts under `on_escalate = "exit"`, or when its
    /// supervisor itself has failed. Never resolves otherwise.
    pub async fn escalated(&self) -> String {
        let mut status = self.status.clone();
        loop {
            // Marked as seen before it is judged, so that no change falls in between.
            let is_stopped = status.borrow_and_update().state == BranchState::Stopped;
            if let Some(reason) = self.escalation() {
                return reason;
            }
            if is_stopped {
                return pending().await;
            }
            // An error = the supervisor has ended, which `escalation` and the state tell apart.
            let _ = status.changed().await;
        }
    }

    /// The reason to end the daemon, if there is one by now.
    pub(super) fn escalation(&self) -> Option<String> {
        let is_lost = self.status.has_changed().is_err();
        let status = self.status.borrow();
        match status.state {
            BranchState::Escalated => {
                let reason = status.reason.as_deref().unwrap_or("its restarts are spent");
                Some(format!("{}: {reason}", self.name))
            }
            BranchState::Stopped => None,
            _ if is_lost => Some(format!("{}: its supervisor has failed", self.name)),
            _ => None,
        }
    }
}

/// The progress of each child's present life, shared with the handles.
#[derive(Clone, Debug)]
pub(super) struct Board(Arc<Mutex<Vec<Progress>>>);

impl Board {
    pub(super) fn new(num_children: usize) -> Self {
        Self(Arc::new(Mutex::new(vec![Progress::default(); num_children])))
    }

    /// Progress for the next life of a child.
    pub(super) fn next_life(&self, child: usize) -> Progress {
        let mut all = self.lock();
        let next = all[child].next_life();
        all[child] = next.clone();
        next
    }

    /// Writes the progress of child i into `children[i]`.
    pub(super) fn fill_in(&self, children: &mut [ChildStatus]) {
        for (child, progress) in children.iter_mut().zip(self.lock().iter()) {
            child.num_work = progress.num_work();
            child.waiting = progress.waiting();
            child.marks = progress.marks();
            child.beats = progress.beats();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Progress>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
