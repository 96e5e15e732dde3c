//! The root of the tree: knows all branches of the daemon, and when the daemon should give up.

use futures::future::{join_all, pending, select_all};
use slog::{Logger, crit, info};

use super::{BranchHandle, BranchState, BranchStatus, StopSummary};

/// All branches of the daemon. One branch's fault never stops another.
#[derive(Debug)]
pub struct Root {
    log: Logger,
    /// Branches of one line stop one after the other, lines at the same time.
    lines: Vec<Vec<BranchHandle>>,
}

/// Why the daemon should end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootOutcome {
    /// Supervision has given up, with this reason; the next supervisor is systemd's.
    Escalated(String),
}

impl RootOutcome {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Escalated(_) => 70,
        }
    }
}

impl Root {
    /// A root without branches.
    pub fn new(log: &Logger) -> Self {
        Self {
            log: log.clone(),
            lines: Vec::new(),
        }
    }

    /// Adds a branch that is joined to no other.
    pub fn add(&mut self, branch: BranchHandle) {
        self.add_line([branch]);
    }

    /// Adds branches that data pass in this order, such as a pipeline's ingest and load branch. They are stopped in the
    /// same order.
    pub fn add_line(&mut self, branches: impl IntoIterator<Item = BranchHandle>) {
        self.lines.push(branches.into_iter().collect());
    }

    /// All branches, line by line.
    pub fn branches(&self) -> impl Iterator<Item = &BranchHandle> {
        self.lines.iter().flatten()
    }

    /// The status of all branches.
    pub fn status(&self) -> Vec<BranchStatus> {
        self.branches().map(BranchHandle::status).collect()
    }

    /// Resolves when the daemon should end: every branch is parked, one has escalated under `on_escalate = "exit"`, or a
    /// supervisor itself has failed. Branches that were stopped do not count.
    pub async fn outcome(&self) -> RootOutcome {
        let mut watches: Vec<_> = self.branches().map(BranchHandle::watch).collect();
        loop {
            for watch in &mut watches {
                watch.mark_unchanged();
            }
            if let Some(reason) = self.verdict() {
                crit!(self.log, "supervision gives up"; "reason" => &reason);
                return RootOutcome::Escalated(reason);
            }
            // The watch of a branch that has stopped in order is closed and would be ready for ever.
            watches.retain(|watch| watch.borrow().state != BranchState::Stopped);
            if watches.is_empty() {
                return pending().await;
            }
            let _ = select_all(watches.iter_mut().map(|watch| Box::pin(watch.changed()))).await;
        }
    }

    /// Stops everything in order.
    pub async fn stop(&self) -> Vec<StopSummary> {
        let lines = self.lines.iter().map(|line| async move {
            let mut summaries = Vec::with_capacity(line.len());
            for branch in line {
                summaries.push(branch.stop().await);
            }
            summaries
        });
        let summaries: Vec<_> = join_all(lines).await.into_iter().flatten().collect();
        info!(self.log, "all branches have stopped"; "num_branches" => summaries.len());
        summaries
    }

    fn verdict(&self) -> Option<String> {
        if let Some(reason) = self.branches().find_map(BranchHandle::escalation) {
            return Some(reason);
        }
        let states: Vec<_> = self
            .branches()
            .map(|branch| (branch, branch.watch().borrow().clone()))
            .collect();
        let mut parked = states
            .iter()
            .filter(|(_, status)| status.state != BranchState::Stopped)
            .peekable();
        parked.peek()?;
        let mut reasons = Vec::new();
        for (branch, status) in parked {
            if status.state != BranchState::Parked {
                return None;
            }
            reasons.push(format!(
                "{}: {}",
                branch.name(),
                status.reason.as_deref().unwrap_or_default()
            ));
        }
        Some(format!("every branch is parked: {}", reasons.join("; ")))
    }
}
