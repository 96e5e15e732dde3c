//! OTP for actix: hears every death, restarts with a new actor, a new mailbox and a back-off, parks what keeps failing.
//! It knows no actor of ours.
//!
//! A [`Branch`] is a `rest_for_one` group of children in tiers, downstream first. Every start of a child is a numbered
//! [`Life`], which its factory gets and its actor keeps: through it the actor fails with a reason, owns threads, marks
//! progress and hears that it should stop. A failed child takes all later tiers down with it, since they may hold its
//! address; siblings and earlier tiers stay. [`Root`] watches all branches of the daemon.
//!
//! `actix::Supervisor` does none of this: a panic ends it, and an actor that stops itself in `started` makes it spin.

mod attend;
mod backoff;
mod branch;
mod chain;
mod child;
mod handle;
mod life;
mod plan;
mod policy;
mod progress;
mod root;
mod slots;
mod spawn;
mod status;
mod supervisor;
mod threads;

pub use backoff::Backoff;
pub use branch::Branch;
pub use chain::chain;
pub use child::{ChildId, ChildSpec, Placement};
pub use handle::BranchHandle;
pub use life::Life;
pub use policy::{Jitter, Policy};
pub use progress::{AttemptGuard, Progress, WaitGuard, Waiting, WorkGuard};
pub use root::{Root, RootOutcome};
pub use slots::Slots;
pub use status::{BranchState, BranchStatus, ChildState, ChildStatus, Failure, StopSummary, Stopped, StoppedChild};

/// Any error, as factories return it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
