//! Supervision keeps its promises: every death is heard, the right children come back, and nothing waits for ever.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on has failed")]

mod kinds;
mod own;
mod parking;
mod restarts;
mod root;
mod stage;
mod stopping;
mod threads;
