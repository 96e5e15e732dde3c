//! What a branch tells about itself.

use serde::Serialize;

use super::Waiting;

/// A branch and all its children, at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BranchStatus {
    /// The branch's name.
    pub name: String,
    /// What it does now.
    pub state: BranchState,
    /// Why it is parked, winds down or has escalated.
    pub reason: Option<String>,
    /// When a parked branch is tried again, RFC 3339 in UTC.
    pub next_try: Option<String>,
    /// How many failures it can take before it escalates.
    pub restarts_left: u32,
    /// Threads that outlived their grace and were left behind, since the branch started.
    pub abandoned_threads: u64,
    /// The children in the order of their tiers.
    pub children: Vec<ChildStatus>,
}

impl BranchStatus {
    /// What was achieved by all children together; grows only. See [`Progress::marks`](super::Progress::marks).
    pub fn marks(&self) -> u64 {
        self.children.iter().map(|child| child.marks).sum()
    }

    /// Signs of life of all children together; grows only. See [`Progress::beats`](super::Progress::beats).
    pub fn beats(&self) -> u64 {
        self.children.iter().map(|child| child.beats).sum()
    }

    /// The child with this name.
    pub fn child(&self, name: &str) -> Option<&ChildStatus> {
        self.children.iter().find(|child| child.name == name)
    }
}

/// What a branch does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BranchState {
    /// The first start is under way.
    Starting,
    /// All children are up.
    Running,
    /// Something failed; children are being stopped, waited for or started.
    Restarting,
    /// The children are being stopped, to stop or park the branch.
    WindingDown,
    /// All children are down until the next try.
    Parked,
    /// The restarts are spent and the daemon should exit.
    Escalated,
    /// All children are down for good.
    Stopped,
}

/// One child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChildStatus {
    /// `writer-0`
    pub name: String,
    /// `writer`
    pub kind: String,
    /// What it does now.
    pub state: ChildState,
    /// Its life's number; 0 = never started.
    pub life: u64,
    /// Its last failure, in whichever life.
    pub last_failure: Option<Failure>,
    /// Guards of work held.
    pub num_work: usize,
    /// Declared waits, the oldest first.
    pub waiting: Vec<Waiting>,
    /// Achievements over all lives.
    pub marks: u64,
    /// Signs of life over all lives.
    pub beats: u64,
    /// Its threads that outlived their grace, over all lives.
    pub abandoned_threads: u64,
    /// How many of its lives ended because they hung.
    pub stalls: u64,
}

/// What a child does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChildState {
    /// It does not run.
    Down,
    /// Its actor is being made.
    Starting,
    /// Its actor runs.
    Up,
    /// It was asked to end.
    Stopping,
    /// Its actor has ended; its threads are waited for.
    Dying,
}

/// Why a life ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The reason, with all causes.
    pub reason: String,
    /// Which life it was.
    pub life: u64,
    /// When, RFC 3339 in UTC.
    pub at: String,
}

/// How an ordered stop went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StopSummary {
    /// The branch's name.
    pub branch: String,
    /// The children that were running, in the order in which they ended.
    pub children: Vec<StoppedChild>,
    /// Threads left behind since the branch started.
    pub abandoned_threads: u64,
    /// The supervisor itself had failed before; nothing is known about the children.
    pub is_supervisor_lost: bool,
}

impl StopSummary {
    /// Whether every child ended when it was asked to.
    pub fn is_clean(&self) -> bool {
        !self.is_supervisor_lost && self.children.iter().all(|child| child.how == Stopped::InTime)
    }
}

/// One child that was stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoppedChild {
    /// `writer-0`
    pub name: String,
    /// How it ended.
    pub how: Stopped,
}

/// How a child ended when it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// By itself, within the grace.
    InTime,
    /// It did not, and was aborted.
    Aborted,
    /// It neither ended nor could be aborted, or it left threads behind.
    Abandoned,
    /// With this reason.
    Failed(String),
}
